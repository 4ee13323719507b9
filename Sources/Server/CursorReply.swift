// One batch of a query: begun in place on the event loop, carried on by the reader pool when it
// takes longer, and answered as `{cursor: {firstBatch: […], id, ns}}`.

package import BSON
import Roost
import Wire

extension ReplyWriter: DocumentSink {
    /// Copies a document as the next element of the open batch.
    package mutating func append(_ document: DocumentView) {
        append(element: document)
    }
}

/// What a batch is for.
struct BatchPlan: Sendable {
    let namespace: Namespace
    let owner: CursorOwner
    /// Nil for the first batch: the cursor is not in the table yet.
    var cursorID: Int64?
    var limits: BatchLimits
    /// Close after this batch whatever is left.
    var isSingleBatch = false
    /// Keep the cursor after the first batch even where there is nothing more.
    var staysOpen = false
    /// The size of later batches; nil for what fits.
    var batchSize: Int?
    var isKeptWhenIdle = false
    /// The time of the snapshot that the first batch tells.
    var snapshotTime: Timestamp?
    /// Whether the client takes one reply after another.
    var isExhaust = false
}

/// Runs batches.
enum BatchRun {
    /// Runs a batch in place where it is short; else moves it to the reader pool.
    static func start(
        _ cursor: QueryCursor, _ plan: BatchPlan, _ call: borrowing CommandCall,
        _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let document = reply.openDocument("cursor")
        let batch = reply.openArray(plan.cursorID == nil ? "firstBatch" : "nextBatch")
        let status: ReadStatus
        let tail = cursor.tail
        let returned = cursor.counters.returned
        let generation = tail.map { call.core.engine.tails.generation($0) } ?? 0
        do throws(DBError) {
            status = try cursor.advance(
                call.connection.loop.reader, plan.limits, .inPlace, into: &reply)
        } catch {
            forget(plan, call.core)
            throw cursor.labelled(error)
        }
        if status == .budgetSpent {
            let job = BatchJob(
                cursor, plan, call.core, call.ticket(), reply.split(), document, batch)
            do throws(DBError) {
                try call.core.engine.readerPool.submitSlices { reader in job.run(reader) }
            } catch {
                forget(plan, call.core)
                throw error
            }
            call.connection.running = cursor.interrupt
            return .deferred
        }
        if status == .batchFull, plan.cursorID != nil, cursor.counters.returned == returned,
            let tail, cursor.awaitsData
        {
            let waiting = TailBatch(
                cursor, plan, call, reply.split(), cursorMark: document, batchMark: batch)
            call.mayEnd(cursor.interrupt)
            waiting.wait(tail, since: generation)
            return .deferred
        }
        if call.core.profiler.isOn { call.connection.operation.note(cursor.report) }
        let id = try finish(
            cursor, status, plan, call.core, &reply, cursorMark: document, batchMark: batch)
        return plan.isExhaust && id != 0 ? .exhaust : .done
    }

    /// Forgets the cursor of a batch that failed.
    static func forget(_ plan: BatchPlan, _ core: ServerCore) {
        if let id = plan.cursorID { core.cursors.remove(id) }
    }

    /// Ends a batch: keeps the cursor or forgets it, and writes its number; returns that.
    static func finish(
        _ cursor: QueryCursor, _ status: ReadStatus, _ plan: BatchPlan, _ core: ServerCore,
        _ reply: inout ReplyWriter, cursorMark: Int, batchMark: Int
    ) throws(DBError) -> Int64 {
        var id: Int64 = 0
        let staysOpen = plan.staysOpen && plan.cursorID == nil
        if status == .batchFull || staysOpen, !plan.isSingleBatch {
            let open = OpenCursor(
                id: plan.cursorID ?? core.cursors.newID(), namespace: plan.namespace,
                owner: plan.owner, content: .query(cursor), batchSize: plan.batchSize,
                isKeptWhenIdle: plan.isKeptWhenIdle, lastUse: Clock.coarseNanos)
            if plan.cursorID == nil {
                try core.cursors.add(open)
                id = open.id
            } else if core.cursors.putBack(open) {
                id = open.id
            }
        } else {
            forget(plan, core)
        }
        writeEnd(
            id: id, plan.namespace, &reply, token: cursor.postBatchResumeToken,
            snapshotTime: plan.snapshotTime, cursorMark: cursorMark, batchMark: batchMark)
        return id
    }

    /// Closes the batch and writes the cursor's number and namespace, and a change stream's token.
    static func writeEnd(
        id: Int64, _ namespace: Namespace, _ reply: inout ReplyWriter, token: Document? = nil,
        snapshotTime: Timestamp? = nil, cursorMark: Int, batchMark: Int
    ) {
        reply.close(batchMark)
        if let token { reply.append("postBatchResumeToken", document: token) }
        reply.append("id", id)
        reply.appendNamespace("ns", namespace.database, namespace.collection)
        if let snapshotTime { reply.append("atClusterTime", snapshotTime) }
        reply.close(cursorMark)
    }
}

/// A batch on the reader pool, a slice at a time.
// Unchecked: the pool runs one slice at a time, and hands the job on with its queue's lock.
private final class BatchJob: @unchecked Sendable {
    private let cursor: QueryCursor
    private let plan: BatchPlan
    private let core: ServerCore
    private let ticket: ReplyTicket
    private var reply: ReplyWriter
    private let cursorMark: Int
    private let batchMark: Int

