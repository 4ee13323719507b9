// Parsing pipelines: the stage table, the frame's errors, and the merges that change no result.

import BSON

/// A stage's name and parser.
private struct StageRow: Sendable {
    let name: String
    let parse: @Sendable (ValueView, inout PipelineParser) throws(DBError) -> [PipelineStage]
}

struct PipelineParser {
    fileprivate(set) var scope: ExpressionScope
    private var documents: Expression?
    private var destination: PipelineDestination?
    /// The conditions of adjacent $match stages, not yet compiled.
    private var pendingFilters: [Document] = []
    private var stages: [PipelineStage] = []

    /// Most stages of a pipeline, as in MongoDB.
    static let stagesMax = 1000

    init(_ scope: ExpressionScope) {
        self.scope = scope
    }

    mutating func parse(_ list: DocumentView) throws(DBError) -> Pipeline {
        let count = list.count
        guard count <= Self.stagesMax else {
            throw .location(
                7_749_501, "Pipeline length must be no longer than \(Self.stagesMax) stages")
        }
        try checkFrame(list, count)
        var elements = list.makeIterator()
        var position = 0
        while let element = elements.next() {
            guard let stage = element.value.document, let call = stage.first else { continue }
            try parseStage(call, position: position)
            position += 1
        }
        try flushFilters()
        return Pipeline(
            StageMerging.merged(stages), documents: documents, destination: destination,
            collation: scope.collation)
    }

    /// Each stage is an object of one field with a stage's name, in a place where it may stand.
    private func checkFrame(_ list: DocumentView, _ count: Int) throws(DBError) {
        var elements = list.makeIterator()
        while let element = elements.next() {
            guard let stage = element.value.document else {
                throw DBError(
                    .typeMismatch, "Each element of the 'pipeline' array must be an object")
            }
            guard stage.count == 1, let call = stage.first else {
                throw .location(
                    40323, "A pipeline stage specification object must contain exactly one field.")
            }
            let name = call.nameString
            guard StageTable.isKnown(name) else {
                throw .location(40324, "Unrecognized pipeline stage name: '\(name)'")
            }
        }
    }

    private mutating func parseStage(_ call: ElementView, position: Int) throws(DBError) {
        let name = call.nameString
        if position > 0, StageTable.mustBeFirst.contains(name) {
            throw .location(
                name == "$geoNear" ? 40603 : 40602,
                "\(name) is only valid as the first stage in a pipeline")
        }
        // A destination ends the pipeline.
        if let destination {
            throw .location(
                40601, "\(destination.stageName) can only be the final stage in the pipeline")
        }
        guard let row = StageTable.rows[name] else {
            throw DBError(
                .commandNotSupported,
                "Roost does not have the stage \(name) yet"
                    + (StageTable.instead[name].map { "; \($0)" } ?? ""))
        }
        if name == "$match" {
            guard let condition = call.value.document else {
                throw .location(
                    15959, "the match filter must be an expression in an object")
            }
            if position > 0, condition.value("$text") != nil {
                throw .location(
                    17313, "$match with $text is only allowed as the first pipeline stage")
            }
            pendingFilters.append(Document(copying: condition))
            return
        }
        try flushFilters()
        stages += try row.parse(call.value, &self)
    }

    /// Compiles adjacent $match stages as one conjunction.
    private mutating func flushFilters() throws(DBError) {
        guard let first = pendingFilters.first else { return }
        // Each is checked alone first, so that errors are about what was written.
        var filter = try FilterHook.parse(first.view, scope)
        if pendingFilters.count > 1 {
            for other in pendingFilters.dropFirst() {
                _ = try FilterHook.parse(other.view, scope)
            }
            let all = Document { writer in
                let start = writer.openArray("$and")
                for (index, condition) in pendingFilters.enumerated() {
                    writer.append(index: index, .document(condition))
                }
                writer.close(start)
            }
            filter = try FilterHook.parse(all.view, scope)
        }
        pendingFilters = []
        scope.metadata.formUnion(filter.metadata)
        stages.append(.match(filter))
    }

    /// Sets the source of a collectionless pipeline.
    mutating func setDocuments(_ expression: Expression) {
        documents = expression
    }

