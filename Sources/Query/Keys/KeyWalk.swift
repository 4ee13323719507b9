// From a document to the keys of a sort or an index: one value per part, and one such tuple per
// element where a path meets an array.
//
// All parts advance along their paths until each has its value or stands at an array. If one does,
// every part at that array is expanded together, element by element, so parts below one array get
// values of the same element; two different arrays at once are refused. Rules:
//
//  - a missing field is null, and remembered as missing (sparse indexes);
//  - an array at the end of a path gives each element (an element that is an array, as a whole);
//    an empty one gives undefined, which is below null;
//  - an array inside a path is entered through its objects; other elements lack the field;
//  - a name of digits takes that position of an array, and then the array is not expanded.

internal import BSON

/// Receives the tuples of a walk.
protocol KeySink: ~Copyable {
    /// Takes one tuple; its values lie in `document`.
    mutating func take(_ tuple: KeyTuple, of document: DocumentView)
}

/// Most parts of one key (MongoDB's bound for indexes and sorts).
let keyPartsMax = 32

/// Where the value of one part lies.
struct KeyPart: Sendable {
    /// Where in the path the walk is; its end when the value is final.
    var segment: Int16
    /// Whether the value is what the key gets.
    var isDone = false
    /// Whether the field is missing (the value is null then).
    var isMissing = false
    var type: BSONType
    /// The payload within the document.
    var offset: Int32
    var count: Int32

    /// The value in its document.
    @inline(__always)
    @_lifetime(copy document)
    func value(in document: DocumentView) -> ValueView {
        let start = Int(offset)
        return ValueView(
            type: type, bytes: document.bytes.extracting(start..<start + Int(count)))
    }

    @inline(__always)
    mutating func set(_ value: ValueView, in document: DocumentView) {
        type = value.type
        if value.bytes.byteCount > 0, let range = document.bytes.byteOffsets(of: value.bytes) {
            offset = Int32(truncatingIfNeeded: range.lowerBound)
            count = Int32(truncatingIfNeeded: range.count)
        } else {
            offset = 0
            count = 0
        }
    }

    @inline(__always)
    mutating func finish(_ constant: BSONType, isMissing: Bool) {
        type = constant
        offset = 0
        count = 0
        isDone = true
        self.isMissing = isMissing
    }
}

/// The values of all parts.
struct KeyTuple {
    var parts: InlineArray<32, KeyPart>
    let count: Int

    init(_ table: PathTable, of document: DocumentView) {
        let start = KeyPart(
            segment: 0, type: .document, offset: 0, count: Int32(document.bytes.byteCount))
        parts = .init(repeating: start)
        count = table.parts.count
        for index in 0..<count {
            parts[index].segment = Int16(truncatingIfNeeded: table.parts[index].segments.lowerBound)
        }
    }

    /// Whether no part has a field.
    var isAllMissing: Bool {
        for index in 0..<count where !parts[index].isMissing { return false }
        return true
    }

    /// Order of two tuples of one document in the parts' directions: negative, zero or positive.
    func compare(_ other: KeyTuple, _ table: PathTable, in document: DocumentView) -> Int {
        for index in 0..<count {
            let order = parts[index].value(in: document)
                .compare(other.parts[index].value(in: document), table.collation)
            if order != 0 { return table.parts[index].isDescending ? -order : order }
        }
        return 0
    }

    /// Appends the key's bytes.
    func encode(_ table: PathTable, of document: DocumentView, to encoder: inout KeyEncoder) {
        for index in 0..<count {
            encoder.append(
                parts[index].value(in: document), descending: table.parts[index].isDescending,
                order: table.collation)
        }
    }
}

extension PathTable {
    /// What the way without arrays came to.
    enum PlainKey {
        /// The key was appended; `isAllMissing`: no part has a field; bit i of `inexactParts`: the
        /// value of part i isn't the one that its key decodes to.
        case appended(isAllMissing: Bool, inexactParts: UInt64)
        /// A path meets an array: nothing was appended, and the document needs a `KeyWalk`.
        case meetsArray
    }

    /// Appends the key of a document none of whose paths meets an array, which is the common case:
    /// there is one tuple then, and its values are encoded as they are found.
    func appendPlainKey(
        of document: DocumentView, to encoder: inout KeyEncoder
    ) -> PlainKey {
        let start = encoder.count
        var isAllMissing = true
        var inexactParts: UInt64 = 0
        for (position, part) in parts.enumerated() {
            var value = ValueView(type: .document, bytes: document.bytes)
            var isMissing = false
            for segment in part.segments {
                guard value.type == .document,
                    let next = DocumentView(value.bytes).value(
                        segments[segment].name, in: pool.span.bytes)
                else {
                    isMissing = true
                    break
                }
                value = next
                if value.type == .array {
                    encoder.truncate(to: start)
                    return .meetsArray
                }
            }
            if isMissing {
                encoder.appendNull(descending: part.isDescending)
            } else {
                isAllMissing = false
                if !value.keyIsExact { inexactParts |= 1 << UInt64(position) }
                if let collation {
                    encoder.append(value, descending: part.isDescending, order: collation)
                } else {
                    encoder.append(value, descending: part.isDescending)
                }
            }
        }
        return .appended(isAllMissing: isAllMissing, inexactParts: inexactParts)
    }
}

