// top: what the operations of each collection took.

import BSON
import Roost
import Wire

enum Top {
    static let definition = CommandDefinition(
        "top", [.adminOnly, .takesAnyField], access: .cluster([.top]),
        help: "shows operations and their time for each collection"
    ) { call, reply throws(DBError) in
        let usage = call.core.namespaceUsage.sorted { one, other in
            one.key.description < other.key.description
        }
        let totals = Document { writer in
            writer.append("note", "all times in microseconds")
            for (namespace, entry) in usage {
                writer.append(namespace.description, Self.document(entry))
            }
        }
        reply.append("totals", document: totals)
        return .done
    }

    private static func document(_ entry: NamespaceUsage.Entry) -> Document {
        Document { writer in
            var total = NamespaceUsage.Total()
            for category in NamespaceUsage.Category.allCases {
                total += entry.categories[category.rawValue]
            }
            writer.append("total", Self.document(total))
            writer.append("readLock", Self.document(entry.reads))
            writer.append("writeLock", Self.document(entry.writes))
            for category in NamespaceUsage.Category.allCases {
                writer.append("\(category)", Self.document(entry.categories[category.rawValue]))
            }
        }
    }

    private static func document(_ total: NamespaceUsage.Total) -> Document {
        [
            "time": .int64(Int64(clamping: total.nanos / 1_000)),
            "count": .int64(Int64(clamping: total.count)),
        ]
    }
}
