// Which plan was best for queries of one shape, so that the next one needn't count index entries.
//
// A shape is the filter's conditions without their values, the sort, and the order of strings. Only
// queries with a choice come here: where one candidate is left, planning counts nothing. An entry
// is for one version of the collection's catalog entry, so every change of indexes drops it. A
// query that looks at ten times as much as the one that made the entry drops it too; the next
// query of the shape chooses anew.

import BSON
package import Query
import Storage
import Synchronization

/// The plans that were chosen, by collection and shape. Safe from any thread.
package final class PlanCache: Sendable {
    /// What is known of one shape.
    package struct Entry: Sendable {
        /// The shape as text.
        package let shape: String
        /// The filter and sort of the query that made it, as text.
        package let summary: String
        /// Which plan: see `QueryPlan.identity`.
        let identity: String
        /// Index entries and documents that the choice expected to be looked at.
        package let works: Int
        /// When it was made, in milliseconds since 1970.
        package let createdMillis: Int64
        /// How often it saved a choice.
        package fileprivate(set) var hits = 0
    }

    private struct Shapes {
        /// The version of the collection that the entries are for.
        let collection: CollectionEntry
        var entries: [String: Entry] = [:]
    }

    /// Most shapes kept for one collection.
    private static let entriesMax = 1_000
    /// How many times the expected work makes an entry wrong, and the work below which none is.
    private static let worksFactor = 10
    private static let worksMin = 1_000

    private let shapes = Mutex<[TableID: Shapes]>([:])

    /// The plan that was best for this shape; nil where none is known.
    func identity(_ collection: CollectionEntry, _ shape: String) -> String? {
        shapes.withLock { all in
            guard all[collection.table]?.collection === collection else { return nil }
            all[collection.table]?.entries[shape]?.hits += 1
            return all[collection.table]?.entries[shape]?.identity
        }
    }

    /// Keeps a choice.
    func note(_ collection: CollectionEntry, _ shape: String, _ plan: QueryPlan, works: Int) {
        let entry = Entry(
            shape: shape, summary: plan.summary, identity: plan.identity, works: works,
            createdMillis: LogicalClock.wallMillis)
        shapes.withLock { all in
            if all[collection.table]?.collection !== collection
                || all[collection.table]?.entries.count ?? 0 >= Self.entriesMax
            {
                all[collection.table] = Shapes(collection: collection)
            }
            all[collection.table]?.entries[shape] = entry
        }
    }

    /// Drops an entry whose plan looked at far more than was expected.
    func check(_ collection: CollectionEntry, _ shape: String, examined: Int) {
        guard examined > Self.worksMin else { return }
        shapes.withLock { all in
            guard let entry = all[collection.table]?.entries[shape],
                examined > entry.works * Self.worksFactor
            else { return }
            all[collection.table]?.entries[shape] = nil
        }
    }

    /// Forgets a collection's plans, or those of one shape.
    package func clear(_ collection: CollectionEntry, shape: String? = nil) {
        shapes.withLock { all in
            if let shape {
                all[collection.table]?.entries[shape] = nil
            } else {
                all[collection.table] = nil
            }
        }
    }

    /// A collection's plans, the oldest first.
    package func entries(of collection: CollectionEntry) -> [Entry] {
        shapes.withLock { all in
            guard let shapes = all[collection.table], shapes.collection === collection else {
                return []
            }
            return shapes.entries.values.sorted { $0.createdMillis < $1.createdMillis }
        }
    }
}

extension QueryPlan {
    /// Which way of access this is, whatever the bounds.
    var identity: String {
        switch access {
        case .nothing: "-"
        case .table: "_id_\(isBackward ? "-" : "")"
        case .trash: "trash\(isBackward ? "-" : "")"
        case .index(let index): index.name + (isBackward ? "-" : "")
        case .union(let branches):
            (mergeOrder == nil ? "|" : "<")
                + Set(branches.map(\.identity)).sorted().joined(separator: "|")
        }
    }
}

/// The shape of a query: what it asks for, without the values.
package enum QueryShape {
    /// As text; queries of one shape have the same.
    package static func text(
        _ filter: FilterNode, _ sort: SortPattern?, _ collation: Collation?
    ) -> String {
        var text = ""
        append(filter, to: &text)
        for part in sort?.parts ?? [] {
            text += " \(part.descending ? "-" : "+")\(part.path.dotted)"
        }
        if let collation { text += " @\(collation.document)" }
        return text
    }

    /// A name for a shape: 64 bits of FNV-1a in hexadecimal digits.
    package static func hash(_ shape: String) -> String {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in shape.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        let digits = String(hash, radix: 16, uppercase: true)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }

    private static func append(_ node: FilterNode, to text: inout String) {
        switch node {
        case .alwaysTrue: text += "true"
        case .alwaysFalse: text += "false"
        case .and(let nodes): append("&", nodes, to: &text)
        case .or(let nodes): append("|", nodes, to: &text)
        case .nor(let nodes): append("!", nodes, to: &text)
        case .not(let inner): append("!", [inner], to: &text)
        case .compare(let path, let comparison, let value):
            // Which type brackets hold decides which plans are possible.
            text += "\(path.dotted)=\(comparison.rawValue):\(value.type.canonicalRank)"
        case .in(let path, let values, let patterns):
            text += "\(path.dotted) in\(values.count > 1 ? "" : "1")\(patterns.isEmpty ? "" : "/")"
        case .elementObject(let path, let inner):
            text += path.dotted
            append("*", [inner], to: &text)
        case .elementValue(let path, let inner):
            text += path.dotted
            append("$", [inner], to: &text)
        case .regex(let path, let pattern):
            text += "\(path.dotted)/\(pattern.literalPrefix == nil ? "" : "^")"
        case .exists(let path): text += "\(path.dotted)?"
        case .type(let path, _): text += "\(path.dotted) type"
        case .size(let path, _): text += "\(path.dotted) size"
        case .mod(let path, _, _): text += "\(path.dotted)%"
        default: text += node.path.map { "\($0.dotted) ~" } ?? "expr"
        }
    }

    private static func append(_ name: String, _ nodes: [FilterNode], to text: inout String) {
        text += name + "("
        for node in nodes {
            append(node, to: &text)
            text += ","
        }
        text += ")"
    }
}
