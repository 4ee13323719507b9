// Checking the change log: records readable, in order, and each chained to the one before, so that
// none is missing, exchanged or added.

import BSON
import Storage

enum LogCheck {
    /// Goes over all records.
    static func run(
        _ transaction: borrowing ReadTransaction, _ report: inout VerificationReport
    ) throws {
        var last: Link?
        var log = transaction.cursor(.changeLog)
        while try log.next() {
            guard let position = LogPosition(key: log.key) else { continue }
            report.changes += 1
            do {
                last = try check(position, try log.value(), after: last, &report)
            } catch {
                report.add("change log", "\(place(position)): \(error)")
                last = nil
            }
        }
    }

    /// What the next record is checked against.
    private struct Link {
        let chain: UInt32
        let end: UInt64
    }

    private static func check(
        _ position: LogPosition, _ bytes: RawSpan, after last: Link?,
        _ report: inout VerificationReport
    ) throws(DBError) -> Link {
        let record = try ChangeRecordView(position, bytes)
        // The record before the first one kept was trimmed.
        if let last,
            record.chain != record.expectedChain(after: last.chain)
                || record.offset != last.end
        {
            report.add(
                "change log",
                "\(place(position)): does not follow the record before; streams should not resume "
                    + "from before it")
        }
        return Link(chain: record.chain, end: record.offset + UInt64(bytes.byteCount))
    }

    private static func place(_ position: LogPosition) -> String {
        "record \(position.sequence.seconds):\(position.sequence.ordinal)/\(position.ordinal)"
    }
}
