import BSON
import Query
import Testing

@testable import Roost

/// The plan of each kind of query that has a name in MongoDB's manual, and what it looks at.
@Suite struct NamedPlanTests {
    private static let names = Namespace("test", "named")
    private static let others = Namespace("test", "others")
    private static let english: Document = ["locale": "en", "strength": 2]

    struct Row: Sendable, CustomStringConvertible {
        let name: String
        let read: ExplainedRead
        let plan: String
        let keys: Int
        let documents: Int

        init(_ name: String, _ read: ExplainedRead, _ plan: String, _ keys: Int, _ documents: Int) {
            (self.name, self.read, self.plan) = (name, read, plan)
            (self.keys, self.documents) = (keys, documents)
        }

        var description: String { name }
    }

    private static let indexes: [Document] = [
        ["key": ["at": 1], "name": "at"],
        ["key": ["kind": 1, "size": 1, "at": -1], "name": "compound"],
        ["key": ["code": 1], "name": "code", "unique": true],
        ["key": ["tags": 1], "name": "tags"],
        ["key": ["title": 1], "name": "collated", "collation": .document(english)],
        ["key": ["name": 1], "name": "name"],
        ["key": ["seldom": 1], "name": "sparse", "sparse": true],
        ["key": ["rare": 1], "name": "partial", "partialFilterExpression": ["kind": 3]],
        ["key": ["where": 1], "name": "marked", "partialFilterExpression": ["marked": true]],
        ["key": ["sub.$**": 1], "name": "wildcard"],
        ["key": ["hash": "hashed"], "name": "hashed"],
        ["key": ["words": "text"], "name": "text"],
        ["key": ["place": "2dsphere"], "name": "sphere"],
        ["key": ["flat": "2d"], "name": "plane"],
        ["key": ["off": 1], "name": "hidden", "hidden": true],
    ]

    private static func document(_ number: Int) -> Document {
        let id = Value.int32(Int32(number))
        var fields: [(String, Value)] = [
            ("_id", id), ("kind", .int32(Int32(number % 5))),
            ("size", .int32(Int32(number / 5 % 10))), ("at", .int32(Int32(1_000 - number))),
            ("code", .string("c\(number)")), ("tags", ["t", .string("t\(number)")]),
            ("title", .string(number % 2 == 0 ? "Title \(number)" : "title \(number)")),
            ("name", .string("n\(number / 10)x\(number)")), ("rare", id), ("off", id),
            ("sub", ["deep": id]), ("hash", .string("h\(number)")),
            ("words", .string("some word\(number)")),
            (
                "place",
                [
                    "type": "Point",
                    "coordinates": [.double(Double(number % 25)), .double(Double(number / 25))],
                ]
            ),
            ("flat", [.double(Double(number % 25)), .double(Double(number / 25))]),
        ]
        if number % 25 == 4 || number % 100 == 0 {
            fields.append(("marked", true))
        }
        if number % 100 == 7 { fields.append(("seldom", id)) }
        return fields.asDocument
    }

    private static func fixture() async throws -> ReadFixture {
        let fixture = try ReadFixture()
        for index in indexes { try await fixture.createIndex(names, index) }
        try await fixture.createIndex(others, ["key": ["ref": 1], "name": "ref"])
        try await fixture.insert(names, (0..<500).map(document))
        try await fixture.insert(
            others,
            (0..<1_000).map { ["_id": .int32(Int32($0)), "ref": .int32(Int32($0 / 2))] })
        return fixture
    }

    private static let point: Value = ["type": "Point", "coordinates": [5.0, 5.0]]

