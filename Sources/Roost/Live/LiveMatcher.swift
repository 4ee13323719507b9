// The matcher: what the commits since the last pass did, told to who asked.
//
// A pass takes one snapshot and goes over the log from where the last pass ended to the snapshot's
// end. It sees net changes: commits that came in one pass are told together. So all that is read in
// the snapshot (tails of windows, joined collections) fits the images in hand.

import BSON
import Query
import Storage

/// What is subscribed, and the pass over it. Under the lock of `LiveQueries`.
final class LiveMatcher {
    /// Counters for serverStatus.
    struct Counters {
        /// Documents' net changes that a live query's collection had.
        var changes: UInt64 = 0
        /// Groups that were asked about a change.
        var candidates: UInt64 = 0
        /// Events that groups made.
        var events: UInt64 = 0
        /// The same, once for each subscriber.
        var deliveries: UInt64 = 0
        /// Results that were read again.
        var refreshes: UInt64 = 0
        /// Passes, and the time that they took.
        var passes: UInt64 = 0
        var nanoseconds: UInt64 = 0
        /// How long it took for each change to find and ask the groups that it may concern.
        var matching = NanosHistogram()
    }

    /// The groups that are about one collection.
    private final class Watched {
        var index = PredicateIndex()
        /// Groups that join it: any change may concern them.
        var joining: [LiveGroup] = []
        /// Groups whose rules looked documents of it up.
        var looking: [LiveGroup] = []
        var groups = 0
    }

    /// All groups by what they ask.
    private(set) var groups: [[UInt8]: LiveGroup] = [:]
    private(set) var counters = Counters()
    /// The newest command whose changes were told.
    private(set) var position = Timestamp(rawValue: 0)
    private var collections: [Namespace: Watched] = [:]
    private var names: Set<Namespace> = []
    /// Subscribers that have read their result and wait for what came since.
    private var arriving: [(LiveSubscription, LiveGroup, Timestamp)] = []
    /// Results that a pass is to bring up to its end and to tell (LiveRefresh.swift).
    var refreshed: [LiveRefresh] = []
    /// Groups whose result must be read again.
    private var stale: [LiveRefresh.Order] = []
    /// Results that are being read.
    var readCount = 0
    /// Subscribers that a pass has not told anything yet.
    private var newcomers: [(LiveSubscription, LiveGroup)] = []
    private var touched: [LiveGroup] = []
    private var candidates: [LiveGroup] = []
    private var mark: UInt64 = 0
    private var lastSerial: UInt64 = 0
    private var scratch = MatchScratch()
    /// How long the pass under way may still take for stages behind groups.
    private var stageNanosLeft: UInt64 = 0
    private let epoch: UInt64
    private let rules: RulesStore
    private let sessions: AppSessions
    /// The endings of sessions that were looked at; nil to look again.
    private var sessionsSeen: UInt64? = 0
    /// The number of the rules that were in force behind the pass's snapshot.
    private var version: Int64 = 0
    /// Groups whose rules ask for the time, and when they are read again next.
    private var timed: [LiveGroup] = []
    private var nextReading = Int64.max
    /// When the first token of a subscriber ends.
    private var firstEnd = Int64.max

    init(epoch: UInt64, _ rules: RulesStore, _ sessions: AppSessions) {
        self.sessions = sessions
        self.epoch = epoch
        self.rules = rules
    }

    /// When there is something to do though nothing is committed, in milliseconds since 1970.
    var nextTimeMillis: Int64 { min(nextReading, firstEnd) }

    var subscriptionCount: Int { groups.values.reduce(0) { $0 + $1.members } }

    // MARK: Groups

    /// The collections whose changes are followed.
    var watchedNames: Set<Namespace> { names }

    /// Counts a subscriber in; `logEnd` is where the log ends.
    /// - Throws: `badValue` (2) where the collection has too many queries without an anchor.
    func join(_ request: LiveRequest, logEnd: Timestamp) throws(DBError) -> LiveGroup {
        if let group = groups[request.identity] {
            group.members += 1
            return group
        }
        if groups.isEmpty { position = logEnd }
        lastSerial += 1
        let group = LiveGroup(request, serial: lastSerial)
        let watched = collections[request.namespace] ?? Watched()
        try watched.index.insert(group)
        for name in [request.namespace] + request.foreign {
            let watched = name == request.namespace ? watched : collections[name] ?? Watched()
            watched.groups += 1
            collections[name] = watched
            if request.foreign.contains(name) { watched.joining.append(group) }
        }
        group.members = 1
        groups[request.identity] = group
        watchLookups(of: group)
        if request.binding?.usesTime == true {
            timed.append(group)
            nextReading = min(nextReading, LogicalClock.wallMillis + LiveBinding.timeMillis)
        }
        return group
    }

