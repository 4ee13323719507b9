// Clustered collections, as MongoDB presents them.
//
// Every collection lies in the order of `_id`, so `clusteredIndex` changes nothing in how documents
// are stored. It changes what commands tell: the `_id` index is part of the collection, has a name
// of its own, is not counted among the indexes, and can be neither dropped nor hidden. Documents
// of such a collection may expire by a date in `_id`, without another index.

package import BSON
import Query

/// The option `clusteredIndex` of a collection.
package struct ClusteredIndex: Sendable {
    /// The index's name, which hints and `listIndexes` know.
    package let name: String

    /// Reads a collection's options; nil where it is not clustered by its user's wish.
    init?(_ options: DocumentView) {
        guard let document = options.value("clusteredIndex")?.document else { return nil }
        name = document.value("name")?.string ?? CollectionEntry.idIndexName
    }

    /// The option as it is kept and listed.
    package static func option(name: String?) -> Document {
        [
            "v": 2, "key": ["_id": 1], "name": .string(name ?? CollectionEntry.idIndexName),
            "unique": true,
        ]
    }

    /// Checks an age of a collection's documents, in seconds: the date that many seconds ago must
    /// not lie before 1970.
    /// - Throws: `invalidOptions` (72).
    package static func check(expireAfterSeconds seconds: Int64) throws(DBError) {
        guard (0...LogicalClock.wallMillis / 1_000).contains(seconds) else {
            throw DBError(
                .invalidOptions,
                "TTL index 'expireAfterSeconds' option must be within an acceptable range, try a "
                    + "different number than \(seconds)")
        }
    }
}

extension CollectionEntry {
    /// The name of the `_id` index, unless a clustered collection names it otherwise.
    static let idIndexName = "_id_"

    /// Whether the `_id` index is one that commands list and count: that of a clustered collection
    /// is none, and a time series has none.
    package var hasIDIndex: Bool { traits.clusteredIndex == nil && traits.timeSeries == nil }

    /// How many indexes commands count.
    package var indexCount: Int { indexes.count + (hasIDIndex ? 1 : 0) }

    /// The specification of the `_id` index, as `listIndexes` shows it.
    package var idIndexSpecification: Document {
        Document { writer in
            writer.append("v", 2 as Int32)
            writer.append("key", ["_id": 1] as Document)
            writer.append("name", traits.clusteredIndex?.name ?? Self.idIndexName)
            if traits.clusteredIndex != nil { writer.append("unique", true) }
            if let collation { writer.append("collation", collation.document) }
            if traits.clusteredIndex != nil {
                writer.append("clustered", true)
                if let seconds = traits.expireAfterSeconds {
                    writer.append("expireAfterSeconds", seconds)
                }
            }
        }
    }

    /// Whether a name is that of the `_id` index.
    func isIDIndex(_ name: String) -> Bool {
        name == Self.idIndexName && traits.timeSeries == nil
            || traits.clusteredIndex?.name.hasSameBytes(as: name) == true
    }
}
