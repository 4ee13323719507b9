// Batches of a live query: the result from the reader pool, what becomes of it as it comes.
//
// A batch that waits holds no thread. The matcher wakes it, which posts it to its event loop, and
// there the events that wait are copied into the reply.

import BSON
import NIOCore
import Roost
import Wire

/// One batch under way.
// Unchecked: `reply` is touched by one thread at a time: the one that begins the batch, a slice of
// the pool, or the event loop behind a wait.
final class LiveBatch: @unchecked Sendable {
    /// How long a client may leave the replies of an exhaust cursor unread, in nanoseconds. Its
    /// connection is closed then; it goes on from its last token.
    static let unreadNanosMax: UInt64 = 30_000_000_000

    private let cursor: LiveCursor
    private let plan: BatchPlan
    private let core: ServerCore
    private let ticket: ReplyTicket
    private let eventLoop: any EventLoop
    private let end: NIODeadline
    private var reply: ReplyWriter
    private let cursorMark: Int
    private let batchMark: Int

    private init(
        _ cursor: LiveCursor, _ plan: BatchPlan, _ call: borrowing CommandCall,
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
        end = .now() + .milliseconds(millis > 0 ? millis : TailBatch.waitMillisDefault)
    }

    /// Answers with the events that are there, or has the answer wait for them.
    static func start(
        _ cursor: LiveCursor, _ plan: BatchPlan, _ call: borrowing CommandCall,
        _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let document = reply.openDocument("cursor")
        let batch = reply.openArray(plan.cursorID == nil ? "firstBatch" : "nextBatch")
        let status: LiveCursor.Status
        do throws(DBError) {
            status = try cursor.advance(
                nil, documentsMax: plan.limits.documentsMax, into: &reply)
        } catch {
            BatchRun.forget(plan, call.core)
            throw error
        }
        if status == .filled {
            let id = try finish(cursor, plan, call.core, &reply, document, batch)
            return plan.isExhaust && id != 0 ? .exhaust : .done
        }
        let waiting = LiveBatch(
            cursor, plan, call, reply.split(), cursorMark: document, batchMark: batch)
        if status == .again { waiting.read() } else { waiting.wait() }
        return .deferred
    }

    /// Reads the result on a thread of the pool.
    private func read() {
        do throws(DBError) {
            try core.engine.readerPool.submitSlices { reader in
                self.advance(reader)
                return .done
            }
        } catch {
            fail(error)
        }
    }

    /// Waits for events, or for the end of the batch's time.
    private func wait() {
        let number = cursor.wait {
            self.eventLoop.execute { self.advance(nil) }
        }
        guard let number else {
            return eventLoop.execute { self.advance(nil) }
        }
        eventLoop.scheduleTask(deadline: end) {
            if self.cursor.cancelWait(number) { self.advance(nil) }
        }
    }

    private func advance(_ reader: Reader?) {
        do throws(DBError) {
            if ticket.isConnectionGone { cursor.kill() }
            switch try cursor.advance(
                reader, documentsMax: plan.limits.documentsMax, into: &reply)
            {
            case .again: return read()
            case .empty: if .now() < end { return wait() }
            case .filled: break
            }
            let id = try Self.finish(cursor, plan, core, &reply, cursorMark, batchMark)
            ticket.answer(continuing: &reply, exhausts: plan.isExhaust && id != 0) {
                _ throws(DBError) in
            }
        } catch {
            fail(error)
        }
    }

    private func fail(_ error: DBError) {
        cursor.kill()
        BatchRun.forget(plan, core)
        ticket.answer(continuing: &reply) { _ throws(DBError) in throw error }
    }

    /// Ends a batch: keeps the cursor and writes its number; returns that.
    private static func finish(
        _ cursor: LiveCursor, _ plan: BatchPlan, _ core: ServerCore, _ reply: inout ReplyWriter,
        _ cursorMark: Int, _ batchMark: Int
    ) throws(DBError) -> Int64 {
        var id: Int64 = 0
        let open = OpenCursor(
            id: plan.cursorID ?? core.cursors.newID(), namespace: plan.namespace,
            owner: plan.owner, content: .live(cursor), batchSize: plan.batchSize,
            isKeptWhenIdle: plan.isKeptWhenIdle, lastUse: Clock.coarseNanos)
        if plan.cursorID == nil {
            try core.cursors.add(open)
            id = open.id
        } else if core.cursors.putBack(open) {
            id = open.id
        }
        let token = cursor.token.map { token in Document { $0.append("_data", token.text) } }
        BatchRun.writeEnd(
            id: id, plan.namespace, &reply, token: token, cursorMark: cursorMark,
            batchMark: batchMark)
        return id
    }
}