    /// Follows the collections of which the group's rules looked documents up.
    private func watchLookups(of group: LiveGroup) {
        for name in group.lookedUp.names where group.watchedLookups.insert(name).inserted {
            let watched = collections[name] ?? Watched()
            watched.groups += 1
            watched.looking.append(group)
            collections[name] = watched
        }
        names = Set(collections.keys)
    }

    /// Counts subscribers out.
    func leave(_ group: LiveGroup, _ count: Int) {
        group.subscriptions.removeAll { $0.isClosed }
        group.members -= count
        guard group.members <= 0, groups[group.request.identity] === group else { return }
        groups[group.request.identity] = nil
        group.result = nil
        let request = group.request
        timed.removeAll { $0 === group }
        collections[request.namespace]?.index.remove(group)
        for name in [request.namespace] + request.foreign + group.watchedLookups {
            guard let watched = collections[name] else { continue }
            watched.looking.removeAll { $0 === group }
            watched.joining.removeAll { $0 === group }
            watched.groups -= 1
            if watched.groups == 0 { collections[name] = nil }
        }
        names = Set(collections.keys)
    }

    /// A subscriber has read its result as of `position` and goes on from there.
    func arrive(_ subscription: LiveSubscription, _ group: LiveGroup, _ position: Timestamp) {
        arriving.append((subscription, group, position))
    }

    /// A subscriber has read a result that is to be kept, as of `position`; answers the one that
    /// is kept already, or it.
    func install(
        _ result: LiveResult, _ subscription: LiveSubscription, _ group: LiveGroup,
        _ position: Timestamp
    ) -> (rows: [LiveRow], position: Timestamp) {
        add(subscription, to: group)
        newcomers.append((subscription, group))
        if let kept = group.result { return (kept.all, group.position) }
        let rows = result.all
        group.result = result
        group.lookedUp = result.lookedUp
        watchLookups(of: group)
        group.position = position
        group.isRefreshing = true
        refreshed.append(
            LiveRefresh(group: group, replaced: result, result: result, position: position))
        return (rows, position)
    }

    /// Where a query would be found, as text; nil: it would be asked about every change.
    func anchor(_ request: LiveRequest) -> String? {
        (collections[request.namespace]?.index ?? PredicateIndex()).choose(request.filter)?
            .description
    }

    /// How many queries of a collection are asked about every change.
    func restCount(_ namespace: Namespace) -> Int {
        collections[namespace]?.index.restCount ?? 0
    }

    // MARK: A pass

    /// Tells what was committed up to the reader's snapshot.
    /// - Throws: what keeps the log from being read.
    func pass(_ engine: RoostEngine, _ reader: Reader) throws {
        let start = MonotonicClock.nanoseconds
        stageNanosLeft = LiveResult.stageNanosMax
        defer {
            counters.passes += 1
            counters.nanoseconds += MonotonicClock.nanoseconds &- start
        }
        try reader.read { transaction in
            var collector = ChangeCollector(names)
            _ = try collector.collect(behind: position, transaction)
            let end = max(collector.last ?? position, position)
            // Behind the snapshot: what is committed under later rules is in a later one.
            askAnew(LogicalClock.wallMillis)
            for set in collector.sets { evaluate(set, end) }
            settle(end)
            position = end
            for (subscription, group) in newcomers {
                if group.isOutdated(version) { group.giveUp(Self.outdated) }
                if !group.isRefreshing { subscription.noteCurrent() }
            }
            newcomers.removeAll()
            try admit(end, transaction)
            try adopt(end, transaction)
        }
    }

    /// Ends all subscriptions: the log can't be followed.
    func fail(_ error: DBError) {
        for group in groups.values { group.fail(error) }
        for (subscription, _, _) in arriving { subscription.fail(error) }
        arriving = []
        refreshed = []
        stale = []
        touched = []
    }

