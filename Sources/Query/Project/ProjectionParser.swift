// Parsing projections: which of MongoDB's many forms a value is, and the errors of malformed ones.

import BSON

/// Parses one projection of find or $project.
struct ProjectionParser {
    private let purpose: Projection.Purpose
    private let scope: ExpressionScope
    private var trie = ProjectionTrie()
    /// Known from the first rule that tells; find's $slice and $elemMatch don't.
    private var mode: Projection.Mode?
    /// What was said of `_id`: stays, goes, or nothing.
    private var keepsID: Bool?
    private var hasElementMatch = false
    private var hasPositional = false

    init(_ purpose: Projection.Purpose, _ scope: ExpressionScope) {
        self.purpose = purpose
        self.scope = scope
    }

    mutating func parse(_ specification: DocumentView) throws(DBError) -> Projection {
        if specification.isEmpty {
            guard purpose == .find else {
                throw .location(
                    51272,
                    "Invalid $project :: caused by :: projection specification must have "
                        + "at least one field")
            }
            return Projection(mode: .exclusion, trie, isIdentity: true)
        }
        var elements = specification.makeIterator()
        while let element = elements.next() {
            try parseField(element.nameString, element.value)
        }
        let decided = mode ?? undecidedMode()
        try placeID(decided)
        let showsSortKey =
            scope.metadata.contains(.sortKey) && specification.mentionsMeta("sortKey")
        return Projection(mode: decided, trie, isIdentity: false, showsSortKey: showsSortKey)
    }

    /// Where no rule told: `_id: 1` or a lone $elemMatch includes, the rest excludes.
    private func undecidedMode() -> Projection.Mode {
        switch keepsID {
        case true: .inclusion
        case false: .exclusion
        case nil: hasElementMatch ? .inclusion : .exclusion
        }
    }

    private mutating func placeID(_ decided: Projection.Mode) throws(DBError) {
        let path = FieldPath("_id")
        let hasRule = trie.nodes[0].fields.contains { $0.name == path.segments[0].name }
        switch decided {
        case .inclusion where keepsID != false && !hasRule: try insert(path, .include)
        case .exclusion where keepsID == false: try insert(path, .exclude)
        default: break
        }
    }

    // MARK: Fields

    private mutating func parseField(_ name: String, _ value: ValueView) throws(DBError) {
        if name.hasSuffix(".$") || name.contains(".$.") || name == "$" {
            if name != "$" { return try parsePositional(name, value) }
        }
        let path = try Self.path(name)
        if name == "_id", value.isNumeric || value.type == .bool {
            if keepsID != nil { throw Self.collision(.withChild, name) }
            keepsID = value.isTruthy
            return
        }
        try parseValue(path, value)
    }

    private mutating func parseValue(_ path: FieldPath, _ value: ValueView) throws(DBError) {
        switch value.type {
        case .bool, .int32, .int64, .double, .decimal128:
            try addFlag(path, keeps: value.isTruthy)
        case .document:
            try parseObject(path, DocumentView(value.bytes))
        default:
            try addExpression(path, value)
        }
    }

    private mutating func addFlag(_ path: FieldPath, keeps: Bool) throws(DBError) {
        if keeps {
            guard mode != .exclusion else {
                throw .location(
                    31253,
                    "Invalid \(name) :: caused by :: Cannot do inclusion on field \(path) "
                        + "in exclusion projection")
            }
            mode = .inclusion
            try insert(path, .include)
        } else {
            guard mode != .inclusion else {
                throw .location(
                    31254,
                    "Invalid \(name) :: caused by :: Cannot do exclusion on field \(path) "
                        + "in inclusion projection")
            }
            mode = .exclusion
            try insert(path, .exclude)
        }
    }

    private var name: String { purpose == .find ? "projection" : "$project" }

    /// An object: an operator's call, or rules for the fields below.
    private mutating func parseObject(
        _ path: FieldPath, _ object: DocumentView
    ) throws(DBError) {
        guard let first = object.first else {
            throw .location(
                51270,
                "An empty sub-projection is not a valid value. Found empty object at path "
                    + "'\(path)'")
        }
        if first.name.starts(with: RawSpan("$")) {
            guard object.count == 1 else {
                throw .location(
                    15983,
                    "An object representing an expression must have exactly one field: "
                        + "found several at '\(path)'")
            }
            return try parseOperator(path, first, object)
        }
        var elements = object.makeIterator()
        while let element = elements.next() {
            let name = element.nameString
            if name.hasSuffix(".$") || name == "$" {
                throw .location(
                    31271,
                    "positional projection cannot be used with the literal or nested "
                        + "notation at '\(path).\(name)'")
            }
            let below = try Self.path(name)
            try parseValue(FieldPath("\(path).\(below)"), element.value)
        }
    }

    private mutating func parseOperator(
        _ path: FieldPath, _ call: ElementView, _ object: DocumentView
    ) throws(DBError) {
        switch call.nameString {
        case "$elemMatch" where purpose == .find:
            try parseElementMatch(path, call.value)
        case "$slice" where purpose == .find && FindSlice.isFindForm(call.value):
            try insert(path, try FindSlice.parse(call.value))
        case "$meta": try parseMeta(path, call.value)
        case let name:
            guard OperatorTable.isKnown(name) else {
                throw .location(31325, "Unknown expression \(name)")
            }
            try addExpression(path, ValueView(type: .document, bytes: object.bytes))
        }
    }

