import BSON
import Client
import Query
import TestSupport

@testable import Roost

/// A query of the oracle: what is asked, as a live query and as an ordinary one.
struct LiveOracleQuery {
    /// The fields of the live command, for messages.
    let command: Document
    private let find: FindRequest?
    private let aggregate: AggregateRequest?
    private let live: LiveRequest

    static let namespace = Namespace("live", "documents")
    static let foreign = Namespace("live", "authors")

    /// Compiles a command's fields: `filter` … or `pipeline`.
    init(_ command: Document, _ engine: RoostEngine) throws {
        self.command = command
        var scope = ExpressionScope(nowMillis: 0)
        scope.collections = EngineCollections(engine, database: Self.namespace.database)
        if let stages = command.view.value("pipeline")?.array {
            let pipeline = try Pipeline.parse(stages, scope)
            aggregate = AggregateRequest(Self.namespace, pipeline: pipeline)
            find = nil
            live = try LiveRequest(
                Self.namespace, pipeline: pipeline, foreign: [Self.foreign],
                identity: command.bytes)
            return
        }
        let filter = try Filter.parse(
            Self.document(command, "filter").view, scope.filterOptions(.find))
        var projection: Projection?
        if command["projection"] != nil {
            projection = try Projection.parse(
                Self.document(command, "projection").view, for: .find, scope)
        }
        let skip = Int(command.view.value("skip")?.int32 ?? 0)
        let limit = Int(command.view.value("limit")?.int32 ?? 0)
        var sort: SortPattern?
        var request = FindRequest(Self.namespace, filter: filter)
        if command["sort"] != nil {
            let order = Self.document(command, "sort")
            sort = try SortPattern.parse(order.view, collation: nil)
            // Rows that sort equal stand in the order of their ids.
            request.sort =
                order["_id"] != nil
                ? order
                : Document {
                    $0.appendFields(of: order.view)
                    $0.append("_id", Int32(1))
                }
        }
        request.skip = skip
        request.limit = limit
        request.projection = projection
        find = request
        aggregate = nil
        live = try LiveRequest(
            Self.namespace, filter: filter, sort: sort, skip: skip, limit: limit,
            projection: projection, identity: command.bytes)
    }

    private static func document(_ command: Document, _ field: String) -> Document {
        if case .document(let document)? = command[field] { document } else { Document() }
    }

    /// The live query, from a token on.
    func cursor(_ engine: RoostEngine, resumeAfter token: LiveToken?) -> LiveCursor {
        var request = live
        request.resumeAfter = token
        return LiveCursor(engine, request)
    }

    /// Whether the result has an order.
    var isOrdered: Bool { live.isOrdered }

    /// What the query gives now.
    func result(_ engine: RoostEngine, _ reader: Reader) throws -> [Document] {
        let cursor: QueryCursor
        if let find {
            cursor = try engine.openCursor(find)
        } else if let aggregate {
            cursor = try engine.openCursor(aggregate)
        } else {
            return []
        }
        var sink = DocumentCollector()
        while try cursor.advance(reader, BatchLimits(documentsMax: 1_000), .slice, into: &sink)
            != .exhausted
        {}
        return sink.documents
    }
}

/// Random queries over the oracle's documents.
struct LiveOracleQueries {
    var random: RandomSource
    /// How many more may have no predicate that an index of them could serve.
    var scansLeft = 60

    /// One query, of any kind.
    mutating func next() -> Document {
        switch random.below(20) {
        case 0..<7: ["filter": .document(filter())]
        case 7..<9:
            ["filter": .document(filter()), "projection": .document(projection())]
        case 9..<13: window()
        default: ["pipeline": .array(pipeline())]
        }
    }

    private mutating func window() -> Document {
        let filter = filter()
        let sort = sort()
        return Document { writer in
            writer.append("filter", filter)
            writer.append("sort", sort)
            if random.oneIn(2) { writer.append("skip", Int32(random.below(6))) }
            writer.append("limit", Int32(1 + random.below(random.oneIn(3) ? 60 : 12)))
            if random.oneIn(4) { writer.append("projection", projection()) }
        }
    }

