// The library as a Swift program uses it. README's example stands between the two marks, word for
// word: `readmeShowsThisExample` compares them.

import BSON
import Foundation
import Roost
import Testing

private struct Person: Codable, Equatable, Sendable {
    var name: String
    var age: Int
    var born: Date?
    var tags: [String] = []
}

@Suite struct EmbeddingTests {
    private let folder = NSTemporaryDirectory() + "roost-embed-\(UUID().uuidString)"

    @Test func example() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let path = folder
        // README begin
        let database = try Database(at: path)
        let people = database.collection("app", "people", of: Person.self)
        try people.createIndex(["age": 1])
        try people.insert(Person(name: "Ada", age: 36))
        try people.insert(contentsOf: [
            Person(name: "Alan", age: 41), Person(name: "Grace", age: 85),
        ])
        try people.update(["name": "Alan"], ["$inc": ["age": 1], "$push": ["tags": "enigma"]])
        let older = try people.find(["age": ["$gt": 40]], sort: ["age": -1])
        try people.delete(["name": "Grace"])
        print(older.map(\.name), try people.count())
        database.close()
        // README end
        #expect(older.map(\.name) == ["Grace", "Alan"])
        #expect(older.last?.tags == ["enigma"])
    }

    @Test func readmeShowsThisExample() throws {
        let here = URL(fileURLWithPath: #filePath)
        let root = here.deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let source = try String(contentsOf: here, encoding: .utf8)
        let readme = try String(
            contentsOf: root.appendingPathComponent("README.md"), encoding: .utf8)
        let lines = source.split(separator: "\n", omittingEmptySubsequences: false)
        let begin = try #require(lines.firstIndex { $0.hasSuffix("// README begin") })
        let end = try #require(lines.firstIndex { $0.hasSuffix("// README end") })
        for line in lines[(begin + 1)..<end] {
            #expect(readme.contains(line.drop { $0 == " " }), "README lacks: \(line)")
        }
    }

    @Test func deletedDocumentsComeBack() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let database = try Database(at: folder)
        defer { database.close() }
        let people = database.collection("app", "people", of: Person.self)
        try people.keepDeleted()
        try people.createIndex(["name": 1], unique: true)
        try people.insert(contentsOf: [Person(name: "Ada", age: 36), Person(name: "Alan", age: 41)])
        #expect(try people.delete([:]) == 2)
        #expect(try people.count() == 0 && people.count(scope: .onlyDeleted) == 2)
        #expect(try people.restore(["name": "Ada"]) == 1)
        try people.insert(Person(name: "Alan", age: 1))
        #expect(throws: DBError.self) { try people.restore([:]) }
        let all = try people.find(sort: ["age": 1], scope: .withDeleted)
        #expect(all.map(\.age) == [1, 36, 41])
        #expect(try people.purge(["age": 41]) == 1)
        try people.keepDeleted(for: "30d")
        #expect(throws: DBError.self) { try people.keepDeleted(for: "soon") }
        try people.stopKeepingDeleted()
        try people.delete(["name": "Ada"])
        #expect(try people.count(scope: .onlyDeleted) == 0)
    }

    @Test func valuesSurviveAndReopen() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let ada = Person(
            name: "Ada", age: -36, born: Date(timeIntervalSince1970: -4_000_000_000.5),
            tags: ["x", ""])
        do {
            let database = try Database(at: folder)
            try database.collection("app", "people", of: Person.self).insert(ada)
            database.close()
        }
        let database = try Database(at: folder)
        defer { database.close() }
        let people = database.collection("app", "people", of: Person.self)
        #expect(try people.first(["name": "Ada"]) == ada)
        #expect(database.databaseNames == ["app"])
        #expect(database.collectionNames(of: "app") == ["people"])
    }

    @Test func uniqueIndexRefuses() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let database = try Database(at: folder)
        defer { database.close() }
        let items = database.collection("app", "items")
        try items.createIndex(["sku": 1], unique: true)
        try items.insert(["_id": 1, "sku": "a"])
        #expect(throws: DBError.self) { try items.insert(["_id": 2, "sku": "a"]) }
        #expect(throws: DBError.self) { try items.insert(["_id": 1, "sku": "b"]) }
        try items.update(["_id": 1], ["$set": ["sku": "c"]])
        try items.insert(["_id": 2, "sku": "a"])
        #expect(try items.count() == 2)
        do {
            try items.insert(["_id": 3, "sku": "c"])
            Issue.record("a duplicate was taken")
        } catch DBError.Code.duplicateKey {
        }
    }

    @Test func anIndexIsBuiltOverWhatIsThere() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let database = try Database(at: folder)
        defer { database.close() }
        let items = database.collection("app", "items")
        try items.insert(
            contentsOf: (0..<5_000).map {
                ["_id": .int32($0), "n": .int32($0 % 50), "tags": [.int32($0 % 7), "t"]]
            })
        try items.createIndex(["tags": 1])
        try items.createIndex(["n": -1])
        #expect(try items.count(["n": 7]) == 100)
        #expect(try items.count(["tags": 3]) == (0..<5_000).count { $0 % 7 == 3 })
        #expect(throws: DBError.self) { try items.createIndex(["n": 1], unique: true) }
        #expect(try database.engine.verify().faults.isEmpty)
    }
}