    private mutating func addExpression(_ path: FieldPath, _ value: ValueView) throws(DBError) {
        if mode == .exclusion {
            let isCall = value.type == .document
            throw .location(
                isCall ? 31252 : 31310,
                "Invalid \(name) :: caused by :: Cannot use an expression at '\(path)' in an "
                    + "exclusion projection")
        }
        mode = .inclusion
        let expression = try Expression.parse(value, scope)
        trie.expressions.append(expression)
        try insert(path, .compute(trie.expressions.count - 1))
    }

    // MARK: Operators of find

    private mutating func parsePositional(
        _ name: String, _ value: ValueView
    ) throws(DBError) {
        guard purpose == .find else {
            throw .location(
                31324, "Cannot use positional projection in aggregation projection")
        }
        guard name.hasSuffix(".$"), !name.dropLast(2).contains(".$") else {
            throw .location(
                31394,
                "As of 4.4, it's illegal to specify positional operator in the middle of a "
                    + "path. Positional projection may only be used at the end, for example: "
                    + "a.b.$.")
        }
        if value.type == .document {
            throw .location(
                31271,
                "positional projection cannot be used with an expression or "
                    + "sub object")
        }
        guard value.isNumeric || value.type == .bool else {
            throw .location(31308, "positional projection cannot be used with a literal")
        }
        guard !hasPositional else {
            throw .location(31276, "Cannot specify more than one positional projection per query.")
        }
        guard !hasElementMatch else {
            throw .location(
                31255, "Cannot specify positional operator and $elemMatch.")
        }
        guard mode != .exclusion, value.isTruthy else {
            throw .location(
                31254, "positional projection cannot be used with exclusion")
        }
        mode = .inclusion
        hasPositional = true
        let path = try Self.path(String(name.dropLast(2)))
        try insert(path, .include)
        trie.markPositional(path)
    }

    private mutating func parseElementMatch(
        _ path: FieldPath, _ value: ValueView
    ) throws(DBError) {
        guard let condition = value.document else {
            throw .location(
                31274,
                "elemMatch: Invalid argument, object required, but got "
                    + value.type.alias)
        }
        guard !hasPositional else {
            throw .location(31256, "Cannot specify positional operator and $elemMatch.")
        }
        guard path.segments.count == 1 else {
            throw .location(31275, "Cannot use $elemMatch projection on a nested field.")
        }
        hasElementMatch = true
        trie.filters.append(try ElementMatchFilter.parse(path, condition, scope))
        try insert(path, .elementMatch(trie.filters.count - 1))
    }

    /// $meta: what the filter gives for it; it decides no mode.
    private mutating func parseMeta(_ path: FieldPath, _ value: ValueView) throws(DBError) {
        guard let kind = value.string else {
            throw .location(17307, "$meta only supports string arguments")
        }
        if MetadataField.name(ofMeta: kind, scope.metadata) != nil {
            let value = OwnedValue(.document(["$meta": .string(kind)]))
            trie.expressions.append(try Expression.parse(value.view, scope))
            return try insert(path, .compute(trie.expressions.count - 1))
        }
        switch kind {
        // $rankFusion counts as a search, so that these may be asked for; none is there.
        case "searchScore", "searchHighlights", "searchScoreDetails", "vectorSearchScore",
            "searchSequenceToken":
            guard scope.metadata.contains(.score) else { throw MetadataField.unavailable(kind) }
            try insert(path, .nothing)
        case "sortKey":
            throw DBError(.badValue, "cannot use sortKey $meta projection without a sort")
        case "textScore", "geoNearDistance", "geoNearPoint", "score", "scoreDetails",
            "deletedAt", "deletedBy", "timeseriesBucketMinTime", "timeseriesBucketMaxTime":
            throw MetadataField.unavailable(kind)
        case "indexKey", "recordId", "randVal": try insert(path, .nothing)
        default: throw .location(17308, "Unsupported argument to $meta: \(kind)")
        }
    }

    // MARK: Paths

    private mutating func insert(_ path: FieldPath, _ rule: Projection.Rule) throws(DBError) {
        do throws(ProjectionTrie.Collision) {
            try trie.insert(path, rule)
        } catch {
            throw Self.collision(error, path.dotted)
        }
    }

    static func collision(_ collision: ProjectionTrie.Collision, _ path: String) -> DBError {
        switch collision {
        case .withParent: .location(31249, "Path collision at \(path)")
        case .withChild: .location(31250, "Path collision at \(path)")
        }
    }

    /// A path of a specification; throws 40352, 40353, 15998, 16410, 16411 for malformed ones.
    static func path(_ dotted: String) throws(DBError) -> FieldPath {
        if dotted.isEmpty {
            throw .location(40352, "FieldPath cannot be constructed with empty string")
        }
        return try ProgramBuilder.checkedPath(dotted)
    }
}
