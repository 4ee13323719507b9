// Each stage with the figures of an example of MongoDB's manual, restated.

import BSON
import Testing

@testable import Query

/// A pipeline over documents and what it gives.
struct StageExample: Sendable, CustomTestStringConvertible {
    let name: String
    let documents: [Document]
    var others: [String: [Document]] = [:]
    let stages: Value
    let results: [Document]

    var testDescription: String { name }

    func check() throws {
        let results = try aggregate(stages, over: documents, others: others).get()
        #expect(results == self.results)
    }
}

@Suite struct StageExampleTests {
    static let orders: [Document] = [
        ["_id": 1, "item": "almonds", "price": 12, "quantity": 2],
        ["_id": 2, "item": "pecans", "price": 20, "quantity": 1], ["_id": 3],
    ]
    static let inventory: [Document] = [
        ["_id": 1, "sku": "almonds", "instock": 120], ["_id": 2, "sku": "bread", "instock": 80],
        ["_id": 4, "sku": "pecans", "instock": 70], ["_id": 5, "sku": nil], ["_id": 6],
    ]
    static let employees: [Document] = [
        ["_id": 1, "name": "Dev"], ["_id": 2, "name": "Eliot", "reportsTo": "Dev"],
        ["_id": 3, "name": "Ron", "reportsTo": "Eliot"],
        ["_id": 4, "name": "Asya", "reportsTo": "Ron"],
    ]
    static let artwork: [Document] = [
        ["_id": 1, "year": 1926, "price": 199.99, "tags": ["a", "b"]],
        ["_id": 2, "year": 1902, "price": 280.0, "tags": ["b"]],
        ["_id": 3, "year": 1925, "price": 76.04, "tags": ["a"]],
        ["_id": 4, "price": 167.3],
    ]