    static let rows: [Row] = [
        Row("one _id", .find(["_id": 7]), "EXPRESS_IXSCAN _id_", 1, 1),
        Row("several _id", .find(["_id": ["$in": [7, 9, 900]]]), "FETCH(IXSCAN _id_)", 2, 2),
        Row("range of _id", .find(["_id": ["$lt": 20]]), "FETCH(IXSCAN _id_)", 20, 20),
        Row("nothing indexed", .find(["none": 1]), "COLLSCAN", 0, 500),
        Row(
            "sort of everything", .find([:], sort: ["none": 1], limit: 5), "SORT(COLLSCAN)", 0, 500),
        Row("equality", .find(["at": 900]), "FETCH(IXSCAN at)", 1, 1),
        Row("range", .find(["at": ["$gt": 990]]), "FETCH(IXSCAN at)", 10, 10),
        Row(
            "two ranges", .find(["$and": [["at": ["$gt": 990]], ["at": ["$lte": 995]]]]),
            "FETCH(IXSCAN at)", 5, 5),
        Row(
            "equality prefix", .find(["kind": 3, "size": 4]), "FETCH(IXSCAN compound)", 10, 10),
        Row(
            "equality prefix and range", .find(["kind": 3, "size": 4, "at": ["$gte": 900]]),
            "FETCH(IXSCAN compound)", 2, 2),
        Row(
            "sort behind an equality prefix", .find(["kind": 3], sort: ["size": 1], limit: 5),
            "LIMIT(FETCH(IXSCAN compound))", 5, 5),
        Row(
            "sort by the whole index",
            .find([:], sort: ["kind": 1, "size": 1, "at": -1], limit: 5),
            "LIMIT(FETCH(IXSCAN compound))", 5, 5),
        Row(
            "reversed sort", .find([:], sort: ["kind": -1, "size": -1, "at": 1], limit: 5),
            "LIMIT(FETCH(IXSCAN compound backward))", 5, 5),
        Row(
            "reversed sort of a range", .find(["at": ["$gt": 980]], sort: ["at": -1], limit: 5),
            "LIMIT(FETCH(IXSCAN at backward))", 5, 5),
        Row(
            "sort that the index hasn't",
            .find(["kind": 3, "size": 4], sort: ["none": 1], limit: 5),
            "SORT(FETCH(IXSCAN compound))", 10, 10),
        Row(
            "several values, sorted behind them",
            .find(["kind": ["$in": [1, 3]], "size": 4], sort: ["at": -1], limit: 4),
            "LIMIT(FETCH(SORT_MERGE(IXSCAN compound)))", 5, 4),
        Row(
            "union", .find(["$or": [["at": 900], ["code": "c3"]]]),
            "SUBPLAN(FETCH(OR(IXSCAN at, IXSCAN code)))", 2, 2),
        Row(
            "union beside a condition", .find(["none": 1, "$or": [["at": 900], ["code": "c3"]]]),
            "FETCH(OR(IXSCAN at, IXSCAN code))", 2, 2),
        Row(
            "union in order",
            .find(
                ["$or": [["kind": 1, "size": 2], ["kind": 2, "size": 3]]], sort: ["at": -1],
                limit: 4), "SUBPLAN(LIMIT(FETCH(SORT_MERGE(IXSCAN compound))))", 5, 4),
        Row(
            "union with a branch that has no index", .find(["$or": [["at": 900], ["none": 1]]]),
            "COLLSCAN", 0, 500),
        Row(
            "covered", .find(["kind": 3, "size": 4], fields: ["at": 1, "_id": 0]),
            "PROJECTION_COVERED(IXSCAN compound)", 10, 0),
        Row(
            "covered in order",
            .find(["kind": 3], sort: ["size": 1], limit: 5, fields: ["size": 1, "_id": 0]),
            "LIMIT(PROJECTION_COVERED(IXSCAN compound))", 5, 0),
        Row("count", .count(["kind": 3]), "COUNT(COUNT_SCAN compound)", 100, 0),
        Row("distinct", .distinct("kind"), "DISTINCT_SCAN compound", 5, 0),
        Row("array's element", .find(["tags": "t7"]), "FETCH(IXSCAN tags)", 1, 1),
        Row(
            "beginning of a string", .find(["name": ["$regex": "^n7x"]]), "FETCH(IXSCAN name)", 10,
            10),
        Row("unique beats others", .find(["code": "c8", "at": 992]), "FETCH(IXSCAN code)", 1, 1),
        Row("sparse", .find(["seldom": ["$exists": true]]), "FETCH(IXSCAN sparse)", 5, 5),
        Row(
            "all of a partial index", .find(["marked": true]),
            "FETCH(IXSCAN marked)", 25, 25),
        Row(
            "partial", .find(["kind": 3, "rare": ["$lt": 20]]), "FETCH(IXSCAN partial)", 4, 4),
        Row("wildcard", .find(["sub.deep": 9]), "FETCH(IXSCAN wildcard)", 1, 1),
        Row("hashed", .find(["hash": "h5"]), "FETCH(IXSCAN hashed)", 1, 1),
        Row(
            "text", .find(["$text": ["$search": "word7"]]), "TEXT_MATCH(FETCH(IXSCAN text))", 1, 1),
        Row(
            "within on the sphere",
            .find(["place": ["$geoWithin": ["$centerSphere": [[5.0, 5.0], 0.0001]]]]),
            "FETCH(IXSCAN sphere)", 1, 1),
        Row(
            "near on the sphere",
            .find(["place": ["$near": ["$geometry": point, "$maxDistance": 100.0]]]),
            "GEO_NEAR_2DSPHERE(FETCH(IXSCAN sphere))", 1, 1),
        Row(
            "within on the plane",
            .find(["flat": ["$geoWithin": ["$box": [[4.9, 4.9], [5.1, 5.1]]]]]),
            "FETCH(IXSCAN plane)", 1, 1),
        Row(
            "collated", .find(["title": "TITLE 7"], collation: english), "FETCH(IXSCAN collated)",
            1, 1),
        Row("collated otherwise", .find(["title": "title 7"]), "COLLSCAN", 0, 500),
        Row("hidden", .find(["off": 7]), "COLLSCAN", 0, 500),
        Row("hint", .find(["at": 900], hint: "name"), "FETCH(IXSCAN name)", 500, 500),
        Row(
            "$natural", .find(["at": 900], hint: ["$natural": 1]), "COLLSCAN", 0, 500),
        Row(
            "filter behind a computed field",
            .aggregate([["$set": ["x": 1]], ["$match": ["at": 900]]]),
            "FETCH(IXSCAN at) | $set | $match",
            1, 1),
        Row(
            "sort and limit of a pipeline",
            .aggregate([["$sort": ["at": 1]], ["$limit": 3], ["$set": ["x": 1]]]),
            "LIMIT(FETCH(IXSCAN at)) | $set", 3, 3),
        Row(
            "group of what keys say",
            .aggregate([
                ["$match": ["kind": 3]], ["$group": ["_id": "$size", "n": ["$sum": 1]]],
            ]), "IXSCAN compound | $group", 100, 0),
        Row(
            "join",
            .aggregate([
                ["$match": ["at": ["$gt": 990]]],
                [
                    "$lookup": [
                        "from": "others", "localField": "_id", "foreignField": "ref",
                        "as": "joined",
                    ]
                ],
            ]), "FETCH(IXSCAN at) | $lookup", 10, 10),
        Row(
            "sort key of an index",
            .find([:], sort: ["at": 1], limit: 3, fields: ["k": ["$meta": "sortKey"]]),
            "LIMIT(PROJECTION_DEFAULT(SORT_KEY_GENERATOR(FETCH(IXSCAN at))))", 3, 3),
        Row(
            "update", .write(["at": ["$lte": 505]], .update(isUpsert: false)),
            "UPDATE(FETCH(IXSCAN at))", 5, 5),
        Row("delete", .write(["_id": 7], .delete), "DELETE(EXPRESS_IXSCAN _id_)", 1, 1),
        Row("contradiction", .find(["_id": ["$in": []]]), "EOF", 0, 0),
    ]

