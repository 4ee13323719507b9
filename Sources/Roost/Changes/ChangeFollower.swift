// A change stream at work: goes over the log behind its position, makes events of the records in its
// scope, and passes them through its pipeline.
//
// It holds no snapshot between calls and nothing of the log: only its position. While nothing in its
// scope was written it doesn't even look: TailWatch tells how far the log is without changes of the
// scope, and the position jumps there. So its token advances however quiet its collection is.

import BSON
import Query
import Storage

/// The reading end of the log for one change stream. Belongs to its `QueryCursor`, whose one thread
/// at a time uses it.
final class ChangeFollower {
    /// What is watched.
    var scope: ChangeScope { request.scope }

    private let engine: RoostEngine
    private let request: ChangeStreamRequest
    private let execution: PipelineExecution
    private var events: ChangeEventWriter
    /// The history that the stream's tokens name.
    private let epoch: UInt64
    /// What an app user sees; nil for others, and until the rules were asked.
    private var sight: EventSight?
    private var event = DocumentWriter()
    /// Behind the last record that was looked at.
    private var position: LogPosition
    /// The scope's generation when the log was last read to its end.
    private var generation: UInt64?
    /// The event whose result waits in `execution`.
    private var waiting = LogPosition.start
    /// Parts of a result that was too large, in reverse.
    private var fragments: [(document: Document, position: LogPosition)] = []
    /// How many parts of the event under way the client had before the stream began.
    private var fragmentsHad = 0
    /// The `invalidate` to come behind the event under way.
    private var invalidation: (document: [UInt8], position: LogPosition)?
    /// Whether the stream ends behind the results that wait.
    private var isInvalidated = false
    /// What a client that has all results so far can resume with.
    private var returned: LogPosition
    private var isChecked = false

    init(_ engine: RoostEngine, _ request: ChangeStreamRequest, _ interrupt: Interrupt) {
        self.engine = engine
        self.request = request
        var resources = ExecutionResources()
        resources.interrupt = interrupt
        // What is too large for a document may still be split.
        resources.resultBytesMax = 8 * Limits.documentBytesMax
        execution = PipelineExecution(request.pipeline, resources)
        epoch = request.access?.epoch(engine.logEpoch) ?? engine.logEpoch
        events = ChangeEventWriter(request, epoch: epoch, imageAge: engine.imageAge)
        Self.observe(request, engine)
        engine.tails.watch(request.scope)
        let progress = engine.tails.progress(request.scope)
        switch request.start {
        case .now:
            position = .behind(progress.logEnd)
            generation = progress.generation
        case .at(let time): position = .before(time)
        case .after(let token): position = token.position
        }
        returned = position
    }

    deinit {
        engine.tails.unwatch(request.scope)
    }

    /// What a client that has all results so far, and no others, resumes with.
    var resumeToken: ResumeToken {
        let isDrained = execution.readyCount == 0 && fragments.isEmpty && invalidation == nil
        return ResumeToken(isDrained ? position : returned, epoch: epoch)
    }

    /// Memory held between calls, in bytes; roughly.
    var memoryBytes: Int {
        event.count + execution.memoryBytes
            + fragments.reduce(0) { $0 + $1.document.bytes.count }
    }

    /// Has the log keep whole what is deleted of the collections that an app user's events depend
    /// on.
    private static func observe(_ request: ChangeStreamRequest, _ engine: RoostEngine) {
        guard let access = request.access else { return }
        let names = access.lookupNames(in: request.namespace)
        engine.live.observe(Set(names + [request.namespace]), engine)
    }

    // MARK: Reading

    /// Goes on until the batch is full, the log at its end or the budget spent.
    /// - Throws: `changeStreamHistoryLost` (286), `changeStreamFatalError` (280), what the pipeline
    ///   and the images throw.
    func advance<Sink: DocumentSink>(
        _ reader: Reader, _ budget: ReadBudget, _ batch: inout BatchMeter,
        _ counters: inout ReadCounters, _ sink: inout Sink
    ) throws -> ReadStatus {
        try sight?.checkLasts()
        if !isChecked {
            try reader.read { transaction in
                if let access = request.access {
                    sight = try EventSight(request, access, engine.catalog, transaction)
                }
                try checkHistory(transaction)
            }
        }
        isChecked = true
        Self.observe(request, engine)
        if try drain(&batch, &counters, &sink) { return .batchFull }
        if isInvalidated { return .exhausted }
        let progress = engine.tails.progress(scope)
        guard generation != progress.generation else {
            position = max(position, .behind(progress.logEnd))
            return .batchFull
        }
        var meter = BudgetMeter(budget)
        return try reader.read { transaction in
            try checkHistory(transaction)
            // What is committed behind other rules, or a session's end, isn't in this snapshot, or
            // this refuses it.
            try sight?.checkLasts()
            counters.slices += 1
            let status = try scan(transaction, &meter, &batch, &counters, &sink)
            if let status { return status }
            generation = progress.generation
            return .batchFull
        }
    }

