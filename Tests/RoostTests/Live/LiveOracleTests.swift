import BSON
import Client
import Foundation
import Storage
import Synchronization
import TestSupport
import Testing

@testable import Roost

/// Live equals run again: 500 random live queries of every kind, and what a client makes of their
/// events compared with the query's result after each commit.
///
/// `ROOST_LIVE_COMMITS`, `ROOST_LIVE_SEED` and `ROOST_LIVE_BURST` make the run longer:
/// tools/live-oracle.
@Suite(.serialized) struct LiveOracleTests {
    private static let environment = ProcessInfo.processInfo.environment
    private static let commits = environment["ROOST_LIVE_COMMITS"].flatMap(Int.init) ?? 600
    private static let seeds: [UInt64] =
        environment["ROOST_LIVE_SEED"].flatMap(UInt64.init).map { [$0] } ?? [1, 2]

    private static let burst = environment["ROOST_LIVE_BURST"].flatMap(Int.init) ?? 40

    @Test(arguments: seeds)
    func clientsHoldWhatTheQueryGives(_ seed: UInt64) throws {
        let oracle = try LiveOracle(seed: seed, queries: 500)
        oracle.burstMax = Self.burst
        try oracle.run(commits: Self.commits)
    }

    @Test(arguments: seeds)
    func fewQueriesAreComparedAtEachCommit(_ seed: UInt64) throws {
        let oracle = try LiveOracle(seed: seed &+ 1_000, queries: 15)
        oracle.comparedShare = 1
        try oracle.run(commits: Self.commits)
    }
}

/// What a client makes of the events. The engine has a type of the same name as the client's.
private typealias HeldResult = LiveResults.Element

/// The engine, its live queries and their clients.
final class LiveOracle {
    /// A client of one live query.
    private struct Follower {
        let query: LiveOracleQuery
        var cursor: LiveCursor
        var result = HeldResult()
        /// Whether it is known to be told everything up to the log's end: not while it reads its
        /// result.
        var isFresh = true
    }

    /// How many of the queries are compared at each stop.
    var comparedShare = 0.02
    /// Most commits between two stops.
    var burstMax = 6

    private let clock = SteppedClock()
    private let database: Database
    private let writer: LiveOracleWriter
    private let reader: Reader
    private let path: String
    private let seed: UInt64
    private var random: RandomSource
    private var followers: [Follower] = []
    private var history: [String] = []
    private var counts = (commits: 0, comparisons: 0, events: 0, resets: 0, resumes: 0)

    init(seed: UInt64, queries count: Int) throws {
        self.seed = seed
        path = "/tmp/roost-live-\(getpid())-\(seed)-\(count)"
        try? FileManager.default.removeItem(atPath: path)
        var options = EngineOptions()
        options.transactions.secondsMax = 1_800
        options.durability = .relaxed
        options.quotaBytes = 4 << 30
        let clock = clock
        options.wallSeconds = { clock.seconds }
        database = try Database(at: path, options: options)
        writer = LiveOracleWriter(database, seed: seed)
        reader = try database.engine.store.makeReader()
        random = RandomSource(seed: ~seed)
        try writer.begin()
        var queries = LiveOracleQueries(random: RandomSource(seed: seed &* 31))
        for _ in 0..<count {
            let query = try LiveOracleQuery(queries.next(), database.engine)
            followers.append(
                Follower(query: query, cursor: query.cursor(database.engine, resumeAfter: nil)))
        }
        for place in followers.indices { try catchUp(place) }
    }

    deinit {
        followers = []
        database.close()
        try? FileManager.default.removeItem(atPath: path)
    }

    /// Writes, and compares after each commit or a few.
    func run(commits: Int) throws {
        var isDropping = 0
        while counts.commits < commits {
            if random.oneIn(50) { note(clock.step(&random)) }
            for _ in 0..<burst() {
                isDropping += 1
                if isDropping.isMultiple(of: 4_000) {
                    try writer.drop()
                    note("drop")
                } else {
                    note(try writer.step())
                }
                counts.commits += 1
            }
            try waitForMatcher()
            let compared = max(2, Int(Double(followers.count) * comparedShare))
            for _ in 0..<compared { try compare(random.below(followers.count)) }
            if random.oneIn(10) { try reconnect(random.below(followers.count)) }
            if counts.commits % 50_000 < 2 { print("\(counts)") }
        }
        try waitForMatcher()
        for place in followers.indices { try compare(place) }
        print("seed \(seed): \(counts)")
    }