    /// Sends app users back whose rules or tokens have ended, and has results read again that depend
    /// on the time. Costs nothing where there are none.
    private func askAnew(_ now: Int64) {
        if version != rules.version {
            version = rules.version
            for group in groups.values where group.isOutdated(version) {
                group.giveUp(Self.outdated)
            }
        }
        let sessionsEnded = sessions.generation
        if now >= firstEnd || sessionsEnded != sessionsSeen {
            sessionsSeen = sessionsEnded
            firstEnd = .max
            for group in groups.values where group.request.binding != nil {
                group.subscriptions.removeAll { endIfDue($0, now) }
            }
        }
        guard now >= nextReading else { return }
        nextReading = timed.isEmpty ? .max : now + LiveBinding.timeMillis
        for group in timed { readAgain(group) }
    }

    /// Ends a subscription whose user's token or session has ended, and says whether it did.
    private func endIfDue(_ subscription: LiveSubscription, _ now: Int64) -> Bool {
        guard let user = subscription.user else { return false }
        let end = user.expiresAtMillis ?? .max
        let hasSessionEnded = sessions.hasEnded(user)
        guard end <= now || hasSessionEnded else {
            firstEnd = min(firstEnd, end)
            return false
        }
        subscription.giveUp(hasSessionEnded ? "the session has ended" : "the token has ended")
        return true
    }

    private static let outdated = "other security rules are in force"

    private func add(_ subscription: LiveSubscription, to group: LiveGroup) {
        group.subscriptions.append(subscription)
        guard let user = subscription.user else { return }
        if let end = user.expiresAtMillis { firstEnd = min(firstEnd, end) }
        if sessions.hasEnded(user) { sessionsSeen = nil }
    }

    /// Has the result of a group read again in the pass under way.
    private func readAgain(_ group: LiveGroup) {
        guard group.result != nil, !group.isRefreshing else { return }
        group.result?.markStale()
        group.isNoted = true
        touch(group)
    }

    private func evaluate(_ set: ChangeSet, _ end: Timestamp) {
        guard let watched = collections[set.namespace] else { return }
        for group in watched.looking where group.lookedUp.isTouched(by: set) {
            if group.request.isReread { readAgain(group) } else { group.giveUp(Self.lookups) }
        }
        if set.isUnknown {
            for group in groups.values where group.request.namespace == set.namespace {
                giveUp(group)
            }
            for group in watched.joining { giveUp(group) }
            return
        }
        counters.changes += UInt64(set.changes.count)
        for group in watched.joining { readAgain(group) }
        var start = MonotonicClock.nanoseconds
        for change in set.changes where change.before != nil || change.after != nil {
            mark += 1
            candidates.removeAll(keepingCapacity: true)
            if let before = change.before {
                watched.index.find(set.image(before), mark, into: &candidates)
            }
            if let after = change.after {
                watched.index.find(set.image(after), mark, into: &candidates)
            }
            counters.candidates += UInt64(candidates.count)
            for group in candidates { apply(change, set, to: group, end) }
            let now = MonotonicClock.nanoseconds
            counters.matching.add(now &- start)
            start = now
        }
    }

    private func apply(
        _ change: ChangeSet.Change, _ set: borrowing ChangeSet, to group: LiveGroup,
        _ end: Timestamp
    ) {
        do throws(DBError) {
            try group.apply(change, of: set, end, epoch: epoch, &scratch)
            if group.events.count > 0 || group.isNoted { touch(group) }
        } catch {
            group.fail(error)
        }
    }

    private func touch(_ group: LiveGroup) {
        if group.isTouched { return }
        group.isTouched = true
        touched.append(group)
    }

    private func giveUp(_ group: LiveGroup) {
        group.giveUp("the collection was dropped or renamed, or too much of it changed at once")
    }

    /// Hands all events out, and finds results that must be read again.
    private func settle(_ end: Timestamp) {
        for group in touched {
            group.isTouched = false
            settle(group, end)
        }
        touched.removeAll(keepingCapacity: true)
    }

    private func settle(_ group: LiveGroup, _ end: Timestamp) {
        if group.isNoted {
            do throws(DBError) {
                switch try group.settle(end: end, epoch: epoch, &stageNanosLeft) {
                case .done: break
                case .stale: order(group)
                case .stages: order(group, keptPosition: end)
                }
            } catch {
                group.fail(error)
            }
        }
        deliver(group, end)
    }

    private static let lookups = "what the security rules look up has changed"

    private func deliver(_ group: LiveGroup, _ end: Timestamp) {
        if group.isOutdated(version) { return group.giveUp(Self.outdated) }
        counters.events += UInt64(group.events.count)
        counters.deliveries += UInt64(group.deliver(end: end, epoch: epoch))
    }

    // MARK: Results that are read again

    /// What is to be read, once.
    func takeStale() -> [LiveRefresh.Order] {
        defer { stale = [] }
        readCount += stale.count
        return stale
    }

