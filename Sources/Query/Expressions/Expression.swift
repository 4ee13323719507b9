// Expressions of the aggregation language.
//
// `Expression.parse` compiles a BSON value into a flat program: an array of nodes in which the
// children of a node are a run of indexes, one pool of constants, one table of paths. Operators come
// from OperatorTable.swift (one row and one function each). `evaluate` walks the program over a
// document where it lies; values are references (ValueRef.swift), so nothing is decoded or allocated
// for a document.

package import BSON

/// A compiled expression. Immutable, so executions on any thread share it.
package final class Expression: Sendable {
    /// One node of the program. Child nodes are runs in `children`.
    enum Node: Sendable {
        /// A payload in the constant pool.
        case constant(BSONType, offset: Int32, length: Int32)
        /// No value: `$$REMOVE`.
        case missing
        /// An optional argument that was not written.
        case absent
        /// `$$ROOT`.
        case root
        /// A path below `$$ROOT`, by its index in `paths`.
        case field(path: Int32)
        /// A variable.
        case variable(slot: Int32)
        /// A path below a variable.
        case variableField(slot: Int32, path: Int32)
        /// A document; its names are `names[firstName...]`.
        case document(children: Children, firstName: Int32)
        /// An array.
        case array(children: Children)
        /// An operator whose arguments are evaluated first.
        case strict(operator: Int32, children: Children)
        /// An operator that evaluates its arguments itself; `slot` is its first variable's.
        case lazy(operator: Int32, children: Children, slot: Int32)
    }

    /// A run of child nodes.
    struct Children: Sendable {
        let first: Int32
        let count: Int32
    }

    let nodes: [Node]
    let children: [Int32]
    let names: [ConstantName]
    let constants: ConstantPool
    /// Paths below `$$ROOT` and below variables.
    let paths: [FieldPath]
    /// The first name of each path, prepared for lookups; its bytes lie in `constants`.
    private let firstNames: [FieldName]
    private let strictOperators: [StrictOperator]
    private let lazyOperators: [LazyOperator]
    private let rootNode: Int
    private let slotCount: Int
    private let collation: Collation?
    /// What the expression reads of the document; nil for all of it.
    package let requiredPaths: [FieldPath]?
    /// Whether it may do much for a small document.
    package let loops: Bool

    /// Where a field name lies in the constant pool.
    struct ConstantName: Sendable {
        let offset: Int32
        let length: Int32
    }

    init(_ program: consuming ProgramBuilder, root: Int) {
        nodes = program.nodes
        children = program.children
        names = program.names
        paths = program.paths
        var pool = program.constantBytes
        firstNames = program.paths.map { path in
            let offset = pool.count
            let name = path.segments.first?.name ?? []
            pool.append(contentsOf: name)
            return FieldName(at: offset, count: name.count, in: pool)
        }
        constants = ConstantPool(pool)
        strictOperators = program.strictOperators
        lazyOperators = program.lazyOperators
        rootNode = root
        slotCount = program.slotCount
        loops = program.loops
        collation = program.scope.collation
        requiredPaths = program.readsWholeDocument ? nil : program.rootPaths
    }

    /// Compiles a value as an expression.
    ///
    /// Throws 168 for an unknown operator, 115 for one of MongoDB's that Roost lacks, and MongoDB's
    /// code for each malformed argument list or path.
    package static func parse(
        _ value: ValueView, _ scope: ExpressionScope
    ) throws(DBError) -> Expression {
        var program = ProgramBuilder(scope)
        let root = try program.parse(value)
        return Expression(program, root: root)
    }

    /// The value for `document`, valid until the next evaluation that starts a document in
    /// `context`; missing if there is none.
    ///
    /// For several expressions over one document, call `context.begin` once and then
    /// `evaluate(in:)` for each.
    package func evaluate(
        _ document: DocumentView, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        context.begin(document)
        return try evaluate(in: &context)
    }

    /// The value for the document that `context` began.
    package func evaluate(in context: inout EvaluationContext) throws(DBError) -> ValueRef {
        context.reserveVariables(slotCount)
        if context.collation !== collation { context.collation = collation }
        return try evaluate(rootNode, &context)
    }

    /// The constant that the expression is, whatever the document; nil if it reads anything.
    package var constant: OwnedValue? {
        guard case .constant(let type, let offset, let length) = nodes[rootNode] else { return nil }
        let value = constants.value(type, at: Int(offset), length: Int(length))
        return OwnedValue(copying: value.view)
    }

    /// The constant that the expression is, where it lies: valid while the expression lives.
    var constantReference: ValueRef? {
        guard case .constant(let type, let offset, let length) = nodes[rootNode] else { return nil }
        return constants.value(type, at: Int(offset), length: Int(length))
    }

    /// The single path below `$$ROOT` that the expression is; nil for any other expression.
    package var fieldPath: FieldPath? {
        guard case .field(let path) = nodes[rootNode] else { return nil }
        return paths[Int(path)]
    }

    // MARK: Evaluation

    func evaluate(_ index: Int, _ context: inout EvaluationContext) throws(DBError) -> ValueRef {
        switch nodes[index] {
        case .constant(let type, let offset, let length):
            return constants.value(type, at: Int(offset), length: Int(length))
        case .missing: return .missing
        case .absent: return .absent
        case .root: return context.root
        case .field(let path):
            return value(atPath: Int(path), below: context.root, &context)
        case .variable(let slot): return context.variables[Int(slot)]
        case .variableField(let slot, let path):
            return value(atPath: Int(path), below: context.variables[Int(slot)], &context)
        case .document(let children, let firstName):
            return try evaluateDocument(children, Int(firstName), &context)
        case .array(let children):
            let start = context.stack.count
            try evaluateArguments(children, &context)
            return context.makeArray(fromStack: start)
        case .strict(let operatorIndex, let children):
            return try evaluateStrict(strictOperators[Int(operatorIndex)], children, &context)
        case .lazy(let operatorIndex, let children, let slot):
            let call = LazyCall(expression: self, children: children, slot: Int(slot))
            return try lazyOperators[Int(operatorIndex)].function(call, &context)
        }
    }

    @inline(__always)
    private func value(
        atPath path: Int, below value: ValueRef, _ context: inout EvaluationContext
    ) -> ValueRef {
        guard value.isType(.document) else {
            return paths[path].value(in: value, &context)
        }
        guard let found = value.nested.value(firstNames[path], in: constants.bytes) else {
            return .missing
        }
        let length = paths[path].segments.count
        return length == 1
            ? ValueRef(found) : paths[path].value(in: ValueRef(found), from: 1, &context)
    }

    @inline(__always)
    private func evaluateArguments(
        _ run: Children, _ context: inout EvaluationContext
    ) throws(DBError) {
        for child in run.first..<run.first + run.count {
            let value = try evaluate(Int(children[Int(child)]), &context)
            if value.length > EvaluationContext.largeBytes { try context.count(large: value) }
            context.stack.append(value)
        }
    }

    private func evaluateStrict(
        _ called: StrictOperator, _ run: Children, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        let start = context.stack.count
        try evaluateArguments(run, &context)
        let arguments = Arguments(start: start, count: Int(run.count))
        if called.nullRule == .nullIfAny, arguments.anyNullish(context) {
            context.stack.removeSubrange(start...)
            return .null
        }
        if called.nullRule == .nullIfFirst, arguments.count > 0, context.stack[start].isNullish {
            context.stack.removeSubrange(start...)
            return .null
        }
        let result = try called.function(arguments, &context)
        context.stack.removeSubrange(start...)
        return result
    }

    private func evaluateDocument(
        _ run: Children, _ firstName: Int, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        let start = context.stack.count
        let namesStart = context.names.count
        for offset in 0..<Int(run.count) {
            let value = try evaluate(Int(children[Int(run.first) + offset]), &context)
            if value.length > EvaluationContext.largeBytes { try context.count(large: value) }
            let name = names[firstName + offset]
            context.stack.append(value)
            context.names.append(
                constants.value(.string, at: Int(name.offset), length: Int(name.length)))
        }
        return context.makeDocument(fromStack: start, names: namesStart)
    }
}

/// The evaluated arguments of a strict operator: a run on the context's stack.
struct Arguments {
    let start: Int
    let count: Int

    /// The argument at `index`; the caller has checked the arity at parse.
    @inline(__always)
    func callAsFunction(_ index: Int, _ context: borrowing EvaluationContext) -> ValueRef {
        index < count ? context.stack[start + index] : .absent
    }

    /// Whether any written argument is null, undefined or missing.
    func anyNullish(_ context: borrowing EvaluationContext) -> Bool {
        for index in 0..<count {
            let value = context.stack[start + index]
            if value.isNullish, !value.isAbsent { return true }
        }
        return false
    }
}

/// The arguments of an operator that evaluates them itself.
struct LazyCall {
    let expression: Expression
    let children: Expression.Children
    /// The operator's first variable.
    let slot: Int

    var count: Int { Int(children.count) }

    /// Evaluates the argument at `index`.
    func callAsFunction(
        _ index: Int, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        let child = expression.children[Int(children.first) + index]
        return try expression.evaluate(Int(child), &context)
    }
}