    /// How many commits come before the next stop: mostly one; some come while the matcher is at
    /// those before.
    private func burst() -> Int {
        switch random.below(10) {
        case 0: 1 + random.below(burstMax)
        case 1..<4: 1 + random.below(6)
        default: 1
        }
    }

    private func note(_ text: String) {
        history.append(text)
        if history.count > 12 { history.removeFirst() }
    }

    /// Waits until all that is committed is in the outboxes.
    private func waitForMatcher() throws {
        let end = try reader.read { transaction in try transaction.logEnd() }
        let deadline = ContinuousClock.now + .seconds(60)
        while database.engine.live.position < end || database.engine.live.isRefreshing {
            guard .now < deadline else { throw failure("the matcher doesn't come to \(end)") }
            usleep(10)
        }
    }

    // MARK: Clients

    /// Takes all events that are there.
    private func catchUp(_ place: Int) throws {
        while true {
            var sink = DocumentCollector()
            let status = try followers[place].cursor.advance(
                reader, documentsMax: 1 + random.below(300), into: &sink)
            for document in sink.documents {
                let event = try LiveEvent(document)
                counts.events += 1
                if event.kind == .reset { counts.resets += 1 }
                if event.kind == .reset || event.kind == .ready { followers[place].isFresh = true }
                do throws(DBError) {
                    try followers[place].result.apply(event)
                } catch {
                    throw failure("\(error.message): \(followers[place].query.command)")
                }
            }
            if status == .empty { return }
        }
    }

    /// Compares what a client holds with the query's result.
    private func compare(_ place: Int) throws {
        counts.comparisons += 1
        try catchUp(place)
        // One that has just read its result may still be told what came in between.
        let deadline = ContinuousClock.now + .seconds(followers[place].isFresh ? 20 : 0)
        while try !holdsResult(place) {
            guard .now < deadline else {
                let query = followers[place].query
                let wanted = try query.result(database.engine, reader)
                throw failure(
                    "\(query.command)\n  holds \(text(followers[place].result.documents))\n"
                        + "  not   \(text(wanted))")
            }
            usleep(100)
            try catchUp(place)
        }
        followers[place].isFresh = false
    }

    private func text(_ documents: [Document]) -> String {
        documents.prefix(40).map { ExtendedJSON.string(of: $0.view) }.joined(
            separator: "\n        ")
    }

    private func holdsResult(_ place: Int) throws -> Bool {
        let follower = followers[place]
        guard follower.result.isReady else { return false }
        let wanted = try follower.query.result(database.engine, reader)
        let held = follower.result.documents
        return follower.query.isOrdered
            ? held == wanted : held.count == wanted.count && Set(held) == Set(wanted)
    }

    /// Loses a client's connection: it goes on from its token, or from nothing.
    private func reconnect(_ place: Int) throws {
        counts.resumes += 1
        try catchUp(place)
        let query = followers[place].query
        if random.oneIn(3) {
            followers[place].cursor.kill()
            followers[place].result = HeldResult()
            followers[place].cursor = query.cursor(database.engine, resumeAfter: nil)
        } else {
            let token = followers[place].cursor.token
            followers[place].cursor.kill()
            for _ in 0..<random.below(4) { note(try writer.step()) }
            followers[place].cursor = query.cursor(database.engine, resumeAfter: token)
        }
        followers[place].isFresh = true
        try catchUp(place)
    }

    private func failure(_ text: String) -> OracleFailure {
        OracleFailure(
            description:
                "seed \(seed), \(counts.commits) commits: \(text)\n  the last writes:\n    "
                + history.joined(separator: "\n    "))
    }
}

/// A wall clock that is set forward and back.
private final class SteppedClock: Sendable {
    private let offset = Atomic<Int64>(0)

    var seconds: Int64 { Int64(time(nil)) + offset.load(ordering: .relaxed) }

    /// Sets it up to an hour forward or back; says so.
    func step(_ random: inout RandomSource) -> String {
        let seconds = Int64(random.below(7_200)) - 3_600
        offset.wrappingAdd(seconds, ordering: .relaxed)
        return "the clock is set by \(seconds) s"
    }
}

/// Why live is not what a query run again gives.
struct OracleFailure: Error, CustomStringConvertible {
    let description: String
}
