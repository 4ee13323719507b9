// The examples of MongoDB's manual, an operator's page each: documents and figures restated as data
// in the .jsonl files beside this one (relaxed Extended JSON, an example a line).
//
//     expressions   op, expr, rows: [[document, result]…]; no result: no value
//     filters       op, filter, documents, finds: [_id…]
//     updates       op, document, update, filter, arrayFilters, insert, gives
//     projections   op, document, projection, filter, gives
//     stages, accumulators, windows   op, documents, others: {collection: documents}, pipeline, gives
//
// Numbers are compared by value; `anyOrder` says that the order of results does not count.

import BSON
import Foundation
import Testing

@testable import Query

/// A line of a file.
struct ManualExample: Sendable, CustomTestStringConvertible {
    let line: Document

    /// The operator that the example is of.
    var name: String { line["op"].flatMap(\.text) ?? "" }
    var testDescription: String { name }

    /// The examples in a file; none where it can't be read, which the tests notice.
    static func all(_ file: String) -> [ManualExample] {
        let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("\(file).jsonl")
        let text = (try? String(contentsOf: path, encoding: .utf8)) ?? ""
        return text.split(separator: "\n").compactMap { line in
            (try? ExtendedJSON.parse(String(line))).map(ManualExample.init)
        }
    }

    func document(_ name: String) -> Document {
        if case .document(let document) = line[name] { document } else { [:] }
    }

    func list(_ name: String) -> [Value] {
        if case .array(let values) = line[name] { values } else { [] }
    }

    func documents(_ name: String) -> [Document] { list(name).compactMap(\.object) }

    /// Whether the order of results counts.
    var isOrdered: Bool { line["anyOrder"] == nil }
}

extension Value {
    fileprivate var text: String? { if case .string(let text) = self { text } else { nil } }
    fileprivate var object: Document? {
        if case .document(let document) = self { document } else { nil }
    }

    /// Equal by MongoDB's order, so that 1 equals 1.0.
    fileprivate func isLike(_ other: Value) -> Bool {
        let left = OwnedValue(self)
        let right = OwnedValue(other)
        return left.view.compare(right.view) == 0
    }

    /// With the elements of an array in order.
    fileprivate var ordered: Value {
        guard case .array(let values) = self else { return self }
        return .array(
            values.sorted { left, right in
                let left = OwnedValue(left)
                let right = OwnedValue(right)
                return left.view.compare(right.view) < 0
            })
    }
}

@Suite struct ManualExampleTests {
    static let expressions = ManualExample.all("expressions")
    static let filters = ManualExample.all("filters")
    static let updates = ManualExample.all("updates")
    static let projections = ManualExample.all("projections")
    static let stages = ManualExample.all("stages")
    static let accumulators = ManualExample.all("accumulators")
    static let windows = ManualExample.all("windows")

    @Test(arguments: expressions)
    func expression(_ example: ManualExample) throws {
        let expression = try #require(example.line["expr"])
        for case .array(let row) in example.list("rows") {
            let outcome = evaluate(expression, row.first?.object ?? [:])
            guard row.count > 1 else {
                #expect(outcome == .missing, "\(row)")
                continue
            }
            guard case .value(let value) = outcome else {
                Issue.record("\(row): \(outcome)")
                continue
            }
            let isRight =
                example.isOrdered
                ? value.isLike(row[1]) : value.ordered.isLike(row[1].ordered)
            #expect(isRight, "\(row): \(value)")
        }
    }

    @Test(arguments: filters)
    func filter(_ example: ManualExample) throws {
        let filter = example.document("filter")
        let parsed = try Filter.parse(filter.view, ExpressionScope().filterOptions(.find))
        var scratch = MatchScratch()
        var found: [Value] = []
        for document in example.documents("documents") {
            if try parsed.matches(document.view, &scratch) { found.append(document["_id"] ?? nil) }
        }
        #expect(Value.array(found).isLike(.array(example.list("finds"))), "\(found)")
    }

    @Test(arguments: updates)
    func update(_ example: ManualExample) throws {
        let document = example.document("document")
        let update = try parseUpdate(
            example.line["update"] ?? nil, arrayFilters: example.list("arrayFilters"))
        let outcome = try applyUpdate(
            update, to: document, position: try position(example, in: document),
            isInsert: example.line["insert"] != nil)
        let result: Document
        switch outcome {
        case .changed(let changed): result = changed
        case .unchanged: result = document
        case .failed(let code, let message):
            Issue.record("\(code) \(message)")
            return
        }
        #expect(Value.document(result).isLike(example.line["gives"] ?? nil), "\(result)")
    }

