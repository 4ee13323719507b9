// Batches of a live query: the result from the reader pool, what becomes of it as it comes.
//
//     getMore ──▶ start ──▶ events are there: answered at once
//                   │ ▲
//       the result  │ └─ wait: holds no thread. The matcher wakes the batch, which posts itself to
//       is not read │    its event loop's mailbox (one task for all that were woken together) and
//                   ▼    answers there, into the connection's own buffer.
//                 read (reader pool)
//
// An exhaust cursor's batch is used again for each further reply, without running the getMore anew,
// and keeps the cursor out of the table of idle ones meanwhile. Where the client does not take the
// replies, the batch rests until it does (ConnectionHandler+Live.swift), and the matcher merges or
// drops what it has for it.

import BSON
import NIOCore
import Roost
import Synchronization
import Wire

/// One batch under way.
// Unchecked: belongs to the connection's event loop, but for `read`, during which nothing else
// touches it; what `read` uses is immutable then.
final class LiveBatch: LiveWaiter, @unchecked Sendable {
    private enum Step {
        /// The result must be read on a thread that has the time.
        case read
        /// There is nothing yet.
        case wait
        /// The reply's cursor is written; its number, 0 for none.
        case answered(Int64)
    }

    private let cursor: LiveCursor
    private let plan: BatchPlan
    private let core: ServerCore
    private let mailbox: LoopMailbox
    private let connection: NIOLoopBound<ConnectionHandler>
    private let kind: Request.Kind
    private let waitMillis: Int64
    private let ticket: ReplyTicket
    /// What the next reply answers: the request, then the reply before.
    private var answered: Int32
    /// The end of the batch's time: then it is answered, empty or not.
    private(set) var end: NIODeadline
    private var waitNumber: UInt64 = 0

    private init(_ cursor: LiveCursor, _ plan: BatchPlan, _ call: borrowing CommandCall) {
        self.cursor = cursor
        self.plan = plan
        core = call.core
        ticket = call.ticket()
        kind = call.request.kind
        answered = call.request.id
        mailbox = call.connection.loop.mailbox
        connection = NIOLoopBound(call.connection, eventLoop: mailbox.eventLoop)
        let millis = call.special.maxTimeMillis
        waitMillis = millis > 0 ? millis : TailBatch.waitMillisDefault
        end = .now() + .milliseconds(waitMillis)
    }

    /// Answers with the events that are there, or has the answer wait for them.
    static func start(
        _ cursor: LiveCursor, _ plan: BatchPlan, _ call: borrowing CommandCall,
        _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let step: Step
        do throws(DBError) {
            step = try fill(cursor, plan, call.core, nil, isOver: false, &reply)
        } catch {
            BatchRun.forget(plan, call.core)
            throw error
        }
        if case .answered(let id) = step {
            guard plan.isExhaust, id != 0 else { return .done }
            return keep(cursor, plan, call.core) ? .exhaust : .done
        }
        call.connection.holdLittle()
        let batch = LiveBatch(cursor, plan, call)
        call.mayEnd(cursor.interrupt)
        if case .read = step { batch.read() } else { call.connection.follow(batch) }
        return .deferred
    }

    // MARK: Waiting

    /// Waits for events; on the event loop. The connection ends the wait where nothing comes.
    func wait() {
        let number = cursor.wait(self)
        if let number { waitNumber = number } else { mailbox.post(self) }
    }

    /// Has the batch look at what there is; from any thread.
    func wake() {
        mailbox.post(self)
    }

    /// Ends the wait: its time is over.
    func expire(_ connection: ConnectionHandler) {
        // Who woke it meanwhile has posted it.
        if cursor.cancelWait(waitNumber) { connection.wake(self) }
    }

    /// The matcher woke it; on the event loop.
    func resume() {
        connection.value.wake(self)
    }

    /// The connection has gone.
    func abandon() {
        cursor.kill()
        BatchRun.forget(plan, core)
    }

    // MARK: Answers

    /// Answers with what is there, or goes on waiting; on the event loop.
    func advance(_ connection: ConnectionHandler) {
        if let session = ticket.special.session { connection.keepAlive(session) }
        let now = NIODeadline.now()
        if mayStay, let id = plan.cursorID, let bundle = cursor.takeBundle() {
            tell(bundle, id, connection)
            return goOn(connection, now)
        }
        let step: Step
        do throws(DBError) {
            connection.out.begin(kind)
            step = try Self.fill(cursor, plan, core, nil, isOver: now >= end, &connection.out)
        } catch {
            connection.out.abandon()
            return fail(error)
        }
        switch step {
        case .read:
            connection.out.abandon()
            read()
        case .wait:
            connection.out.abandon()
            connection.follow(self)
        case .answered(let id):
            let goesOn = plan.isExhaust && id != 0
            answered = ticket.end(&connection.out, responseTo: answered, goesOn: goesOn)
            if goesOn, mayStay { return goOn(connection, now) }
            // Where it was killed, the request that is run again says so.
            if goesOn { _ = Self.keep(cursor, plan, core) }
            connection.endLive(repeating: goesOn ? ticket.request.repeated(after: answered) : nil)
        }
    }

    /// Whether one reply may follow another without a getMore being run: nothing else asks fail
    /// points and the profiler.
    private var mayStay: Bool {
        plan.isExhaust && !core.failPoints.isActive && !core.profiler.isOn
    }

