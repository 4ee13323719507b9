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
        var log = LogCursor(transaction)
        while true {
            do {
                guard try log.next() else { return }
                report.changes += 1
                last = try check(log.place, try log.value(), after: last, &report)
            } catch let error as DBError {
                report.add("change log", "\(place(log.place)): \(error)")
                last = nil
            } catch StorageError.corrupted {
                report.add("change log", "\(place(log.place)): checksum failure")
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