    /// Refuses to go on where records of the scope are gone that the stream has not seen.
    private func checkHistory(_ transaction: borrowing ReadTransaction) throws {
        if case .after(let token) = request.start, token.epoch != epoch {
            throw request.access == nil
                ? Self.historyLost(
                    "the token belongs to another history: the data was restored or replaced since")
                : Self.historyLost(
                    "the token belongs to another user or history, or to other rules or claims")
        }
        if case .after(let token) = request.start, token.position.sequence > engine.clock.newest {
            throw Self.historyLost("the token is newer than all changes: the last ones were lost")
        }
        guard position < (try LogHeader.read(transaction).trimmed),
            position < (try TrimmedNames.last(in: scope, transaction))
        else { return }
        throw Self.historyLost("changes behind it are no longer kept")
    }

    private static func historyLost(_ reason: String) -> DBError {
        DBError(
            .changeStreamHistoryLost,
            "Resume of change stream was not possible, as the resume point may no longer be in the "
                + "change log: \(reason). Open a new stream without a token, read the collection "
                + "anew, and keep changes longer (--change-log-hours, --change-log-size) if that "
                + "happens often",
            details: .nonResumable)
    }

    /// Goes over records; nil at the end of the log.
    private func scan<Sink: DocumentSink>(
        _ transaction: borrowing ReadTransaction, _ meter: inout BudgetMeter,
        _ batch: inout BatchMeter, _ counters: inout ReadCounters, _ sink: inout Sink
    ) throws -> ReadStatus? {
        var log = LogCursor(transaction)
        var isFound = try log.seek(behind: position)
        while isFound {
            let place = log.place
            counters.documentsExamined += 1
            let status = try visit(
                place, try log.value(), transaction, &batch, &counters, &sink)
            if let status { return status }
            if meter.spend(), position == place { return .budgetSpent }
            isFound = try log.next()
        }
        if try log.last() { position = max(position, .behind(log.place.sequence)) }
        return nil
    }

    /// Looks at one record; nil to go on.
    private func visit<Sink: DocumentSink>(
        _ place: LogPosition, _ bytes: RawSpan, _ transaction: borrowing ReadTransaction,
        _ batch: inout BatchMeter, _ counters: inout ReadCounters, _ sink: inout Sink
    ) throws -> ReadStatus? {
        let record = try ChangeRecordView(place, bytes)
        guard record.kind != .image else {
            // The position stays before it, so that it is met again with its event.
            if isInScope(record) { events.keepImage(record) }
            return nil
        }
        let isShown = isShown(record)
        let isProduced = isShown ? try produce(record, transaction) : false
        position = place
        guard isProduced else { return nil }
        if try drain(&batch, &counters, &sink) { return .batchFull }
        return isInvalidated ? .exhausted : nil
    }

    private func isInScope(_ record: borrowing ChangeRecordView) -> Bool {
        if scope.contains(database: record.database, collection: record.collection) {
            return true
        }
        guard record.kind == .rename, let to = record.document.value("to")?.document,
            let database = to.value("db")?.utf8, let collection = to.value("coll")?.utf8
        else { return false }
        return scope.contains(database: database, collection: collection)
    }

    private func isShown(_ record: borrowing ChangeRecordView) -> Bool {
        let isMeasurement =
            record.flags.contains(.isMeasurement) && record.kind.isOfDocument
            && request.fullDocument != .always
        return !isMeasurement && isInScope(record)
            && (request.showsExpandedEvents || !record.kind.isExpanded)
    }

    /// Whether the stream ends behind that event.
    private func invalidates(_ kind: ChangeKind) -> Bool {
        switch scope {
        case .server: false
        case .database: kind == .dropDatabase
        case .collection: kind == .drop || kind == .rename
        }
    }

    // MARK: Events

