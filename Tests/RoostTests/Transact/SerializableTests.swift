import BSON
import Query
import TestSupport
import Testing

@testable import Roost

/// Serializable transactions: those that commit have read and written as if each had run alone, in
/// the order of their commits.
@Suite struct SerializableTests {
    private static let namespace = Namespace("test", "serial")

    /// Two doctors on call may each leave as long as the other one stays.
    @Test(arguments: [false, true])
    func writeSkew(isSerializable: Bool) async throws {
        let fixture = try ReadFixture()
        try await fixture.insert(
            Self.namespace, [["_id": 1, "onCall": true], ["_id": 2, "onCall": true]])
        var transactions: [Transaction] = []
        for _ in 0..<2 {
            transactions.append(
                try fixture.engine.beginTransaction(isSerializable: isSerializable))
        }
        for (place, transaction) in transactions.enumerated() {
            let onCall = try fixture.find(Self.namespace, ["onCall": true], in: transaction)
            #expect(onCall.count == 2)
            let id = Value.int32(Int32(place) + 1)
            #expect(
                try await fixture.write(
                    Self.namespace, [["q": ["_id": id], "u": ["$set": ["onCall": false]]]],
                    in: transaction) == nil)
        }
        #expect(await fixture.commit(transactions[0]) == nil)
        #expect(await fixture.commit(transactions[1]) == (isSerializable ? .writeConflict : nil))
        #expect(try fixture.count(Self.namespace, ["onCall": true]) == (isSerializable ? 1 : 0))
    }

    /// What happened between snapshot and commit, and whether the transaction read it. It read the
    /// documents with `n` above 10, and the one whose `_id` is 5.
    static let interferences: [(name: String, forms: [Document], isConflict: Bool)] = [
        ("insert of a match", [["insert": ["_id": 7, "n": 11]]], true),
        ("insert of no match", [["insert": ["_id": 7, "n": 1]]], false),
        ("update into the match", [["q": ["_id": 1], "u": ["$set": ["n": 12]]]], true),
        ("update out of the match", [["q": ["_id": 2], "u": ["$set": ["n": 2]]]], true),
        ("update beside it", [["q": ["_id": 1], "u": ["$set": ["n": 2]]]], false),
        ("delete of a match", [["delete": ["_id": 2]]], true),
        ("delete of no match", [["delete": ["_id": 1]]], false),
        ("a document that was looked for", [["insert": ["_id": 5, "n": 0]]], true),
        (
            "there and back",
            [
                ["q": ["_id": 2], "u": ["$set": ["n": 2]]],
                ["q": ["_id": 2], "u": ["$set": ["n": 20]]],
            ], false
        ),
        ("many changes beside it", (100..<300).map { ["insert": ["_id": .int32($0)]] }, false),
    ]

    @Test(arguments: interferences.indices)
    func readsAreChecked(index: Int) async throws {
        let (name, forms, isConflict) = Self.interferences[index]
        let fixture = try ReadFixture()
        try await fixture.insert(
            Self.namespace, [["_id": 1, "n": 1], ["_id": 2, "n": 20], ["_id": 3, "n": 3]])
        let transaction = try fixture.engine.beginTransaction(isSerializable: true)
        #expect(
            try fixture.find(Self.namespace, ["n": ["$gt": 10]], in: transaction).count == 1)
        try await fixture.write(
            Self.namespace,
            [
                ["q": ["_id": 5], "u": ["$set": ["n": 1]]],
                ["q": ["_id": 3], "u": ["$set": ["x": 1]]],
            ],
            in: transaction)
        for form in forms { try await fixture.write(Self.namespace, [form]) }
        #expect(
            await fixture.commit(transaction) == (isConflict ? .writeConflict : nil), "\(name)")
    }

    @Test func aDroppedCollectionIsAConflict() async throws {
        let fixture = try ReadFixture()
        let other = Namespace("test", "other")
        try await fixture.insert(Self.namespace, [["_id": 1]])
        try await fixture.insert(other, [["_id": 1]])
        let transaction = try fixture.engine.beginTransaction(isSerializable: true)
        #expect(try fixture.find(other, in: transaction).count == 1)
        try await fixture.write(Self.namespace, [["insert": ["_id": 2]]], in: transaction)
        try await fixture.drop(other)
        #expect(await fixture.commit(transaction) == .writeConflict)
    }

    /// Random transactions read by ranges and write what depends on what they read. Those that
    /// commit are run again one after another, and must read the same.
    @Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
    func commitsAreInOrder(seed: UInt64) async throws {
        let fixture = try ReadFixture()
        try await fixture.createIndex(Self.namespace, ["key": ["n": 1], "name": "n"])
        var random = RandomSource(seed: seed)
        var state: [Int32: Int32] = [:]
        var open: [History] = []
        var commits = 0
        for _ in 0..<400 {
            if open.count < 4, random.oneIn(4) || open.isEmpty {
                open.append(
                    History(try fixture.engine.beginTransaction(isSerializable: true)))
            } else if random.oneIn(4) {
                let ended = open.remove(at: random.below(open.count))
                guard await fixture.commit(ended.transaction) == nil else { continue }
                // Read-only ones are in order at their snapshot.
                guard ended.steps.contains(where: \.isWrite) else { continue }
                commits += 1
                for step in ended.steps { step.replay(&state, "seed \(seed)") }
                #expect(try state == Self.state(fixture), "seed \(seed)")
            } else {
                let place = random.below(open.count)
                if try await !open[place].go(fixture, Self.namespace, &random) {
                    open.remove(at: place)
                }
            }
        }
        for one in open { one.transaction.abort() }
        #expect(commits > 10)
    }

    private static func state(_ fixture: ReadFixture) throws -> [Int32: Int32] {
        try pairs(fixture.find(namespace, in: nil))
    }

    private static func pairs(_ documents: [Document]) -> [Int32: Int32] {
        documents.reduce(into: [:]) { pairs, document in
            guard let id = document.view.value("_id")?.int32,
                let n = document.view.value("n")?.int32
            else { return }
            pairs[id] = n
        }
    }

    /// What one transaction did.
    private struct History {
        /// A read with what it found, or a write.
        enum Step {
            case read(ClosedRange<Int32>, found: [Int32: Int32])
            case write(Int32, Int32?)

            var isWrite: Bool { if case .write = self { true } else { false } }

            func replay(_ state: inout [Int32: Int32], _ comment: Comment) {
                switch self {
                case .write(let id, let n): state[id] = n
                case .read(let range, let found):
                    #expect(state.filter { range.contains($0.value) } == found, comment)
                }
            }
        }

        let transaction: Transaction
        var steps: [Step] = []

        init(_ transaction: Transaction) {
            self.transaction = transaction
        }

        /// Reads or writes; false where the transaction has ended by a conflict.
        mutating func go(
            _ fixture: ReadFixture, _ namespace: Namespace, _ random: inout RandomSource
        ) async throws -> Bool {
            if random.oneIn(2) {
                let low = Int32(random.below(40))
                let range = low...low + Int32(random.below(8))
                let filter: Document = [
                    "n": ["$gte": .int32(range.lowerBound), "$lte": .int32(range.upperBound)]
                ]
                let found = try fixture.find(namespace, filter, in: transaction)
                steps.append(.read(range, found: SerializableTests.pairs(found)))
                return true
            }
            let id = Int32(random.below(30))
            let n = random.oneIn(5) ? nil : Int32(random.below(48))
            let change: Document =
                n.map { ["$set": ["n": .int32($0)]] } ?? ["$unset": ["n": ""]]
            let form: Document = [
                "q": ["_id": .int32(id)], "u": .document(change), "upsert": true,
            ]
            guard try await fixture.write(namespace, [form], in: transaction) == nil else {
                return false
            }
            steps.append(.write(id, n))
            return true
        }
    }
}
