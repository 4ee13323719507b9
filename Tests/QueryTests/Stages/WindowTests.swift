// $setWindowFields: MongoDB's documented examples restated, and a naive model with random input.

import BSON
import TestSupport
import Testing

@testable import Query

@Suite struct WindowTests {
    static let sales: [Document] = [
        ["_id": 0, "s": "CA", "t": 2020, "q": 162], ["_id": 1, "s": "CA", "t": 2019, "q": 145],
        ["_id": 2, "s": "CA", "t": 2021, "q": 120], ["_id": 3, "s": "WA", "t": 2019, "q": 134],
        ["_id": 4, "s": "WA", "t": 2020, "q": 104], ["_id": 5, "s": "WA", "t": 2021, "q": 140],
    ]

    /// The output of one function over the sales by state and year, by document.
    static let functions: [(String, Value, [Value])] = [
        (
            "running sum", ["$sum": "$q", "window": ["documents": ["unbounded", "current"]]],
            [145, 307, 427, 134, 238, 378]
        ),
        (
            "moving average", ["$avg": "$q", "window": ["documents": [-1, 0]]],
            [145.0, 153.5, 141.0, 134.0, 119.0, 122.0]
        ),
        (
            "range", ["$sum": "$q", "window": ["range": [-1, 0]]],
            [145, 307, 282, 134, 238, 244]
        ),
        ("whole", ["$max": "$q"], [162, 162, 162, 140, 140, 140]),
        (
            "to the end", ["$sum": "$q", "window": ["documents": ["current", "unbounded"]]],
            [427, 282, 120, 378, 244, 140]
        ),
        (
            "push", ["$push": "$q", "window": ["documents": [-1, 0]]],
            [[145], [145, 162], [162, 120], [134], [134, 104], [104, 140]]
        ),
        ("documentNumber", ["$documentNumber": [:]], [1, 2, 3, 1, 2, 3]),
        ("rank", ["$rank": [:]], [1, 2, 3, 1, 2, 3]),
        (
            "shift", ["$shift": ["output": "$q", "by": 1, "default": "none"]],
            [162, 120, "none", 104, 140, "none"]
        ),
        (
            "derivative",
            ["$derivative": ["input": "$q"], "window": ["documents": [-1, 0]]],
            [nil, 17.0, -42.0, nil, -30.0, 36.0]
        ),
        (
            "integral",
            ["$integral": ["input": "$q"], "window": ["documents": ["unbounded", "current"]]],
            [0.0, 153.5, 294.5, 0.0, 119.0, 241.0]
        ),
        (
            "expMovingAvg", ["$expMovingAvg": ["input": "$q", "alpha": 0.5]],
            [145, 153.5, 136.75, 134, 119.0, 129.5]
        ),
        (
            "covariance",
            [
                "$covariancePop": ["$t", "$q"],
                "window": ["documents": ["unbounded", "current"]],
            ], [0.0, 4.25, .double(-25.0 / 3), 0.0, -7.5, 2.0]
        ),
        (
            "top", ["$topN": ["n": 2, "sortBy": ["q": -1], "output": "$q"]],
            [[162, 145], [162, 145], [162, 145], [140, 134], [140, 134], [140, 134]]
        ),
        (
            "median", ["$median": ["input": "$q", "method": "approximate"]],
            [145.0, 145.0, 145.0, 134.0, 134.0, 134.0]
        ),
        ("locf", ["$locf": "$q"], [145, 162, 120, 134, 104, 140]),
    ]

    @Test(arguments: functions.indices)
    func examples(_ index: Int) throws {
        let (name, function, expected) = Self.functions[index]
        let stage: Value = [
            "$setWindowFields": [
                "partitionBy": "$s", "sortBy": ["t": 1], "output": ["r": function],
            ]
        ]
        let results = try aggregate([stage], over: Self.sales).get().map { $0["r"] ?? .undefined }
        for (result, wanted) in zip(results, expected) {
            if case .double(let left) = result, case .double(let right) = wanted {
                #expect(abs(left - right) < 1e-9, "\(name): \(results)")
            } else {
                #expect(result == wanted, "\(name): \(results)")
            }
        }
        #expect(results.count == expected.count)
    }

