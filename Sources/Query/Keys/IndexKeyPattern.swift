// Indexes: what they are over, and the keys of a document.

package import BSON

/// How the values at an index's path become keys.
package enum IndexPartKind: Sendable, Hashable {
    /// In the order of the values.
    case ordered
    /// By a hash.
    case hashed
    /// Places on the sphere, by cells.
    case sphere
    /// Pairs of coordinates, by squares.
    case plane
    /// The terms of texts; the path is `_fts`.
    case text
    /// All paths below this one, with their values.
    case wildcard
}

/// One path of an index and its direction.
package struct IndexPart: Sendable, Hashable {
    /// The indexed path.
    package let path: FieldPath
    /// Whether keys are stored in descending order.
    package let descending: Bool
    /// How values become keys.
    package let kind: IndexPartKind

    /// A part.
    package init(path: FieldPath, descending: Bool, kind: IndexPartKind = .ordered) {
        self.path = path
        self.descending = descending
        self.kind = kind
    }
}

/// What an index is over.
package struct IndexKeyPattern: Sendable {
    /// The paths, most significant first.
    package let parts: [IndexPart]
    private let table: PathTable
    /// Makes the keys where some part is not ordered.
    private let special: SpecialKeys?
    /// What a text index holds.
    package let text: TextIndexSpecification?
    /// What a wildcard index holds.
    package let wildcard: WildcardPaths?
    /// How a 2d index cuts the plane.
    package let grid: PlaneGrid

    /// The order of strings in the keys; nil for that of their bytes.
    package var collation: Collation? { table.collation }

    /// A pattern of these parts, at most 32, and the order of strings.
    package init(_ parts: [IndexPart], collation: Collation? = nil) {
        self.init(parts, collation: collation, text: nil, wildcard: nil, grid: PlaneGrid())
    }

    init(
        _ parts: [IndexPart], collation: Collation?, text: TextIndexSpecification?,
        wildcard: WildcardPaths?, grid: PlaneGrid
    ) {
        self.parts = parts
        self.text = text
        self.wildcard = wildcard
        self.grid = grid
        var table = PathTable(collation)
        var sources: [SpecialKeys.Source] = []
        for part in parts {
            switch part.kind {
            case .ordered:
                sources.append(.ordered(table.parts.count))
                table.append(part.path, isDescending: part.descending)
            case .hashed: sources.append(.hashed(part.path))
            case .sphere: sources.append(.sphere(part.path))
            case .plane: sources.append(.plane(part.path, grid))
            case .text: if let text { sources.append(.text(text)) }
            case .wildcard:
                if let wildcard { sources.append(.wildcard(wildcard, descending: part.descending)) }
            }
        }
        self.table = table
        let isPlain = parts.allSatisfy { $0.kind == .ordered }
        special = isPlain ? nil : SpecialKeys(sources: sources, table: table)
    }

    /// Whether every part is in the order of the values.
    package var isOrdered: Bool { special == nil }

    /// Whether documents without what a special part is over have no keys.
    package var leavesOutMissing: Bool { special?.isSparse ?? false }

    /// Whether a change of some paths may change a document's keys.
    package func mayChange(_ touches: (FieldPath) -> Bool) -> Bool {
        parts.contains { part in
            switch part.kind {
            case .ordered, .hashed, .sphere, .plane: touches(part.path)
            case .text: text?.mayChange(touches) ?? true
            case .wildcard: part.path.segments.isEmpty || touches(part.path)
            }
        }
    }

    /// Puts a document's keys into `keys`, whose former content is dropped: encoded, distinct,
    /// ascending. A sparse index leaves out keys none of whose fields exists. Allocates only to
    /// grow `keys`. Errors: 171 for two arrays that would both have to be expanded, 16746 for a
    /// name of digits that is both a position and a field, and what special parts can't take:
    /// 16755 and 16804 no places, 13027 outside the plane, 16766 an array to be hashed, 17262 an
    /// unknown language, 7246301 an array beside a wildcard.
    package func keys(
        of document: DocumentView, sparse: Bool, into keys: inout IndexKeys
    ) throws(DBError) {
        keys.removeAll()
        if let special { return try special.keys(of: document, sparse: sparse, into: &keys) }
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
    var encoder = KeyEncoder()
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

    mutating func endKey() {
        ranges.append(start..<encoder.count)
        start = encoder.count
    }

    /// Sorts the keys and drops repeated ones.
    mutating func finish(multikeyParts: UInt64) {
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
