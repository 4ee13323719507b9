import BSON
import Foundation
import Query
import Testing

@testable import Roost

/// Reading and writing as app users, through the library.
@Suite struct AccessTests {
    private static let rules = """
        rules_version = '2';
        service cloud.firestore {
          match /databases/{db}/documents {
            function isMember(room) {
              return exists(/databases/$(db)/documents/members/$(room + '-' + request.auth.uid));
            }
            match /notes/{id} {
              allow read: if resource.data.owner == request.auth.uid;
              allow create: if request.resource.data.owner == request.auth.uid;
              allow update: if resource.data.owner == request.auth.uid
                && request.resource.data.owner == resource.data.owner;
              allow delete: if resource.data.owner == request.auth.uid && !resource.data.kept;
            }
            match /rooms/{room} { allow read: if isMember(room); }
            match /users/{uid}/posts/{post} { allow read: if uid == request.auth.uid; }
            match /people/{id} {
              allow read: if request.auth.token.role == 'boss';
              allow read, update: if request.auth != null hide ['salary', 'home.street'];
            }
            match /drop/{id} { allow create, update: if true; }
            match /pairs/{id} {
              allow create: if existsAfter(/databases/$(db)/documents/pairs/$(request.resource.data.other));
            }
          }
        }
        """

    /// A database with the rules, documents and a user.
    private final class Fixture {
        let folder = NSTemporaryDirectory() + "roost-access-\(UUID().uuidString)"
        let database: Database

        init(_ rules: String = AccessTests.rules, filters: Bool = false) throws {
            database = try Database(at: folder)
            let mode = "service cloud.firestore {\n option mode = 'filter';"
            try database.deployRules(
                filters
                    ? rules.replacingOccurrences(of: "service cloud.firestore {", with: mode)
                    : rules)
            let notes = database.collection("app", "notes")
            try notes.insert(contentsOf: [
                ["_id": "a1", "owner": "ann", "kept": false, "n": 1],
                ["_id": "a2", "owner": "ann", "kept": true, "n": 2],
                ["_id": "b1", "owner": "bob", "kept": false, "n": 3],
                ["_id": "x1", "owner": ["ann", "bob"], "n": 4],
            ])
            try database.collection("app", "rooms").insert(contentsOf: [
                ["_id": "r1"], ["_id": "r2"],
            ])
            try database.collection("app", "members").insert(["_id": "r1-ann"])
            try database.collection("app", "users.posts").insert(contentsOf: [
                ["_id": "ann/1", "t": 1], ["_id": "bob/1", "t": 2], ["_id": 7],
            ])
            let people = database.collection("app", "people")
            try people.createIndex(["salary": 1])
            try people.insert(contentsOf: [
                ["_id": 1, "name": "A", "salary": 10, "home": ["street": "s", "city": "c"]],
                ["_id": 2, "name": "B", "salary": 20, "home": ["street": "t", "city": "c"]],
            ])
        }

        deinit {
            database.close()
            try? FileManager.default.removeItem(atPath: folder)
        }

        func collection(
            _ name: String, as uid: String? = "ann", role: String? = nil
        ) -> Collection<Document> {
            let token: Document = role.map { ["role": .string($0)] } ?? [:]
            let auth: Document? = uid.map { ["uid": .string($0), "token": .document(token)] }
            return database.as(.app(AppUser(auth: auth))).collection("app", name)
        }
    }

    private func isDenied(_ body: () throws -> Void) -> Bool {
        do {
            try body()
            return false
        } catch let error as DBError {
            return error.code == .unauthorized
        } catch {
            return false
        }
    }

    @Test func withoutRulesNothingIsAllowed() throws {
        let folder = NSTemporaryDirectory() + "roost-access-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let database = try Database(at: folder)
        defer { database.close() }
        let notes = database.as(.app(.anonymous)).collection("app", "notes")
        #expect(isDenied { _ = try notes.find() })
        #expect(isDenied { _ = try notes.find(["_id": 1]) })
        #expect(isDenied { try notes.insert(["_id": 1]) })
        #expect(database.collectionNames(of: "app").isEmpty)
    }