    @Test func ranksOfTies() throws {
        let documents: [Document] = [["q": 1], ["q": 2], ["q": 2], ["q": 3]]
        let stage: Value = [
            "$setWindowFields": [
                "sortBy": ["q": 1],
                "output": ["r": ["$rank": [:]], "d": ["$denseRank": [:]]],
            ]
        ]
        let results = try aggregate([stage], over: documents).get()
        #expect(results.map { $0["r"] } == [1, 2, 2, 4])
        #expect(results.map { $0["d"] } == [1, 2, 2, 3])
    }

    @Test func rangesOfDates() throws {
        let day: Int64 = 86_400_000
        let documents: [Document] = [0, 30, 31, 59].map { ["t": .date($0 * day), "n": 1] }
        let stage: Value = [
            "$setWindowFields": [
                "sortBy": ["t": 1],
                "output": ["r": ["$sum": "$n", "window": ["range": [-1, 0], "unit": "month"]]],
            ]
        ]
        // A month before 1 February (day 31) is 1 January (day 0).
        let results = try aggregate([stage], over: documents).get()
        #expect(results.map { $0["r"] } == [1, 2, 3, 2])
    }

    // MARK: Oracle

    /// The names of accumulators whose result a naive model can say.
    static let accumulators = ["$sum", "$min", "$max", "$push", "$count", "$first", "$last"]

    @Test(arguments: 0..<40)
    func agreesWithANaiveModel(_ seed: UInt64) throws {
        var random = RandomSource(seed: seed)
        let documents: [Document] = (0..<Int.random(in: 1...30, using: &random)).map { index in
            [
                "_id": .int32(Int32(index)), "p": .int32(.random(in: 0...2, using: &random)),
                "k": .int32(.random(in: 0...9, using: &random)),
                "v": .int32(.random(in: -5...5, using: &random)),
            ]
        }
        let name = Self.accumulators.randomElement(using: &random) ?? "$sum"
        let isRange = Bool.random(using: &random)
        let low = Bool.random(using: &random) ? nil : Int.random(in: -4...2, using: &random)
        let high =
            Bool.random(using: &random)
            ? nil : Int.random(in: max(-2, low ?? -2)...4, using: &random)
        let bounds: Value = .array([
            low.map { .int32(Int32($0)) } ?? "unbounded",
            high.map { .int32(Int32($0)) } ?? "unbounded",
        ])
        let argument: Value = name == "$count" ? [:] : "$v"
        let kind = isRange ? "range" : "documents"
        let call = Document { writer in
            writer.append(name, argument)
            writer.append("window", .document(Document { $0.append(kind, bounds) }))
        }
        let stage: Value = [
            "$setWindowFields": [
                "partitionBy": "$p", "sortBy": ["k": 1], "output": ["r": .document(call)],
            ]
        ]
        let results = try aggregate([stage], over: documents).get()
        let expected = Self.model(documents, name, isRange: isRange, low, high)
        #expect(results.map { $0["r"] } == expected, "seed \(seed): \(stage)")
    }

    /// Sorts, cuts and folds as written, window by window.
    private static func model(
        _ documents: [Document], _ name: String, isRange: Bool, _ low: Int?, _ high: Int?
    ) -> [Value?] {
        func number(_ document: Document, _ field: String) -> Int {
            if case .int32(let number)? = document[field] { Int(number) } else { 0 }
        }
        let sorted = documents.enumerated().sorted { left, right in
            let first = (number(left.element, "p"), number(left.element, "k"), left.offset)
            let second = (number(right.element, "p"), number(right.element, "k"), right.offset)
            return first < second
        }.map(\.element)
        return sorted.indices.map { index in
            let own = sorted[index]
            let window = sorted.indices.filter { other in
                guard number(sorted[other], "p") == number(own, "p") else { return false }
                let distance =
                    isRange ? number(sorted[other], "k") - number(own, "k") : other - index
                return distance >= low ?? .min && distance <= high ?? .max
            }.map { number(sorted[$0], "v") }
            func value(_ number: Int?) -> Value { number.map { .int32(Int32($0)) } ?? .null }
            return switch name {
            case "$sum": value(window.reduce(0, +))
            case "$count": value(window.count)
            case "$min": value(window.min())
            case "$max": value(window.max())
            case "$first": value(window.first)
            case "$last": value(window.last)
            default: .array(window.map { value($0) })
            }
        }
    }
}
