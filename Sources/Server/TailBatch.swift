// getMore on an awaiting cursor at the end of a capped collection, or of a change stream: the answer
// waits until there is more or the time is over.
//
// One try follows another on the reader pool. Before each the tail's generation is noted;
// after an empty one the batch waits for another generation (TailWatch) and, on its event loop,
// for the end of its time. Whichever comes first starts the next try; the other finds the round
// over and does nothing.

import BSON
import NIOCore
import Query
import Roost
import Storage
import Synchronization
import Wire

/// A batch that waits for documents.
// Unchecked: `reply` is touched by the one try under way; rounds are counted under the mutex.
final class TailBatch: @unchecked Sendable {
    /// How long a getMore waits that names no time.
    static let waitMillisDefault: Int64 = 1_000

    private let cursor: QueryCursor
    private let plan: BatchPlan
    private let core: ServerCore
    private let ticket: ReplyTicket
    private let eventLoop: any EventLoop
    private let end: NIODeadline
    private var reply: ReplyWriter
    private let cursorMark: Int
    private let batchMark: Int
    /// The round of waiting; a try belongs to the one that raises it.
    private let round = Mutex<Int>(0)

    init(
        _ cursor: QueryCursor, _ plan: BatchPlan, _ call: borrowing CommandCall,
        _ reply: ReplyWriter, cursorMark: Int, batchMark: Int
    ) {
        self.cursor = cursor
        self.plan = plan
        self.reply = reply
        self.cursorMark = cursorMark
        self.batchMark = batchMark
        core = call.core
        ticket = call.ticket()
        eventLoop = call.connection.loop.mailbox.eventLoop
        let millis = call.special.maxTimeMillis
        end = .now() + .milliseconds(millis > 0 ? millis : Self.waitMillisDefault)
    }

    /// Waits for the tail to grow beyond `generation`.
    func wait(_ tail: TailWatch.Key, since generation: UInt64) {
        let current = round.withLock { $0 }
        let tails = core.engine.tails
        let number = tails.wait(tail, since: generation) { self.resume(current) }
        guard let number else { return resume(current) }
        cursor.interrupt.whenKilled {
            if tails.cancel(tail, number) { self.resume(current) }
        }
        eventLoop.scheduleTask(deadline: end) {
            if tails.cancel(tail, number) { self.resume(current) }
        }
    }

    /// Ends a round of waiting and tries again.
    private func resume(_ ended: Int) {
        let isFirst = round.withLock { round in
            guard round == ended else { return false }
            round += 1
            return true
        }
        guard isFirst else { return }
        do throws(DBError) {
            try core.engine.readerPool.submitSlices { reader in self.run(reader) }
        } catch {
            fail(error)
        }
    }

    private func run(_ reader: Reader) -> ReaderPool.Step {
        do throws(DBError) {
            if ticket.isConnectionGone { cursor.kill() }
            let tail = cursor.tail
            let generation = tail.map { core.engine.tails.generation($0) } ?? 0
            let returned = cursor.counters.returned
            let status = try cursor.advance(reader, plan.limits, .slice, into: &reply)
            if status == .budgetSpent { return .again }
            if status == .batchFull, cursor.counters.returned == returned, .now() < end,
                let tail
            {
                wait(tail, since: generation)
                return .done
            }
            let id = try BatchRun.finish(
                cursor, status, plan, core, &reply, cursorMark: cursorMark, batchMark: batchMark)
            ticket.answer(continuing: &reply, exhausts: plan.isExhaust && id != 0) {
                _ throws(DBError) in
            }
        } catch {
            fail(error)
        }
        return .done
    }

    private func fail(_ error: DBError) {
        BatchRun.forget(plan, core)
        ticket.answer(continuing: &reply) { _ throws(DBError) in throw cursor.labelled(error) }
    }
}
