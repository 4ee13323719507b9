// A live query as its client reads it: the result, then what becomes of it, in batches of events.

package import BSON
package import Query
import Storage
import Synchronization

/// The reading end of one subscription. One thread at a time uses it; `kill`, `wait` and
/// `cancelWait` may be called from any.
// Unchecked: all mutable state belongs to the one thread that is in `advance`; the owner hands the
// cursor on only between calls.
package final class LiveCursor: @unchecked Sendable {
    /// Where a batch stands.
    package enum Status: Sendable {
        /// There are events in it.
        case filled
        /// There is nothing yet: `wait`.
        case empty
        /// Call again, from a thread that has the time.
        case again
    }

    enum Phase {
        /// The result is to be read; `reason` where the client holds another one, which is that
        /// of `known` if it can still be told.
        case begins(reason: String?, known: LiveToken?)
        /// The result is being read.
        case reads(QueryCursor, ReadView, Timestamp)
        /// A result that is kept is being told, from row `next` on.
        case tells([LiveRow], next: Int, Timestamp)
        case follows
        /// The rules no longer allow the query, and the client was told that its rows went.
        case ends(DBError)
    }

    /// Most bytes of events of a batch before `ready`, but for one event that is larger: clients
    /// may stop reading at any time, and what was made for them waits.
    private static let resultBytesMax = 128 * 1024

    /// The collection.
    package var namespace: Namespace { request.namespace }

    let engine: RoostEngine
    /// An app user's as it is bound to the rules; before that as it was asked.
    var request: LiveRequest
    /// Ends it.
    package let interrupt = Interrupt()
    let projection: LiveProjection
    var phase: Phase
    /// Replaced when the result is read anew.
    private let current: Mutex<LiveSubscription?> = Mutex(nil)
    private let group = Mutex<LiveGroup?>(nil)
    private let lastWait = Atomic<UInt64>(0)
    /// Events of the result that were not handed out yet.
    var events = LiveEventWriter()
    var offset = 0
    private var documents = LiveDocuments()
    private var frames: [LiveFrame] = []
    /// The newest command that a client with all events so far knows of; nil before `ready`.
    private var position: Timestamp?
    /// The token of `position`, where it is at hand.
    private var positionText: String?

    package init(_ engine: RoostEngine, _ request: LiveRequest) {
        self.engine = engine
        self.request = request
        projection = LiveProjection(request.projection, request.asked)
        phase = .begins(reason: nil, known: request.resumeAfter)
        interrupt.whenKilled { [weak self] in self?.close() }
    }

    deinit {
        close()
    }

    /// Makes the call that runs now, or the next one, throw `cursorKilled`, soon.
    package func kill() {
        interrupt.kill()
    }

    private func close() {
        current.withLock { $0 }?.close()
        let left = group.withLock { group in
            defer { group = nil }
            return group
        }
        if let left { engine.live.leave(left) }
    }

    /// Memory held, in bytes; roughly.
    package var memoryBytes: Int { 1_024 + events.byteCount }

    /// What a client that has all events so far resumes with; nil before `ready`.
    package var token: LiveToken? {
        position.map { request.token($0, epoch: engine.logEpoch) }
    }

    /// The same as its text.
    package var tokenText: String? { positionText ?? token?.text }

    /// How reading the result holds a thread of the reader pool.
    package var weight: ReaderPool.Weight {
        if case .reads = phase { return .sliced }
        return request.keepsRows || request.user != nil ? .whole : .sliced
    }

    /// The app user whose rows it shows; nil for those who bypass the rules.
    package var user: AppUser? { request.user }

    // MARK: Waiting

    /// Wakes `waiter` once when there is more; answers a number to cancel by, or nil where there is
    /// more already.
    package func wait(_ waiter: any LiveWaiter) -> UInt64? {
        // Numbers are the cursor's, since one subscription follows another.
        let number = lastWait.wrappingAdd(1, ordering: .relaxed).newValue
        guard let subscription = current.withLock({ $0 }) else { return nil }
        return subscription.wait(number, waiter) ? number : nil
    }

    /// Gives up waiting; false where the call was made or is being made.
    package func cancelWait(_ number: UInt64) -> Bool {
        current.withLock { $0 }?.cancelWait(number) ?? false
    }

    // MARK: Reading

    /// Appends events to a batch. Of the result's at most `documentsMax`; later ones come as they
    /// belong together.
    /// - Parameter reader: that of a thread that has the time to read a result; without one,
    ///   nothing is read.
    /// - Throws: `cursorKilled` (237), what the query throws. The cursor is at its end then.
    package func advance<Sink: DocumentSink>(
        _ reader: Reader?, documentsMax: Int, into sink: inout Sink
    ) throws(DBError) -> Status {
        do throws(DBError) {
            try interrupt.check()
            while true {
                askAnewIfEnded()
                if try hand(documentsMax, &sink) { return .filled }
                switch phase {
                case .begins(let reason, let known):
                    guard let reader else { return .again }
                    try begin(reason, known, reader)
                case .reads(let cursor, let view, let end):
                    guard let reader else { return .again }
                    try read(cursor, view, end, reader)
                case .tells(let rows, let next, let end): tell(rows, from: next, end)
                case .follows:
                    guard try follow() else { return .empty }
                case .ends(let error): throw error
                }
            }
        } catch {
            close()
            throw error
        }
    }

    /// Takes what waits for a cursor that follows its query, where that is whole frames; nil: ask
    /// `advance`, which also says what ended the cursor.
    package func takeBundle() -> LiveBundle? {
        guard case .follows = phase, events.byteCount == 0, frames.isEmpty, !interrupt.isKilled
        else { return nil }
        guard let subscription = current.withLock({ $0 }),
            case .frames(let taken) = subscription.take()
        else { return nil }
        if let last = taken.last {
            position = last.end
            positionText = last.token
        }
        return LiveBundle(frames: taken)
    }

    /// Moves events to the batch; false where there are none.
    private func hand<Sink: DocumentSink>(
        _ documentsMax: Int, _ sink: inout Sink
    ) throws(DBError) -> Bool {
        if offset < events.byteCount {
            offset = LiveFrame.append(
                events.writer.bytes, from: offset, documentsMax: documentsMax,
                bytesMax: Self.resultBytesMax, to: &sink)
            if offset == events.byteCount {
                events = LiveEventWriter()
                offset = 0
            }
            return true
        }
        guard !frames.isEmpty else { return false }
        var bytes = 0
        var count = 0
        for frame in frames {
            if count > 0, bytes + frame.bytes.count > Limits.documentBytesMax { break }
            _ = LiveFrame.append(
                frame.bytes, from: 0, documentsMax: .max, bytesMax: .max, to: &sink)
            bytes += frame.bytes.count
            count += 1
            position = frame.end
            positionText = frame.token
        }
        frames.removeFirst(count)
        return true
    }

    /// Looks what the matcher has put in; false for nothing.
    private func follow() throws(DBError) -> Bool {
        guard let subscription = current.withLock({ $0 }) else { return false }
        let told = engine.live.position
        switch subscription.take() {
        case .nothing(let isCurrent):
            if isCurrent, let position, position < told {
                self.position = told
                positionText = nil
            }
            return false
        case .frames(let frames): self.frames = frames
        case .behind(let reason): phase = .begins(reason: reason, known: token)
        case .failed(let error): throw error
        }
        return true
    }

    // MARK: The result

    /// Joins the group and begins to read the result, or what differs from the one that is known.
    private func begin(
        _ reason: String?, _ known: LiveToken?, _ reader: Reader
    ) throws(DBError) {
        if request.user != nil { return try beginBound(reason, known, reader) }
        let group = try joined(reader)
        let subscription = subscribe()
        let view = try ReadView(engine)
        do {
            let end = try view.use { reader, _ in
                try reader.read { transaction in try transaction.logEnd() }
            }
            let start = end ?? Timestamp(rawValue: 0)
            var past = LivePast(engine, request, view)
            var why = reason
            if let known { why = try past.collect(since: known, until: start) }
            if group.keepsRows {
                try keep(known, why, &past, subscription, group, view, start, reader)
            } else if known != nil, why == nil {
                try past.writeRows(projection, into: &events)
                finish(start)
                engine.live.arrive(subscription, group, start)
            } else {
                return startReading(why, view, start)
            }
            view.end(Self.done)
        } catch {
            view.end(Self.done)
            throw DBError(engineFailure: error)
        }
    }

    func subscribe() -> LiveSubscription {
        let subscription = LiveSubscription(request.user)
        current.withLock { current in
            current?.close()
            current = subscription
        }
        if interrupt.isKilled { subscription.close() }
        position = nil
        positionText = nil
        return subscription
    }

    func startReading(_ reason: String?, _ view: ReadView, _ start: Timestamp) {
        reset(reason)
        engine.snapshots.lend(view)
        engine.transactions.lookAnew()
        let source = request.source(view, request.binding?.reading())
        phase = .reads(QueryCursor(engine, source), view, start)
    }

    /// Says that the rows so far are to be forgotten.
    func reset(_ reason: String?) {
        guard let reason else { return }
        engine.live.noteReset()
        events.append(.reset, reason: reason, token: nil)
    }

    /// Reads a result that is kept, and the one that the client has.
    private func keep(
        _ known: LiveToken?, _ reason: String?, _ past: inout LivePast,
        _ subscription: LiveSubscription, _ group: LiveGroup, _ view: ReadView,
        _ start: Timestamp, _ reader: Reader
    ) throws {
        let result = try LiveResult(request, view, engine, reader)
        var reason = reason
        var old: [LiveRow]?
        if known != nil, reason == nil {
            switch try past.rows(projection, reader) {
            case .success(let rows): old = rows
            case .failure(let unknown): reason = unknown.reason
            }
        }
        let kept = engine.live.install(result, subscription, group, start)
        guard let old else {
            reset(reason)
            phase = .tells(kept.rows, next: 0, kept.position)
            return
        }
        LiveDifference.write(
            from: old, to: kept.rows, isOrdered: request.isOrdered,
            token: request.token(kept.position, epoch: engine.logEpoch).text, into: &events)
        finish(kept.position)
    }

    /// Makes events of the next rows. The rows themselves are shared with the group until they
    /// change.
    private func tell(_ rows: [LiveRow], from start: Int, _ end: Timestamp) {
        var next = start
        while next < rows.count, events.byteCount < Self.resultBytesMax {
            let row = rows[next]
            events.append(
                .added, id: row.id.view, DocumentView(row.document.span.bytes),
                index: request.isOrdered ? next : nil, token: nil)
            next += 1
        }
        phase = .tells(rows, next: next, end)
        if next == rows.count { finish(end) }
    }

    func joined(_ reader: Reader) throws(DBError) -> LiveGroup {
        if let known = group.withLock({ $0 }) {
            if known.request.identity == request.identity { return known }
            group.withLock { $0 = nil }
            engine.live.leave(known)
        }
        let joined = try engine.live.join(request, engine, reader)
        group.withLock { $0 = joined }
        return joined
    }

    private func read(
        _ cursor: QueryCursor, _ view: ReadView, _ end: Timestamp, _ reader: Reader
    ) throws(DBError) {
        documents.removeAll()
        let status: ReadStatus
        do throws(DBError) {
            try interrupt.check()
            status = try cursor.advance(
                reader,
                BatchLimits(
                    documentsMax: DocumentBatch.documentsMax, bytesMax: Self.resultBytesMax),
                .slice, into: &documents)
        } catch {
            guard view.isHeld || interrupt.isKilled else {
                phase = .begins(
                    reason: "too much was changed while the result was read", known: nil)
                return
            }
            view.end(Self.done)
            throw error
        }
        let batch = documents.batch
        for index in 0..<batch.count {
            let id = LiveRead.id(of: batch[index])
            let start = events.open(.added, id: id.view)
            try events.project(batch[index], projection)
            events.close(start, nil)
        }
        guard status == .exhausted else { return }
        documents = LiveDocuments()
        view.end(Self.done)
        finish(end)
        if let subscription = current.withLock({ $0 }), let group = group.withLock({ $0 }) {
            engine.live.arrive(subscription, group, end)
        }
    }

    func finish(_ end: Timestamp) {
        position = end
        positionText = nil
        phase = .follows
        events.append(.ready, token: request.token(end, epoch: engine.logEpoch).text)
    }

    static var done: DBError {
        DBError(.snapshotUnavailable, "The result was read")
    }
}

extension LiveFrame {
    /// Appends encoded events from `start` on, at most `documentsMax` and of at most `bytesMax`
    /// bytes, but one at least; returns where the rest begins.
    static func append<Sink: DocumentSink>(
        _ events: [UInt8], from start: Int, documentsMax: Int, bytesMax: Int, to sink: inout Sink
    ) -> Int {
        let bytes = events.span.bytes
        var offset = start
        var count = 0
        while offset < bytes.byteCount, count < documentsMax {
            // SAFETY: LiveEventWriter wrote whole documents one after another.
            let size = Int(
                UInt32(
                    littleEndian: bytes.unsafeLoadUnaligned(
                        fromByteOffset: offset, as: UInt32.self)))
            if count > 0, offset - start + size > bytesMax { break }
            sink.append(DocumentView(bytes.extracting(offset..<offset + size)))
            offset += size
            count += 1
        }
        return offset
    }
}
