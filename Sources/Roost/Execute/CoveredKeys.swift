// Answers from index keys alone: a document of just the fields that a query reads, made from an
// index entry, takes the place of the stored one. Where some key doesn't say what the value was
// (null or missing, a document, a number beyond doubles), that one document is fetched.

import BSON
import Query

/// Makes documents from the keys of one index.
struct CoveredKeys {
    /// One part of the index.
    private struct Part {
        /// The names on the path to the value; empty where the value isn't wanted.
        let names: [String]
        let isDescending: Bool
    }

    /// The index's parts up to the last that is wanted.
    private let parts: [Part]
    /// Whether `_id` comes from the record key.
    private let readsID: Bool
    /// The parts that are wanted.
    private let wantedParts: UInt64
    private var decoder = KeyDecoder()
    private var writer = DocumentWriter()

    /// Nil where the index doesn't hold all that is read, or not exactly.
    init?(
        _ index: IndexEntry, of collection: CollectionEntry, _ source: ReadSource, _ plan: QueryPlan
    ) {
        guard let paths = source.requiredPaths(plan), index.pattern.collation == nil else {
            return nil
        }
        var wanted: UInt64 = 0
        var roots: Set<[UInt8]> = []
        var readsID = false
        for path in Set(paths) {
            guard let root = path.segments.first?.name,
                path.segments.dropFirst().allSatisfy({ $0.arrayIndex == nil })
            else { return nil }
            if let part = index.pattern.parts.firstIndex(where: { $0.path == path }) {
                guard roots.insert(root).inserted else { return nil }
                wanted |= 1 << UInt64(part)
            } else {
                guard path.dotted == "_id", collection.isClustered else { return nil }
                readsID = true
            }
        }
        self.readsID = readsID
        wantedParts = wanted
        let last = UInt64.bitWidth - wanted.leadingZeroBitCount
        parts = index.pattern.parts.prefix(last).enumerated().map { position, part in
            let isWanted = wanted >> UInt64(position) & 1 != 0
            return Part(
                names: isWanted
                    ? part.path.segments.map { String(decoding: $0.name, as: UTF8.self) } : [],
                isDescending: part.descending)
        }
        guard index.pattern.isOrdered, holds(index) else { return nil }
    }

    /// Whether the keys of the index, as it is now, say exactly what the wanted values are.
    func holds(_ index: IndexEntry) -> Bool {
        index.flags.multikeyParts == 0 && !index.flags.hasCutKeys
            && index.flags.inexactParts & wantedParts == 0
    }

    /// The document made last.
    var bytes: [UInt8] { writer.bytes }

    /// Makes the document of an entry; false where the stored one must be looked at.
    mutating func read(_ key: RawSpan) -> Bool {
        writer.removeAll()
        let start = writer.openDocument()
        if readsID, !appendID(key) { return false }
        var offset = 0
        for part in parts {
            guard let type = decoder.next(in: key, at: &offset, descending: part.isDescending)
            else { return false }
            guard !part.names.isEmpty else { continue }
            // A missing field has the same key.
            if type == .null { return false }
            append(part.names, type)
        }
        writer.close(start)
        return true
    }

    private mutating func append(_ names: [String], _ type: BSONType, _ depth: Int = 0) {
        if depth == names.count - 1 {
            decoder.append(names[depth], type, to: &writer)
            return
        }
        let start = writer.openDocument(names[depth])
        append(names, type, depth + 1)
        writer.close(start)
    }

    /// Of `_id`s only those types are known exactly whose keys no other type has.
    private mutating func appendID(_ key: RawSpan) -> Bool {
        guard let record = IndexEntryKey.record(in: key) else { return false }
        var offset = 0
        switch decoder.next(in: record, at: &offset, descending: false) {
        case .objectID: decoder.append("_id", .objectID, to: &writer)
        case .date: decoder.append("_id", .date, to: &writer)
        default: return false
        }
        return offset == record.byteCount
    }
}

extension ReadSource {
    /// What a read with this plan needs of documents; nil for all of them. Paths may repeat.
    func requiredPaths(_ plan: QueryPlan) -> [FieldPath]? {
        guard var paths = resultPaths(plan) else { return nil }
        if !plan.impliesMatch {
            guard let read = filter.requiredPaths else { return nil }
            paths += read
        }
        return paths
    }

    private func resultPaths(_ plan: QueryPlan) -> [FieldPath]? {
        switch self {
        case .find(let request):
            guard let projection = request.projection, !projection.isPositional,
                !request.returnsKey, !request.showsRecordID, var paths = projection.requiredPaths,
                !request.isTailable
            else { return nil }
            if !plan.providesSort, let sort = request.sort {
                guard let pattern = try? SortPattern.parse(sort.view) else { return nil }
                paths += pattern.parts.map(\.path)
            }
            return paths
        case .aggregate(let request, let leading):
            guard !request.pipeline.isCollectionless else { return nil }
            var done = leading.filterStageCount
            if leading.sort != nil, plan.providesSort { done += 1 }
            return request.pipeline.requiredPaths(after: done)
        case .count: return []
        case .distinct(let request): return [request.path]
        }
    }
}
