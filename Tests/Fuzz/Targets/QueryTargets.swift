// Fuzz targets of the query language: filters, schemas, places, updates, projections, expressions,
// pipelines, collations, sorts. An input is a document of the part and of documents to try it on.

import BSON
import Query

extension FuzzTarget {
    static let queryTargets = [
        filter, schema, geo, update, projection, expression, pipeline, collation, sort,
    ]

    /// Work that one input may ask for is bounded as a client's is: by a time limit.
    private static func interrupt() -> Interrupt {
        Interrupt(deadline: .now + .milliseconds(200))
    }

    private static func scope() -> ExpressionScope {
        ExpressionScope(
            constants: ["x": OwnedValue(1), "y": OwnedValue(["a": [1, "b"]])],
            nowMillis: 1_700_000_000_000, clusterTime: Timestamp(rawValue: 1 << 33))
    }

    /// The documents of field `on`, and some that are always tried.
    private static func samples(_ input: DocumentView) -> [Document] {
        var samples = fixedSamples
        if let list = input.value("on")?.array {
            var elements = list.makeIterator()
            while let element = elements.next(), samples.count < 12 {
                if let document = element.value.document {
                    samples.append(Document(copying: document))
                }
            }
        }
        return samples
    }

    private static let fixedSamples: [Document] = [
        [:],
        [
            "_id": 1, "a": [["b": 1, "c": "x"], ["b": [2, nil]], 7], "b": 2.5, "c": "Text of it",
            "x": ["y": ["z": true]], "d": .date(1_600_000_000_000), "g": [13.4, 52.5],
        ],
        ["_id": "s", "a": 1, "b": nil, "c": ["type": "Point", "coordinates": [1.0, 2.0]]],
    ]

    private static func tryFilter(_ filter: Filter, _ input: DocumentView) throws {
        var scratch = MatchScratch(interrupt())
        let text = input.extendedJSON
        let isRandom = text.contains("$sampleRate") || text.contains("$rand")
        for sample in samples(input) {
            let first = try filter.matches(sample.view, &scratch)
            let position = scratch.arrayPosition
            let second = try filter.matches(sample.view, &scratch)
            try check(
                first == second && position == scratch.arrayPosition || isRandom,
                "a filter answers \(first), then \(second)")
        }
    }

    private static let filter = FuzzTarget(documents: "filter", seeds: filterSeeds) { input in
        guard let document = input.value("filter")?.document else { return }
        for context in [FilterContext.find, .match] {
            let filter = try Filter.parse(document, scope().filterOptions(context))
            guard !filter.needsIndexes else { return }
            try tryFilter(filter, input)
        }
    }

    private static let schema = FuzzTarget(documents: "schema", seeds: schemaSeeds) { input in
        guard let schema = input.value("schema") else { return }
        let document = Document { $0.append("$jsonSchema", schema) }
        try tryFilter(try Filter.parse(document.view, scope().filterOptions(.find)), input)
    }

    private static let geo = FuzzTarget(documents: "geo", seeds: geoSeeds) { input in
        if let document = input.value("filter")?.document {
            let filter = try Filter.parse(document, scope().filterOptions(.find))
            if !filter.needsIndexes { try tryFilter(filter, input) }
        }
        guard let key = input.value("key")?.document else { return }
        let pattern = try IndexKeyPattern.parse(key)
        var keys = IndexKeys()
        for sample in samples(input) {
            do throws(DBError) {
                try pattern.keys(of: sample.view, sparse: false, into: &keys)
            } catch {
                continue
            }
        }
    }

    private static let update = FuzzTarget(documents: "update", seeds: updateSeeds) { input in
        guard let value = input.value("update") else { return }
        let options = scope().updateOptions(isMulti: false)
        let update = try Update.parse(
            value, arrayFilters: input.value("arrayFilters")?.array,
            constants: input.value("c")?.document, options)
        var scratch = UpdateScratch()
        let time = WriteTime(millis: 1_700_000_000_000, timestamp: Timestamp(rawValue: 1 << 33))
        for sample in samples(input) {
            for position in [nil, 0] {
                var writer = DocumentWriter()
                do throws(DBError) {
                    let changed = try update.apply(
                        to: sample.view, arrayPosition: position, time: time, into: &writer,
                        &scratch)
                    guard changed else { continue }
                } catch {
                    continue
                }
                try checkIsDocument(writer.bytes.span.bytes, "an update")
            }
        }
        if let query = input.value("query")?.document {
            var writer = DocumentWriter()
            try update.upsertDocument(query: query, time: time, into: &writer, &scratch)
            try checkIsDocument(writer.bytes.span.bytes, "an upsert")
        }
    }

