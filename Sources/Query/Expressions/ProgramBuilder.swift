// Compiles expressions: BSON in, nodes out. Errors carry MongoDB's codes.

import BSON

/// The program of an expression while it is parsed.
struct ProgramBuilder {
    private(set) var nodes: [Expression.Node] = []
    private(set) var children: [Int32] = []
    private(set) var names: [Expression.ConstantName] = []
    private(set) var constantBytes: [UInt8] = []
    private(set) var paths: [FieldPath] = []
    private(set) var strictOperators: [StrictOperator] = []
    private(set) var lazyOperators: [LazyOperator] = []
    private(set) var slotCount = 0
    private(set) var rootPaths: [FieldPath] = []
    private(set) var readsWholeDocument = false
    /// Whether an operator is called that may do much for a small document.
    private(set) var loops = false
    /// Whether calls of constants are evaluated at once: not where a branch is never taken, so that
    /// its errors are not met either.
    private var folds = true
    /// The names in force at the node being parsed.
    var scope: ExpressionScope

    init(_ scope: ExpressionScope) {
        self.scope = scope
        slotCount = (scope.slots.values.max() ?? -1) + 1
    }

    // MARK: Parsing

    /// Compiles `value` and returns its node.
    mutating func parse(_ value: ValueView) throws(DBError) -> Int {
        switch value.type {
        case .string:
            let text = value.text
            return text.hasPrefix("$") ? try parsePath(text) : constant(value)
        case .array:
            return try parseArray(DocumentView(value.bytes))
        case .document:
            return try parseObject(DocumentView(value.bytes))
        default: return constant(value)
        }
    }

    /// Operators whose work is not bounded by the bytes that they are given.
    static let loopingOperators: Set<String> = ["$map", "$filter", "$reduce", "$range"]

    /// Compiles a document: an operator call if its one field starts with `$`, else an object.
    private mutating func parseObject(_ object: DocumentView) throws(DBError) -> Int {
        if let first = object.first, first.name.starts(with: RawSpan("$")) {
            let name = first.nameString
            guard object.count == 1 else {
                throw DBError(
                    DBError.Code(rawValue: 15983),
                    "An object representing an expression must have exactly one field: it has "
                        + "'\(name)' and others")
            }
            if Self.loopingOperators.contains(name) { loops = true }
            return try OperatorTable.parse(name, first.value, &self)
        }
        return try parseFields(object)
    }

    private mutating func parseFields(_ object: DocumentView) throws(DBError) -> Int {
        var fieldNames: [(String, Int)] = []
        var seen: Set<String> = []
        var elements = object.makeIterator()
        var isConstant = true
        while let element = elements.next() {
            let name = element.nameString
            if name.hasPrefix("$") {
                throw DBError(
                    DBError.Code(rawValue: 16410),
                    "FieldPath field names may not start with '$'. Consider using $getField or "
                        + "$setField.")
            }
            if name.isEmpty {
                throw DBError(
                    DBError.Code(rawValue: 15998), "FieldPath field names may not be empty strings."
                )
            }
            if name.utf8.contains(46) {
                throw DBError(
                    DBError.Code(rawValue: 16412),
                    "FieldPath field names may not contain '.'. Consider using $getField or "
                        + "$setField.")
            }
            guard seen.insert(name).inserted else {
                throw DBError(
                    DBError.Code(rawValue: 16406),
                    "duplicate field name specified in object "
                        + "literal: \(name)")
            }
            let child = try parse(element.value)
            if case .constant = nodes[child] {} else { isConstant = false }
            fieldNames.append((name, child))
        }
        if isConstant { return try foldedDocument(fieldNames) }
        let firstName = Int32(names.count)
        for (name, _) in fieldNames { names.append(constantName(name)) }
        let run = appendChildren(fieldNames.map { $0.1 })
        return add(.document(children: run, firstName: firstName))
    }

    /// A document of constants is one constant.
    private mutating func foldedDocument(_ fields: [(String, Int)]) throws(DBError) -> Int {
        var writer = DocumentWriter()
        let start = writer.openDocument()
        for (name, child) in fields {
            guard case .constant(let type, let offset, let length) = nodes[child] else { continue }
            writer.appendHeader(type, name)
            for byte in constantBytes[Int(offset)..<Int(offset + length)] { writer.appendRaw(byte) }
        }
        writer.close(start)
        return constant(type: .document, writer.bytes)
    }

    private mutating func parseArray(_ array: DocumentView) throws(DBError) -> Int {
        var parsed: [Int] = []
        var elements = array.makeIterator()
        var isConstant = true
        while let element = elements.next() {
            let child = try parse(element.value)
            if case .constant = nodes[child] {} else { isConstant = false }
            parsed.append(child)
        }
        guard isConstant else { return add(.array(children: appendChildren(parsed))) }
        var writer = DocumentWriter()
        let start = writer.openDocument()
        for (index, child) in parsed.enumerated() {
            guard case .constant(let type, let offset, let length) = nodes[child] else { continue }
            writer.appendHeader(type, index: index)
            for byte in constantBytes[Int(offset)..<Int(offset + length)] { writer.appendRaw(byte) }
        }
        writer.close(start)
        return constant(type: .array, writer.bytes)
    }

