// What a result carries besides its own fields: the score of a text search, the distance of $near,
// when and by whom a deleted document was deleted (which the scan of the trash lays there).
//
// It is laid behind the document's fields under names that only the server gives. Sorts and
// `{$meta: …}` read it there, and it is taken off when the result leaves.

import BSON
import Query

/// Adds metadata to documents, and takes it off results.
struct ResultMetadata {
    private enum Source {
        case textScore(TextPredicate)
        case distance(FieldPath, GeoNear)
    }

    /// Whether documents come with when and by whom they were deleted.
    let carriesDeletion: Bool
    private var sources: [Source] = []
    private var writer = DocumentWriter()

    /// Nil where nothing asks for metadata.
    init?(_ source: ReadSource, _ filter: Filter) {
        carriesDeletion = source.showsDeletion
        for conjunct in Conjunct.all(of: filter.root) {
            switch conjunct.node {
            case .text(let predicate) where source.wantsTextScore:
                sources.append(.textScore(predicate))
            case .geo(let path, let predicate):
                if let near = predicate.near, source.wantsDistance {
                    sources.append(.distance(path, near))
                }
            default: break
            }
        }
        if sources.isEmpty, !carriesDeletion { return nil }
    }

    /// Makes the document with its metadata; `bytes` holds it until the next call. False where it
    /// isn't wanted: a search in rings has had it.
    mutating func add(to document: DocumentView) throws(DBError) -> Bool {
        writer.removeAll()
        let start = writer.openDocument()
        writer.appendFields(of: document)
        for source in sources {
            switch source {
            case .textScore(let predicate):
                writer.append(MetadataField.textScore, try predicate.score(of: document) ?? 0)
            case .distance(let path, let near):
                guard let nearest = near.nearest(in: document, at: path) else { continue }
                guard nearest.distance > near.beyond else { return false }
                writer.append(MetadataField.distance, nearest.distance)
                writer.append(MetadataField.place, nearest.place)
            }
        }
        writer.close(start)
        return true
    }

    /// Makes the result without metadata.
    mutating func remove(from document: DocumentView) {
        writer.removeAll()
        let start = writer.openDocument()
        var elements = document.makeIterator()
        while let element = elements.next() {
            if !MetadataField.isOne(element.name) { writer.append(element) }
        }
        writer.close(start)
    }

    /// What `add` or `remove` made.
    var bytes: [UInt8] { writer.bytes }
}

extension Filter {
    /// The filter with what it leaves to the collection's indexes filled in.
    func bound(to collection: CollectionEntry) throws(DBError) -> Filter {
        guard needsIndexes else { return self }
        var filter = self
        if hasText {
            let index = collection.indexes.first { $0.pattern.text != nil && $0.isReady }
            guard let text = index?.pattern.text else { throw SpecialDemand.text.failure }
            filter = filter.bound(to: text)
        }
        guard let open = filter.openNear else { return filter }
        let (path, isOnPlane) = try collection.nearPath(open)
        return filter.bound(nearPath: path, onPlane: isOnPlane)
    }
}

extension CollectionEntry {
    /// The path of the one index that a `$geoNear` without a key can mean, and whether it is a 2d one.
    fileprivate func nearPath(_ predicate: GeoPredicate) throws(DBError) -> (
        FieldPath, onPlane: Bool
    ) {
        for kind in [IndexPartKind.plane, .sphere] where predicate.fits(kind) {
            let paths = indexes.filter { $0.isReady && !$0.isHidden }.flatMap { index in
                index.pattern.parts.filter { $0.kind == kind }.map(\.path)
            }
            if Set(paths).count > 1 {
                throw DBError(
                    .indexNotFound,
                    "There is more than one \(kind == .plane ? "2d" : "2dsphere") index; unsure "
                        + "which to use for $geoNear: name it by 'key'")
            }
            if let path = paths.first { return (path, kind == .plane) }
        }
        throw DBError(
            .indexNotFound, "$geoNear requires a 2d or 2dsphere index, but none were found")
    }
}
