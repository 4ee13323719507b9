// Evaluates the rules of one request.
//
// Guarantees: every node costs at least one of the request's expressions, so an evaluation ends;
// the depth of nested evaluations is bounded, so no stack overflows; a failure is a value of the
// language (`||` and `&&` may absorb it), but for those of bounds and of the store.

internal import BSON

/// The state of one request's evaluation.
struct RuleEvaluator {
    let rules: RuleSet
    let request: RuleRequest
    let documents: any RuleDocuments
    /// Where steps are kept; nil where nobody asks for them.
    var trace: RuleTrace?
    /// The step that is being evaluated.
    var currentStep: Int32 = -1

    /// Parameters, `let`s and loop variables of all calls that are open.
    var locals: [RuleValue] = []
    /// Where the innermost call's locals begin.
    var base = 0
    /// Values of the wildcards, from the outermost; nil for what a query leaves open.
    var captures: [RuleValue?] = []
    /// Documents looked up so far.
    var lookups: [RuleLookup] = []
    /// Patterns that are no literals, compiled in this request.
    var patterns: [String: RulesPattern] = [:]
    private var spent = 0
    private var depth = 0
    /// Bytes of text that were made.
    private var textBytes = 0

    init(_ rules: RuleSet, _ request: RuleRequest, _ documents: any RuleDocuments) {
        self.rules = rules
        self.request = request
        self.documents = documents
    }

    // MARK: Bounds

    /// Counts expressions. Firestore's message, since people search for it.
    mutating func spend(_ count: Int = 1) throws(RuleFailure) {
        spent += count
        guard spent <= rules.limits.expressionsMax else {
            throw RuleFailure(
                .limit(
                    "Unable to evaluate the expression as the maximum of "
                        + "\(rules.limits.expressionsMax) expressions to evaluate has been "
                        + "reached."), at: ExpressionID(-1))
        }
    }

    /// Counts text that is made, so that repeated concatenation ends.
    mutating func spend(textBytes count: Int) throws(RuleFailure) {
        textBytes += count
        guard textBytes <= rules.limits.textBytesMax else {
            throw RuleFailure(
                .limit("The rules made more than \(rules.limits.textBytesMax) bytes of text."),
                at: ExpressionID(-1))
        }
    }

    /// A failure of the node that is being evaluated.
    func failure(_ reason: RuleFailure.Reason) -> RuleFailure {
        RuleFailure(reason, at: ExpressionID(-1))
    }

    // MARK: Nodes

    /// The value of an expression.
    mutating func evaluate(_ id: ExpressionID) throws(RuleFailure) -> RuleValue {
        depth += 1
        defer { depth -= 1 }
        guard depth <= rules.limits.evaluationDepthMax else {
            throw RuleFailure(.limit("Expression is too complex to evaluate safely."), at: id)
        }
        if trace != nil { return try evaluateTracing(id) }
        return try evaluateLocated(id)
    }

    /// Keeps the step.
    private mutating func evaluateTracing(_ id: ExpressionID) throws(RuleFailure) -> RuleValue {
        let step = Int32(clamping: trace?.steps.count ?? 0)
        let outer = currentStep
        trace?.steps.append(
            RuleTrace.Step(expression: id, parent: outer, outcome: .value(.null)))
        currentStep = step
        defer { currentStep = outer }
        do throws(RuleFailure) {
            let value = try evaluateLocated(id)
            trace?.steps[Int(step)].outcome = .value(value)
            return value
        } catch {
            trace?.steps[Int(step)].outcome = .failure(error)
            throw error
        }
    }

    /// Gives failures their place.
    private mutating func evaluateLocated(_ id: ExpressionID) throws(RuleFailure) -> RuleValue {
        do throws(RuleFailure) {
            try spend()
            return try compute(rules.syntax[id].kind, id)
        } catch {
            guard error.at.index < 0 else { throw error }
            throw RuleFailure(error.reason, at: id)
        }
    }

    private mutating func compute(
        _ kind: Expression.Kind, _ id: ExpressionID
    ) throws(RuleFailure) -> RuleValue {
        switch kind {
        case .null: return .null
        case .bool(let value): return .bool(value)
        case .int(let value): return .int(value)
        case .float(let value): return .float(value)
        case .string(let text): return .string(rules.syntax[text])
        case .bytes(let number): return .bytes(rules.syntax.byteLiterals[Int(number)])
        case .name(let name, let binding): return try value(of: name, binding)
        case .unary(.not, let operand): return .bool(!(try truth(operand)))
        case .unary(.negate, let operand): return try negated(try evaluate(operand))
        case .binary(.or, let left, let right): return .bool(try either(left, right, wanted: true))
        case .binary(.and, let left, let right):
            return .bool(try either(left, right, wanted: false))
        case .binary(let operation, let left, let right):
            return try combine(operation, try evaluate(left), try evaluate(right))
        case .conditional(let condition, let yes, let no):
            try spend()
            if try truth(condition) { return try evaluate(yes) }
            try spend(2)
            return try evaluate(no)
        case .typeTest(let operand, let type):
            try spend()
            let value = try evaluate(operand)
            return .bool(type.map { value.isOf($0) } ?? false)
        case .member(let receiver, let name): return try member(name, of: try evaluate(receiver))
        case .index(let receiver, let index):
            return try element(of: try evaluate(receiver), at: try evaluate(index))
        case .slice(let receiver, let start, let end):
            return try slice(
                of: try evaluate(receiver), from: try evaluate(start), to: try evaluate(end))
        case .call(let callee, let arguments): return try call(callee, arguments, id)
        case .method(let receiver, let name, let arguments):
            return try callMethod(name, of: receiver, arguments)
        case .loop(let method, let list, let variable, _, let body):
            return try loop(method, try evaluate(list), Int(variable), body)
        case .list(let operands): return .list(try evaluate(operands))
        case .map(let operands): return try map(operands)
        case .path(let operands): return try path(operands)
        }
    }

