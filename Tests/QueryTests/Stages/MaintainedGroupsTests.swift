import BSON
import TestSupport
import Testing

@testable import Query

/// Groups that are kept while documents come and go, against grouping what is there.
@Suite struct MaintainedGroupsTests {
    private static func pipeline(_ stages: Value) throws -> Pipeline {
        let value = OwnedValue(stages)
        return try Pipeline.parse(DocumentView(value.view.bytes), ExpressionScope())
    }

    private static let stages: Value = [
        [
            "$group": [
                "_id": "$k", "sum": ["$sum": "$v"], "mean": ["$avg": "$v"],
                "low": ["$min": "$v"], "high": ["$max": "$v"], "count": ["$count": [:]],
                "one": ["$sum": 1],
            ]
        ]
    ]

    private static func document(_ random: inout RandomSource, _ id: Int) -> Document {
        let values: [Value?] = [
            .int32(Int32(random.below(1_000))), .int64(Int64(random.below(1_000)) << 20),
            .double(Double(random.below(100_000)) / 100),
            .double(1.0 / Double(random.below(9) + 1)),
            .string("text"), .null, nil, [1, 2],
        ]
        return Document { writer in
            writer.append("_id", Int32(id))
            if !random.oneIn(8) { writer.append("k", Int32(random.below(5))) }
            if let value = values[random.below(values.count)] { writer.append("v", value) }
        }
    }

    /// The rows by grouping anew.
    private static func expected(
        _ pipeline: Pipeline, _ documents: some Sequence<Document>
    ) throws -> Set<Document> {
        let execution = PipelineExecution(pipeline)
        for document in documents { _ = try execution.push(document.view, arrayPosition: nil) }
        try execution.finish()
        var rows: Set<Document> = []
        while let row = try execution.withNext({ Document(copying: $0) }) {
            rows.insert(row)
            execution.removeFirst()
        }
        return rows
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func sameAsGroupingAnew(seed: UInt64) throws {
        var random = RandomSource(seed: seed)
        let pipeline = try Self.pipeline(Self.stages)
        let groups = try #require(MaintainedGroups(pipeline))
        var documents: [Int: Document] = [:]
        var unknown = 0
        for round in 0..<600 {
            let id = random.below(60)
            if let old = documents.removeValue(forKey: id) { try groups.change(old.view, by: -1) }
            if !random.oneIn(3) {
                let new = Self.document(&random, id)
                documents[id] = new
                try groups.change(new.view, by: 1)
            }
            for (number, _) in groups.takeTouched() { groups.forgetEmpty(number) }
            var rows: Set<Document> = []
            for (number, _) in groups.all {
                var writer = DocumentWriter()
                switch groups.writeRow(number, into: &writer) {
                case .present: rows.insert(Document(unchecked: writer.bytes))
                case .absent: Issue.record("empty")
                case .unknown: unknown += 1
                }
            }
            let sorted = documents.sorted { $0.key < $1.key }.map(\.value)
            #expect(
                rows == (try Self.expected(pipeline, sorted)), "seed \(seed) round \(round)")
        }
        #expect(unknown == 0)
    }

    @Test func decimalsAndInfinitiesAreNotKnown() throws {
        let pipeline = try Self.pipeline(Self.stages)
        let decimal = Value.decimal128(low: 1, high: 0x3040_0000_0000_0000)
        for value in [decimal, .double(.infinity), .double(.nan), .double(1e300)] {
            let groups = try #require(MaintainedGroups(pipeline))
            let document: Document = ["_id": 1, "k": 1, "v": value]
            try groups.change(document.view, by: 1)
            var writer = DocumentWriter()
            guard case .unknown = groups.writeRow(0, into: &writer) else {
                Issue.record("known: \(value)")
                continue
            }
            // When it goes, all is known again.
            let plain: Document = ["_id": 2, "k": 1, "v": 5]
            try groups.change(plain.view, by: 1)
            try groups.change(document.view, by: -1)
            guard case .present = groups.writeRow(0, into: &writer) else {
                Issue.record("not known again: \(value)")
                continue
            }
        }
    }

    @Test(
        arguments: [
            [["$group": ["_id": 1, "all": ["$push": "$v"]]]],
            [["$set": ["v": ["$add": ["$v", 1]]]], ["$group": ["_id": "$v"]]],
            [["$sort": ["a": 1]]],
        ] as [Value])
    func othersAreNotKept(stages: Value) throws {
        #expect(MaintainedGroups(try Self.pipeline(stages)) == nil)
    }
}