    @Test func plans() async throws {
        let fixture = try await Self.fixture()
        for row in Self.rows {
            let explanation = try row.read.explain(Self.names, fixture, .executionStats)
            let outline = PlanOutline(explanation)
            #expect(outline.plan == row.plan, "\(row)")
            #expect(outline.keys == row.keys, "\(row)")
            #expect(outline.documents == row.documents, "\(row)")
        }
    }

    /// How a join is written, the index that it uses, and how many documents it looks at; where it
    /// has no index, in each scan.
    struct Join: Sendable {
        let how: Document
        let index: String?
        let documents: Int
    }

    static let joins: [Join] = [
        Join(how: ["localField": "_id", "foreignField": "ref"], index: "ref", documents: 20),
        Join(how: ["localField": "_id", "foreignField": "_id"], index: "_id_", documents: 10),
        Join(how: ["localField": "_id", "foreignField": "none"], index: nil, documents: 1_000),
        Join(
            how: [
                "let": ["mine": "$_id"],
                "pipeline": [["$match": ["$expr": ["$eq": ["$ref", "$$mine"]]]]],
            ], index: "ref", documents: 20),
    ]

    /// A join tells what it read of the other collection, in each of its forms.
    @Test(arguments: joins)
    func joinsTellWhatTheyRead(_ join: Join) async throws {
        let fixture = try await Self.fixture()
        let argument = Document { writer in
            writer.append("from", "others")
            writer.appendFields(of: join.how.view)
            writer.append("as", "joined")
        }
        let read = ExplainedRead.aggregate([
            ["$match": ["_id": ["$lt": 10]]], ["$lookup": .document(argument)],
        ])
        let explanation = try read.explain(Self.names, fixture, .executionStats)
        guard case .array(let stages)? = explanation["stages"], let stage = stages.last else {
            Issue.record("no stages: \(explanation)")
            return
        }
        let used = join.index.map { [Value.string($0)] } ?? []
        #expect(stage.field("indexesUsed") == .array(used))
        // Documents are joined in batches, each by one scan where there is no index.
        let scans = PlanOutline.number(stage.field("collectionScans"))
        #expect((scans > 0) == (join.index == nil))
        let documents = PlanOutline.number(stage.field("totalDocsExamined"))
        #expect(documents == join.documents * max(1, scans))
    }

