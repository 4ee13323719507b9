import BSON
import Foundation
import Testing

@testable import Roost

/// Ways around the rules through the library, as Tests/EndToEnd/rules_adversary.py tries them over
/// the network: each must end without a secret in an answer or error, and without a change.
@Suite struct InProcessWaysTests {
    struct Way: Sendable, CustomTestStringConvertible {
        let name: String
        /// What the attacker gets to see.
        let attempt: @Sendable (DatabaseSession) throws -> String
        var testDescription: String { name }
    }

    private static func find(
        _ name: String, _ filter: Document = [:], in collection: String = "notes",
        sort: Document? = nil, skip: Int = 0, limit: Int = 0, scope: ReadScope = .live
    ) -> Way {
        Way(name: "find \(name)") { session in
            try session.collection("app", collection).find(
                filter, sort: sort, skip: skip, limit: limit, scope: scope
            ).map { "\($0)" }.joined()
        }
    }

    /// A count that may be at most one: the attacker has one note.
    private static func count(
        _ name: String, _ filter: Document = [:], in collection: String = "notes", most: Int = 0,
        scope: ReadScope = .live
    ) -> Way {
        Way(name: "count \(name)") { session in
            let count = try session.collection("app", collection).count(filter, scope: scope)
            return count > most ? "SECRET: \(count) counted" : ""
        }
    }

    private static func write(
        _ name: String, in collection: String = "notes",
        _ body: @escaping @Sendable (Collection<Document>) throws -> Void
    ) -> Way {
        Way(name: name) { session in
            try body(session.collection("app", collection))
            return ""
        }
    }

    private static func update(
        _ name: String, in collection: String = "notes", _ filter: Document, _ change: Document,
        multi: Bool = false, upsert: Bool = false, mayMatch: Bool = true
    ) -> Way {
        Way(name: "update \(name)") { session in
            let result = try session.collection("app", collection).update(
                filter, change, multi: multi, upsert: upsert)
            return !mayMatch && result.matched > 0 ? "SECRET: matched" : ""
        }
    }

    private static let reads: [Way] = [
        find("all"), find("the victim's", ["owner": "victim"]), find("by _id", ["_id": "v1"]),
        find("by _id and a guess", ["_id": "v1", "text": ["$regex": "^S"]]),
        find("by $expr", ["$expr": ["$eq": ["$owner", "victim"]]]),
        find("mine or all", ["$or": [["owner": "me"], [:]]]),
        find("none of mine", ["$nor": [["owner": "me"]]]),
        find("not mine", ["owner": ["$ne": "me"]]),
        find("both owners", ["owner": ["$in": ["me", "victim"]]]),
        find("by an element", ["owner": ["$elemMatch": ["$eq": "victim"]]]),
        find("by type", ["owner": ["$type": "array"]]),
        find("by a range of _id", ["_id": ["$gte": "v"]]),
        find("by an indexed range", ["text": ["$gt": "R"]]),
        find("the last", sort: ["text": -1], limit: 1),
        find("behind the first", sort: ["text": 1], skip: 1),
        find("in natural order", sort: ["$natural": -1]),
        find("by an error", ["$expr": ["$eq": [["$toInt": "$text"], 1]]]),
        find(
            "by a division", ["$expr": ["$divide": [1, ["$subtract": ["$salary", 4242]]]]],
            in: "people"),
        find("by a schema", ["$jsonSchema": ["required": ["text"]]]),
        find("deleted", scope: .onlyDeleted), find("with deleted", scope: .withDeleted),
        find("hidden by value", ["salary": ["$gt": 100]], in: "people"),
        find("hidden by existence", ["salary": ["$exists": true]], in: "people"),
        find("hidden within", ["inner.pin": ["$gt": 100]], in: "people"),
        find("hidden by order", in: "people", sort: ["salary": -1], limit: 1),
        find(
            "hidden by a regular expression", ["name": "one", "salary": ["$mod": [2, 0]]],
            in: "people"),
        find("unreadable", in: "box"), find("unreadable by _id", ["_id": 1], in: "box"),
        find("without rules", in: "vault"),
        find("without rules by _id", ["_id": 1], in: "vault"),
        find("another's files", in: "users.files"),
        find("another's file", ["_id": "victim/1"], in: "users.files"),
        count("the victim's", ["owner": "victim"]), count("all", most: 1),
        count("by _id", ["_id": "v1"]), count("a guess", ["text": ["$regex": "^S"]]),
        count("hidden", ["salary": ["$gt": 100]], in: "people"),
        count("without rules", in: "vault"), count("unreadable", in: "box"),
        count("deleted", scope: .withDeleted),
    ]

