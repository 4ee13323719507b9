// What the server knows of a document beside its fields, on its way through a query.

internal import BSON

/// Kinds of metadata that a query's filter gives.
package struct MetadataKinds: OptionSet, Sendable {
    /// One bit a kind.
    package let rawValue: UInt8

    /// The kinds of these bits.
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// How well a document answers a text search.
    package static let textScore = MetadataKinds(rawValue: 1)
    /// How far it is from the point of $near or $geoNear, and which place is.
    package static let distance = MetadataKinds(rawValue: 2)
    /// The score that $rankFusion gave a document.
    package static let score = MetadataKinds(rawValue: 4)
    /// How that score came about.
    package static let scoreDetails = MetadataKinds(rawValue: 8)
    /// The values that a document was sorted by.
    package static let sortKey = MetadataKinds(rawValue: 16)
    /// When and by whom it was deleted.
    package static let deletion = MetadataKinds(rawValue: 32)
}

/// Fields that hold metadata, laid behind a document's own.
package enum MetadataField {
    /// The score of a text search.
    package static let textScore = "$roost_textScore"
    /// The distance from the point of $near.
    package static let distance = "$roost_distance"
    /// The place that the distance is of.
    package static let place = "$roost_place"

    /// The score of $rankFusion.
    package static let score = "$roost_score"
    /// How it came about.
    package static let scoreDetails = "$roost_scoreDetails"
    /// The values that a document was sorted by, as an array.
    package static let sortKey = "$roost_sortKey"
    /// When it was deleted.
    package static let deletedAt = "$roost_deletedAt"
    /// Who deleted it.
    package static let deletedBy = "$roost_deletedBy"

    /// Whether a name is that of the sort key.
    static func isSortKey(_ name: RawSpan) -> Bool { name.equals("$roost_sortKey") }

    /// Whether a name is one of them.
    package static func isOne(_ name: RawSpan) -> Bool {
        name.starts(with: RawSpan("$roost_"))
    }

    /// Appends the elements of `document` that it carries beside its fields, or the fields.
    static func append(
        of document: DocumentView, areCarried: Bool, to writer: inout DocumentWriter
    ) {
        var elements = document.makeIterator()
        while let element = elements.next() {
            if isOne(element.name) == areCarried { writer.append(element) }
        }
    }

    /// The field of a kind of `$meta`, if the query has it; nil for what no query carries along.
    static func name(ofMeta kind: String, _ available: MetadataKinds) -> String? {
        switch kind {
        case "textScore" where available.contains(.textScore): textScore
        case "geoNearDistance" where available.contains(.distance): distance
        case "geoNearPoint" where available.contains(.distance): place
        case "score" where available.contains(.score): score
        case "scoreDetails" where available.contains(.scoreDetails): scoreDetails
        case "sortKey" where available.contains(.sortKey): sortKey
        case "deletedAt" where available.contains(.deletion): deletedAt
        case "deletedBy" where available.contains(.deletion): deletedBy
        default: nil
        }
    }

    /// The error for metadata that the query doesn't have.
    static func unavailable(_ kind: String) -> DBError {
        let reason =
            kind.hasPrefix("deleted")
            ? ": it is that of deleted documents, which a read sees with withDeleted or onlyDeleted"
            : ""
        return .location(
            40218, "query requires \(kind) metadata, but it is not available" + reason)
    }
}

extension DocumentView {
    /// Whether a `$meta` in it, at whatever depth, is of a kind that begins with `kind`.
    package func mentionsMeta(_ kind: StaticString) -> Bool {
        var elements = makeIterator()
        while let element = elements.next() {
            if element.name.equals("$meta") {
                if element.value.utf8?.starts(with: RawSpan(kind)) ?? false { return true }
            } else if element.value.nested?.mentionsMeta(kind) ?? false {
                return true
            }
        }
        return false
    }
}