    /// The place in an array that the example's filter finds.
    private func position(_ example: ManualExample, in document: Document) throws -> Int? {
        let filter = example.document("filter")
        var scratch = MatchScratch()
        #expect(try Filter.parse(filter.view).matches(document.view, &scratch))
        return scratch.arrayPosition
    }

    @Test(arguments: projections)
    func projection(_ example: ManualExample) throws {
        let specification = example.document("projection")
        let document = example.document("document")
        let projection = try Projection.parse(
            specification.view, for: .find, ExpressionScope())
        var context = EvaluationContext()
        var writer = DocumentWriter()
        try projection.apply(
            document.view, arrayPosition: try position(example, in: document), into: &writer,
            &context)
        let result = Value.document(Document(unchecked: writer.bytes))
        #expect(result.isLike(example.line["gives"] ?? nil), "\(result)")
    }

    @Test(arguments: stages + accumulators + windows)
    func pipeline(_ example: ManualExample) throws {
        var scope = ExpressionScope()
        if let source = example.line["source"].flatMap(\.text) {
            scope.source = ForeignCollection(database: "", collection: source)
        }
        var others: [String: [Document]] = [:]
        let listed = example.document("others")
        for name in listed.keys {
            if case .array(let values) = listed[name] {
                others[name] = values.compactMap(\.object)
            }
        }
        let list = OwnedValue(example.line["pipeline"] ?? nil)
        let pipeline = try Pipeline.parse(DocumentView(list.view.bytes), scope)
        var resources = ExecutionResources()
        resources.foreign = OtherCollections(others)
        let results = Value.array(
            try run(pipeline, over: example.documents("documents"), resources)
                .map { .document($0) })
        let expected = Value.array(example.list("gives"))
        let isRight =
            example.isOrdered
            ? results.isLike(expected) : results.ordered.isLike(expected.ordered)
        #expect(isRight, "\(results)")
    }
}

/// Every operator of the manual has an example, here or where it can run.
@Suite struct ManualCoverageTests {
    /// What needs an index or a server, and the tests that have its examples.
    private static let elsewhere: Set<String> = [
        // RoostTests/Execute/SpecialIndexTests.swift
        "$geoNear", "$near", "$nearSphere", "$text", "$maxDistance", "$minDistance", "$meta",
        // DestinationTests.swift, RoostTests
        "$out", "$merge",
        // Another name of $literal, for what servers send each other.
        "$const",
        // What it gives is random; its limits are in OperatorExampleTests.swift.
        "$rand",
    ]

    private func check(_ names: some Sequence<String>, _ examples: [ManualExample]) {
        let shown = Set(examples.map(\.name))
        for name in Set(names).subtracting(Self.elsewhere).sorted() {
            #expect(shown.contains(name), "\(name) has no example")
        }
    }

    @Test func expressions() {
        check(OperatorTable.names, ManualExampleTests.expressions)
    }

    @Test func filters() {
        let names = [
            "$eq", "$gt", "$gte", "$in", "$lt", "$lte", "$ne", "$nin", "$and", "$not", "$nor",
            "$or", "$exists", "$type", "$expr", "$jsonSchema", "$mod", "$regex", "$options",
            "$geoIntersects", "$geoWithin", "$near", "$nearSphere", "$box", "$center",
            "$centerSphere", "$geometry", "$maxDistance", "$minDistance", "$polygon", "$all",
            "$elemMatch", "$size", "$bitsAllClear", "$bitsAllSet", "$bitsAnyClear", "$bitsAnySet",
            "$comment", "$rand", "$sampleRate", "$text",
        ]
        check(names, ManualExampleTests.filters)
    }

    @Test func updates() {
        let names = [
            "$currentDate", "$inc", "$min", "$max", "$mul", "$rename", "$set", "$setOnInsert",
            "$unset", "$", "$[]", "$[<identifier>]", "$addToSet", "$pop", "$pull", "$push",
            "$pullAll", "$each", "$position", "$slice", "$sort", "$bit",
        ]
        check(names, ManualExampleTests.updates)
    }

    @Test func projections() {
        check(["$", "$elemMatch", "$slice", "$meta"], ManualExampleTests.projections)
    }

    @Test func stages() {
        check(StageTable.rows.keys, ManualExampleTests.stages)
    }

    @Test func accumulators() {
        check(AccumulatorKind.allCases.map(\.rawValue), ManualExampleTests.accumulators)
    }

    @Test func windows() {
        let others = [
            "$covariancePop", "$covarianceSamp", "$denseRank", "$derivative", "$documentNumber",
            "$expMovingAvg", "$integral", "$linearFill", "$locf", "$minMaxScaler", "$rank",
            "$shift",
        ]
        let accumulators = AccumulatorKind.allCases.filter { $0 != .mergeObjects }
        check(accumulators.map(\.rawValue) + others, ManualExampleTests.windows)
    }
}