    /// Where the user asked for a clustered collection, scans of it are named so.
    @Test(arguments: ["EXPRESS_CLUSTERED_IXSCAN", "CLUSTERED_IXSCAN", "COLLSCAN"])
    func clustered(_ plan: String) async throws {
        let (filter, documents): (Document, Int) =
            switch plan {
            case "CLUSTERED_IXSCAN": (["_id": ["$gte": 3, "$lt": 8]], 5)
            case "COLLSCAN": (["x": 1], 20)
            default: (["_id": 7], 1)
            }
        let fixture = try ReadFixture()
        try await fixture.create(
            Self.names, ["clusteredIndex": .document(ClusteredIndex.option(name: nil))])
        try await fixture.insert(Self.names, (0..<20).map { ["_id": .int32(Int32($0)), "x": 2] })
        let explanation = try ExplainedRead.find(filter).explain(
            Self.names, fixture, .executionStats)
        let outline = PlanOutline(explanation)
        #expect(outline.plan == plan)
        #expect(outline.documents == documents)
        let winner = explanation["queryPlanner"]?.field("winningPlan")
        if plan == "CLUSTERED_IXSCAN" {
            #expect(outline.keys == 0)
            #expect(winner?.field("minRecord") == 3)
            #expect(winner?.field("maxRecord") == 8)
        }
    }

    /// The bench's queries (bench/README.md) look at little more than they return.
    @Test func benchShapesLookAtWhatTheyReturn() async throws {
        let fixture = try ReadFixture()
        let names = Namespace("test", "bench")
        let count = 3_000
        for specification: Document in [
            ["key": ["score": 1], "name": "score"], ["key": ["createdAt": 1], "name": "createdAt"],
        ] {
            try await fixture.createIndex(names, specification)
        }
        try await fixture.insert(
            names,
            (0..<count).map { number in
                [
                    "_id": .int32(Int32(number)),
                    // Ten documents each, far apart.
                    "score": .int32(Int32(number * 7_919 % (count / 10))),
                    "createdAt": .date(Int64(1_700_000_000_000 + number * 1_000)),
                    "status": .string("s\(number % 6)"),
                ]
            })
        let start = Int64(1_700_000_500_000)
        let range: Document = [
            "createdAt": ["$gte": .date(start), "$lt": .date(start + 1_000_000)]
        ]
        let lookup: Value = [
            "$lookup": [
                "from": "bench", "localField": "createdAt", "foreignField": "createdAt",
                "as": "same",
            ]
        ]
        let shapes: [(name: String, read: ExplainedRead, returned: Int)] = [
            ("read", .find(["_id": 77], limit: 1), 1),
            ("equal", .find(["score": 7]), 10),
            ("range, sort, limit", .find(range, sort: ["createdAt": 1], limit: 20), 20),
            ("range, reversed sort, limit", .find(range, sort: ["createdAt": -1], limit: 20), 20),
            ("update by _id", .write(["_id": 77], .update(isUpsert: false)), 1),
            ("lookup", .aggregate([["$match": ["_id": ["$lt": 500]]], lookup]), 500),
        ]
        for shape in shapes {
            let explanation = try shape.read.explain(names, fixture, .executionStats)
            let outline = PlanOutline(explanation)
            let most = Double(shape.returned) * 1.2
            #expect(outline.documents > 0, "\(shape.name)")
            #expect(Double(outline.documents) <= most, "\(shape.name): \(outline)")
            #expect(Double(outline.keys) <= most, "\(shape.name): \(outline)")
            guard case .array(let stages)? = explanation["stages"], let join = stages.last else {
                continue
            }
            let joined = PlanOutline.number(join.field("totalDocsExamined"))
            #expect(joined > 0 && Double(joined) <= most, "\(shape.name): \(joined) joined")
            #expect(join.field("indexesUsed") == ["createdAt"])
        }
    }
}