    private static let writes: [Way] = [
        update("by _id", ["_id": "v1"], ["$set": ["text": "x"]]),
        update("by owner", ["owner": "victim"], ["$set": ["owner": "me"]], multi: true),
        update("all", [:], ["$set": ["owner": "me"]], multi: true),
        update("by replacement", ["_id": "v1"], ["owner": "me"]),
        update("by upsert", ["_id": "v1", "owner": "me"], ["$set": ["text": "x"]], upsert: true),
        update("that gives away", ["_id": "m1"], ["$set": ["owner": "victim"]]),
        update("of a hidden field", in: "people", ["_id": 1], ["$set": ["salary": 5]]),
        update(
            "that renames a hidden field", in: "people", ["_id": 1],
            ["$rename": ["salary": "shown"]]),
        update(
            "by a hidden field", in: "people", ["salary": 4242], ["$set": ["name": "one"]],
            mayMatch: false),
        update(
            "by an unreadable field", in: "box", ["_id": 1, "text": ["$gt": "S"]],
            ["$set": ["a": 1]], mayMatch: false),
        update("that fails", ["_id": "v1"], ["$inc": ["text": 1]]),
        write("insert as the victim") { try $0.insert(["_id": "n", "owner": "victim"]) },
        write("insert over the victim's") { try $0.insert(["_id": "v1", "owner": "me"]) },
        write("insert where no rules are", in: "vault") { try $0.insert(["_id": 2]) },
        write("insert a unique hidden value", in: "people") {
            try $0.insert(["_id": 9, "salary": 7])
        },
        write("insert among the rules' own") { try $0.insert(["_id": 9]) },
        write("delete by _id") { try $0.delete(["_id": "v1"]) },
        write("delete by owner") { try $0.delete(["owner": "victim"]) },
        write("delete all") { try $0.delete([:]) },
        write("delete by a hidden field", in: "people") { try $0.delete(["salary": 4242]) },
        write("restore") { try $0.restore([:]) }, write("purge") { try $0.purge([:]) },
        write("keep deleted") { try $0.keepDeleted() },
        write("stop keeping deleted") { try $0.stopKeepingDeleted() },
        write("make an index") { try $0.createIndex(["owner": 1], unique: true) },
        write("drop") { try $0.drop() },
    ]

    private static let rules = """
        rules_version = '2';
        service cloud.firestore {
          option mode = 'MODE';
          match /databases/{db}/documents {
            match /notes/{id} {
              allow read, delete: if resource.data.owner == request.auth.uid;
              allow create: if request.resource.data.owner == request.auth.uid;
              allow update: if resource.data.owner == request.auth.uid
                && request.resource.data.owner == request.auth.uid;
            }
            match /people/{id} {
              allow read, update: if request.auth != null hide ['salary', 'inner.pin'];
              allow create: if request.auth != null;
            }
            match /box/{id} { allow create, update: if request.auth != null; }
            match /users/{uid}/files/{id} { allow read: if uid == request.auth.uid; }
          }
        }
        """

    /// What the attacker must not have changed.
    private static func kept(_ database: Database) throws -> String {
        var text = ""
        for name in ["notes", "people", "vault", "users.files"] {
            let documents = try database.collection("app", name).find(sort: ["_id": 1])
            text += documents.filter { $0["owner"] != "me" }.map { "\($0)" }.joined(separator: " ")
        }
        return text
    }

    @Test(arguments: ["strict", "filter"])
    func noWayWorks(_ mode: String) throws {
        let folder = NSTemporaryDirectory() + "roost-ways-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var options = EngineOptions()
        options.durability = .relaxed
        let database = try Database(at: folder, options: options)
        defer { database.close() }
        try database.deployRules(Self.rules.replacingOccurrences(of: "MODE", with: mode))
        let notes = database.collection("app", "notes")
        try notes.keepDeleted()
        try notes.insert(contentsOf: [
            ["_id": "m1", "owner": "me", "text": "mine", "friend": "victim"],
            ["_id": "v1", "owner": "victim", "text": "SECRET", "n": 4242],
            ["_id": "v2", "owner": ["me", "victim"], "text": "SECRET"],
            ["_id": "d1", "owner": "me", "text": "SECRET"],
        ])
        try notes.delete(["_id": "d1"])
        try notes.createIndex(["text": 1])
        let people = database.collection("app", "people")
        try people.insert(contentsOf: [
            ["_id": 0, "name": "zero", "salary": 1, "inner": ["pin": 1]],
            ["_id": 1, "name": "one", "salary": 4242, "inner": ["pin": 4242]],
        ])
        try people.createIndex(["salary": 1], unique: true)
        try database.collection("app", "box").insert(["_id": 1, "text": "SECRET"])
        try database.collection("app", "vault").insert(["_id": 1, "text": "SECRET"])
        try database.collection("app", "users.files").insert(contentsOf: [
            ["_id": "me/1"], ["_id": "victim/1", "text": "SECRET"],
        ])
        let before = try Self.kept(database)
        let attacker = database.as(.app(AppUser(auth: ["uid": "me", "token": [:]])))
        #expect(Self.reads.count + Self.writes.count >= 50)
        for way in Self.reads + Self.writes {
            var answer: String
            do {
                answer = try way.attempt(attacker)
            } catch let error as DBError {
                answer = "\(error.message) \(error.details)"
            }
            #expect(!answer.contains("SECRET") && !answer.contains("4242"), "\(way): \(answer)")
            #expect(try Self.kept(database) == before, "\(way) changed what isn't the attacker's")
        }
        // What is allowed still works.
        try attacker.collection("app", "notes").insert(["_id": "m2", "owner": "me"])
        #expect(try attacker.collection("app", "notes").find(["owner": "me"]).count >= 1)
    }
}
