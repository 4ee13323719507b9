// Reads whose answer is one value: tried in place on the event loop, and where that takes too long
// carried on by the reader pool, a slice at a time.

import BSON
import Query
import Roost
import Wire

/// A read that goes on in slices.
final class SlicedRead {
    private let cursor: QueryCursor
    private let advance: (Reader, ReadBudget) throws(DBError) -> Bool
    private let write: (inout ReplyWriter) throws(DBError) -> Void

    /// - Parameters:
    ///   - cursor: what reads.
    ///   - advance: runs one slice; true when the answer is known.
    ///   - write: writes the answer's fields.
    init(
        _ cursor: QueryCursor,
        advance: @escaping (Reader, ReadBudget) throws(DBError) -> Bool,
        write: @escaping (inout ReplyWriter) throws(DBError) -> Void
    ) {
        self.cursor = cursor
        self.advance = advance
        self.write = write
    }

    /// Runs the read and answers `call`, now or later.
    func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        if try advance(call.connection.loop.reader, .inPlace) {
            if call.core.profiler.isOn { call.connection.operation.note(cursor.report) }
            try write(&reply)
            return .done
        }
        let job = Job(self, call.ticket())
        try call.core.engine.readerPool.submitSlices { reader in job.run(reader) }
        call.connection.running = cursor.interrupt
        return .deferred
    }

    /// The read on the pool.
    // Unchecked: once handed to the pool, one slice runs at a time, and the pool's queue orders them.
    private final class Job: @unchecked Sendable {
        private let read: SlicedRead
        private let ticket: ReplyTicket

        init(_ read: SlicedRead, _ ticket: ReplyTicket) {
            self.read = read
            self.ticket = ticket
        }

        func run(_ reader: Reader) -> ReaderPool.Step {
            do throws(DBError) {
                if ticket.isConnectionGone {
                    throw DBError(.interrupted, "the client has gone")
                }
                guard try read.advance(reader, .slice) else { return .again }
                ticket.note(read.cursor)
                ticket.answer { reply throws(DBError) in try read.write(&reply) }
            } catch {
                ticket.fail(error)
            }
            return .done
        }
    }
}
