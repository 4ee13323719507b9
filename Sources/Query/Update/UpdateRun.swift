// What stays the same while one document is updated, and where in it the walk is.

import BSON

/// One application of an update to one document.
struct UpdateRun: ~Escapable {
    /// The document as it was.
    let original: DocumentView
    /// The names of the trie.
    let names: RawSpan
    /// The matched array position in digits, for `$`.
    let positionName: RawSpan
    /// The matched array position, or -1.
    let arrayPosition: Int
    /// Whether the document is the base of an upsert.
    let isInsert: Bool
    /// The write's instant.
    let time: WriteTime

    @_lifetime(copy original, copy names, copy positionName)
    init(
        original: DocumentView, names: RawSpan, positionName: RawSpan, arrayPosition: Int,
        isInsert: Bool, time: WriteTime
    ) {
        self.original = original
        self.names = names
        self.positionName = positionName
        self.arrayPosition = arrayPosition
        self.isInsert = isInsert
        self.time = time
    }

    /// The name that an entry waits for.
    @_lifetime(copy self)
    func name(of entry: UpdateScratch.Entry) -> RawSpan {
        if entry.nameStart < 0 { return positionName }
        let start = Int(entry.nameStart)
        return names.extracting(start..<start + Int(entry.nameCount))
    }
}

/// Where in the document the walk is.
struct UpdatePlace {
    /// Documents and arrays above.
    var depth: Int
    /// Whether an array is among them.
    var isBelowArray: Bool
    /// Whether the nearest is an array.
    var isInArray: Bool
    /// Whether this is `_id` or within it.
    var isWithinID: Bool

    static var root: UpdatePlace {
        UpdatePlace(depth: 0, isBelowArray: false, isInArray: false, isWithinID: false)
    }

    /// The place of an element.
    func below(isArray: Bool, isWithinID: Bool) -> UpdatePlace {
        UpdatePlace(
            depth: depth + 1, isBelowArray: isBelowArray || isArray, isInArray: isArray,
            isWithinID: self.isWithinID || isWithinID)
    }
}

/// A field's name as it is written: lent bytes, or an array position.
struct UpdateFieldName: ~Escapable {
    let name: RawSpan
    let index: Int

    @_lifetime(copy name)
    init(_ name: RawSpan) {
        self.name = name
        index = -1
    }

    @_lifetime(immortal)
    init(index: Int) {
        name = RawSpan()
        self.index = index
    }

    /// Writes type and name; the payload must follow.
    func writeHeader(_ type: BSONType, _ writer: inout DocumentWriter) {
        if index >= 0 {
            writer.appendHeader(type, index: index)
        } else {
            writer.appendHeader(type, name)
        }
    }

    /// Writes a whole field.
    func write(_ value: ValueView, _ writer: inout DocumentWriter) {
        writeHeader(value.type, &writer)
        writer.appendRaw(copying: value.bytes)
    }

    /// For error messages.
    var text: String { index >= 0 ? String(index) : String(utf8: name) }
}

/// The trie nodes that apply to one place of the document; more than one only in arrays.
struct UpdateNodeSet {
    /// The node, when there is one.
    var first: Int32
    /// Where in the scratch's stack the nodes lie, when there are several.
    var start: Int
    var count: Int

    static func one(_ node: Int32) -> UpdateNodeSet {
        UpdateNodeSet(first: node, start: 0, count: 1)
    }

    /// The node at a position below `count`.
    func node(_ index: Int, _ scratch: borrowing UpdateScratch) -> Int32 {
        count == 1 ? first : scratch.nodes[start + index]
    }
}

/// What became of a field.
enum UpdateEffect {
    /// Nothing was written; the field stays as it lies.
    case unchanged
    /// The field was written anew.
    case written
    /// Nothing was written; the field goes.
    case removed
}