    /// Has the next reply follow.
    private func goOn(_ connection: ConnectionHandler, _ now: NIODeadline) {
        core.counters.getMores.wrappingAdd(1, ordering: .relaxed)
        end = now + .milliseconds(waitMillis)
        connection.flush()
        connection.follow(self)
    }

    /// Appends a reply with those events; mostly a copy of what another subscriber was told.
    private func tell(_ bundle: LiveBundle, _ id: Int64, _ connection: ConnectionHandler) {
        let loop = connection.loop
        if ticket.canShareReplies, let shared = loop.liveReply, shared.bundle.isSame(as: bundle) {
            let number = core.nextReplyID()
            connection.out.append(
                reply: shared.bytes, requestID: number, responseTo: answered, id,
                at: shared.idOffset)
            answered = number
            return
        }
        connection.out.begin(kind)
        let document = connection.out.openDocument("cursor")
        let batch = connection.out.openArray("nextBatch")
        bundle.append(to: &connection.out)
        let idOffset = Self.close(
            document, batch, id, plan.namespace, bundle.token, &connection.out)
        answered = ticket.end(&connection.out, responseTo: answered, goesOn: true)
        if ticket.canShareReplies {
            loop.liveReply = SharedLiveReply(
                bundle: bundle, bytes: connection.out.lastReply, idOffset: idOffset)
        }
    }

    /// Reads the result on a thread of the pool, and answers from there.
    private func read() {
        do throws(DBError) {
            try core.engine.readerPool.submitSlices(cursor.weight) { reader in
                self.answer(reader)
                return .done
            }
        } catch {
            fail(error)
        }
    }

    private func answer(_ reader: Reader) {
        var reply = ReplyWriter()
        reply.begin(kind)
        do throws(DBError) {
            if ticket.isConnectionGone { cursor.kill() }
            let step = try Self.fill(cursor, plan, core, reader, isOver: true, &reply)
            guard case .answered(let id) = step else { return read() }
            var goesOn = plan.isExhaust && id != 0
            if goesOn { goesOn = Self.keep(cursor, plan, core) }
            ticket.answer(
                continuing: &reply, exhausts: goesOn, responseTo: answered
            ) { _ throws(DBError) in }
        } catch {
            fail(error)
        }
    }

    private func fail(_ error: DBError) {
        cursor.kill()
        BatchRun.forget(plan, core)
        ticket.fail(error, responseTo: answered)
    }

    /// Writes the reply's cursor with what there is; `isOver` where there may be nothing.
    private static func fill(
        _ cursor: LiveCursor, _ plan: BatchPlan, _ core: ServerCore, _ reader: Reader?,
        isOver: Bool, _ reply: inout ReplyWriter
    ) throws(DBError) -> Step {
        let document = reply.openDocument("cursor")
        let batch = reply.openArray(plan.cursorID == nil ? "firstBatch" : "nextBatch")
        switch try cursor.advance(reader, documentsMax: plan.limits.documentsMax, into: &reply) {
        case .again: return .read
        case .empty: if !isOver { return .wait }
        case .filled: break
        }
        let id = try number(cursor, plan, core)
        _ = close(document, batch, id, plan.namespace, cursor.tokenText, &reply)
        return .answered(id)
    }

    /// Closes the batch and the cursor; returns where in the reply the cursor's number stands.
    private static func close(
        _ document: Int, _ batch: Int, _ id: Int64, _ namespace: Namespace, _ token: String?,
        _ reply: inout ReplyWriter
    ) -> Int {
        reply.close(batch)
        if let token {
            let end = reply.openDocument("postBatchResumeToken")
            reply.append("_data", token)
            reply.close(end)
        }
        reply.append("id", id)
        let idOffset = reply.byteCount - MemoryLayout<Int64>.size
        reply.appendNamespace("ns", namespace.database, namespace.collection)
        reply.close(document)
        return idOffset
    }

    /// The cursor's number; 0 where it was killed. It is put back, unless a reply follows.
    private static func number(
        _ cursor: LiveCursor, _ plan: BatchPlan, _ core: ServerCore
    ) throws(DBError) -> Int64 {
        if let id = plan.cursorID {
            return plan.isExhaust || keep(cursor, plan, core) ? id : 0
        }
        let open = open(cursor, plan, core.cursors.newID())
        try core.cursors.add(open)
        return open.id
    }

    /// Puts the cursor back; false where it was killed.
    private static func keep(_ cursor: LiveCursor, _ plan: BatchPlan, _ core: ServerCore) -> Bool {
        guard let id = plan.cursorID else { return true }
        return core.cursors.putBack(open(cursor, plan, id))
    }

    private static func open(
        _ cursor: LiveCursor, _ plan: BatchPlan, _ id: Int64
    ) -> OpenCursor {
        OpenCursor(
            id: id, namespace: plan.namespace, owner: plan.owner, content: .live(cursor),
            batchSize: plan.batchSize, isKeptWhenIdle: plan.isKeptWhenIdle,
            lastUse: Clock.coarseNanos)
    }
}

/// A reply of an exhaust cursor, kept for others who are told the same.
struct SharedLiveReply {
    let bundle: LiveBundle
    let bytes: [UInt8]
    /// Where the cursor's number stands.
    let idOffset: Int
}
