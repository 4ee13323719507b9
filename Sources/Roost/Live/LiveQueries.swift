// Live queries: results that are kept up to date by events.
//
//     log ──▶ LiveMatcher ──▶ PredicateIndex ──▶ LiveGroup ──▶ LiveSubscription ──▶ LiveCursor
//          net changes      which queries?     events        outbox             batches
//
//   source     The change log, which has every image before and after. One thread follows it
//              (`run`), woken by the writer after a commit; the writer never waits, and nothing is
//              queued but what the log holds anyway.
//   matching   A change is looked up in an index of the queries' predicates by its image before and
//              its image after. Only what is found there is asked, so a write costs what it
//              concerns, not what is subscribed.
//   groups     Identical queries are one LiveGroup: matched once, encoded once.
//   delivery   Each subscriber has a bounded outbox of shared frames. One that falls behind is
//              given up and begins again from its last token.
//   beginning  A cursor joins its group, reads the result in a snapshot, and hands the snapshot's
//              place in the log to the matcher, which tells it what came since. No gap, no overlap.
//
//   reading    Results that must be read again are read by the reader pool (LiveRefresh.swift).
//
// Everything here is under one lock but the outboxes and that reading; passes take microseconds, and
// only who subscribes waits for them.

package import BSON
import Storage
import Synchronization