    static let rows: [StageExample] = [
        StageExample(
            name: "$lookup by equality", documents: orders, others: ["inventory": inventory],
            stages: [
                [
                    "$lookup": [
                        "from": "inventory", "localField": "item", "foreignField": "sku",
                        "as": "docs",
                    ]
                ], ["$project": ["docs._id": 1]],
            ],
            results: [
                ["_id": 1, "docs": [["_id": 1]]], ["_id": 2, "docs": [["_id": 4]]],
                ["_id": 3, "docs": [["_id": 5], ["_id": 6]]],
            ]),
        StageExample(
            name: "$lookup of an array's elements",
            documents: [["_id": 1, "enrolled": ["giraffe", "panda", "artie"]]],
            others: [
                "members": [
                    ["_id": 1, "name": "artie"], ["_id": 2, "name": "giraffe"],
                    ["_id": 5, "name": "daffy"], ["_id": 6, "name": "panda"],
                ]
            ],
            stages: [
                [
                    "$lookup": [
                        "from": "members", "localField": "enrolled", "foreignField": "name",
                        "as": "info",
                    ]
                ], ["$project": ["ids": "$info._id"]],
            ], results: [["_id": 1, "ids": [1, 2, 6]]]),
        StageExample(
            name: "$lookup with variables and a pipeline", documents: orders,
            others: ["inventory": inventory],
            stages: [
                [
                    "$lookup": [
                        "from": "inventory", "let": ["item": "$item", "wanted": "$quantity"],
                        "pipeline": [
                            [
                                "$match": [
                                    "$expr": [
                                        "$and": [
                                            ["$eq": ["$sku", "$$item"]],
                                            ["$gte": ["$instock", "$$wanted"]],
                                        ]
                                    ]
                                ]
                            ], ["$project": ["_id": 0, "instock": 1]],
                        ], "as": "stock",
                    ]
                ], ["$project": ["stock": 1]],
            ],
            results: [
                ["_id": 1, "stock": [["instock": 120]]], ["_id": 2, "stock": [["instock": 70]]],
                ["_id": 3, "stock": [[:]]],
            ]),
        StageExample(
            name: "$lookup, concise and correlated",
            documents: [["_id": 1, "restaurant": "Grill", "drink": "cider"]],
            others: [
                "restaurants": [
                    ["_id": 1, "name": "Grill", "beverages": ["soda", "cider"]],
                    ["_id": 2, "name": "Pizza", "beverages": ["cider"]],
                ]
            ],
            stages: [
                [
                    "$lookup": [
                        "from": "restaurants", "localField": "restaurant", "foreignField": "name",
                        "let": ["d": "$drink"],
                        "pipeline": [["$match": ["$expr": ["$in": ["$$d", "$beverages"]]]]],
                        "as": "matches",
                    ]
                ], ["$project": ["n": ["$size": "$matches"], "first": "$matches._id"]],
            ], results: [["_id": 1, "n": 1, "first": [1]]]),
        StageExample(
            name: "$graphLookup", documents: [employees[3]], others: ["employees": employees],
            stages: [
                [
                    "$graphLookup": [
                        "from": "employees", "startWith": "$reportsTo",
                        "connectFromField": "reportsTo", "connectToField": "name",
                        "as": "chain", "depthField": "d",
                    ]
                ],
                [
                    "$project": [
                        "chain": ["$map": ["input": "$chain", "in": "$$this.name"]],
                        "d": "$chain.d",
                    ]
                ],
            ],
            results: [
                [
                    "_id": 4, "chain": ["Ron", "Eliot", "Dev"],
                    "d": [.int64(0), .int64(1), .int64(2)],
                ]
            ]),
        StageExample(
            name: "$graphLookup with a depth and a condition", documents: [employees[3]],
            others: ["employees": employees],
            stages: [
                [
                    "$graphLookup": [
                        "from": "employees", "startWith": "$reportsTo",
                        "connectFromField": "reportsTo", "connectToField": "name",
                        "as": "chain", "maxDepth": 1,
                        "restrictSearchWithMatch": ["_id": ["$lt": 3]],
                    ]
                ], ["$project": ["n": ["$size": "$chain"]]],
            ], results: [["_id": 4, "n": 0]]),
        StageExample(
            name: "$unionWith", documents: [["s": "A", "q": 1], ["s": "B", "q": 2]],
            others: ["later": [["s": "A", "q": 3], ["s": "C", "q": 4]]],
            stages: [
                [
                    "$unionWith": [
                        "coll": "later", "pipeline": [["$match": ["q": ["$gt": 3]]]],
                    ]
                ], ["$unionWith": ["pipeline": [["$documents": [["s": "D"]]]]]],
            ],
            results: [
                ["s": "A", "q": 1], ["s": "B", "q": 2], ["s": "C", "q": 4], ["s": "D"],
            ]),
        StageExample(
            name: "$bucket", documents: artwork,
            stages: [
                [
                    "$bucket": [
                        "groupBy": "$price", "boundaries": [0, 200, 400], "default": "Other",
                        "output": ["count": ["$sum": 1], "years": ["$push": "$year"]],
                    ]
                ]
            ],
            results: [
                ["_id": 0, "count": 3, "years": [1926, 1925]],
                ["_id": 200, "count": 1, "years": [1902]],
            ]),
        StageExample(
            name: "$bucketAuto", documents: artwork,
            stages: [["$bucketAuto": ["groupBy": "$price", "buckets": 2]]],
            results: [
                ["_id": ["min": 76.04, "max": 199.99], "count": 2],
                ["_id": ["min": 199.99, "max": 280.0], "count": 2],
            ]),
        StageExample(
            name: "$facet", documents: artwork,
            stages: [
                [
                    "$facet": [
                        "byTag": [["$unwind": "$tags"], ["$sortByCount": "$tags"]],
                        "priced": [["$match": ["price": ["$gt": 190]]], ["$count": "n"]],
                        "none": [["$match": ["_id": 99]]],
                    ]
                ]
            ],
            results: [
                [
                    "byTag": [["_id": "a", "count": 2], ["_id": "b", "count": 2]],
                    "priced": [["n": 2]], "none": [],
                ]
            ]),
        StageExample(
            name: "$redact",
            documents: [
                [
                    "_id": 1, "level": 1,
                    "card": ["level": 5, "number": 123],
                    "address": ["level": 1, "street": ["level": 3, "name": "x"], "zip": "90210"],
                    "list": [["level": 1, "a": 1], ["level": 9, "a": 2], 7],
                ], ["_id": 2, "level": 5],
            ],
            stages: [
                ["$redact": ["$cond": [["$eq": ["$level", 5]], "$$PRUNE", "$$DESCEND"]]]
            ],
            results: [
                [
                    "_id": 1, "level": 1,
                    "address": ["level": 1, "street": ["level": 3, "name": "x"], "zip": "90210"],
                    "list": [["level": 1, "a": 1], ["level": 9, "a": 2], 7],
                ]
            ]),
        StageExample(
            name: "$densify in bounds", documents: [["a": 2], ["a": 5]],
            stages: [["$densify": ["field": "a", "range": ["step": 1, "bounds": [0, 4]]]]],
            results: [["a": 0], ["a": 1], ["a": 2], ["a": 3], ["a": 5]]),
        StageExample(
            name: "$densify of dates",
            documents: [["t": .date(0), "v": 1], ["t": .date(3 * 14_400_000), "v": 2]],
            stages: [
                [
                    "$densify": [
                        "field": "t", "range": ["step": 4, "unit": "hour", "bounds": "full"],
                    ]
                ]
            ],
            results: [
                ["t": .date(0), "v": 1], ["t": .date(14_400_000)], ["t": .date(28_800_000)],
                ["t": .date(43_200_000), "v": 2],
            ]),
        StageExample(
            name: "$densify of partitions",
            documents: [
                ["k": "x", "v": 1], ["k": "x", "v": 3], ["k": "y", "v": 2], ["k": "y", "v": 4],
            ],
            stages: [
                [
                    "$densify": [
                        "field": "v", "partitionByFields": ["k"],
                        "range": ["step": 1, "bounds": "partition"],
                    ]
                ]
            ],
            results: [
                ["k": "x", "v": 1], ["k": "x", "v": 2], ["k": "x", "v": 3], ["k": "y", "v": 2],
                ["k": "y", "v": 3], ["k": "y", "v": 4],
            ]),
        StageExample(
            name: "$fill",
            documents: [
                ["_id": 1, "a": nil, "l": 1], ["_id": 2, "a": 4, "l": nil], ["_id": 3, "l": nil],
                ["_id": 4, "a": 6, "l": 7],
            ],
            stages: [
                [
                    "$fill": [
                        "sortBy": ["_id": 1],
                        "output": [
                            "a": ["method": "locf"], "l": ["method": "linear"], "z": ["value": 0],
                        ],
                    ]
                ]
            ],
            results: [
                ["_id": 1, "a": nil, "l": 1, "z": 0], ["_id": 2, "a": 4, "l": 3.0, "z": 0],
                ["_id": 3, "l": 5.0, "a": 4, "z": 0], ["_id": 4, "a": 6, "l": 7, "z": 0],
            ]),
    ]