    /// The values of operands in order.
    mutating func evaluate(_ operands: OperandRange) throws(RuleFailure) -> [RuleValue] {
        var values: [RuleValue] = []
        values.reserveCapacity(Int(operands.count))
        for operand in rules.syntax[operands] { values.append(try evaluate(operand)) }
        return values
    }

    /// The truth of a condition; anything but a bool fails.
    mutating func truth(_ id: ExpressionID) throws(RuleFailure) -> Bool {
        let value = try evaluate(id)
        guard case .bool(let truth) = value else {
            if case .null = value { throw failure(.nullValue) }
            throw failure(.unsupported(value.typeName, expected: "bool"))
        }
        return truth
    }

    /// `||` (wanted: true) and `&&` (wanted: false): either operand may decide, even when the
    /// other fails.
    private mutating func either(
        _ left: ExpressionID, _ right: ExpressionID, wanted: Bool
    ) throws(RuleFailure) -> Bool {
        var failed: RuleFailure?
        do throws(RuleFailure) {
            if try truth(left) == wanted { return wanted }
        } catch {
            if error.isFinal { throw error }
            failed = error
        }
        try spend()
        do throws(RuleFailure) {
            if try truth(right) == wanted { return wanted }
        } catch {
            if error.isFinal { throw error }
            throw failed ?? error
        }
        if let failed { throw failed }
        return !wanted
    }

    // MARK: Names and members

    private func value(
        of name: TextID, _ binding: NameBinding
    ) throws(RuleFailure) -> RuleValue {
        switch binding {
        case .request: return .request
        case .resource: return resource(request.resource)
        case .local(let slot): return locals[base + Int(slot)]
        case .capture(let number):
            guard let value = captures[Int(number)] else { throw failure(.nullValue) }
            return value
        case .namespace, .unknown:
            throw failure(.variableNotFound(rules.syntax[name]))
        }
    }

    private mutating func member(
        _ name: TextID, of receiver: RuleValue
    ) throws(RuleFailure) -> RuleValue {
        let text = rules.syntax[name]
        switch receiver {
        case .null: throw failure(.nullValue)
        case .request:
            guard let value = requestMember(rules.members[Int(name.index)]) else {
                throw failure(.undefinedProperty(text))
            }
            return value
        case .resource(let resource):
            switch rules.members[Int(name.index)] {
            case .data: return .storedMap(resource.data)
            case .id: return .string(resource.path.segments.last ?? "")
            case .name: return .path(resource.path)
            default: throw failure(.undefinedProperty(text))
            }
        case .map, .storedMap:
            guard let value = receiver.value(ofKey: text) else {
                throw failure(.undefinedProperty(text))
            }
            return value
        default: throw failure(.undefinedProperty(text))
        }
    }

    /// A member of `request`; nil where it has none of that name.
    private func requestMember(_ member: KnownMember?) -> RuleValue? {
        switch member {
        case .auth:
            return request.auth.map { .storedMap(StoredDocument($0, hidesID: false)) } ?? .null
        case .method: return .string(request.method.rawValue)
        case .path: return .path(request.path)
        case .resource: return resource(request.newResource)
        case .time: return .timestamp(RuleTimestamp(millis: request.timeMillis))
        case .query:
            guard request.method == .list else { return nil }
            var entries: [RuleMapEntry] = []
            let query = request.query ?? RuleRequest.Query()
            if let limit = query.limit {
                entries.append(RuleMapEntry(key: "limit", value: .int(limit)))
            }
            entries.append(RuleMapEntry(key: "offset", value: .int(query.offset ?? 0)))
            entries.append(
                RuleMapEntry(key: "orderBy", value: .list(query.orderBy.map { .string($0) })))
            return .map(entries)
        default: return nil
        }
    }

    /// A document of the request with its path; null where there is none.
    func resource(_ document: Document?) -> RuleValue {
        guard let document else { return .null }
        return .resource(
            RuleResource(data: StoredDocument(document, hidesID: true), path: request.path))
    }

    // MARK: Literals

    private mutating func map(_ operands: OperandRange) throws(RuleFailure) -> RuleValue {
        var entries: [RuleMapEntry] = []
        let ids = Array(rules.syntax[operands])
        for index in stride(from: 0, to: ids.count - 1, by: 2) {
            guard case .string(let key) = try evaluate(ids[index]) else { continue }
            let value = try evaluate(ids[index + 1])
            entries.removeAll { $0.key.utf8.elementsEqual(key.utf8) }
            entries.append(RuleMapEntry(key: key, value: value))
        }
        return .map(entries)
    }

    private mutating func path(_ operands: OperandRange) throws(RuleFailure) -> RuleValue {
        var segments: [String] = []
        for operand in rules.syntax[operands] {
            switch try evaluate(operand) {
            case .string(let segment): segments.append(segment)
            case .int(let number): segments.append(String(number))
            case .path(let path): segments += path.segments
            case .null: throw failure(.nullValue)
            case let value:
                throw failure(.unsupported("path(\(value.typeName))", expected: "path(string)"))
            }
            guard segments.count <= rules.limits.pathSegmentsMax else {
                throw failure(.other("A path has at most 100 segments."))
            }
        }
        return .path(RulePath(segments))
    }
}
