// Parsing the update argument of a statement.

package import BSON

/// How an update argument is parsed.
package struct UpdateOptions: Sendable {
    /// Whether the statement may change several documents; then it can't replace.
    package var isMulti = false
    /// How filters within the update are parsed.
    package var filterOptions = FilterOptions(context: .arrayFilter)
    /// Parses a pipeline: stages (an array's bytes) and constants (`c`). Without it, pipelines are
    /// refused.
    package var parsePipeline:
        (
            @Sendable (_ stages: DocumentView, _ constants: DocumentView?) throws(DBError) ->
                any UpdatePipeline
        )?

    /// Options of a statement.
    package init(isMulti: Bool = false) {
        self.isMulti = isMulti
    }
}

extension Update {
    /// Parses the update argument: a document of operators, a replacement, or a pipeline.
    ///
    /// - Parameters:
    ///   - update: the argument; 9 if neither document nor array.
    ///   - arrayFilters: the elements of the statement's `arrayFilters`.
    ///   - constants: the statement's `c`; 51198 unless the update is a pipeline.
    /// - Throws: MongoDB's codes for malformed updates (2, 9, 14, 40, 52, 56 …).
    package static func parse(
        _ update: ValueView, arrayFilters: DocumentView? = nil, constants: DocumentView? = nil,
        _ options: UpdateOptions = UpdateOptions()
    ) throws(DBError) -> Update {
        if let stages = update.array {
            return try parsePipeline(stages, arrayFilters, constants, options)
        }
        guard let document = update.document else {
            throw DBError(
                .failedToParse,
                "Update argument must be either an object or an array, not \(update.type.alias)")
        }
        guard constants == nil else {
            throw DBError(
                DBError.Code(rawValue: 51198),
                "Constant values may only be specified for pipeline updates")
        }
        let filters =
            if let arrayFilters { try ArrayFilters(arrayFilters, options.filterOptions) } else {
                ArrayFilters()
            }
        if let first = document.first, first.name.starts(with: RawSpan("$")) {
            return try parseOperators(document, filters, options)
        }
        try filters.checkUsed([])
        guard !options.isMulti else {
            throw DBError(
                .failedToParse, "multi update is not supported for replacement-style update")
        }
        return Update(.replacement(try Replacement(document)))
    }

    private static func parsePipeline(
        _ stages: DocumentView, _ arrayFilters: DocumentView?, _ constants: DocumentView?,
        _ options: UpdateOptions
    ) throws(DBError) -> Update {
        if let arrayFilters, !arrayFilters.isEmpty {
            throw DBError(
                .failedToParse, "arrayFilters may not be specified for pipeline-syle updates")
        }
        var elements = stages.makeIterator()
        while let element = elements.next() {
            guard let name = element.value.document?.first?.nameString else {
                throw DBError(
                    .typeMismatch, "Each element of the 'pipeline' array must be an object")
            }
            guard StageTable.isKnown(name) else {
                throw DBError.location(40324, "Unrecognized pipeline stage name: '\(name)'")
            }
            guard allowedStages.contains(name) else {
                throw DBError(
                    .invalidOptions, "\(name) is not allowed to be used within an update")
            }
        }
        guard let parse = options.parsePipeline else {
            throw DBError(.commandNotSupported, "Updates by pipeline are not available here")
        }
        return Update(.pipeline(try parse(stages, constants)))
    }

    private static let allowedStages: Set<String> = [
        "$addFields", "$set", "$project", "$unset", "$replaceRoot", "$replaceWith",
    ]

    private static func parseOperators(
        _ document: DocumentView, _ filters: ArrayFilters, _ options: UpdateOptions
    ) throws(DBError) -> Update {
        var builder = UpdateBuilder(filters, options)
        var elements = document.makeIterator()
        while let element = elements.next() {
            let name = element.nameString
            guard let updateOperator = UpdateOperator(rawValue: name) else {
                throw DBError(
                    .failedToParse,
                    "Unknown modifier: \(name). Expected a valid update modifier or "
                        + "pipeline-style update specified as an array")
            }
            guard let fields = element.value.document else {
                throw DBError(
                    .failedToParse,
                    "Modifiers operate on fields but we found type \(element.value.type.alias) "
                        + "instead. For example: {$mod: {<field>: ...}} not {\(name): ...}")
            }
            var field = fields.makeIterator()
            while let operand = field.next() {
                try builder.add(updateOperator, operand)
            }
        }
        return try builder.build()
    }
}

/// Collects the operations of an update of operators.
struct UpdateBuilder {
    private let filters: ArrayFilters
    private let operands: UpdateOperandParser
    private var trie = UpdateTrieBuilder()
    private var operations: [UpdateOperation] = []
    private var usedFilters: Set<Int> = []
    private var writesID = false

    init(_ filters: ArrayFilters, _ options: UpdateOptions) {
        self.filters = filters
        operands = UpdateOperandParser(filterOptions: options.filterOptions)
    }

    /// Adds what one operator does to one field: `field` is its path and operand.
    mutating func add(_ name: UpdateOperator, _ field: ElementView) throws(DBError) {
        let path = try UpdatePath(utf8: field.name)
        if let operation = try operands.parse(name, field.value, path: path) {
            try insert(path, operation)
        } else {
            try addRename(path, field.value)
        }
    }

    /// Adds an operation at a path.
    mutating func insert(_ path: UpdatePath, _ operation: UpdateOperation) throws(DBError) {
        // The walk recurses as deep as a path goes.
        guard path.segments.count <= Limits.nestingDepthMax else {
            throw DBError(
                .overflow, "An update path may have \(Limits.nestingDepthMax) names at most")
        }
        operations.append(operation)
        let filters = filters
        var used = usedFilters
        try trie.insert(path, operation: operations.count - 1) {
            (identifier) throws(DBError) -> Int in
            let index = try filters.index(of: identifier)
            used.insert(index)
            return index
        }
        usedFilters = used
        if path.isWithinID { writesID = true }
    }

    private mutating func addRename(_ from: UpdatePath, _ operand: ValueView) throws(DBError) {
        guard let target = operand.string else {
            throw DBError(
                .badValue,
                "The 'to' field for $rename must be a string: {\(from.dotted): \(operand.type.alias)}"
            )
        }
        guard !target.utf8.contains(0) else {
            throw DBError(
                DBError.Code(rawValue: 9_867_600),
                "The 'to' field for $rename cannot contain an embedded null byte")
        }
        let to = try UpdatePath(target)
        guard from != to else {
            throw DBError(
                .badValue,
                "The source and target field for $rename must differ: {\(from.dotted): \"\(target)\"}"
            )
        }
        for path in [from, to] where path.isDynamic {
            throw DBError(
                .badValue,
                "The source and target field for $rename may not be dynamic: \(path.dotted)")
        }
        try insert(from, .renameSource)
        try insert(to, .rename(from: FieldPath(from.dotted)))
    }

    /// The update of all that was added.
    func build() throws(DBError) -> Update {
        try filters.checkUsed(usedFilters)
        return Update(
            .operators(trie.build()), operations: operations, arrayFilters: filters,
            writesID: writesID)
    }
}