    @Test(arguments: rows)
    func examples(_ row: StageExample) throws { try row.check() }

    @Test func sampleGivesSoManyDifferentDocuments() throws {
        let documents: [Document] = (0..<100).map { ["_id": .int32($0)] }
        let results = try aggregate([["$sample": ["size": 10]]], over: documents).get()
        #expect(results.count == 10)
        #expect(Set(results).count == 10)
        #expect(Set(results).isSubset(of: documents))
    }

    static let errors: [(Value, Int32)] = [
        (["$lookup": ["from": "x", "as": "y"]], 9), (["$lookup": 1], 9),
        (
            [
                "$lookup": [
                    "from": "x", "as": "y", "pipeline": [["$merge": ["into": "z"]]],
                ]
            ], 51047
        ),
        (["$unionWith": ["coll": "x", "pipeline": [["$out": "z"]]]], 31441),
        (["$unionWith": 1], 9),
        (["$graphLookup": ["from": "x"]], 40105), (["$graphLookup": ["x": 1]], 40104),
        (["$facet": ["a": [["$facet": ["b": []]]]]], 40600), (["$facet": [:]], 40169),
        (["$bucket": ["groupBy": "$a", "boundaries": [1, 1]]], 40194),
        (["$bucketAuto": ["groupBy": "$a", "buckets": 0]], 40243),
        (["$bucketAuto": ["groupBy": "$a", "buckets": 1, "granularity": "R6"]], 40257),
        (["$redact": "$a"], 17053), (["$sample": ["size": 0]], 28747),
        (
            [
                "$densify": [
                    "field": "a", "range": ["step": 0, "bounds": "full"],
                ]
            ], 5_733_401
        ),
        (["$densify": ["field": "a", "range": ["step": 1, "bounds": [0, 600_000]]]], 5_897_900),
        (["$fill": ["output": [:]]], 6_050_203),
        (["$setWindowFields": ["output": ["a": ["$rank": [:]]]]], 5_371_602),
        (["$setWindowFields": ["output": ["a": ["$nope": 1]]]], 9),
        (["$setWindowFields": ["partitionBy": [1], "output": ["a": ["$sum": 1]]]], 14),
    ]

    @Test(arguments: errors.indices)
    func refused(_ index: Int) {
        let (stage, code) = Self.errors[index]
        switch aggregate([stage], over: [["a": 1]]) {
        case .success(let results): Issue.record("\(stage) gave \(results)")
        case .failure(let error): #expect(error.code.rawValue == code, "\(stage): \(error)")
        }
    }

    static let granularities: [(String, Double, Double, Double)] = [
        ("R5", 12, 16, 10), ("R20", 99, 100, 90), ("1-2-5", 5, 10, 2), ("E6", 1.5, 2.2, 1),
        ("E192", 9.2, 9.31, 9.09), ("POWERSOF2", 33, 64, 32), ("POWERSOF2", 32, 64, 16),
        ("R5", 0, 0, 0),
    ]

    @Test(arguments: granularities.indices)
    func preferredNumbers(_ index: Int) throws {
        let (name, value, above, below) = Self.granularities[index]
        let series = try #require(Granularity(name))
        #expect(abs(series.above(value) - above) < 1e-9)
        #expect(abs(series.below(value) - below) < 1e-9)
    }
}