    private static let projection = FuzzTarget(
        documents: "projection", seeds: projectionSeeds
    ) { input in
        guard let document = input.value("projection")?.document else { return }
        var context = EvaluationContext(interrupt())
        for purpose in [Projection.Purpose.find, .stage] {
            let projection = try Projection.parse(document, for: purpose, scope())
            for sample in samples(input) {
                var writer = DocumentWriter()
                do throws(DBError) {
                    try projection.apply(sample.view, arrayPosition: 0, into: &writer, &context)
                } catch {
                    continue
                }
                try checkIsDocument(writer.bytes.span.bytes, "a projection")
            }
        }
    }

    private static let expression = FuzzTarget(
        documents: "expression", seeds: expressionSeeds
    ) { input in
        guard let value = input.value("e") else { return }
        let expression = try Expression.parse(value, scope())
        var context = EvaluationContext(interrupt())
        for sample in samples(input) {
            var writer = DocumentWriter()
            do throws(DBError) {
                let result = try expression.evaluate(sample.view, &context)
                guard !result.isMissing else { continue }
                let start = writer.openDocument()
                writer.append("", result.view)
                writer.close(start)
            } catch {
                continue
            }
            guard writer.count < Limits.documentBytesMax else { continue }
            try checkIsDocument(writer.bytes.span.bytes, "an expression")
        }
    }

    private static let pipeline = FuzzTarget(
        documents: "pipeline", seeds: pipelineSeeds
    ) { input in
        guard let stages = input.value("pipeline")?.array else { return }
        let pipeline = try Pipeline.parse(stages, scope())
        var resources = ExecutionResources()
        resources.interrupt = interrupt()
        resources.memoryBytesMax = 4 << 20
        let execution = PipelineExecution(pipeline, resources)
        for sample in samples(input) {
            guard try execution.push(sample.view, arrayPosition: nil) else { break }
        }
        try execution.finish()
        while let result = try execution.withNext({ (document) throws(DBError) -> Document in
            Document(copying: document)
        }) {
            try checkIsDocument(result.bytes.span.bytes, "a pipeline")
            execution.removeFirst()
            try resources.interrupt?.check()
        }
    }

    private static let collation = FuzzTarget(
        documents: "collation", seeds: collationSeeds
    ) { input in
        guard let wanted = input.value("collation")?.document,
            let collation = try Collation.parse(wanted)
        else { return }
        let words = ["", "a", "A", "ä", "a-b", "10", "9", "\u{10FFFF}"].map { Array($0.utf8) }
        for left in words {
            for right in words {
                var keys: ([UInt8], [UInt8]) = ([], [])
                collation.appendSortKey(of: left.span.bytes, to: &keys.0)
                collation.appendSortKey(of: right.span.bytes, to: &keys.1)
                let order = collation.compare(left.span.bytes, right.span.bytes).signum()
                let byKeys = byteOrder(keys.0, keys.1)
                try check(
                    byKeys == order,
                    "sort keys of \(left) and \(right) aren't in the collation's order")
            }
        }
        let document = collation.document
        guard let again = try Collation.parse(document.view) else {
            throw FuzzFault("a collation's own document is none")
        }
        try check(again.document == document, "a collation's document changes")
    }

    private static let sort = FuzzTarget(documents: "sort", seeds: sortSeeds) { input in
        guard let document = input.value("sort")?.document else { return }
        let pattern = try SortPattern.parse(document)
        var encoder = KeyEncoder()
        for sample in samples(input) {
            encoder.removeAll()
            try pattern.appendKey(of: sample.view, to: &encoder)
        }
    }
}
