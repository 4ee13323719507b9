// Documents that expire: indexes with `expireAfterSeconds`.
//
// A thread wakes every minute and deletes, for each such index, the documents whose date lies
// further back. It asks for them like any client: a multi-document delete, which finds them by the
// index on a reader thread and removes them in bounded chunks on the writer thread. An array
// expires by its earliest date; a document without a date never does.

import BSON
import Query
import Storage
import Synchronization

/// When the deletion of expired documents runs, and what it has done.
package final class ExpirySchedule: Sendable {
    private struct State {
        var sleepMillis: UInt64 = 60_000
        var isEnabled = true
        var isStopped = false
        /// Whether dropped collections may have left deleted documents.
        var wantsSweep = true
        /// Grows with each change of the above, so that a waiting thread looks again.
        var changes = 0
    }

    private let state = Monitor(State())
    private let passCount = Atomic<Int>(0)
    private let deletedCount = Atomic<Int>(0)
    private let purgedCount = Atomic<Int>(0)

    /// Seconds between two passes.
    package var sleepSeconds: Int {
        state.withLock { Int($0.sleepMillis / 1_000) }
    }

    /// Whether documents are deleted at all.
    package var isEnabled: Bool { state.withLock { $0.isEnabled } }

    /// Passes since the folder was opened.
    package var passes: Int { passCount.load(ordering: .relaxed) }

    /// Documents deleted since the folder was opened.
    package var deleted: Int { deletedCount.load(ordering: .relaxed) }

    /// Deleted documents purged since the folder was opened, because their time was over.
    package var purged: Int { purgedCount.load(ordering: .relaxed) }

    func note(purged: Int) {
        purgedCount.add(purged, ordering: .relaxed)
    }

    /// Sets the time between two passes; the one under way begins anew.
    package func set(sleepSeconds: Int) {
        change { $0.sleepMillis = UInt64(max(1, sleepSeconds)) * 1_000 }
    }

    /// Switches deletion on or off.
    package func set(isEnabled: Bool) {
        change { $0.isEnabled = isEnabled }
    }

    /// Whether there will be no more passes.
    var isStopped: Bool { state.withLock { $0.isStopped } }

    func stop() {
        change { $0.isStopped = true }
    }

    /// Has what a dropped collection left removed soon: its room is wanted.
    func sweep() {
        change { $0.wantsSweep = true }
    }

    func note(deleted: Int) {
        passCount.add(1, ordering: .relaxed)
        deletedCount.add(deleted, ordering: .relaxed)
    }

    private func change(_ body: (inout State) -> Void) {
        state.withLock { state in
            body(&state)
            state.changes += 1
        }
        state.wake()
    }

    /// What the thread is to do next.
    enum Turn {
        /// All that is due.
        case pass
        /// Only what dropped collections left.
        case sweep
    }

    /// Waits for the next turn; nil when there will be none.
    func waitForTurn() -> Turn? {
        while true {
            let (sleep, seen, wantsSweep) = state.withLock { state in
                defer { state.wantsSweep = false }
                return (state.sleepMillis, state.changes, state.wantsSweep && !state.isStopped)
            }
            if wantsSweep { return .sweep }
            let isChanged = state.wait(timeoutMillis: sleep) { state in
                state.changes == seen && !state.isStopped ? nil : true
            }
            let (isStopped, isEnabled) = state.withLock { ($0.isStopped, $0.isEnabled) }
            if isStopped { return nil }
            if isChanged == nil, isEnabled { return .pass }
        }
    }
}

extension RoostEngine {
    /// Starts the thread; `close` ends it.
    func startExpiry() {
        background.start { [weak self, expiry] in
            while let turn = expiry.waitForTurn() {
                guard let self else { return }
                guard turn == .pass else {
                    self.removeDroppedTrash()
                    continue
                }
                self.deleteExpired(at: LogicalClock.wallMillis)
                self.purgeTrash(at: LogicalClock.wallMillis)
                self.removeOldOutcomes(at: LogicalClock.wallMillis)
                self.live.expire(self)
            }
        }
    }

    /// Deletes the documents that have expired by then, in milliseconds since 1970, and answers
    /// how many. Waits for the writer thread, so never from there.
    @discardableResult
    package func deleteExpired(at millis: Int64) -> Int {
        var deleted = 0
        for entry in catalog.collections.values {
            if entry.traits.clusteredIndex != nil || entry.traits.timeSeries != nil,
                let seconds = entry.traits.expireAfterSeconds
            {
                deleted += deleteExpired(nil, entry, before: millis - seconds * 1_000)
            }
            for index in entry.indexes where index.isReady {
                let specification = index.specification
                guard let seconds = specification.view.value("expireAfterSeconds")?.wholeNumber
                else { continue }
                deleted += deleteExpired(index, entry, before: millis - seconds * 1_000)
            }
        }
        expiry.note(deleted: deleted)
        return deleted
    }

    /// Deletes what an index, or without one the collection's own order, says has expired.
    private func deleteExpired(
        _ index: IndexEntry?, _ entry: CollectionEntry, before cutoff: Int64
    ) -> Int {
        let own = entry.traits.timeSeries?.options.timeField ?? "_id"
        let path = index.map { $0.pattern.parts.first?.path.dotted } ?? own
        guard let path else { return 0 }
        let condition = Document { writer in
            let range = writer.openDocument(path)
            writer.append("$lte", dateMillis: cutoff)
            writer.close(range)
            if case .document(let partial)? = index?.specification["partialFilterExpression"] {
                writer.append("$and", [.document(partial)])
            }
        }
        do throws(DBError) {
            let target = WriteTarget(
                filter: try Filter.parse(condition.view), filterDocument: condition,
                hint: index.flatMap { $0.isHidden ? nil : .string($0.name) })
            var request = WriteRequest(entry.namespace, time: writeTime)
            request.statements = [.delete(DeleteStatement(target: target, isMulti: true))]
            return try writeAndWait(request).results.reduce(0) { $0 + $1.n }
        } catch {
            // The next pass tries again: an index dropped meanwhile, a store that refuses writes.
            noteExpiryFailure(error, index, entry)
            return 0
        }
    }

    /// Runs a write command and waits for its end. Not for event loops and the writer thread.
    private func writeAndWait(_ request: WriteRequest) throws(DBError) -> WriteOutcome {
        let outcome = Monitor<Result<WriteOutcome, DBError>?>(nil)
        write(request) { result in
            outcome.withLock { $0 = result }
            outcome.wake()
        }
        while !expiry.isStopped {
            if let result = outcome.wait(timeoutMillis: 500, { $0 }) { return try result.get() }
        }
        throw DBError(.interruptedAtShutdown, "The server is shutting down")
    }
}