/// The walk of one document.
struct KeyWalk: ~Copyable {
    /// Bit i: part i went through an array.
    private(set) var multikeyParts: UInt64 = 0

    /// Gives every tuple of a document to `sink`. Error: `parallel` when two arrays would have to
    /// be expanded at once; 16746 where a name of digits is both a position and a field.
    mutating func run<Sink: KeySink & ~Copyable>(
        _ table: PathTable, _ document: DocumentView, parallel: DBError.Code,
        into sink: inout Sink
    ) throws(DBError) {
        try expand(
            KeyTuple(table, of: document), table, document, parallel: parallel, into: &sink)
    }

    private mutating func expand<Sink: KeySink & ~Copyable>(
        _ start: KeyTuple, _ table: PathTable, _ document: DocumentView, parallel: DBError.Code,
        into sink: inout Sink
    ) throws(DBError) {
        var tuple = start
        var arrayOffset: Int32 = -1
        var firstArrayPart = 0
        for index in 0..<tuple.count where !tuple.parts[index].isDone {
            advance(&tuple.parts[index], table, index, document)
            guard !tuple.parts[index].isDone else { continue }
            if arrayOffset < 0 {
                arrayOffset = tuple.parts[index].offset
                firstArrayPart = index
            } else if tuple.parts[index].offset != arrayOffset {
                throw Self.parallelArrays(table, firstArrayPart, index, parallel)
            }
        }
        guard arrayOffset >= 0 else { return sink.take(tuple, of: document) }
        let array = DocumentView(tuple.parts[firstArrayPart].value(in: document).bytes)
        var elements = array.makeIterator()
        var isEmpty = true
        while let element = elements.next() {
            isEmpty = false
            var next = tuple
            let goesOn = try enter(element.value, of: array, &next, table, document)
            try expand(next, table, document, parallel: parallel, into: &sink)
            if !goesOn { return }
        }
        if isEmpty {
            for index in 0..<tuple.count where !tuple.parts[index].isDone {
                multikeyParts |= 1 << UInt64(index)
                let isEnd =
                    Int(tuple.parts[index].segment) == table.parts[index].segments.upperBound
                tuple.parts[index].finish(isEnd ? .undefined : .null, isMissing: !isEnd)
            }
            sink.take(tuple, of: document)
        }
    }

    /// Moves the parts that stand at `array` to one element of it. Returns whether there is more
    /// to come from other elements: not when all parts take a fixed position.
    private mutating func enter(
        _ element: ValueView, of array: DocumentView, _ tuple: inout KeyTuple,
        _ table: PathTable, _ document: DocumentView
    ) throws(DBError) -> Bool {
        var isExpanded = false
        for index in 0..<tuple.count where !tuple.parts[index].isDone {
            let segment = Int(tuple.parts[index].segment)
            let end = table.parts[index].segments.upperBound
            if segment == end {
                tuple.parts[index].set(element, in: document)
                tuple.parts[index].isDone = true
            } else if table.segments[segment].arrayIndex >= 0,
                let fixed = array.value(
                    table.segments[segment].name, in: table.pool.span.bytes)
            {
                if let object = element.document,
                    object.value(table.segments[segment].name, in: table.pool.span.bytes) != nil
                {
                    throw DBError(
                        DBError.Code(rawValue: 16746),
                        "Ambiguous field name found in array (do not use numeric field names in "
                            + "embedded elements in an array), field: "
                            + "'\(table.segments[segment].arrayIndex)'")
                }
                tuple.parts[index].set(fixed, in: document)
                tuple.parts[index].segment = Int16(truncatingIfNeeded: segment + 1)
                tuple.parts[index].isDone = segment + 1 == end
                continue
            } else if element.type == .document {
                tuple.parts[index].set(element, in: document)
            } else {
                tuple.parts[index].finish(.null, isMissing: true)
            }
            isExpanded = true
            multikeyParts |= 1 << UInt64(index)
        }
        return isExpanded
    }

    /// Moves a part along its path until it has its value or stands at an array.
    @inline(__always)
    private func advance(
        _ part: inout KeyPart, _ table: PathTable, _ index: Int, _ document: DocumentView
    ) {
        let end = table.parts[index].segments.upperBound
        while part.type != .array {
            if Int(part.segment) == end {
                part.isDone = true
                return
            }
            guard part.type == .document,
                let value = DocumentView(part.value(in: document).bytes).value(
                    table.segments[Int(part.segment)].name, in: table.pool.span.bytes)
            else { return part.finish(.null, isMissing: true) }
            part.set(value, in: document)
            part.segment += 1
        }
    }

    private static func parallelArrays(
        _ table: PathTable, _ first: Int, _ second: Int, _ code: DBError.Code
    ) -> DBError {
        let names = [first, second].map { part in
            table.parts[part].segments.map { segment in
                let name = table.segments[segment].name
                return String(
                    decoding: table.pool[name.offset..<name.offset + name.count], as: UTF8.self)
            }.joined(separator: ".")
        }
        return code == .cannotIndexParallelArrays
            ? DBError(code, "cannot index parallel arrays [\(names[1])] [\(names[0])]")
            : DBError(
                code, "cannot sort with keys that are parallel arrays: \(names[0]), \(names[1])")
    }
}
