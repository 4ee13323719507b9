import BSON
import Testing

@testable import Query

@Suite struct UpdateStagesTests {
    static let rows: [(stages: Value, constants: Document?, result: Document)] = [
        ([["$set": ["b": ["$add": ["$a", 1]]]]], nil, ["_id": 1, "a": 5, "b": 6]),
        ([["$set": ["b": "$a"]], ["$unset": "a"]], nil, ["_id": 1, "b": 5]),
        ([["$replaceWith": ["_id": "$_id", "c": "$$k"]]], ["k": "$a"], ["_id": 1, "c": "$a"]),
        ([["$set": ["t": "$$NOW"]]], nil, ["_id": 1, "a": 5, "t": .date(7)]),
        ([["$project": ["a": 1]]], nil, ["_id": 1, "a": 5]), ([], nil, ["_id": 1, "a": 5]),
    ]

    @Test(arguments: rows.indices)
    func apply(_ index: Int) throws {
        let row = Self.rows[index]
        let list = OwnedValue(row.stages)
        let scope = ExpressionScope(nowMillis: 7)
        let stages = try UpdateStages.parse(
            DocumentView(list.view.bytes), constants: row.constants?.view, scope)
        let document: Document = ["_id": 1, "a": 5]
        var writer = DocumentWriter()
        let time = WriteTime(millis: 7, timestamp: Timestamp(rawValue: 0))
        try stages.apply(to: document.view, time: time, nil, into: &writer)
        #expect(Document(copying: DocumentView(writer.bytes.span.bytes)) == row.result)
    }
}
