import BSON
import Glibc
import Storage
import Synchronization
import Testing

@testable import Roost

/// Holds results up before they are brought up to date.
private final class Gate: Sendable {
    private struct State {
        var isOpen = false
        var held = 0
        var heldMost = 0
    }

    private let state = Mutex(State())

    init(_ engine: RoostEngine) {
        engine.live.willRefresh.withLock { $0 = { self.pass() } }
    }

    private func pass() {
        state.withLock { state in
            state.held += 1
            state.heldMost = max(state.held, state.heldMost)
        }
        while state.withLock({ !$0.isOpen }) { usleep(500) }
        state.withLock { $0.held -= 1 }
    }

    /// How many are held now, and were at most.
    var held: Int { state.withLock { $0.held } }
    var heldMost: Int { state.withLock { $0.heldMost } }

    func open() { state.withLock { $0.isOpen = true } }
}

/// Results that take long to bring up to date delay nobody else: they are held up, and all others
/// must come forward meanwhile.
@Suite struct LiveStallTests {
    private static let names = LiveAsk.names

    private static func fixture() async throws -> ReadFixture {
        let fixture = try ReadFixture()
        try await fixture.insert(LiveAsk.foreign, [["_id": 1, "name": "one"]])
        try await fixture.insert(
            names, (0..<60).map { ["_id": .int32($0), "a": .int32($0 % 3), "b": .int32($0)] })
        return fixture
    }

    /// Stages that take long.
    private static let costly: Value = [
        "$addFields": [
            "sum": [
                "$reduce": [
                    "input": ["$range": [0, 20_000]], "initialValue": 0,
                    "in": ["$add": ["$$value", "$$this"]],
                ]
            ]
        ]
    ]

    static let kinds = ["a join", "groups with stages behind", "groups joined"]

    private static func slow(_ kind: String, _ engine: RoostEngine) throws -> LiveRequest {
        let group: Value = ["$group": ["_id": "$a", "n": ["$sum": 1], "t": ["$sum": "$b"]]]
        return switch kind {
        case "a join": try LiveAsk.joining(engine, LiveAsk.lookup)
        case "groups with stages behind":
            try LiveAsk.aggregate(group, costly, ["$sort": ["t": -1, "_id": 1]])
        default:
            try LiveAsk.joining(
                engine, group, ["$addFields": ["a": "$_id"]], LiveAsk.lookup)
        }
    }

    @Test(arguments: kinds)
    func nobodyWaitsForASlowResult(kind: String) async throws {
        let fixture = try await Self.fixture()
        let slow = LiveClient(fixture.engine, try Self.slow(kind, fixture.engine))
        let others = try [
            LiveAsk.find(["a": 1]), LiveAsk.find([:], sort: ["b": -1], limit: 5),
            LiveAsk.aggregate(["$group": ["_id": "$a", "n": ["$sum": 1]]]),
        ].map { LiveClient(fixture.engine, $0) }
        for client in [slow] + others { #expect(try await client.settles(fixture)) }
        let gate = Gate(fixture.engine)
        defer { gate.open() }
        for round in Int32(0)..<5 {
            // Each write is acknowledged, and the others are told.
            try await fixture.insert(
                Self.names, [["_id": .int32(100 + round), "a": 1, "b": .int32(100 + round)]])
            for client in others { #expect(try await client.settles(fixture)) }
            while gate.held == 0 { try await Task.sleep(for: .milliseconds(1)) }
            #expect(try !slow.holdsResult(fixture))
        }
        // Who comes now gets what is known so far, and is told the rest in its turn.
        let late = LiveClient(fixture.engine, slow.request)
        try late.read(fixture.reader)
        #expect(late.rows.isReady && late.rows.rows.count == slow.rows.rows.count)
        late.resume(fixture.engine)
        try late.read(fixture.reader)
        gate.open()
        #expect(try await slow.settles(fixture))
        #expect(try await late.settles(fixture))
        #expect(slow.rows.resets == 0)
        for client in [slow, late] + others { client.cursor.kill() }
    }

    /// However many results are to be read again at once, threads are left for ordinary reads.
    @Test func ordinaryReadsGoOnBesideManySlowResults() async throws {
        let fixture = try await Self.fixture()
        let clients = try (0..<30).map { number in
            LiveClient(
                fixture.engine,
                try LiveAsk.joining(
                    fixture.engine, ["$match": ["b": ["$gte": .int32(number)]]], LiveAsk.lookup))
        }
        for client in clients { #expect(try await client.settles(fixture)) }
        let gate = Gate(fixture.engine)
        defer { gate.open() }
        try await fixture.insert(Self.names, [["_id": 100, "a": 1, "b": 100]])
        while gate.held == 0 { try await Task.sleep(for: .milliseconds(1)) }
        for _ in 0..<20 {
            await withCheckedContinuation { continuation in
                fixture.engine.readerPool.submit { _ in continuation.resume() }
            }
        }
        #expect(gate.heldMost == 1)
        gate.open()
        for client in clients { #expect(try await client.settles(fixture)) }
        for client in clients { client.cursor.kill() }
    }

    /// A window whose tail runs short shows what is there: who joins then has the token of just that.
    @Test func aLateClientsTokenIsThatOfItsRows() async throws {
        let fixture = try await Self.fixture()
        let request = try LiveAsk.find([:], sort: ["b": 1], limit: 4)
        let first = LiveClient(fixture.engine, request)
        #expect(try await first.settles(fixture))
        while fixture.engine.live.isRefreshing { try await Task.sleep(for: .milliseconds(1)) }
        let gate = Gate(fixture.engine)
        defer { gate.open() }
        var id: Int32 = 0
        // Not until the gate holds it: a further delete before that would leave the window short.
        while !fixture.engine.live.isRefreshing {
            try await fixture.delete(Self.names, ["_id": .int32(id)])
            #expect(try await first.settles(fixture))
            id += 1
        }
        while gate.held == 0 { try await Task.sleep(for: .milliseconds(1)) }
        let late = LiveClient(fixture.engine, request)
        #expect(try await late.settles(fixture))
        // Applying what does not fit is recorded as an issue.
        late.resume(fixture.engine)
        try late.read(fixture.reader)
        #expect(late.rows.rows == first.rows.rows && late.rows.resets == 0)
        gate.open()
        #expect(try await late.settles(fixture))
        for client in [first, late] { client.cursor.kill() }
    }
}
