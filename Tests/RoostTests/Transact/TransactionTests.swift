import BSON
import Query
import Testing
import TestSupport

@testable import Roost

/// Transactions side by side, against a model that knows snapshots, write sets and claims.
@Suite(.serialized) struct TransactionTests {
    private static let namespace = Namespace("test", "accounts")

    /// A document: `_id` to (v, u), u being unique where it is there.
    private struct Row: Equatable {
        var v: Int32
        var u: Int32?

        func document(_ id: Int32) -> Document {
            Document { writer in
                writer.append("_id", id)
                writer.append("v", v)
                if let u { writer.append("u", u) }
            }
        }
    }

    private typealias Rows = [Int32: Row]

    private struct Open {
        let transaction: Transaction
        let snapshot: Rows
        var rows: Rows
        var written: Set<Int32> = []
        /// The values of `u` that it put or removed.
        var claimed: Set<Int32> = []
    }

    fileprivate enum Outcome: Equatable {
        case done, duplicate, conflict
    }

    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func everyOutcomeIsTheModels(seed: UInt64) async throws {
        let fixture = try ReadFixture()
        try await fixture.create(Self.namespace, [:])
        try await fixture.createIndex(
            Self.namespace, ["key": ["u": 1], "name": "u", "unique": true, "sparse": true])
        var random = RandomSource(seed: seed)
        var committed: Rows = [:]
        var open: [Open] = []
        for step in 0..<400 {
            let choice = random.below(10)
            if open.count < 3, choice < 2 {
                open.append(
                    Open(
                        transaction: try fixture.engine.beginTransaction(), snapshot: committed,
                        rows: committed))
            } else if open.isEmpty || choice == 2 {
                // Outside of transactions.
                let id = Int32(random.below(8))
                let v = Int32(random.below(1_000))
                let plain = try fixture.begin(
                    Self.namespace,
                    [["q": ["_id": .int32(id)], "u": ["$set": ["v": .int32(v)]], "upsert": true]])
                // A write to what a transaction claims waits for its end.
                if let place = open.firstIndex(where: { $0.written.contains(id) }) {
                    while fixture.engine.intents.waitingCount == 0 { await Task.yield() }
                    let ended = open.remove(at: place)
                    if random.oneIn(2) {
                        let expected = Self.commit(ended, &committed)
                        #expect(try await commit(ended.transaction) == expected)
                    } else {
                        ended.transaction.abort()
                    }
                }
                #expect(await plain.value == nil)
                committed[id, default: Row(v: v)].v = v
            } else {
                let place = random.below(open.count)
                if choice == 3 {
                    let ended = open.remove(at: place)
                    let expected = Self.commit(ended, &committed)
                    #expect(
                        try await commit(ended.transaction) == expected, "step \(step) of \(seed)")
                } else if choice == 4 {
                    open.remove(at: place).transaction.abort()
                } else {
                    let (outcome, expected) = try await write(
                        &open, place, committed, fixture, &random)
                    #expect(outcome == expected, "step \(step) of \(seed)")
                    if expected != .done { open.remove(at: place) }
                }
            }
            for one in open {
                #expect(try find(fixture, one.transaction.view) == one.rows, "step \(step)")
            }
            #expect(try find(fixture, nil) == committed, "step \(step) of \(seed)")
        }
        for one in open { one.transaction.abort() }
        let report = try fixture.engine.verify()
        #expect(report.faults.isEmpty)
    }

    // MARK: The model

    private static func holders(of u: Int32, _ rows: Rows) -> Set<Int32> {
        Set(rows.filter { $0.value.u == u }.keys)
    }

    private static func commit(_ open: Open, _ committed: inout Rows) -> Outcome {
        for id in open.written where committed[id] != open.snapshot[id] { return .conflict }
        var result = committed
        for id in open.written { result[id] = open.rows[id] }
        let values = result.values.compactMap(\.u)
        if Set(values).count < values.count { return .conflict }
        committed = result
        return .done
    }

    private func write(
        _ open: inout [Open], _ place: Int, _ committed: Rows, _ fixture: ReadFixture,
        _ random: inout RandomSource
    ) async throws -> (Outcome, Outcome) {
        let id = Int32(random.below(8))
        let old = open[place].rows[id]
        var new = old
        let statement: Document
        switch random.below(4) {
        case 0:
            new = Row(
                v: Int32(random.below(1_000)),
                u: random.below(2) == 0 ? nil : Int32(random.below(6)))
            statement = ["insert": .document(new?.document(id) ?? [:])]
        case 1:
            new = nil
            statement = ["delete": ["_id": .int32(id)]]
        case 2:
            let u = Int32(random.below(6))
            new?.u = u
            statement = ["id": .int32(id), "update": ["$set": ["u": .int32(u)]]]
        default:
            let v = Int32(random.below(1_000))
            new?.v = v
            statement = ["id": .int32(id), "update": ["$set": ["v": .int32(v)]]]
        }
        let outcome = try await write(statement, open[place].transaction, fixture)
        if statement["insert"] != nil, old != nil { return (outcome, .duplicate) }
        // An update that changes nothing belongs to the write set too.
        if old == nil, new == nil { return (outcome, .done) }
        if let u = new?.u, open[place].rows.contains(where: { $0.key != id && $0.value.u == u }) {
            return (outcome, .duplicate)
        }
        let isIntended = open.indices.contains { $0 != place && open[$0].written.contains(id) }
        if !open[place].written.contains(id),
            isIntended || committed[id] != open[place].snapshot[id]
        {
            return (outcome, .conflict)
        }
        if old?.u != new?.u {
            for u in [old?.u, new?.u].compactMap(\.self)
            where !open[place].claimed.contains(u) {
                let isClaimed = open.indices.contains {
                    $0 != place && open[$0].claimed.contains(u)
                }
                let snapshot = open[place].snapshot
                if isClaimed || Self.holders(of: u, committed) != Self.holders(of: u, snapshot) {
                    return (outcome, .conflict)
                }
                open[place].claimed.insert(u)
            }
        }
        open[place].rows[id] = new
        open[place].written.insert(id)
        return (outcome, .done)
    }

    // MARK: The engine

    private func commit(_ transaction: Transaction) async throws -> Outcome {
        let retry = RetryIdentity(session: [UInt8](repeating: 1, count: 16), number: 1)
        return try await withCheckedContinuation { continuation in
            transaction.commit(retry) { continuation.resume(returning: $0) }
        }.outcome()
    }

    private func write(
        _ statement: Document, _ transaction: Transaction, _ fixture: ReadFixture
    ) async throws -> Outcome {
        var request = WriteRequest(Self.namespace, time: fixture.engine.writeTime)
        request.transaction = transaction
        if let document = statement.view.value("insert")?.document {
            try request.insert(document)
        } else if let filter = statement.view.value("delete")?.document {
            let given = Document(copying: filter)
            let target = WriteTarget(
                filter: try ReadFixture.filter(given), filterDocument: given)
            request.statements.append(.delete(DeleteStatement(target: target, isMulti: false)))
        } else if let change = statement.view.value("update"), let id = statement["id"] {
            let filter = Document { $0.append("_id", id) }
            let target = WriteTarget(
                filter: try ReadFixture.filter(filter), filterDocument: filter)
            request.statements.append(
                .update(
                    UpdateStatement(
                        target: target, update: try Update.parse(change), isMulti: false,
                        isUpsert: false)))
        }
        let result = await withCheckedContinuation { continuation in
            fixture.engine.write(request) { continuation.resume(returning: $0) }
        }
        return try result.flatMap { outcome in
            outcome.results.lazy.compactMap(\.error).first.map { .failure($0) } ?? .success(())
        }.outcome()
    }

    /// All documents: by a scan, and those with `u` by the index.
    private func find(_ fixture: ReadFixture, _ view: ReadView?) throws -> Rows {
        var request = try fixture.request(Self.namespace)
        request.view = view
        let rows = Self.rows(try fixture.find(request, slice: 3))
        var indexed = try fixture.request(
            Self.namespace, ["u": ["$gte": 0]], hint: .string("u"))
        indexed.view = view
        #expect(Self.rows(try fixture.find(indexed)) == rows.filter { $0.value.u != nil })
        return rows
    }

    private static func rows(_ documents: [Document]) -> Rows {
        var rows: Rows = [:]
        for document in documents {
            guard let id = document.view.value("_id")?.int32,
                let v = document.view.value("v")?.int32
            else { continue }
            rows[id] = Row(v: v, u: document.view.value("u")?.int32)
        }
        return rows
    }
}

extension Result<Void, DBError> {
    /// What became of it, as far as the model knows it.
    fileprivate func outcome() throws -> TransactionTests.Outcome {
        switch self {
        case .success: .done
        case .failure(let error) where error.code == .duplicateKey: .duplicate
        case .failure(let error) where error.code == .writeConflict: .conflict
        case .failure(let error): throw error
        }
    }
}
