// The stages by name: each row parses one stage's argument.

import BSON

/// A stage's name and parser.
struct StageRow: Sendable {
    let name: String
    let parse: @Sendable (ValueView, inout PipelineParser) throws(DBError) -> [PipelineStage]

    /// A stage whose compiled form is a plan of its own.
    static func plan(
        _ name: String,
        _ parse:
            @escaping @Sendable (ValueView, inout PipelineParser) throws(DBError) -> any StagePlan
    ) -> StageRow {
        StageRow(name: name) { value, parser throws(DBError) in
            [.other(StagePlanBox(plan: try parse(value, &parser)))]
        }
    }
}

/// The stages by name.
enum StageTable {
    static let rows: [String: StageRow] = {
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
                let pattern = try SortPattern.parse(
                    object, collation: parser.scope.collation, metadata: parser.scope.metadata)
                guard parser.mentionsSortKey else { return [.sort(pattern, limit: nil)] }
                parser.scope.metadata.insert(.sortKey)
                return [.sort(pattern, limit: nil), SortKeyAddition.stage(pattern)]
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
            .plan("$rankFusion") { value, parser throws(DBError) in
                let plan = try RankFusionSpecification.parse(
                    value, parser.scope, parser.place, carriesMetadata: parser.mentionsScores)
                parser.scope.metadata = [.score]
                if RankFusionSpecification.wantsDetails(value) {
                    parser.scope.metadata.insert(.scoreDetails)
                }
                return plan
            },
            .plan("$lookup") { value, parser throws(DBError) in
                try LookupSpecification.parse(value, parser.scope, parser.place)
            },
            .plan("$unionWith") { value, parser throws(DBError) in
                try UnionSpecification.parse(value, parser.scope, parser.place)
            },
            .plan("$graphLookup") { value, parser throws(DBError) in
                try GraphLookupSpecification.parse(value, parser.scope)
            },
            .plan("$facet") { value, parser throws(DBError) in
                try FacetSpecification.parse(value, parser.scope, parser.place)
            },
            .plan("$redact") { value, parser throws(DBError) in
                try RedactSpecification.parse(value, parser.scope)
            },
            .plan("$sample") { value, _ throws(DBError) in
                try SampleSpecification.parse(value)
            },
            StageRow(name: "$bucket") { value, parser throws(DBError) in
                try BucketSpecification.parse(value, parser.scope)
            },
            .plan("$bucketAuto") { value, parser throws(DBError) in
                try BucketAutoSpecification.parse(value, parser.scope)
            },
            .plan("$setWindowFields") { value, parser throws(DBError) in
                try WindowSpecification.parse(value, parser.scope)
            },
            .plan("$densify") { value, parser throws(DBError) in
                try DensifySpecification.parse(value, parser.scope)
            },
            StageRow(name: "$fill") { value, parser throws(DBError) in
                try FillSpecification.parse(value, parser.scope)
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
        "$changeStream", "$changeStreamSplitLargeEvent", "$collStats",
        "$currentOp", "$indexStats",
        "$listClusterCatalog", "$listLocalSessions", "$listSampledQueries", "$listSearchIndexes",
        "$listSessions", "$planCacheStats", "$queryStats",
        "$querySettings", "$score", "$scoreFusion", "$search",
        "$searchMeta", "$shardedDataDistribution",
        "$vectorSearch", "$listCatalog",
    ]

    /// What to do without a stage that Roost lacks.
    static let instead: [String: String] = [
        "$search": "use $match with $text",
        "$searchMeta": "use $match with $text and $count",
    ]

    static let mustBeFirst: Set<String> = [
        "$changeStream", "$collStats", "$currentOp", "$documents", "$geoNear", "$indexStats",
        "$listClusterCatalog", "$listLocalSessions", "$listSampledQueries", "$listSearchIndexes",
        "$listSessions", "$planCacheStats", "$queryStats", "$querySettings", "$rankFusion",
        "$search", "$searchMeta", "$shardedDataDistribution", "$vectorSearch",
    ]

    /// Their errors elsewhere; 40602 for the others.
    static let notFirstCodes: [String: Int32] = ["$geoNear": 40603, "$rankFusion": 10_170_100]

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
                    name: "count",
                    accumulator: Accumulator(
                        kind: .sum, argument: try Expression.parse(one.view, scope),
                        collation: scope.collation))
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