    /// Whether results are behind `position`.
    var isRefreshing: Bool { !refreshed.isEmpty || !stale.isEmpty || readCount > 0 }

    /// Has a result made anew; of what is kept at that position, or read.
    private func order(_ group: LiveGroup, keptPosition: Timestamp? = nil) {
        guard let result = group.result else { return }
        counters.refreshes += 1
        group.isRefreshing = true
        for subscription in group.subscriptions { subscription.noteStale() }
        stale.append(
            LiveRefresh.Order(
                group: group, replaced: result, keptPosition: keptPosition, epoch: epoch))
    }

    /// Tells what was read, and what came since.
    private func adopt(_ end: Timestamp, _ transaction: borrowing ReadTransaction) throws {
        if refreshed.isEmpty { return }
        var sets: [Timestamp: ChangeCollector] = [:]
        let waiting = refreshed
        refreshed.removeAll()
        for refresh in waiting where refresh.isWanted {
            if refresh.position > end {
                refreshed.append(refresh)
                continue
            }
            if refresh.position < end, sets[refresh.position] == nil {
                var collector = ChangeCollector(names)
                _ = try collector.collect(behind: refresh.position, transaction)
                sets[refresh.position] = collector
            }
            adopt(refresh, sets[refresh.position], end)
        }
    }

    private func adopt(_ refresh: LiveRefresh, _ changes: ChangeCollector?, _ end: Timestamp) {
        let group = refresh.group
        refresh.install()
        watchLookups(of: group)
        deliver(group, refresh.position)
        for name in group.watchedLookups {
            guard let set = changes?.set(name), group.lookedUp.isTouched(by: set) else { continue }
            guard group.request.isReread else { return group.giveUp(Self.lookups) }
            group.result?.markStale()
            group.isNoted = true
        }
        for name in [group.request.namespace] + group.request.foreign {
            guard let set = changes?.set(name) else { continue }
            if set.isUnknown { return giveUp(group) }
            if group.request.foreign.contains(name), !set.changes.isEmpty {
                group.result?.markStale()
                group.isNoted = true
            }
            guard name == group.request.namespace else { continue }
            do throws(DBError) {
                for change in set.changes {
                    try group.apply(change, of: set, end, epoch: epoch, &scratch)
                }
            } catch {
                return group.fail(error)
            }
        }
        settle(group, end)
        if !group.isRefreshing {
            for subscription in group.subscriptions { subscription.noteCurrent() }
        }
    }

    /// Takes in subscribers that have read their result: tells them what came since.
    private func admit(_ end: Timestamp, _ transaction: borrowing ReadTransaction) throws {
        var sets: [Timestamp: ChangeCollector] = [:]
        let waiting = arriving
        arriving.removeAll()
        for (subscription, group, start) in waiting {
            if subscription.isClosed { continue }
            if start > end {
                arriving.append((subscription, group, start))
                continue
            }
            if start < end {
                if sets[start] == nil {
                    var collector = ChangeCollector(names)
                    _ = try collector.collect(behind: start, transaction)
                    sets[start] = collector
                }
                if let changes = sets[start], hasChangedLookups(group, changes) {
                    subscription.giveUp(Self.lookups)
                    continue
                }
                if let set = sets[start]?.set(group.request.namespace) {
                    catchUp(subscription, group, set, end)
                }
            }
            if group.isOutdated(version) {
                subscription.giveUp(Self.outdated)
                continue
            }
            if endIfDue(subscription, LogicalClock.wallMillis) { continue }
            add(subscription, to: group)
            subscription.noteCurrent()
        }
    }

    private func hasChangedLookups(_ group: LiveGroup, _ changes: ChangeCollector) -> Bool {
        group.watchedLookups.contains { name in
            changes.set(name).map { group.lookedUp.isTouched(by: $0) } ?? false
        }
    }

    private func catchUp(
        _ subscription: LiveSubscription, _ group: LiveGroup, _ set: ChangeSet, _ end: Timestamp
    ) {
        if set.isUnknown {
            return subscription.giveUp("the collection was exchanged while its result was read")
        }
        do throws(DBError) {
            for change in set.changes {
                try group.apply(change, of: set, end, epoch: epoch, &scratch)
            }
        } catch {
            group.events.removeAll()
            return subscription.fail(error)
        }
        if group.events.count > 0 {
            _ = subscription.push(
                group.events.take(
                    end: end, token: group.token(end, epoch: epoch), isOrdered: false))
        }
    }
}
