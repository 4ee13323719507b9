// The distinct values of a path over the documents that match.

package import BSON
import Query

/// A distinct under way. One thread at a time uses it.
package final class DistinctRead {
    /// What reads.
    package let cursor: QueryCursor
    private let collector: DistinctCollector

    init(_ cursor: QueryCursor, _ path: FieldPath, _ collation: Collation?) {
        self.cursor = cursor
        collector = DistinctCollector(path, collation)
    }

    /// Goes on for one slice; true when all values are known.
    /// - Throws: what `QueryCursor.advance` throws; 17217 when the values exceed 16 MiB.
    package func advance(_ reader: Reader, _ budget: ReadBudget) throws(DBError) -> Bool {
        var sink = DistinctSink(collector: collector)
        let status = try cursor.advance(
            reader, BatchLimits(bytesMax: .max), budget, into: &sink)
        if let failure = collector.failure { throw failure }
        return status == .exhausted
    }

    /// The number of values so far.
    package var count: Int { collector.values.count }

    /// Appends the values, in order, to the array that `writer` is in.
    package func write(into writer: inout DocumentWriter) {
        collector.values.write(into: &writer)
    }
}

/// Holds the values between slices.
private final class DistinctCollector {
    var values: DistinctValues
    /// What went wrong; the values are incomplete then.
    var failure: DBError?

    init(_ path: FieldPath, _ collation: Collation?) {
        values = DistinctValues(path, collation: collation)
    }
}

/// Hands documents to the collector.
private struct DistinctSink: DocumentSink {
    let collector: DistinctCollector

    mutating func append(_ document: DocumentView) {
        guard collector.failure == nil else { return }
        do throws(DBError) {
            try collector.values.add(document)
        } catch {
            collector.failure = error
        }
    }
}