    /// Makes a record's event and passes it on; false where the user sees none.
    private func produce(
        _ record: borrowing ChangeRecordView, _ transaction: borrowing ReadTransaction
    ) throws -> Bool {
        if let sight {
            guard
                try events.write(record, seenBy: sight, into: &event, engine, transaction)
            else { return false }
        } else {
            try events.write(record, into: &event, engine, transaction)
        }
        waiting = record.position
        // A client that resumes behind a fragment has those before it.
        let isPartlyHad = position.key == waiting.key && position.part < LogPosition.wholeEvent
        fragmentsHad = isPartlyHad ? Int(position.part) : 0
        if invalidates(record.kind) {
            var writer = DocumentWriter()
            events.writeInvalidation(record, into: &writer)
            invalidation = (
                writer.take(), record.position.with(part: LogPosition.invalidation)
            )
        }
        try pushEvent()
        return true
    }

    private func pushEvent() throws(DBError) {
        let bytes = event.bytes
        _ = try execution.push(DocumentView(bytes.span.bytes), arrayPosition: nil)
    }

    /// Moves results to the batch; true when it is full, or has no room for the next.
    private func drain<Sink: DocumentSink>(
        _ batch: inout BatchMeter, _ counters: inout ReadCounters, _ sink: inout Sink
    ) throws -> Bool {
        while true {
            if let (document, place) = fragments.last {
                guard !batch.isFull, batch.admits(byteCount: document.bytes.count) else {
                    return true
                }
                sink.append(document.view)
                batch.add(byteCount: document.bytes.count)
                counters.returned += 1
                returned = place
                fragments.removeLast()
                continue
            }
            let isTaken = try deliver(&batch, &counters, &sink)
            if let isTaken {
                guard isTaken else { return true }
                continue
            }
            guard let (document, place) = invalidation else { return batch.isFull }
            invalidation = nil
            isInvalidated = true
            waiting = place
            _ = try execution.push(DocumentView(document.span.bytes), arrayPosition: nil)
            position = place
        }
    }

    /// Moves the result of the event under way; nil if there is none, false if it has no room.
    private func deliver<Sink: DocumentSink>(
        _ batch: inout BatchMeter, _ counters: inout ReadCounters, _ sink: inout Sink
    ) throws -> Bool? {
        var parts: [Document] = []
        let isTaken = try execution.withNext { document throws(DBError) -> Bool in
            if batch.isFull { return false }
            try checkToken(of: document)
            if document.bytes.byteCount > Limits.documentBytesMax {
                parts = try split(document)
                return true
            }
            guard batch.admits(byteCount: document.bytes.byteCount) else { return false }
            sink.append(document)
            batch.add(byteCount: document.bytes.byteCount)
            counters.returned += 1
            returned = waiting
            return true
        }
        guard let isTaken else { return nil }
        guard isTaken else { return false }
        execution.removeFirst()
        if !parts.isEmpty { keep(parts) }
        return true
    }

    private func keep(_ parts: [Document]) {
        fragments = parts.enumerated().dropFirst(fragmentsHad).map { index, document in
            let isLast = index == parts.count - 1
            let part = isLast ? LogPosition.wholeEvent : UInt16(truncatingIfNeeded: index + 1)
            return (document, waiting.with(part: part))
        }.reversed()
    }

    private func split(_ document: DocumentView) throws(DBError) -> [Document] {
        guard request.splitsLargeEvents else {
            throw DBError(
                .bsonObjectTooLarge,
                "An event of \(document.bytes.byteCount) bytes is larger than a document may be "
                    + "(\(Limits.documentBytesMax)); add the stage \(Pipeline.splitStage), or "
                    + "leave fields out with $project",
                details: .nonResumable)
        }
        return try EventSplit.fragments(of: document) { part in
            ResumeToken(waiting.with(part: part), epoch: epoch)
        }
    }

    /// Checks that the pipeline left the event its token.
    private func checkToken(of document: DocumentView) throws(DBError) {
        let expected = ResumeToken(waiting, epoch: epoch)
        let id = document.value("_id")
        if let found = id?.document?.value("_data")?.utf8, expected.text.hasSameBytes(as: found) {
            return
        }
        throw DBError(
            .changeStreamFatalError,
            "Encountered an event whose _id field, which contains the resume token, was modified "
                + "by the pipeline. Modifying the _id field of an event makes it impossible to "
                + "resume the stream from that point. Only transformations that retain the "
                + "unmodified _id field are allowed. Expected: {_data: '\(expected.text)'}",
            details: .nonResumable)
    }
}
