// Indexes: what they are over, and the keys of a document.

package import BSON

/// One path of an index and its direction.
package struct IndexPart: Sendable, Hashable {
    /// The indexed path.
    package let path: FieldPath
    /// Whether keys are stored in descending order.
    package let descending: Bool
}

/// What an index is over.
package struct IndexKeyPattern: Sendable {
    /// The paths, most significant first.
    package let parts: [IndexPart]
    private let table: PathTable

    /// The order of strings in the keys; nil for that of their bytes.
    package var collation: Collation? { table.collation }

    /// A pattern of these parts, at most 32, and the order of strings.
    package init(_ parts: [IndexPart], collation: Collation? = nil) {
        self.parts = parts
        var table = PathTable(collation)
        for part in parts { table.append(part.path, isDescending: part.descending) }
        self.table = table
    }

    /// Reads a key pattern such as `{a: 1, "b.c": -1}`.
    ///
    /// Errors: 67 CannotCreateIndex for an empty pattern, bad names, directions that are no number
    /// or zero, and kinds of index that Roost lacks; 13103 more than 32 parts.
    package static func parse(
        _ key: DocumentView, collation: Collation? = nil
    ) throws(DBError) -> IndexKeyPattern {
        var parts: [IndexPart] = []
        var elements = key.makeIterator()
        while let element = elements.next() {
            let name = element.nameString
            if parts.count == keyPartsMax {
                throw DBError(
                    DBError.Code(rawValue: 13103),
                    "too many compound keys: at most \(keyPartsMax)")
            }
            let path = try parsePath(name)
            if parts.contains(where: { $0.path == path }) {
                throw DBError(.cannotCreateIndex, "duplicate field '\(name)' in the index key")
            }
            parts.append(
                IndexPart(path: path, descending: try parseDirection(element.value, name)))
        }
        if parts.isEmpty { throw DBError(.cannotCreateIndex, "Index keys cannot be empty.") }
        return IndexKeyPattern(parts, collation: collation)
    }

    private static func parsePath(_ name: String) throws(DBError) -> FieldPath {
        let path = FieldPath(name)
        for segment in path.segments {
            guard let first = segment.name.first else {
                throw DBError(
                    .cannotCreateIndex, "Index keys cannot have an empty field name: '\(name)'")
            }
            if segment.name.elementsEqual("$**".utf8) {
                throw DBError(
                    .cannotCreateIndex, "Wildcard indexes are not supported yet: '\(name)'")
            }
            let isReference = ["$id", "$ref", "$db"].contains {
                segment.name.elementsEqual($0.utf8)
            }
            if first == UInt8(ascii: "$"), !isReference {
                throw DBError(
                    .cannotCreateIndex,
                    "Index key contains an illegal field name: field name starts with '$': "
                        + "'\(name)'")
            }
        }
        return path
    }

    private static func parseDirection(
        _ value: ValueView, _ name: String
    ) throws(DBError) -> Bool {
        if value.type == .string {
            let kind = value.text
            switch kind {
            case "text", "2d", "2dsphere", "hashed":
                throw DBError(
                    .cannotCreateIndex, "Indexes of type '\(kind)' are not supported yet")
            default: throw DBError(.cannotCreateIndex, "Unknown index plugin '\(kind)'")
            }
        }
        guard let direction = value.anyDouble else {
            throw DBError(
                .cannotCreateIndex,
                "Values in the index key pattern cannot be of type \(value.type.alias) ('\(name)'): "
                    + "use 1 or -1")
        }
        guard !direction.isNaN, direction != 0 else {
            throw DBError(
                .cannotCreateIndex,
                "Values in the index key pattern cannot be 0 or NaN ('\(name)'): use 1 or -1")
        }
        return direction < 0
    }

    /// Puts a document's keys into `keys`, whose former content is dropped: encoded, distinct,
    /// ascending. A sparse index leaves out keys none of whose fields exists. Allocates only to
    /// grow `keys`. Errors: 171 for two arrays that would both have to be expanded, 16746 for a
    /// name of digits that is both a position and a field.
    package func keys(
        of document: DocumentView, sparse: Bool, into keys: inout IndexKeys
    ) throws(DBError) {
        keys.removeAll()
        if case .appended(let isAllMissing, let inexactParts) = table.appendPlainKey(
            of: document, to: &keys.encoder)
        {
            keys.inexactParts = inexactParts
            if sparse, isAllMissing { keys.removeAll() } else { keys.endKey() }
            return
        }
        try expandKeys(of: document, sparse: sparse, into: &keys)
    }

    /// The keys of a document with an array on some path.
    @inline(never)
    private func expandKeys(
        of document: DocumentView, sparse: Bool, into keys: inout IndexKeys
    ) throws(DBError) {
        var walk = KeyWalk()
        var sink = Collector(table: table, sparse: sparse, keys: keys)
        keys = IndexKeys()
        do throws(DBError) {
            try walk.run(table, document, parallel: .cannotIndexParallelArrays, into: &sink)
        } catch {
            keys = sink.keys
            throw error
        }
        keys = sink.keys
        keys.finish(multikeyParts: walk.multikeyParts)
        keys.inexactParts = .max
    }

    private struct Collector: KeySink, ~Copyable {
        let table: PathTable
        let sparse: Bool
        var keys: IndexKeys

        mutating func take(_ tuple: KeyTuple, of document: DocumentView) {
            if sparse, tuple.isAllMissing { return }
            tuple.encode(table, of: document, to: &keys.encoder)
            keys.endKey()
        }
    }
}

/// The keys of one document in one index. Reused from document to document.
package struct IndexKeys: Sendable {
    fileprivate(set) var encoder = KeyEncoder()
    /// Where each key lies in the encoder's bytes.
    private var ranges: [Range<Int>] = []
    /// Where the key being encoded begins.
    private var start = 0
    /// Bit i: part i of the pattern went through an array.
    package private(set) var multikeyParts: UInt64 = 0
    /// Bit i: the value of part i may not be the one that its key decodes to.
    package fileprivate(set) var inexactParts: UInt64 = 0

    /// No keys.
    package init() {}

    /// The number of keys.
    package var count: Int { ranges.count }

    /// Whether a path of the index went through an array.
    package var isMultikey: Bool { multikeyParts != 0 }

    /// The key at `index`. Keys ascend.
    package subscript(_ index: Int) -> RawSpan {
        @_lifetime(borrow self)
        get { encoder.bytes.span.bytes.extracting(ranges[index]) }
    }

    /// Forgets the keys, keeps the memory.
    package mutating func removeAll() {
        encoder.removeAll()
        ranges.removeAll(keepingCapacity: true)
        start = 0
        multikeyParts = 0
        inexactParts = 0
    }

    fileprivate mutating func endKey() {
        ranges.append(start..<encoder.count)
        start = encoder.count
    }

    /// Sorts the keys and drops repeated ones.
    fileprivate mutating func finish(multikeyParts: UInt64) {
        self.multikeyParts = multikeyParts
        guard ranges.count > 1 else { return }
        let bytes = encoder.bytes
        ranges.sort {
            bytes.span.bytes.extracting($0).compareBytes(bytes.span.bytes.extracting($1)) < 0
        }
        var kept = 1
        for index in 1..<ranges.count {
            let key = bytes.span.bytes.extracting(ranges[index])
            if key.equals(bytes.span.bytes.extracting(ranges[kept - 1])) { continue }
            ranges[kept] = ranges[index]
            kept += 1
        }
        ranges.removeLast(ranges.count - kept)
    }
}