/// All live queries of an engine.
package final class LiveQueries: Sendable {
    fileprivate let matcher: Mutex<LiveMatcher>
    private let departed = Mutex<[LiveGroup]>([])
    private let signal = LiveSignal()
    private let isRunning = Mutex<Bool>(false)
    /// Subscribers; the writer wakes the matcher only while there are some.
    private let members = Atomic<Int>(0)
    private let told = Atomic<UInt64>(0)
    private let resets = Atomic<UInt64>(0)
    /// When the matcher has something to do though nothing is committed, in milliseconds since 1970.
    private let nextTime = Atomic<Int64>(.max)
    /// Called before a result is brought up to date on a thread of the reader pool: where tests hold
    /// it up.
    let willRefresh = Mutex<(@Sendable () -> Void)?>(nil)
    let observed: ObservedNames

    init(epoch: UInt64, _ observed: ObservedNames, _ rules: RulesStore, _ sessions: AppSessions) {
        matcher = Mutex(LiveMatcher(epoch: epoch, rules, sessions))
        self.observed = observed
    }

    // MARK: The writer's side

    /// Tells that something was committed. Any thread; costs next to nothing while nobody listens.
    func noteCommit() {
        if members.load(ordering: .relaxed) > 0 { signal.raise() }
    }

    // MARK: The thread

    /// Starts the thread that follows the log, once.
    func start(_ engine: RoostEngine) throws(DBError) {
        let isFirst = isRunning.withLock { isRunning in
            defer { isRunning = true }
            return !isRunning
        }
        guard isFirst else { return }
        let reader: Reader
        do {
            reader = try engine.store.makeReader()
        } catch {
            isRunning.withLock { $0 = false }
            throw DBError(engineFailure: error)
        }
        engine.background.start { [weak engine, signal] in
            var next: Int64?
            while signal.wait(until: next) {
                guard let engine else { return }
                engine.live.run(engine, reader)
                let time = engine.live.nextTime.load(ordering: .relaxed)
                next = time == .max ? nil : time
            }
        }
    }

    /// Ends the thread.
    func stop() {
        signal.stop()
    }

    private func run(_ engine: RoostEngine, _ reader: Reader) {
        let leaving = departed.withLock { departed in
            defer { departed = [] }
            return departed
        }
        let stale = matcher.withLock { matcher in
            for (_, members) in Dictionary(grouping: leaving, by: \.serial) {
                matcher.leave(members[0], members.count)
            }
            if !leaving.isEmpty { release(matcher.watchedNames) }
            do {
                try matcher.pass(engine, reader)
            } catch {
                engine.noteLiveFailure(error)
                matcher.fail(DBError(engineFailure: error))
            }
            told.store(matcher.position.rawValue, ordering: .releasing)
            nextTime.store(matcher.nextTimeMillis, ordering: .relaxed)
            return matcher.takeStale()
        }
        // A group has one order at a time, so there are no more than groups.
        for order in stale {
            engine.readerPool.submit(.whole) { [weak engine] reader in
                if let engine { engine.live.read(order, engine, reader) }
            }
        }
    }

    private func read(_ order: LiveRefresh.Order, _ engine: RoostEngine, _ reader: Reader) {
        willRefresh.withLock { $0 }?()
        let outcome = Result { try order.read(engine, reader) }
        matcher.withLock { matcher in
            matcher.readCount -= 1
            switch outcome {
            case .success(let refresh): matcher.refreshed.append(refresh)
            case .failure(let error):
                if order.group.result === order.replaced {
                    order.group.end(DBError(engineFailure: error))
                }
            }
        }
        signal.raise()
    }

    /// Whether results are being read again, so that some subscribers are behind `position`.
    var isRefreshing: Bool { matcher.withLock { $0.isRefreshing } }

    // MARK: The readers' side

    /// Counts a subscriber in and finds its group.
    /// - Throws: `badValue` (2) where no index can serve the query and too many such are there.
    func join(
        _ request: LiveRequest, _ engine: RoostEngine, _ reader: Reader
    ) throws(DBError) -> LiveGroup {
        try start(engine)
        follow(request, engine)
        members.wrappingAdd(1, ordering: .relaxed)
        let result: Result<LiveGroup, DBError> = matcher.withLock { matcher in
            do {
                let end = try reader.read { transaction in try transaction.logEnd() }
                return .success(try matcher.join(request, logEnd: end))
            } catch {
                return .failure(DBError(engineFailure: error))
            }
        }
        if case .failure = result { members.wrappingSubtract(1, ordering: .relaxed) }
        return try result.get()
    }

    /// Keeps what the log has of a query's collections, from now on: before the log's end is looked
    /// at, so that nothing behind it lacks its image.
    func follow(_ request: LiveRequest, _ engine: RoostEngine) {
        let lookups = request.binding?.lookedUp.names ?? []
        for name in lookups.union([request.namespace] + request.foreign)
        where observed.follow(name) {
            mark(name, true, engine)
        }
    }

    /// Has the log keep whole what is deleted of these collections, from now on and for a while.
    func observe(_ names: Set<Namespace>, _ engine: RoostEngine) {
        let end = LogicalClock.wallMillis + ObservedNames.keptMillis
        for name in names where observed.follow(name, until: end) { mark(name, true, engine) }
    }

    /// Other rules are in force, or sessions have ended: sends app users back to ask.
    func noteAuthority() {
        if members.load(ordering: .relaxed) > 0 { signal.raise() }
    }

    /// Has a subscriber that has read its result as of `position` follow from there.
    func arrive(_ subscription: LiveSubscription, _ group: LiveGroup, _ position: Timestamp) {
        matcher.withLock { $0.arrive(subscription, group, position) }
        signal.raise()
    }

    /// The same where the group keeps its result.
    func install(
        _ result: LiveResult, _ subscription: LiveSubscription, _ group: LiveGroup,
        _ position: Timestamp
    ) -> (rows: [LiveRow], position: Timestamp) {
        let kept = matcher.withLock { $0.install(result, subscription, group, position) }
        signal.raise()
        return kept
    }

    /// Counts a subscriber out, whose subscription was closed. Any thread; doesn't wait.
    func leave(_ group: LiveGroup) {
        members.wrappingSubtract(1, ordering: .relaxed)
        departed.withLock { $0.append(group) }
        signal.raise()
    }

    /// Counts a result that a client was told to forget.
    func noteReset() { resets.wrappingAdd(1, ordering: .relaxed) }

    /// The newest command whose changes are in the outboxes.
    var position: Timestamp { Timestamp(rawValue: told.load(ordering: .acquiring)) }

    private func release(_ names: Set<Namespace>) {
        observed.release(except: names, now: LogicalClock.wallMillis)
    }

    /// Ends what is kept for clients that may come back, where its time is over.
    func expire(_ engine: RoostEngine) {
        for name in observed.expire(now: LogicalClock.wallMillis) { mark(name, false, engine) }
    }

    private func mark(_ name: Namespace, _ isMarked: Bool, _ engine: RoostEngine) {
        engine.submit(OperationOptions(mayUseReserve: true)) { transaction in
            try ObservedMarks.set(name, isMarked: isMarked, &transaction)
        } completion: { outcome in
            // Without the mark a client that comes back after a restart gets the whole result.
            if case .failure(let error) = outcome { engine.noteMarkFailure(error, name) }
        }
    }

    // MARK: Statistics

    /// How many results are followed.
    var groupCount: Int { matcher.withLock { $0.groups.count } }

    /// Numbers for serverStatus, section `live`.
    package func statistics(newest: Timestamp) -> Document {
        matcher.withLock { matcher in
            let counters = matcher.counters
            let isBehind = !matcher.groups.isEmpty && matcher.position < newest
            return Document { writer in
                writer.append("subscriptions", Int64(matcher.subscriptionCount))
                writer.append("groups", Int64(matcher.groups.count))
                writer.append("changes", Int64(clamping: counters.changes))
                writer.append("candidates", Int64(clamping: counters.candidates))
                writer.append("matches", Int64(clamping: counters.events))
                writer.append("deliveries", Int64(clamping: counters.deliveries))
                writer.append("refreshes", Int64(clamping: counters.refreshes))
                writer.append("passes", Int64(clamping: counters.passes))
                writer.append("matcherMicros", Int64(clamping: counters.nanoseconds / 1_000))
                writer.append("matchNanosP50", Int64(clamping: counters.matching.quantile(0.5)))
                writer.append("matchNanosP99", Int64(clamping: counters.matching.quantile(0.99)))
                writer.append("resets", Int64(clamping: resets.load(ordering: .relaxed)))
                writer.append(
                    "lagSeconds",
                    isBehind
                        ? Int64(newest.seconds) - Int64(matcher.position.seconds) : Int64(0))
            }
        }
    }
}

