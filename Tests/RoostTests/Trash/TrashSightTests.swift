import BSON
import Foundation
import Query
import Testing

@testable import Roost

/// What ends by age, and what app users see, of documents in each place that they can be in.
@Suite struct TrashSightTests {
    /// Live, deleted, restored, purged, and deleted with another inserted under its `_id`.
    private static let live: Set<Int32> = [1, 3, 5]
    private static let all: [Int32] = [1, 2, 3, 4, 5]

    @Test func whatIsDeletedDoesNotExpire() async throws {
        let names = Namespace("test", "kept")
        let fixture = try ReadFixture { $0.tidiesUp = false }
        try await fixture.create(names, ["softDelete": [:]])
        try await fixture.createIndex(
            names, ["key": ["at": 1], "name": "at", "expireAfterSeconds": 10])
        try await fixture.insert(names, Self.all.map { ["_id": .int32($0), "at": .date(0)] })
        try await fixture.delete(names, ["_id": ["$gte": 2]])
        try await fixture.trash(.restore, names, ["_id": 3])
        try await fixture.trash(.purge, names, ["_id": 4])
        try await fixture.insert(names, [["_id": 5, "at": .date(1), "new": true]])
        #expect(fixture.engine.deleteExpired(at: 20_000) == Int64(Self.live.count))
        #expect(try fixture.count(.live, names) == 0)
        let deleted = try fixture.find(.onlyDeleted, names)
        #expect(deleted.compactMap { $0["_id"] } == [1, 2, 3, 5])
        // The newest of those under an `_id`.
        #expect(deleted.last?["new"] == true)
        #expect(
            try fixture.changes(names).suffix(3) == [
                "delete 1 soft", "delete 3 soft", "delete 5 soft",
            ])
        #expect(fixture.engine.deleteExpired(at: 30_000) == 0)
        #expect(try fixture.engine.verify(names).faults.isEmpty)
    }

    private static let rules = """
        rules_version = '2';
        service cloud.firestore {
          option mode = 'filter';
          match /databases/{db}/documents {
            match /kept/{id} { allow read, write: if request.auth != null; }
            match /notes/{id} {
              allow read: if exists(/databases/$(db)/documents/kept/$(string(resource.data.of)));
            }
            match /words/{id} {
              allow read: if get(/databases/$(db)/documents/kept/$(string(resource.data.of)))
                .data.v == 1;
            }
          }
        }
        """

    @Test func rulesSeeLiveOnes() throws {
        let folder = NSTemporaryDirectory() + "roost-trash-sight-\(UUID().uuidString)"
        let database = try Database(at: folder)
        defer {
            database.close()
            try? FileManager.default.removeItem(atPath: folder)
        }
        try database.deployRules(Self.rules)
        let kept = database.collection("app", "kept")
        try kept.keepDeleted()
        try kept.createIndex(["u": 1], unique: true)
        try kept.insert(
            contentsOf: Self.all.map { ["_id": .int32($0), "v": 1, "u": .int32($0)] as Document })
        for name in ["notes", "words"] {
            try database.collection("app", name).insert(
                contentsOf: Self.all.map { ["_id": .int32($0), "of": .int32($0)] as Document })
        }
        try kept.delete(["_id": ["$gte": 2]])
        try kept.restore(["_id": 3])
        try kept.purge(["_id": 4])
        try kept.insert(["_id": 5, "v": 1, "u": 5])

        let user = database.as(.app(AppUser(auth: ["uid": "ann", "token": [:]])))
        func ids(_ collection: String, _ filter: Document = [:]) throws -> Set<Int32> {
            let found = try user.collection("app", collection).find(filter)
            return Set(
                found.compactMap { if case .int32(let id)? = $0["_id"] { id } else { nil } })
        }
        for collection in ["kept", "notes", "words"] {
            #expect(try ids(collection) == Self.live, "\(collection)")
            #expect(try user.collection("app", collection).count() == 3, "\(collection)")
            for id in Self.all {
                let wanted: Set<Int32> = Self.live.contains(id) ? [id] : []
                #expect(try ids(collection, ["_id": .int32(id)]) == wanted, "\(collection) \(id)")
            }
        }
        for id in Self.all {
            let mine = user.collection("app", "kept")
            let isLive = Self.live.contains(id)
            #expect(
                try mine.update(["_id": .int32(id)], ["$set": ["x": 1]]).matched == (isLive ? 1 : 0)
            )
            #expect(try mine.delete(["u": .int32(id)]) == (isLive ? 1 : 0))
        }
        #expect(try ids("kept").isEmpty && ids("notes").isEmpty && ids("words").isEmpty)
        try kept.restore(["_id": 2])
        #expect(try ids("notes") == [2])
    }

    /// Who may read by a document's leave sees nothing from when it is deleted to when it is back.
    @Test func liveQueriesFollowWhatTheirRulesLookUp() throws {
        let condition = LiveAccessTests.Kind.membership.condition
        let fixture = try LiveAccessTests.Fixture(LiveAccessTests.rules(condition))
        let members = fixture.database.collection("app", "members")
        try members.keepDeleted()
        try fixture.notes.insert(fixture.note(1, "one"))
        try members.insert(["_id": "r1-ann"])
        let client = try fixture.follow()
        func sees() throws -> Bool {
            try fixture.catchUp(client)
            return client.rows.rows.count == 1
        }
        #expect(try sees())
        for _ in 0..<2 {
            try members.delete(["_id": "r1-ann"])
            #expect(try !sees())
            try members.restore(["_id": "r1-ann"])
            #expect(try sees())
        }
        try members.delete([:])
        try members.purge([:])
        #expect(try !sees())
        #expect(client.rows.resets == 0)
        client.cursor.kill()
    }
}
