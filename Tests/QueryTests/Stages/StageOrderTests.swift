import BSON
import Testing

@testable import Query

/// Stages that change places, and those that mustn't.
@Suite struct StageOrderTests {
    static let rows: [(stages: Value, order: String)] = [
        ([["$sort": ["a": 1]], ["$match": ["a": 1]]], "match sort"),
        ([["$match": ["b": 1]], ["$sort": ["a": 1]], ["$match": ["a": 1]]], "match sort"),
        ([["$sort": ["a": 1]], ["$limit": 3], ["$match": ["a": 1]]], "sort:3 limit match"),
        ([["$project": ["a": 1]], ["$match": ["a.b": 1]]], "match project"),
        ([["$project": ["a": 1]], ["$match": ["b": 1]]], "project match"),
        ([["$project": ["a.b": 1]], ["$match": ["a.b": 1]]], "project match"),
        ([["$project": ["a": 0]], ["$match": ["b": 1]]], "match project"),
        ([["$project": ["a": 0]], ["$match": ["a": nil]]], "project match"),
        ([["$set": ["a": ["$add": ["$b", 1]]]], ["$match": ["a": 2]]], "project match"),
        ([["$set": ["a": ["$add": ["$b", 1]]]], ["$match": ["b": 2]]], "match project"),
        ([["$set": ["a": 1]], ["$match": ["$expr": ["$eq": ["$a", 1]]]]], "project match"),
        ([["$sort": ["a": 1]], ["$project": ["a": 1]], ["$limit": 2]], "sort:2 limit project"),
        ([["$project": ["a": 1]], ["$skip": 1], ["$limit": 2]], "skip limit project"),
        ([["$project": ["a": 1, "b": 1]], ["$group": ["_id": "$a"]]], "group"),
        ([["$project": ["b": 1]], ["$group": ["_id": "$a"]]], "project group"),
        ([["$project": ["a": "$b"]], ["$group": ["_id": "$a"]]], "project group"),
        ([["$project": ["a": 1]], ["$count": "n"]], "count"),
        ([["$unwind": "$a"], ["$match": ["a": 1]]], "unwind match"),
        ([["$group": ["_id": "$a"]], ["$match": ["_id": 1]]], "group match"),
    ]

    private static func name(_ stage: PipelineStage) -> String {
        switch stage {
        case .match: "match"
        case .project: "project"
        case .sort(_, let limit): limit.map { "sort:\($0)" } ?? "sort"
        case .skip: "skip"
        case .limit: "limit"
        case .group: "group"
        case .unwind: "unwind"
        case .count: "count"
        default: "other"
        }
    }

    @Test(arguments: rows)
    func orderOf(row: (stages: Value, order: String)) throws {
        let list = OwnedValue(row.stages)
        let pipeline = try Pipeline.parse(
            DocumentView(list.view.bytes), ExpressionScope(nowMillis: 0))
        #expect(pipeline.stages.map(Self.name).joined(separator: " ") == row.order)
    }
}