    // MARK: Paths and variables

    /// Compiles `"$a.b"` or `"$$name.b"`.
    private mutating func parsePath(_ text: String) throws(DBError) -> Int {
        if text.hasPrefix("$$") { return try parseVariable(String(text.dropFirst(2))) }
        let dotted = String(text.dropFirst())
        let path = try Self.checkedPath(dotted)
        if let slot = scope.slots["CURRENT"] {
            return add(.variableField(slot: Int32(slot), path: addPath(path)))
        }
        if let current = scope.constants["CURRENT"] { return constantField(current, path) }
        return addRootField(path)
    }

    private mutating func parseVariable(_ reference: String) throws(DBError) -> Int {
        let parts = reference.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        let name = String(parts[0])
        try ExpressionScope.checkReference(name)
        var rest: FieldPath?
        if parts.count > 1 { rest = try Self.checkedPath(String(parts[1])) }
        if let slot = scope.slots[name] {
            guard let rest else { return add(.variable(slot: Int32(slot))) }
            return add(.variableField(slot: Int32(slot), path: addPath(rest)))
        }
        switch name {
        case "CURRENT" where scope.constants[name] != nil: break
        case "ROOT", "CURRENT":
            guard let rest else {
                readsWholeDocument = true
                let root = add(.root)
                if scope.metadata.isEmpty { return root }
                return try strict(MetaOperators.bareDocument, [root])
            }
            return addRootField(rest)
        case "REMOVE": return add(.missing)
        case "NOW": return constantField(OwnedValue(.date(scope.nowMillis)), rest)
        case "CLUSTER_TIME":
            guard let time = scope.clusterTime else {
                throw DBError(
                    DBError.Code(rawValue: 10_071_200),
                    "Builtin variable '$$CLUSTER_TIME' is not available")
            }
            return constantField(OwnedValue(.timestamp(time)), rest)
        case "USER_ROLES": return constantField(OwnedValue(.array([])), rest)
        default: break
        }
        if let value = scope.constants[name] { return constantField(value, rest) }
        throw DBError(
            DBError.Code(rawValue: 17276), "Use of undefined variable: \(name)")
    }

    /// A constant, or a path below it, which is evaluated here.
    private mutating func constantField(_ value: OwnedValue, _ path: FieldPath?) -> Int {
        guard let path else {
            return value.type == .undefined ? add(.missing) : constant(value.view)
        }
        var context = EvaluationContext()
        let found = path.value(in: ValueRef(value.view), &context)
        return found.isMissing ? add(.missing) : constant(found.view)
    }

    /// Splits a path of an expression; throws MongoDB's codes for malformed ones.
    static func checkedPath(_ dotted: String) throws(DBError) -> FieldPath {
        if dotted.isEmpty {
            throw DBError(
                DBError.Code(rawValue: 16872), "'$' by itself is not a valid FieldPath")
        }
        if dotted.utf8.last == 46 {
            throw DBError(
                DBError.Code(rawValue: 40353), "FieldPath must not end with a '.'.")
        }
        let path = FieldPath(dotted)
        guard path.segments.count <= Limits.nestingDepthMax else {
            throw DBError(.overflow, "FieldPath is too long")
        }
        for segment in path.segments {
            try checkFieldName(segment.name)
        }
        return path
    }

    /// Refuses names that paths can't hold.
    static func checkFieldName(_ name: [UInt8]) throws(DBError) {
        guard let first = name.first else {
            throw DBError(
                DBError.Code(rawValue: 15998), "FieldPath field names may not be empty strings.")
        }
        if first == 36 {
            throw DBError(
                DBError.Code(rawValue: 16410),
                "FieldPath field names may not start with '$'. Consider using $getField or "
                    + "$setField.")
        }
        if name.contains(0) {
            throw DBError(
                DBError.Code(rawValue: 16411), "FieldPath field names may not contain '\\0'.")
        }
    }

    // MARK: Building

    /// Adds a node and returns its index.
    mutating func add(_ node: Expression.Node) -> Int {
        nodes.append(node)
        return nodes.count - 1
    }

    /// Adds a run of children.
    mutating func appendChildren(_ indexes: [Int]) -> Expression.Children {
        let first = Int32(children.count)
        children.append(contentsOf: indexes.map { Int32($0) })
        return Expression.Children(first: first, count: Int32(indexes.count))
    }

    /// Adds a constant node with a copy of `value`.
    mutating func constant(_ value: ValueView) -> Int {
        constant(type: value.type, [UInt8](copying: value.bytes))
    }

    private mutating func constant(type: BSONType, _ payload: [UInt8]) -> Int {
        let offset = Int32(constantBytes.count)
        constantBytes.append(contentsOf: payload)
        return add(.constant(type, offset: offset, length: Int32(payload.count)))
    }