extension LiveQueries {
    /// What a live query costs, for explain.
    package func explain(_ request: LiveRequest) -> Document {
        matcher.withLock { matcher in
            let anchor = matcher.anchor(request)
            let group = matcher.groups[request.identity]
            let counters = matcher.counters
            return Document { writer in
                writer.append("namespace", request.namespace.description)
                writer.append("result", request.keeping)
                if let anchor {
                    writer.append("anchor", anchor)
                } else {
                    writer.appendNull("anchor")
                }
                writer.append(
                    "askedAbout",
                    anchor == nil
                        ? "every change of the collection"
                        : "changes of documents with the anchor's keys, before or after")
                writer.append("unanchoredQueries", Int64(matcher.restCount(request.namespace)))
                writer.append("unanchoredQueriesMax", Int64(PredicateIndex.restMax))
                writer.append("subscribers", Int64(group?.members ?? 0))
                if counters.changes > 0 {
                    writer.append(
                        "candidatesPerChange",
                        Double(counters.candidates) / Double(counters.changes))
                    writer.append(
                        "nanosPerChange", Int64(clamping: counters.nanoseconds / counters.changes))
                }
            }
        }
    }
}

extension ReadTransaction {
    /// The newest command in the log; zero in an empty one.
    func logEnd() throws -> Timestamp {
        var log = cursor(.changeLog)
        guard try log.last(), let last = LogPosition(key: log.key) else {
            return Timestamp(rawValue: 0)
        }
        return last.sequence
    }
}
