// mongosh's form: which commands it becomes, where its errors are, and that nothing breaks it.

import BSON
import TestSupport
import Testing

@testable import RoostCLI

@Suite struct ScriptParserTests {
    private static func command(_ text: String) throws -> Document {
        try ScriptCommands.request(try ScriptParser.parse(text)).command
    }

    static let commands: [(String, Document)] = [
        ("db.c.find()", ["find": "c"]),
        (
            "db.a.b.find({ x: { $gt: 5 }, 'y z': \"q\" }, {_id: 0,}).sort({x: -1}).limit(3).skip(1)",
            [
                "find": "a.b", "filter": ["x": ["$gt": 5], "y z": "q"], "projection": ["_id": 0],
                "sort": ["x": -1], "limit": 3, "skip": 1,
            ]
        ),
        (
            "db.getCollection('odd name').findOne({})",
            ["find": "odd name", "filter": [:], "limit": 1, "singleBatch": true]
        ),
        ("db[\"x\"].countDocuments({a: 1});", ["count": "x", "query": ["a": 1]]),
        ("db.c.find({a: 1}).count()", ["count": "c", "query": ["a": 1]]),
        ("db.c.distinct('a', {b: true})", ["distinct": "c", "key": "a", "query": ["b": true]]),
        (
            "db.c.aggregate([{$match: {a: null}}])",
            ["aggregate": "c", "pipeline": [["$match": ["a": nil]]], "cursor": [:]]
        ),
        (
            "db.c.insertOne({d: ISODate('2026-01-01'), n: NumberLong('5'), i: NumberInt(3)})",
            [
                "insert": "c",
                "documents": [["d": .date(1_767_225_600_000), "n": .int64(5), "i": 3]],
            ]
        ),
        (
            "db.c.find({r: /^a\\/b/im, o: ObjectId('0123456789abcdef01234567')})",
            [
                "find": "c",
                "filter": [
                    "r": .regex(pattern: "^a\\/b", options: "im"),
                    "o": .objectID(ObjectID(head: 0x0123_4567_89AB_CDEF, tail: 0x0123_4567)),
                ],
            ]
        ),
        (
            "db.c.updateMany({a: 1}, {$set: {b: 2.5}}, {upsert: true})",
            [
                "update": "c",
                "updates": [
                    ["q": ["a": 1], "u": ["$set": ["b": 2.5]], "multi": true, "upsert": true]
                ],
            ]
        ),
        ("db.c.deleteOne({})", ["delete": "c", "deletes": [["q": [:], "limit": 1]]]),
        (
            "db.c.createIndex({a: 1, b: -1}, {unique: true})",
            [
                "createIndexes": "c",
                "indexes": [["key": ["a": 1, "b": -1], "name": "a_1_b_-1", "unique": true]],
            ]
        ),
        ("db.c.find({a: {\"$oid\": 1}})", ["find": "c", "filter": ["a": ["$oid": 1]]]),
        (
            "db.c.find({a: {$numberLong: '7'}}) // why",
            ["find": "c", "filter": ["a": .int64(7)]]
        ),
        ("db.runCommand({ping: 1})", ["ping": 1]), ("db.adminCommand('hello')", ["hello": 1]),
        (
            "db.c.find({}).explain()",
            [
                "explain": ["find": "c", "filter": [:]], "verbosity": "queryPlanner",
            ]
        ),
    ]

    @Test(arguments: commands.indices)
    func becomes(_ index: Int) throws {
        let (text, expected) = Self.commands[index]
        #expect(try Self.command(text) == expected, "\(text)")
    }

    @Test(arguments: [
        ("db.c.find({a: })", 14, false), ("db.c.find({a: 1", 15, true), ("db.c", 4, false),
        ("db.c.find(", 10, true), ("db.c.nope()", 5, false), ("db.c.find('x')", 5, false),
        ("db.c.find({a: x})", 14, false), ("db.c.find({a: ObjectId('1')})", 14, false),
        ("db.c.find({a: 'x)", 14, false), ("db.c.find() x", 12, false),
        ("db.c.drop().sort({})", 12, false), ("db.c.find({a: 1.2.3})", 14, false),
        ("db.c.find({a: /x)", 14, false), ("db.c.aggregate([]).sort({a: 1})", 19, false),
    ])
    func isRefusedThere(_ text: String, _ offset: Int, _ isIncomplete: Bool) {
        do throws(ScriptError) {
            _ = try ScriptCommands.request(try ScriptParser.parse(text))
            Issue.record("\(text) is taken")
        } catch {
            #expect(error.offset == offset, "\(text): \(error.message)")
            #expect(error.isIncomplete == isIncomplete, "\(text): \(error.message)")
        }
    }

    @Test func nestingIsBounded() {
        for open in ["[", "{a:", "Date("] {
            let text = "db.c.find(" + String(repeating: open, count: 50_000)
            #expect(throws: ScriptError.self) { try ScriptParser.parse(text) }
        }
    }

    @Test(arguments: 0..<10)
    func mutatedTextNeverBreaksIt(_ seed: UInt64) {
        var random = RandomSource(seed: seed)
        for _ in 0..<1_000 {
            var bytes = Array(Self.commands[random.below(Self.commands.count)].0.utf8)
            for _ in 0...random.below(6) {
                let place = random.below(bytes.count + 1)
                if random.oneIn(3) {
                    bytes.removeSubrange(place..<min(bytes.count, place + random.below(8)))
                } else if random.oneIn(2) {
                    bytes.insert(UInt8(random.below(256)), at: place)
                } else {
                    bytes.insert(contentsOf: bytes[..<place], at: place)
                }
            }
            let text = String(decoding: bytes, as: UTF8.self)
            do throws(ScriptError) {
                let request = try ScriptCommands.request(try ScriptParser.parse(text))
                // What is sent is BSON.
                #expect(throws: Never.self, "seed \(seed): \(text)") {
                    try validate(document: request.command.bytes.span.bytes)
                }
            } catch {
                #expect(0...text.utf8.count ~= error.offset, "seed \(seed): \(text)")
            }
        }
    }
}
