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
        ("db.c.find({}, null)", ["find": "c", "filter": [:]]),
        ("db.c.find(null, {a: 1})", ["find": "c", "projection": ["a": 1]]),
        (
            "db.c.find({a: 1}).sort({b: 1}).count()",
            ["count": "c", "query": ["a": 1]]
        ),
        (
            "db.c.find().hint('a_1').collation({locale: 'de'}).maxTimeMS(5).batchSize(2)"
                + ".comment('x').toArray()",
            [
                "find": "c", "hint": "a_1", "collation": ["locale": "de"], "maxTimeMS": 5,
                "batchSize": 2, "comment": "x",
            ]
        ),
        ("db.c.count({a: 1})", ["count": "c", "query": ["a": 1]]),
        ("db.c.estimatedDocumentCount()", ["count": "c"]),
        (
            "db.c.aggregate([], {allowDiskUse: true, batchSize: 3})",
            ["aggregate": "c", "pipeline": [], "cursor": ["batchSize": 3], "allowDiskUse": true]
        ),
        (
            "db.c.replaceOne({a: 1}, {b: 2})",
            ["update": "c", "updates": [["q": ["a": 1], "u": ["b": 2], "multi": false]]]
        ),
        (
            "db.c.updateOne({}, [{$set: {b: 2}}], {writeConcern: {w: 1}, hint: 'x'})",
            [
                "update": "c",
                "updates": [["q": [:], "u": [["$set": ["b": 2]]], "multi": false, "hint": "x"]],
                "writeConcern": ["w": 1],
            ]
        ),
        (
            "db.c.findOneAndUpdate({a: 1}, {$inc: {n: 1}}, {returnDocument: 'after', sort: {a: 1},"
                + " projection: {n: 1}, upsert: true})",
            [
                "findAndModify": "c", "query": ["a": 1], "update": ["$inc": ["n": 1]],
                "new": true, "fields": ["n": 1], "sort": ["a": 1], "upsert": true,
            ]
        ),
        (
            "db.c.findOneAndDelete({a: 1}, {sort: {b: 1}})",
            ["findAndModify": "c", "query": ["a": 1], "remove": true, "sort": ["b": 1]]
        ),
        (
            "db.c.bulkWrite([{insertOne: {document: {_id: 1}}}, {updateMany: {filter: {}, "
                + "update: {$set: {a: 1}}}}, {deleteOne: {filter: {_id: 2}}}], {ordered: false})",
            [
                "bulkWrite": 1,
                "ops": [
                    ["insert": 0, "document": ["_id": 1]],
                    ["update": 0, "filter": [:], "updateMods": ["$set": ["a": 1]], "multi": true],
                    ["delete": 0, "filter": ["_id": 2], "multi": false],
                ], "nsInfo": [["ns": "test.c"]], "ordered": false,
            ]
        ),
        ("db.c.deleteMany({a: 1})", ["delete": "c", "deletes": [["q": ["a": 1], "limit": 0]]]),
        (
            "db.c.createIndexes([{a: 1}, {b: -1}], {sparse: true})",
            [
                "createIndexes": "c",
                "indexes": [
                    ["key": ["a": 1], "name": "a_1", "sparse": true],
                    ["key": ["b": -1], "name": "b_-1", "sparse": true],
                ],
            ]
        ),
        ("db.c.dropIndexes()", ["dropIndexes": "c", "index": "*"]),
        ("db.c.dropIndex('a_1')", ["dropIndexes": "c", "index": "a_1"]),
        (
            "db.c.renameCollection('d', true)",
            ["renameCollection": "test.c", "to": "test.d", "dropTarget": true]
        ),
        ("db.c.validate({full: true})", ["validate": "c", "full": true]),
        ("db.c.stats()", ["collStats": "c"]), ("db.stats()", ["dbStats": 1]),
        (
            "db.c.watch([{$match: {a: 1}}], {fullDocument: 'updateLookup'})",
            [
                "aggregate": "c",
                "pipeline": [
                    ["$changeStream": ["fullDocument": "updateLookup"]], ["$match": ["a": 1]],
                ], "cursor": [:],
            ]
        ),
        (
            "db.c.explain('executionStats').find({a: 1})",
            ["explain": ["find": "c", "filter": ["a": 1]], "verbosity": "executionStats"]
        ),
        ("db.getSiblingDB('x').c.find()", ["find": "c"]),
        ("db.getCollectionInfos({name: 'c'})", ["listCollections": 1, "filter": ["name": "c"]]),
        ("db.createCollection('c', {capped: true})", ["create": "c", "capped": true]),
        ("db.dropDatabase()", ["dropDatabase": 1]), ("db.version()", ["buildInfo": 1]),
        ("db.setProfilingLevel(1, 50)", ["profile": 1, "slowms": 50]),
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
        ("db.c.find().forEach(d => print(d))", 12, false), ("db.c.updateOne({}, {a: 1})", 5, false),
        ("db.c.replaceOne({}, {$set: {a: 1}})", 5, false), ("db.c.deleteMany()", 5, false),
        ("db.c.insertOne()", 5, false), ("db.c.bulkWrite([{x: 1}])", 5, false),
        ("db.c.find({a: new Date('x')})", 14, false), ("db.c.explain()", 5, false),
        ("db.c.find().length", 11, false), ("db.c.find().x.insertOne({})", 14, false),
        ("db.c.find().drop", 11, false), ("db.c.find()['x']", 11, false),
        ("db.c.aggregate([])[0]", 18, false), ("db.c.watch().x", 12, false),
        ("db.getName().length", 12, false), ("db.c.findOne()[-1]", 14, false),
        ("db.c.drop().d.find()", 14, false), ("db.c.insertOne({}).", 19, true),
        ("db.c.findOne().a.b()", 17, false), ("db[5].find()", 2, false),
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

    // What stands behind a call is part of its result, never of the collection's name.
    static let paths: [(String, Document, [ResultStep])] = [
        (
            "db.a.b.findOne({}).x['y'][0].z", ["find": "a.b"],
            [
                .field("x"), .field("y"), .element(0), .field("z"),
            ]
        ),
        ("db.c.find().toArray().length", ["find": "c"], [.field("length")]),
        ("db.c.find().toArray()[2].a", ["find": "c"], [.element(2), .field("a")]),
        ("db.c.insertOne({}).insertedId", ["insert": "c"], [.field("insertedId")]),
        ("db.c.deleteMany({}).deletedCount;", ["delete": "c"], [.field("deletedCount")]),
        ("db.c.drop().ok", ["drop": "c"], [.field("ok")]),
        ("db.c.stats().totalIndexSize", ["collStats": "c"], [.field("totalIndexSize")]),
        ("db.c.distinct('a').length", ["distinct": "c"], [.field("length")]),
        (
            "db.c.find().explain().queryPlanner", ["explain": ["find": "c"]],
            [
                .field("queryPlanner")
            ]
        ),
        ("db.getCollection('x').y.findOne().z", ["find": "x.y"], [.field("z")]),
        ("db.getSiblingDB('x').c.findOne()", ["find": "c"], []),
        ("db.hello().ok", ["hello": 1], [.field("ok")]),
    ]

    @Test(arguments: paths.indices)
    func pathsAreOfTheResult(_ index: Int) throws {
        let (text, command, path) = Self.paths[index]
        let request = try ScriptCommands.request(try ScriptParser.parse(text))
        let name = try #require(command.keys.first)
        #expect(request.command[name] == command[name], "\(text)")
        #expect(request.path == path, "\(text)")
    }

    @Test(
        arguments: [
            ([.field("a")], ["b": [1, "xyz"]]), ([.field("a"), .field("b"), .element(0)], 1),
            ([.field("a"), .field("b"), .field("length")], 2),
            ([.field("a"), .field("b"), .element(1), .field("length")], 3),
            ([.field("a"), .field("b"), .element(2)], nil), ([.field("z"), .field("y")], nil),
            ([.field("a"), .element(0)], nil), ([], ["a": ["b": [1, "xyz"]]]),
        ] as [([ResultStep], Value?)])
    func partsAreFound(_ path: [ResultStep], _ expected: Value?) {
        #expect(ResultPath.part(of: ["a": ["b": [1, "xyz"]]], at: path) == expected)
    }

    @Test(
        arguments: [
            ([.field("insertedId")], "7\n"), ([.field("acknowledged")], "true\n"),
            ([.field("nope")], "undefined\n"),
        ] as [([ResultStep], String)])
    func partsOfRepliesAreShown(_ path: [ResultStep], _ expected: String) throws {
        let text = try ReplyText(.table).text(
            of: ["n": 1, "ok": 1.0], .inserted(isMany: false), path: path, [7])
        #expect(text == expected)
    }

    static let values: [(String, Value)] = [
        ("ISODate('2026-01-01T10:00:00+02:00')", .date(1_767_254_400_000)),
        ("new Date('2026-01-01')", .date(1_767_225_600_000)), ("new Date(5)", .date(5)),
        ("new Date(2026, 0, 1)", .date(1_767_225_600_000)),
        ("new ISODate('2026-01-01T00:00')", .date(1_767_225_600_000)),
        ("NumberLong(7)", .int64(7)),
        ("NumberLong('9007199254740993')", .int64(9_007_199_254_740_993)),
        ("NumberInt('3')", .int32(3)), ("new Double(2)", .double(2)),
        ("Double('2.5')", .double(2.5)),
        (
            "UUID('00112233-4455-6677-8899-aabbccddeeff')",
            .binary(
                subtype: 4,
                [0, 17, 34, 51, 68, 85, 102, 119, 136, 153, 170, 187, 204, 221, 238, 255])
        ),
        ("BinData(0, 'aGk=')", .binary(subtype: 0, [104, 105])),
        ("HexData(5, '00ff')", .binary(subtype: 5, [0, 255])), ("MinKey()", .minKey),
        ("new MaxKey()", .maxKey), ("MaxKey", .maxKey),
        ("RegExp('a/b', 'im')", .regex(pattern: "a/b", options: "im")),
        ("new RegExp('x')", .regex(pattern: "x", options: "")),
        ("/x;(/i", .regex(pattern: "x;(", options: "i")),
        ("Timestamp(5, 2)", .timestamp(Timestamp(seconds: 5, ordinal: 2))),
        ("Timestamp({t: 5, i: 2})", .timestamp(Timestamp(seconds: 5, ordinal: 2))),
        ("DBRef('c', 1)", ["$ref": "c", "$id": 1]), ("-1.5e3", .double(-1_500)),
        ("[1, 'a',]", [1, "a"]), ("undefined", .undefined), ("NaN", .double(.nan)),
    ]

    @Test(arguments: values.indices)
    func valuesAreMade(_ index: Int) throws {
        let (text, expected) = Self.values[index]
        let command = try Self.command("db.c.find({v: \(text)})")
        guard case .document(let filter)? = command["filter"], let made = filter["v"] else {
            Issue.record("\(command)")
            return
        }
        // As text, since NaN is equal to nothing.
        #expect("\(made)" == "\(expected)" && made.type == expected.type, "\(text)")
    }

    @Test(arguments: ["Date()", "new Date()", "ObjectId()", "new ObjectId()", "UUID()"])
    func someAreMadeAnew(_ text: String) throws {
        #expect(throws: Never.self) { try Self.command("db.c.find({v: \(text)})") }
    }

    @Test func insertedDocumentsGetIDs() throws {
        let request = try ScriptCommands.request(
            try ScriptParser.parse("db.c.insertMany([{a: 1}, {_id: 5}])"))
        let (command, ids) = request.withIDs()
        #expect(ids.count == 2 && ids[1] == 5 && ids[0].type == .objectID)
        guard case .array(let documents)? = command["documents"],
            case .document(let first) = documents[0]
        else {
            Issue.record("\(command)")
            return
        }
        #expect(first.keys == ["_id", "a"] && first["_id"] == ids[0])
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
