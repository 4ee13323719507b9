import BSON
import Query
import Storage
import Testing

@testable import Roost

/// What `roost verify` finds wrong in the trash.
@Suite struct TrashCheckTests {
    private static let names = Namespace("test", "kept")

    /// A way to hurt the record of the document 1, whose key is given.
    struct Harm: Sendable, CustomTestStringConvertible {
        let testDescription: String
        /// Part of what is said of it.
        let fault: String
        let run: @Sendable (TrashID, [UInt8], inout WriteTransaction) throws -> Void
    }

    private static func record(_ id: Int32) -> [UInt8] {
        var writer = DocumentWriter()
        TrashRecord.append(at: 5, (["_id": .int32(id)] as Document).bytes, to: &writer)
        return writer.take()
    }

    static let harms: [Harm] = [
        Harm(testDescription: "no age", fault: "not known by its age") { id, key, transaction in
            var value: [UInt8] = []
            let record = TrashKey.record(id, key.span.bytes)
            _ = try transaction.copyValue(.trash, record.span.bytes, into: &value)
            let millis = try TrashRecord(value.span.bytes).millis
            let age = TrashKey.age(id, millis, key.span.bytes)
            _ = try transaction.delete(.trash, key: age.span.bytes)
        },
        Harm(testDescription: "an age too many", fault: "not its document's") {
            id, key, transaction in
            let age = TrashKey.age(id, 7, key.span.bytes)
            try transaction.put(.trash, key: age.span.bytes, value: RawSpan())
        },
        Harm(testDescription: "no totals", fault: "0 of 0 are counted") { id, _, transaction in
            let totals = TrashKey.entry(.totals, id)
            _ = try transaction.delete(.trash, key: totals.span.bytes)
        },
        Harm(testDescription: "no collection", fault: "a collection that is not there") {
            _, key, transaction in
            let value = record(1)
            try TrashTable.put(
                TrashID(rawValue: 9_999), key.span.bytes, at: 5, value.span.bytes, &transaction)
        },
        Harm(testDescription: "another key", fault: "lies under another key") {
            id, key, transaction in
            let value = record(2)
            try TrashTable.put(id, key.span.bytes, at: 5, value.span.bytes, &transaction)
        },
        Harm(testDescription: "no record", fault: "a record of the trash is damaged") {
            id, key, transaction in
            let record = TrashKey.record(id, key.span.bytes)
            try transaction.put(.trash, key: record.span.bytes, value: [1, 2, 3].span.bytes)
        },
        Harm(testDescription: "no key", fault: "makes no sense") { _, _, transaction in
            try transaction.put(.trash, key: [0xFF, 1].span.bytes, value: RawSpan())
        },
    ]

    @Test(arguments: harms)
    func isFound(_ harm: Harm) async throws {
        let fixture = try ReadFixture { $0.tidiesUp = false }
        try await fixture.create(Self.names, ["softDelete": [:]])
        try await fixture.insert(Self.names, [["_id": 1]])
        try await fixture.delete(Self.names, [:])
        #expect(try fixture.engine.verify().faults.isEmpty)
        let entry = try #require(fixture.engine.collection(Self.names))
        var key = KeyEncoder()
        _ = RecordKey.encode(OwnedValue(.int32(1)).view, nil, into: &key)
        let (id, bytes) = (entry.trash, key.bytes)
        try fixture.engine.submitAndWait { transaction in try harm.run(id, bytes, &transaction) }
        let faults = try fixture.engine.verify().faults
        #expect(
            faults.contains { "\($0)".lowercased().contains(harm.fault.lowercased()) },
            "\(faults)")
    }
}
