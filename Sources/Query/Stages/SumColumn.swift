// $sum, $avg and $count as a column, for windows; $group keeps its sums in one array.

import BSON

final class SumColumn: AccumulatorColumn {
    private let kind: AccumulatorKind
    private var sums: [NumberSum] = []

    init(_ kind: AccumulatorKind) {
        self.kind = kind
    }

    override func addGroup(_ key: ValueRef) throws(DBError) { sums.append(NumberSum()) }

    override func add(
        _ value: ValueRef, to group: Int, of document: DocumentView
    ) throws(DBError) {
        if kind == .count { sums[group].add(.int32(1)) } else { sums[group].add(value) }
    }

    override func write(_ name: String, _ group: Int, _ writer: inout DocumentWriter) {
        sums[group].write(name, as: kind, &writer)
    }

    override func removeAll() { sums.removeAll(keepingCapacity: true) }

    override var byteCount: Int { sums.count * MemoryLayout<NumberSum>.stride }
}

extension NumberSum {
    /// Writes the total, or the mean, which is null where there is nothing to add up.
    func write(_ name: String, as kind: AccumulatorKind, _ writer: inout DocumentWriter) {
        if kind != .average {
            writer.append(name, total)
        } else if let average {
            writer.append(name, average)
        } else {
            writer.appendNull(name)
        }
    }
}