    /// Sets where the results go.
    mutating func setDestination(_ destination: PipelineDestination) {
        self.destination = destination
    }
}

/// The stages by name.
enum StageTable {
    fileprivate static let rows: [String: StageRow] = {
        let all: [StageRow] = [
            // Handled by the parser, which merges neighbours.
            StageRow(name: "$match") { _, _ in [] },
            StageRow(name: "$project") { value, parser throws(DBError) in
                guard let object = value.document else {
                    throw .location(15969, "$project specification must be an object")
                }
                return [.project(try Projection.parse(object, for: .stage, parser.scope))]
            },
            addition("$addFields"), addition("$set"),
            StageRow(name: "$unset") { value, _ throws(DBError) in
                [.project(try FieldAddition.parseUnset(value))]
            },
            StageRow(name: "$sort") { value, parser throws(DBError) in
                guard let object = value.document else {
                    throw .location(15973, "the $sort key specification must be an object")
                }
                guard !object.isEmpty else {
                    throw .location(15976, "$sort stage must have at least one sort key")
                }
                return [
                    .sort(
                        try SortPattern.parse(
                            object, collation: parser.scope.collation,
                            metadata: parser.scope.metadata),
                        limit: nil)
                ]
            },
            StageRow(name: "$geoNear") { value, parser throws(DBError) in
                let stages = try GeoNearStage.parse(value, parser.scope)
                parser.scope.metadata.insert(.distance)
                return stages
            },
            StageRow(name: "$skip") { value, _ throws(DBError) in
                guard let number = Number(ValueRef(value))?.exactInt64, number >= 0 else {
                    throw .location(
                        5_107_200,
                        "invalid argument to $skip stage: a non-negative whole number "
                            + "is needed")
                }
                return number == 0 ? [] : [.skip(Int(number))]
            },
            StageRow(name: "$limit") { value, _ throws(DBError) in
                guard let number = Number(ValueRef(value))?.exactInt64, number >= 0 else {
                    throw .location(
                        5_107_201,
                        "invalid argument to $limit stage: a positive whole number is "
                            + "needed")
                }
                guard number > 0 else { throw .location(15958, "the limit must be positive") }
                return [.limit(Int(number))]
            },
            StageRow(name: "$group") { value, parser throws(DBError) in
                let specification = try GroupSpecification.parse(value, parser.scope)
                return [.group(GroupSpecificationBox(specification: specification))]
            },
            StageRow(name: "$unwind") { value, _ throws(DBError) in
                let specification = try UnwindSpecification.parse(value)
                return [.unwind(UnwindSpecificationBox(specification: specification))]
            },
            StageRow(name: "$count") { value, _ throws(DBError) in
                [.count(try countName(value))]
            },
            StageRow(name: "$sortByCount") { value, parser throws(DBError) in
                try sortByCount(value, parser.scope)
            },
            StageRow(name: "$replaceRoot") { value, parser throws(DBError) in
                [.replaceRoot(try newRoot(value, parser.scope))]
            },
            StageRow(name: "$replaceWith") { value, parser throws(DBError) in
                [.replaceRoot(try checkedRoot(try Expression.parse(value, parser.scope)))]
            },
            StageRow(name: "$documents") { value, parser throws(DBError) in
                parser.setDocuments(try Expression.parse(value, parser.scope))
                return []
            },
            StageRow(name: "$out") { value, parser throws(DBError) in
                parser.setDestination(.out(try OutSpecification.parse(value)))
                return []
            },
            StageRow(name: "$merge") { value, parser throws(DBError) in
                let specification = try MergeSpecification.parse(value, parser.scope)
                parser.setDestination(.merge(specification))
                return []
            },
        ]
        return Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })
    }()

    /// MongoDB's other stages.
    private static let refused: Set<String> = [
        "$bucket", "$bucketAuto", "$changeStream", "$changeStreamSplitLargeEvent", "$collStats",
        "$currentOp", "$densify", "$facet", "$fill", "$graphLookup", "$indexStats",
        "$listClusterCatalog", "$listLocalSessions", "$listSampledQueries", "$listSearchIndexes",
        "$listSessions", "$lookup", "$planCacheStats", "$queryStats",
        "$querySettings", "$rankFusion", "$redact", "$sample", "$score", "$scoreFusion", "$search",
        "$searchMeta", "$setWindowFields", "$shardedDataDistribution", "$unionWith",
        "$vectorSearch",
    ]

    /// What to do without a stage that Roost lacks.
    static let instead: [String: String] = [
        "$lookup": "query the other collection with $in on the values found",
        "$facet": "run one pipeline for each facet",
        "$bucket": "use $group with $switch in _id",
        "$unionWith": "run one pipeline for each collection",
        "$sample": "use $limit",
    ]

    static let mustBeFirst: Set<String> = [
        "$changeStream", "$collStats", "$currentOp", "$documents", "$geoNear", "$indexStats",
        "$listClusterCatalog", "$listLocalSessions", "$listSampledQueries", "$listSearchIndexes",
        "$listSessions", "$planCacheStats", "$queryStats", "$querySettings", "$search",
        "$searchMeta", "$shardedDataDistribution", "$vectorSearch",
    ]

    static func isKnown(_ name: String) -> Bool { rows[name] != nil || refused.contains(name) }

    private static func addition(_ name: String) -> StageRow {
        StageRow(name: name) { value, parser throws(DBError) in
            [.project(try FieldAddition.parse(name, value, parser.scope))]
        }
    }

    private static func countName(_ value: ValueView) throws(DBError) -> String {
        guard let name = value.string else {
            throw .location(40156, "the count field must be a non-empty string")
        }
        guard !name.isEmpty else {
            throw .location(40157, "the count field must be a non-empty string")
        }
        guard !name.hasPrefix("$") else {
            throw .location(40158, "the count field cannot be a $-prefixed path")
        }
        guard !name.utf8.contains(0) else {
            throw .location(40159, "the count field cannot contain a null byte")
        }
        guard !name.contains(".") else {
            throw .location(40160, "the count field cannot contain '.'")
        }
        guard name != "_id" else {
            throw .location(9_039_800, "the count field cannot be '_id'")
        }
        return name
    }

    private static func sortByCount(
        _ value: ValueView, _ scope: ExpressionScope
    ) throws(DBError) -> [PipelineStage] {
        switch value.type {
        case .document:
            guard let first = DocumentView(value.bytes).first,
                first.name.starts(with: RawSpan("$"))
            else {
                throw .location(
                    40147,
                    "the sortByCount field must be defined as a $-prefixed path or an "
                        + "expression inside an object")
            }
        case .string:
            guard value.utf8?.starts(with: RawSpan("$")) ?? false else {
                throw .location(
                    40148,
                    "the sortByCount field must be defined as a $-prefixed path or an "
                        + "expression inside an object")
            }
        default:
            throw .location(
                40149, "the sortByCount field must be specified as a string or as an object")
        }
        let one = OwnedValue(.int32(1))
        let specification = GroupSpecification(
            key: try Expression.parse(value, scope),
            outputs: [
                GroupSpecification.Output(
                    name: "count", accumulator: .sum,
                    argument: try Expression.parse(one.view, scope))
            ], collation: scope.collation)
        let order: Document = ["count": -1]
        return [
            .group(GroupSpecificationBox(specification: specification)),
            .sort(try SortPattern.parse(order.view), limit: nil),
        ]
    }

    private static func newRoot(
        _ value: ValueView, _ scope: ExpressionScope
    ) throws(DBError) -> Expression {
        guard let object = value.document else {
            throw .location(
                40229,
                "expected an object as specification for $replaceRoot stage, got "
                    + value.type.alias)
        }
        var elements = object.makeIterator()
        while let element = elements.next() {
            if !element.name.equals("newRoot") {
                throw .location(
                    40415, "BSON field '$replaceRoot.\(element.nameString)' is an unknown field.")
            }
        }
        guard let root = object.value("newRoot") else {
            throw .location(
                40414, "BSON field '$replaceRoot.newRoot' is missing but a required field")
        }
        return try checkedRoot(try Expression.parse(root, scope))
    }

    private static func checkedRoot(_ root: Expression) throws(DBError) -> Expression {
        if let constant = root.constant, constant.type != .document {
            throw .location(
                40228,
                "'newRoot' expression must evaluate to an object, but resulting value was "
                    + "of type: \(constant.type.alias)")
        }
        return root
    }
}
