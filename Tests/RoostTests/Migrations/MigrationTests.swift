// Migrations from a Swift program: what is done, what is taken back, what is refused.

import BSON
import Foundation
import Roost
import Testing

@Suite struct MigrationTests {
    /// A database and a folder of migrations, removed with the test.
    private final class Place {
        let root = NSTemporaryDirectory() + "roost-migrations-\(UUID().uuidString)"
        let database: Database

        init() throws {
            try FileManager.default.createDirectory(
                atPath: root + "/migrations", withIntermediateDirectories: true)
            database = try Database(at: root + "/data")
        }

        deinit {
            database.close()
            try? FileManager.default.removeItem(atPath: root)
        }

        func write(_ files: [String: String]) throws {
            for (name, text) in files {
                try text.write(
                    toFile: "\(root)/migrations/\(name)", atomically: true, encoding: .utf8)
            }
        }

        @discardableResult
        func migrate(to target: Int? = nil) throws -> [String] {
            try database.migrate(folder: root + "/migrations", database: "shop", to: target)
        }

        func documents(_ name: String) throws -> [Document] {
            try database.collection("shop", name).find(sort: ["_id": 1])
        }
    }

    @Test func pendingMigrationsRunOnce() throws {
        let place = try Place()
        try place.write([
            "0001_orders.roost": """
            up {
              create collection orders softDelete "30d" validator where total >= 0;
              insert into orders { _id: 1, total: 5, client: "a" }, { _id: 2, total: 6 };
            }
            """,
            "0002_names.roost": """
            up {
              update orders where true rename client to customer, convert total to string;
              create index byCustomer on orders (customer);
              rename collection orders to sales;
            }
            """,
        ])
        #expect(try place.migrate() == ["up 0001_orders", "up 0002_names"])
        #expect(
            try place.documents("sales") == [
                ["_id": 1, "total": "5", "customer": "a"], ["_id": 2, "total": "6"],
            ])
        #expect(try place.migrate() == [])
    }

    /// More than one transaction takes: batches.
    @Test func aGroupThatFailsIsTakenBackByteForByte() throws {
        let place = try Place()
        let items = place.database.collection("shop", "items")
        let before: [Document] = (0..<2_500).map { n in
            ["_id": .int32(n), "total": .string("\(n)"), "name": "x"]
        }
        try items.insert(contentsOf: before)
        try items.createIndex(["name": 1])
        try place.write([
            "1_a.roost": """
            up {
              update items where true convert total to int, rename name to title;
              delete from items where total % 2 == 0;
              insert into copies from items | where total > 5;
              rename collection items to things;
              drop index name_1 on things;
              create index on things (title);
              drop collection copies;
            }
            """, "2_b.roost": "up { update things where true set y = 1 / (total - 2001); }",
        ])
        let error = #expect(throws: DBError.self) { try place.migrate() }
        #expect(error?.message.contains("2_b") == true)
        #expect(error?.message.contains("taken back") == true)
        #expect(try place.documents("items") == before)
        let names = Set(place.database.collectionNames(of: "shop"))
        #expect(names == ["items", "roost.migrations", "roost.migrations.batches"])
    }

    private static let refused: [(files: [String: String], message: String)] = [
        (["1_a.roost": "up { }", "3_b.roost": "up { }"], "no migration 2"),
        (["1_a.roost": "up { }", "01_b.roost": "up { }"], "have the number 1"),
        (["1_a.roost": "up {\n  create nothing x;\n}"], "line 2, column 10"),
        (["1_a.roost": "up { from x; }"], "can't hold this statement"),
        (["1_a.roost": "up { deploy rules file \"none.rules\"; }"], "none.rules"),
        (["1_a.roost": "down { }"], "no section 'up"),
        (["a.roost": "up { }"], "begins with a number"),
        (["1_a.roost": "up { create collection x"], "'}'"),
    ]

    @Test(arguments: refused.indices)
    func badFilesAreRefused(_ index: Int) throws {
        let place = try Place()
        try place.write(Self.refused[index].files)
        let error = #expect(throws: DBError.self) { try place.migrate() }
        let wanted = Self.refused[index].message
        #expect(error?.message.contains(wanted) == true, "\(error?.message ?? "")")
        #expect(place.database.collectionNames(of: "shop").filter { $0 == "x" } == [])
    }

    @Test func anEditedFileIsNoticed() throws {
        let place = try Place()
        try place.write(["1_a.roost": "up { create collection a; }"])
        try place.migrate()
        try place.write(["1_a.roost": "up { create collection b; }"])
        let error = #expect(throws: DBError.self) { try place.migrate() }
        #expect(error?.message.contains("edited") == true)
    }
}