    /// The value of a constant node; nil for other nodes.
    func constantValue(_ node: Int) -> OwnedValue? {
        guard case .constant(let type, let offset, let length) = nodes[node] else { return nil }
        return OwnedValue(
            type: type, payload: Array(constantBytes[Int(offset)..<Int(offset + length)]))
    }

    /// The truth of a constant node; nil for other nodes.
    func constantTruth(_ node: Int) -> Bool? {
        guard let value = constantValue(node) else { return nil }
        return value.view.isTruthy
    }

    private mutating func constantName(_ name: String) -> Expression.ConstantName {
        let offset = Int32(constantBytes.count)
        constantBytes.append(contentsOf: name.utf8)
        return Expression.ConstantName(offset: offset, length: Int32(name.utf8.count))
    }

    private mutating func addPath(_ path: FieldPath) -> Int32 {
        paths.append(path)
        return Int32(paths.count - 1)
    }

    /// Adds the value at a path of the document.
    mutating func addRootField(_ path: FieldPath) -> Int {
        if !rootPaths.contains(path) { rootPaths.append(path) }
        return add(.field(path: addPath(path)))
    }

    /// Adds a call whose arguments are evaluated first. A call of constants is evaluated here, once,
    /// unless it gives something else each time; what it throws is thrown here.
    mutating func strict(
        _ called: StrictOperator, _ arguments: [Int], isConstant: Bool = true
    ) throws(DBError) -> Int {
        guard isConstant, folds, let folded = try folded(called, arguments) else {
            return addCall(called, arguments)
        }
        return folded.type == .undefined ? add(.missing) : constant(folded.view)
    }

    /// The value of a call of constants, undefined for no value; nil if an argument is none.
    private func folded(
        _ called: StrictOperator, _ arguments: [Int]
    ) throws(DBError) -> OwnedValue? {
        var call = ProgramBuilder(ExpressionScope())
        call.scope.collation = scope.collation
        var copies: [Int] = []
        var hasConstant = false
        for argument in arguments {
            switch nodes[argument] {
            case .absent: copies.append(call.add(.absent))
            case .constant(let type, let offset, let length):
                hasConstant = true
                let payload = constantBytes[Int(offset)..<Int(offset + length)]
                copies.append(call.constant(type: type, Array(payload)))
            default: return nil
            }
        }
        guard hasConstant else { return nil }
        let root = call.addCall(called, copies)
        let expression = Expression(call, root: root)
        var context = EvaluationContext()
        let empty = Document()
        let value = try expression.evaluate(empty.view, &context)
        // The result may lie in the expression's constants.
        return withExtendedLifetime(expression) {
            value.isMissing ? OwnedValue(.undefined) : OwnedValue(copying: value.view)
        }
    }

    private mutating func addCall(_ called: StrictOperator, _ arguments: [Int]) -> Int {
        strictOperators.append(called)
        let run = appendChildren(arguments)
        return add(.strict(operator: Int32(strictOperators.count - 1), children: run))
    }

    /// Adds a call that evaluates its arguments itself.
    mutating func lazy(_ called: LazyOperator, _ arguments: [Int], slot: Int = 0) -> Int {
        lazyOperators.append(called)
        let run = appendChildren(arguments)
        return add(
            .lazy(operator: Int32(lazyOperators.count - 1), children: run, slot: Int32(slot)))
    }

    /// Has the call at `node` throw what `translate` makes of its errors; other nodes don't fail.
    mutating func translateErrors(
        of node: Int, _ translate: @escaping @Sendable (DBError) -> DBError
    ) {
        switch nodes[node] {
        case .strict(let index, _):
            let called = strictOperators[Int(index)]
            strictOperators[Int(index)] = StrictOperator(nullRule: called.nullRule) {
                arguments, context throws(DBError) in
                do throws(DBError) {
                    return try called.function(arguments, &context)
                } catch {
                    throw translate(error)
                }
            }
        case .lazy(let index, _, _):
            let called = lazyOperators[Int(index)]
            lazyOperators[Int(index)] = LazyOperator { call, context throws(DBError) in
                do throws(DBError) {
                    return try called.function(call, &context)
                } catch {
                    throw translate(error)
                }
            }
        default: break
        }
    }

    /// Gives `count` new variables consecutive slots and returns the first. Slots are not reused,
    /// so that no variable can overwrite one of an enclosing expression.
    mutating func allocateSlots(_ count: Int) -> Int {
        let first = slotCount
        slotCount += count
        return first
    }

    /// Parses `value` without evaluating calls of constants if `isTaken` says that it never counts.
    mutating func parse(_ value: ValueView, isTaken: Bool) throws(DBError) -> Int {
        let saved = folds
        defer { folds = saved }
        folds = saved && isTaken
        return try parse(value)
    }

    /// Parses `value` with more names in scope.
    mutating func parse(
        _ value: ValueView, binding variables: [(name: String, slot: Int)]
    ) throws(DBError) -> Int {
        let saved = scope
        defer { scope = saved }
        for (name, slot) in variables { scope.slots[name] = slot }
        return try parse(value)
    }
}