    private mutating func sort() -> Document {
        let fields = ["a", "b", "s", "n.x", "g", "_id"]
        let first = fields[random.below(fields.count)]
        let second = fields[random.below(fields.count)]
        return Document { writer in
            writer.append(first, Int32(random.oneIn(2) ? 1 : -1))
            if second != first, first != "_id" {
                writer.append(second, Int32(random.oneIn(2) ? 1 : -1))
            }
        }
    }

    private mutating func projection() -> Document {
        let choices: [Document] = [
            ["a": 1], ["b": 1, "s": 1], ["a": 0], ["n.x": 1, "g": 1], ["tags": 0, "n": 0],
            ["sum": ["$add": ["$b", 1]]],
        ]
        return choices[random.below(choices.count)]
    }

    // MARK: Filters

    /// A filter; those that only a scan could serve are counted.
    mutating func filter() -> Document {
        if scansLeft > 0, random.oneIn(8) {
            scansLeft -= 1
            return scan()
        }
        var filter = indexable()
        if random.oneIn(3) {
            let more = random.oneIn(2) ? indexable() : scan()
            filter = ["$and": [.document(filter), .document(more)]]
        }
        return filter
    }

    private mutating func number(_ bound: Int) -> Value { .int32(Int32(random.below(bound))) }

    private mutating func indexable() -> Document {
        switch random.below(11) {
        case 0: return ["a": number(20)]
        case 1: return ["a": ["$in": [number(20), number(20), nil]]]
        case 2:
            let low = random.below(900)
            return [
                "b": [
                    "$gte": .int32(Int32(low)), "$lt": .int32(Int32(low + 20 + random.below(200))),
                ]
            ]
        case 3: return ["b": ["$gt": .double(Double(random.below(1_000)) + 0.5)]]
        case 4: return ["s": .string(LiveOracleWriter.word(random.below(8)))]
        case 5: return ["n.x": number(10)]
        case 6: return ["tags": number(6)]
        case 7: return ["tags": ["$elemMatch": ["$gte": number(4), "$lt": 5]]]
        case 8: return ["_id": number(LiveOracleWriter.ids)]
        case 9: return ["$or": [.document(["a": number(20)]), .document(["g": number(6)])]]
        default: return ["g": number(6), "b": ["$lte": number(1_000)]]
        }
    }

    private mutating func scan() -> Document {
        switch random.below(8) {
        case 0: [:]
        case 1: ["a": ["$ne": number(20)]]
        case 2: ["s": .regex(pattern: "e", options: "i")]
        case 3: ["$nor": [.document(["g": number(6)]), .document(["a": ["$exists": false]])]]
        case 4: ["a": ["$exists": false]]
        case 5: ["$expr": ["$gt": ["$b", ["$multiply": ["$n.x", 100]]]]]
        case 6: ["a": ["$type": "array"]]
        default: ["b": ["$not": ["$lt": number(1_000)]]]
        }
    }

    // MARK: Pipelines

    private mutating func pipeline() -> [Value] {
        let filter = filter()
        let match: Value = ["$match": .document(filter)]
        let totals: Document = [
            "_id": random.oneIn(2) ? "$g" : "$s", "n": ["$sum": 1], "total": ["$sum": "$b"],
            "low": ["$min": "$b"], "high": ["$max": "$b"], "mean": ["$avg": "$b"],
        ]
        switch random.below(9) {
        case 0: return [match, ["$count": "n"]]
        case 1:
            return [match, ["$group": ["_id": nil, "n": ["$sum": 1], "total": ["$sum": "$b"]]]]
        case 2, 3: return [match, ["$group": .document(totals)]]
        case 4:
            return [
                match, ["$group": .document(totals)], ["$sort": ["n": -1, "_id": 1]],
                ["$limit": 3],
            ]
        case 5, 6:
            let join: Value = [
                "from": "authors", "localField": "author", "foreignField": "_id", "as": "by",
            ]
            return [match, ["$lookup": join]]
        case 7: return [match, ["$project": ["b": 1, "twice": ["$multiply": ["$b", 2]]]]]
        default:
            return [
                match, ["$addFields": ["label": ["$concat": ["$s", "!"]]]], ["$unset": "tags"],
                ["$sort": ["b": 1, "_id": 1]], ["$limit": 15],
            ]
        }
    }
}