    init(
        _ cursor: QueryCursor, _ plan: BatchPlan, _ core: ServerCore, _ ticket: ReplyTicket,
        _ reply: ReplyWriter, _ cursorMark: Int, _ batchMark: Int
    ) {
        self.cursor = cursor
        self.plan = plan
        self.core = core
        self.ticket = ticket
        self.reply = reply
        self.cursorMark = cursorMark
        self.batchMark = batchMark
    }

    func run(_ reader: Reader) -> ReaderPool.Step {
        do throws(DBError) {
            if ticket.isConnectionGone { cursor.kill() }
            let status = try cursor.advance(reader, plan.limits, .slice, into: &reply)
            if status == .budgetSpent { return .again }
            ticket.note(cursor)
            let id = try BatchRun.finish(
                cursor, status, plan, core, &reply, cursorMark: cursorMark,
                batchMark: batchMark)
            ticket.answer(continuing: &reply, exhausts: plan.isExhaust && id != 0) {
                _ throws(DBError) in
            }
        } catch {
            BatchRun.forget(plan, core)
            ticket.answer(continuing: &reply) { _ throws(DBError) in
                throw cursor.labelled(error)
            }
        }
        return .done
    }
}

/// Documents that are all there at once, answered as a cursor.
enum ListReply {
    /// Answers with `list` (documents one after another), `batchSize` of them at first.
    static func write(
        _ list: [UInt8], _ namespace: Namespace, batchSize: Int?, _ core: ServerCore,
        _ owner: CursorOwner, _ reply: inout ReplyWriter
    ) throws(DBError) {
        let document = reply.openDocument("cursor")
        let batch = reply.openArray("firstBatch")
        let offset = append(list, from: 0, batchSize: batchSize, &reply)
        var id: Int64 = 0
        if offset < list.count {
            id = core.cursors.newID()
            try core.cursors.add(
                OpenCursor(
                    id: id, namespace: namespace, owner: owner,
                    content: .list(bytes: list, offset: offset), batchSize: nil,
                    isKeptWhenIdle: false, lastUse: Clock.coarseNanos))
        }
        BatchRun.writeEnd(id: id, namespace, &reply, cursorMark: document, batchMark: batch)
    }

    /// Answers a getMore from the rest of a list.
    static func writeNext(
        _ cursor: OpenCursor, _ list: [UInt8], from start: Int, batchSize: Int?,
        _ core: ServerCore, _ reply: inout ReplyWriter
    ) {
        let document = reply.openDocument("cursor")
        let batch = reply.openArray("nextBatch")
        let offset = append(list, from: start, batchSize: batchSize, &reply)
        var id: Int64 = 0
        if offset < list.count {
            var rest = cursor
            rest.content = .list(bytes: list, offset: offset)
            rest.lastUse = Clock.coarseNanos
            if core.cursors.putBack(rest) { id = cursor.id }
        } else {
            core.cursors.remove(cursor.id)
        }
        BatchRun.writeEnd(id: id, cursor.namespace, &reply, cursorMark: document, batchMark: batch)
    }

    /// Appends documents and returns where the rest begins.
    private static func append(
        _ list: [UInt8], from start: Int, batchSize: Int?, _ reply: inout ReplyWriter
    ) -> Int {
        let bytes = list.span.bytes
        var offset = start
        var count = 0
        while offset < bytes.byteCount, count < batchSize ?? .max {
            // SAFETY: the list was written by a DocumentWriter, whole documents one after another.
            let size = Int(
                UInt32(
                    littleEndian: bytes.unsafeLoadUnaligned(
                        fromByteOffset: offset, as: UInt32.self)))
            if count > 0, reply.byteCount + size > Limits.documentBytesMax { break }
            reply.append(element: DocumentView(bytes.extracting(offset..<offset + size)))
            offset += size
            count += 1
        }
        return offset
    }
}

extension CommandCall {
    /// Who owns the cursors that this command opens.
    var cursorOwner: CursorOwner {
        if let session = special.session { return .session(session) }
        connection.hasOwnCursors = true
        return .connection(connection.id)
    }

    /// `batchSize` of the field `cursor`, which aggregate and the lists take.
    func cursorBatchSize() throws(DBError) -> Int? {
        guard let cursor = document("cursor") else { return nil }
        var size: Int?
        var fields = cursor.makeIterator()
        while let field = fields.next() {
            guard field.name.equals("batchSize") else {
                throw DBError(
                    .idlUnknownField,
                    "BSON field '\(command.name).cursor.\(field.nameString)' is an unknown field.")
            }
            if field.value.type == .null { continue }
            guard let number = field.value.truncatedInteger else {
                throw DBError(
                    .typeMismatch,
                    "BSON field '\(command.name).cursor.batchSize' is the wrong type "
                        + "'\(field.value.type.alias)', expected types '[long, int, decimal, "
                        + "double]'")
            }
            guard number >= 0 else {
                throw DBError(
                    .badValue,
                    "BSON field 'batchSize' value must be >= 0, actual value '\(number)'")
            }
            size = Int(clamping: number)
        }
        return size
    }

    /// The collection that the command's own field names, with its database.
    func namespace() throws(DBError) -> Namespace {
        if request.legacyDatabase == nil, let last = connection.lastNamespace,
            let database = value("$db"), database.hasText(last.database),
            commandValue.hasText(last.collection)
        {
            return last
        }
        let namespace = Namespace(database, try collectionName())
        connection.lastNamespace = namespace
        return namespace
    }
}