    @Test func strictQueriesMustSayWhatRulesAsk() throws {
        let fixture = try Fixture()
        let notes = fixture.collection("notes")
        #expect(isDenied { _ = try notes.find() })
        #expect(isDenied { _ = try notes.find(["n": 1]) })
        #expect(isDenied { _ = try notes.find(["owner": "bob"]) })
        #expect(isDenied { _ = try notes.find(["$or": [["owner": "ann"], ["n": 1]]]) })
        #expect(isDenied { _ = try notes.count() })
        // A list that holds the name is no such document to the rules.
        #expect(try notes.find(["owner": "ann"]).map { $0["_id"] } == ["a1", "a2"])
        #expect(
            try notes.find(["$or": [["owner": "ann", "n": 2], ["owner": "ann", "n": 3]]]).count == 1
        )
        #expect(try notes.count(["owner": "ann"]) == 2)
    }

    @Test func filterModeLeavesOut() throws {
        let fixture = try Fixture(filters: true)
        let notes = fixture.collection("notes")
        #expect(try notes.find().map { $0["_id"] } == ["a1", "a2"])
        #expect(try notes.find(sort: ["n": -1], limit: 1).map { $0["_id"] } == ["a2"])
        #expect(try notes.find(skip: 1).map { $0["_id"] } == ["a2"])
        #expect(try notes.count() == 2)
        #expect(try notes.find(["_id": "b1"]).isEmpty)
        #expect(try fixture.collection("notes", as: nil).find().isEmpty)
        #expect(try fixture.collection("rooms").find().map { $0["_id"] } == ["r1"])
        #expect(try fixture.collection("users.posts").find().map { $0["_id"] } == ["ann/1"])
        #expect(try fixture.collection("elsewhere").find().isEmpty)
    }

    @Test func getsAskAboutTheDocument() throws {
        let fixture = try Fixture()
        let notes = fixture.collection("notes")
        #expect(try notes.first(["_id": "a1"])?["n"] == 1)
        #expect(isDenied { _ = try notes.first(["_id": "b1"]) })
        #expect(isDenied { _ = try notes.first(["_id": "b1", "n": 99]) })
        #expect(isDenied { _ = try notes.first(["_id": "none"]) })
        #expect(try fixture.collection("rooms").first(["_id": "r1"]) != nil)
        #expect(isDenied { _ = try fixture.collection("rooms").first(["_id": "r2"]) })
    }

    @Test func writesAskAboutBothStates() throws {
        let fixture = try Fixture()
        let notes = fixture.collection("notes")
        try notes.insert(["_id": "a3", "owner": "ann"])
        #expect(isDenied { try notes.insert(["_id": "b3", "owner": "bob"]) })
        #expect(try notes.update(["_id": "a1"], ["$set": ["n": 9]]).modified == 1)
        #expect(isDenied { try notes.update(["_id": "b1"], ["$set": ["n": 9]]) })
        #expect(isDenied { try notes.update(["_id": "a1"], ["$set": ["owner": "bob"]]) })
        #expect(isDenied { try notes.update([:], ["$set": ["n": 0]], multi: true) })
        #expect(try notes.update(["owner": "ann"], ["$set": ["n": 0]], multi: true).matched == 3)
        #expect(
            isDenied {
                try notes.update(["_id": "new"], ["$set": ["owner": "bob"]], upsert: true)
            })
        try notes.update(["_id": "new"], ["$set": ["owner": "ann"]], upsert: true)
        #expect(isDenied { try notes.delete(["_id": "a2"]) })
        #expect(isDenied { try notes.delete(["_id": "b1"]) })
        #expect(try notes.delete(["_id": "a1"]) == 1)
        let all = try fixture.database.collection("app", "notes").find()
        #expect(Set(all.map { $0["_id"] }) == ["a2", "b1", "x1", "a3", "new"])
        #expect(all.first { $0["_id"] == "b1" }?["n"] == 3)
    }

    @Test(arguments: [false, true]) func hiddenFieldsAreGone(filters: Bool) throws {
        let fixture = try Fixture(filters: filters)
        let people = fixture.collection("people")
        let found = try people.find()
        #expect(found.count == 2)
        #expect(found.allSatisfy { $0["salary"] == nil && $0["name"] != nil })
        #expect(found[0]["home"] == ["city": "c"])
        #expect(try people.find(["salary": 10]).isEmpty)
        #expect(try people.find(["salary": ["$gt": 5]]).isEmpty)
        #expect(try people.find(["salary": .null]).count == 2)
        #expect(try people.count(["salary": ["$exists": true]]) == 0)
        #expect(try people.count() == 2)
        #expect(try people.find(sort: ["salary": -1]).map { $0["_id"] } == [1, 2])
        #expect(try people.find(["_id": 1, "salary": 10]).isEmpty)
        #expect(try people.update(["salary": 10], ["$set": ["name": "X"]]).matched == 0)
        #expect(isDenied { try people.update(["_id": 1], ["$set": ["salary": 10]]) })
        #expect(isDenied { try people.update(["_id": 1], ["$inc": ["salary": 1]]) })
        let boss = fixture.collection("people", role: "boss")
        #expect(try boss.find(["salary": 10]).first?["salary"] == 10)
    }

    @Test func writesTellNothingOfWhatCannotBeRead() throws {
        let fixture = try Fixture()
        let drop = fixture.collection("drop")
        try drop.insert(["_id": 1, "secret": 5])
        #expect(isDenied { _ = try drop.find(["_id": 1]) })
        // The same value and another one look alike.
        #expect(try drop.update(["_id": 1], ["$set": ["secret": 5]]).modified == 1)
        #expect(try drop.update(["_id": 1], ["$set": ["secret": 6]]).modified == 1)
        #expect(try drop.update(["_id": 1, "secret": 6], ["$set": ["x": 1]]).matched == 0)
        do {
            try drop.insert(["_id": 1])
            Issue.record("two documents of one _id")
        } catch let error as DBError {
            #expect(error.code == .duplicateKey && !error.message.contains("drop"))
        }
    }

    @Test func rulesAreKeptAndRolledBack() throws {
        let fixture = try Fixture()
        let engine = fixture.database.engine
        let notes = fixture.collection("notes")
        #expect(throws: DBError.self) { try fixture.database.deployRules("service {") }
        #expect(try notes.find(["owner": "ann"]).count == 2)
        try fixture.database.deployRules("service cloud.firestore {}")
        #expect(engine.rules.version == 2)
        #expect(isDenied { _ = try notes.find(["owner": "ann"]) })
        #expect(try engine.rollBackRules(to: 1, by: "test") == 3)
        #expect(try notes.find(["owner": "ann"]).count == 2)
    }

    @Test func aCursorEndsWithItsRules() throws {
        let fixture = try Fixture()
        let engine = fixture.database.engine
        let filter: Document = ["owner": "ann"]
        var request = FindRequest(
            Namespace("app", "notes"), filter: try Filter.parse(filter.view))
        request.access = try engine.access(of: .app(AppUser(auth: ["uid": "ann", "token": [:]])))
        let cursor = try engine.openCursor(request)
        try fixture.database.withReader { reader throws(DBError) in
            var sink = NoSink()
            _ = try cursor.advanceFully(reader, documentsMax: 1, into: &sink)
            try fixture.database.deployRules(Self.rules)
            #expect(
                isDenied {
                    while try cursor.advanceFully(reader, documentsMax: 1, into: &sink)
                        != .exhausted
                    {}
                })
        }
    }

    @Test func denialsExplainThemselves() throws {
        let fixture = try Fixture()
        do {
            _ = try fixture.collection("notes").first(["_id": "b1"])
            Issue.record("not denied")
        } catch let error as DBError {
            let id = try #require(error.message.firstMatch(of: /denial ([0-9a-f]{24})/)?.1)
            #expect(!error.message.contains("owner"))
            let reason = try #require(fixture.database.reason(ofDenial: String(id)))
            #expect(reason.contains("get /databases/app/documents/notes/b1"))
            #expect(reason.contains("app.rules:8"))
            #expect(reason.contains("resource.data.owner == request.auth.uid"))
        }
    }

    @Test func tokensEnd() throws {
        let fixture = try Fixture()
        let user = AppUser(auth: ["uid": "ann", "token": [:]], expiresAtMillis: 1)
        let notes = fixture.database.as(.app(user)).collection("app", "notes")
        #expect(isDenied { _ = try notes.find(["owner": "ann"]) })
    }
}
