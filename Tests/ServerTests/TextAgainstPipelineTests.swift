// Text queries beside the aggregation that says the same: equal answers.

import BSON
import Testing

@testable import Server
@testable import Wire

@Suite struct TextAgainstPipelineTests {
    static let pairs: [(text: String, stages: Value)] = [
        ("from o", []),
        ("from o | where status == \"open\"", [["$match": ["status": "open"]]]),
        (
            "from o | where total > 20 && total <= 60 | sort -total | limit 3",
            [
                ["$match": ["total": ["$gt": 20, "$lte": 60]]], ["$sort": ["total": -1]],
                ["$limit": 3],
            ]
        ),
        (
            "from o | where \"gift\" in tags | sort _id | skip 2",
            [["$match": ["tags": "gift"]], ["$sort": ["_id": 1]], ["$skip": 2]]
        ),
        (
            "from o | where customer.city in [\"Ulm\", \"Bonn\"] | select { _id, customer.city }",
            [
                ["$match": ["customer.city": ["$in": ["Ulm", "Bonn"]]]],
                ["$project": ["city": "$customer.city"]],
            ]
        ),
        (
            "from o | group status { n: count(), t: sum(total), a: avg(total) } | sort _id",
            [
                [
                    "$group": [
                        "_id": "$status", "n": ["$sum": 1], "t": ["$sum": "$total"],
                        "a": ["$avg": "$total"],
                    ]
                ], ["$sort": ["_id": 1]],
            ]
        ),
        (
            "from o | unwind items | group items.sku { n: sum(items.n) } | sort -n, _id",
            [
                ["$unwind": "$items"],
                ["$group": ["_id": "$items.sku", "n": ["$sum": "$items.n"]]],
                ["$sort": ["n": -1, "_id": 1]],
            ]
        ),
        (
            "from o | unwind items at i outer | select { _id, i }",
            [
                [
                    "$unwind": [
                        "path": "$items", "includeArrayIndex": "i",
                        "preserveNullAndEmptyArrays": true,
                    ]
                ], ["$project": ["i": ["$ifNull": ["$i", nil]]]],
            ]
        ),
        (
            "from o | join people on customer.id == _id as who | select { _id, who }",
            [
                [
                    "$lookup": [
                        "from": "people", "localField": "customer.id", "foreignField": "_id",
                        "as": "who",
                    ]
                ], ["$project": ["who": 1]],
            ]
        ),
        (
            "from o | set tax = total * 0.19, unset items | where tax > 5",
            [
                ["$set": ["tax": ["$multiply": ["$total", 0.19]]]], ["$unset": ["items"]],
                ["$match": ["tax": ["$gt": 5]]],
            ]
        ),
        (
            "from o | where any(i in items: i.n > 2) | count",
            [["$match": ["items.n": ["$gt": 2]]], ["$count": "count"]]
        ),
        (
            "from o | select { _id, s: upper(status) + \"!\", big: total > 50 ? 1 : 0 }",
            [
                [
                    "$project": [
                        "s": ["$concat": [["$toUpper": "$status"], "!"]],
                        "big": ["$cond": [["$gt": ["$total", 50]], 1, 0]],
                    ]
                ]
            ]
        ),
    ]

    private static func answer(_ client: WireClient, _ command: Document) throws -> [Document] {
        let reply = try client.run(command)
        if reply.errorCode != 0 { throw ClientError(description: reply.description) }
        return reply.nested("cursor").documents("firstBatch")
    }

    @Test(arguments: [false, true])
    func answersAreTheSame(_ isIndexed: Bool) async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            let orders: [Value] = (0..<40).map { number in
                [
                    "_id": .int32(number), "status": ["open", "paid", "void"][Int(number) % 3],
                    "total": .int32(number * 7 % 90),
                    "tags": number % 4 == 0 ? ["gift", "x"] : ["y"],
                    "customer": [
                        "id": .int32(number % 5), "city": ["Ulm", "Bonn", "Kiel"][Int(number) % 3],
                    ],
                    "items": number % 6 == 0
                        ? [] : [["sku": .int32(number % 4), "n": .int32(number % 3 + 1)]],
                ]
            }
            let people: [Value] = (0..<4).map { ["_id": .int32($0), "name": .string("p\($0)")] }
            _ = try client.run(["insert": "o", "documents": .array(orders)])
            _ = try client.run(["insert": "people", "documents": .array(people)])
            if isIndexed {
                for keys in ["status", "-total", "tags", "customer.city", "items.n"] {
                    _ = try Self.answer(client, ["query": .string("create index on o (\(keys))")])
                }
            }
            for (text, stages) in Self.pairs {
                let rows = try Self.answer(
                    client, ["query": .string(text), "cursor": ["batchSize": 1_000]])
                let wanted = try Self.answer(
                    client,
                    ["aggregate": "o", "pipeline": stages, "cursor": ["batchSize": 1_000]])
                let isSorted = text.contains("sort")
                func ordered(_ rows: [Document]) -> [String] {
                    let lines = rows.map(\.description)
                    return isSorted ? lines : lines.sorted()
                }
                #expect(ordered(rows) == ordered(wanted), "\(text)")
            }
        }
    }
}
