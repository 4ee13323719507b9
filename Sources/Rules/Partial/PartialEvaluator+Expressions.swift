// Expressions while the document is open: what doesn't look at it is evaluated, what compares one of
// its fields becomes a condition, and the rest is unknown.

internal import BSON
internal import Query

extension PartialEvaluator {
    /// Most expressions looked at; what lies beyond is unknown.
    private static let expressionsMax = 4_000

    /// An expression as a condition.
    mutating func truth(of id: ExpressionID) -> Truth {
        switch evaluate(id) {
        case .known(.bool(let holds)): return constantly(holds)
        case .known, .failed, .resource: return failing()
        case .condition(let truth): return truth
        case .field(let names):
            guard !names.isEmpty else { return failing() }
            return fieldIsTrue(names)
        case .segment: return failing()
        case .unknown: return Truth(whenTrue: .unknown, whenFalse: .unknown, check: nil)
        }
    }

    /// What an expression comes to.
    mutating func evaluate(_ id: ExpressionID) -> Partial {
        spent += 1
        guard spent <= Self.expressionsMax else { return .unknown }
        guard isOpen(id) else { return evaluateClosed(id) }
        switch rules.syntax[id].kind {
        case .name(_, let binding): return value(of: binding)
        case .unary(.not, let operand):
            let truth = truth(of: operand)
            return .condition(not(truth))
        case .binary(.and, let left, let right):
            let (left, right) = (truth(of: left), truth(of: right))
            return .condition(both(left, right))
        case .binary(.or, let left, let right):
            let (left, right) = (truth(of: left), truth(of: right))
            return .condition(either(left, right))
        case .binary(let operation, let left, let right):
            return compare(operation, evaluate(left), evaluate(right))
        case .conditional(let condition, let yes, let no):
            return choose(condition, yes, no)
        case .member(let receiver, let name): return member(name, of: receiver)
        case .index(let receiver, let index):
            guard case .field(let names) = evaluate(receiver),
                case .known(.string(let name)) = evaluate(index)
            else { return .unknown }
            return .field(names + [name])
        case .call(.function(let number), let arguments): return call(number, arguments)
        default: return .unknown
        }
    }

    /// Evaluates what doesn't look at the document.
    private mutating func evaluateClosed(_ id: ExpressionID) -> Partial {
        do throws(RuleFailure) {
            return .known(try evaluator.evaluate(id))
        } catch {
            return error.isFinal ? .unknown : .failed
        }
    }

    private func value(of binding: NameBinding) -> Partial {
        switch binding {
        case .resource: .resource
        case .local(let slot): locals[base + Int(slot)]
        case .capture(let number): captured[Int(number)].map { .segment($0) } ?? .unknown
        case .request, .namespace, .unknown: .unknown
        }
    }

    private mutating func member(_ name: TextID, of receiver: ExpressionID) -> Partial {
        switch evaluate(receiver) {
        case .resource:
            switch rules.members[Int(name.index)] {
            case .data: return .field([])
            case .id: return .segment(path.count - 4)
            case .name: return .unknown
            default: return .failed
            }
        case .field(let names): return .field(names + [rules.syntax[name]])
        case .failed: return .failed
        default: return .unknown
        }
    }

    private mutating func choose(
        _ condition: ExpressionID, _ yes: ExpressionID, _ no: ExpressionID
    ) -> Partial {
        switch evaluate(condition) {
        case .known(.bool(let holds)): return evaluate(holds ? yes : no)
        case .known, .failed: return .failed
        default: break
        }
        let condition = truth(of: condition)
        let (yes, no) = (truth(of: yes), truth(of: no))
        var node: Int32?
        if let condition = condition.check, let yes = yes.check, let no = no.check {
            node = check.add(.conditional(condition, yes, no))
        }
        return .condition(
            Truth(
                whenTrue: .either(
                    .both(condition.whenTrue, yes.whenTrue),
                    .both(condition.whenFalse, no.whenTrue)),
                whenFalse: .either(
                    .both(condition.whenTrue, yes.whenFalse),
                    .both(condition.whenFalse, no.whenFalse)),
                check: node))
    }

    // MARK: Calls

    private mutating func call(_ number: Int32, _ arguments: OperandRange) -> Partial {
        let function = rules.syntax.functions[Int(number)]
        guard Int(arguments.count) == function.parameters.count else { return .failed }
        let values = rules.syntax[arguments].map { evaluate($0) }
        // An argument that fails is a failure of the call, whether it is used or not.
        var read: [[String]] = []
        for value in values {
            switch value {
            case .failed: return .failed
            case .unknown, .condition: return .unknown
            case .field(let names): if !names.isEmpty { read.append(names) }
            case .known, .resource, .segment: break
            }
        }
        let (outerBase, outerCount) = (base, locals.count)
        (base, evaluator.base) = (outerCount, outerCount)
        defer {
            locals.removeSubrange(outerCount...)
            evaluator.locals.removeSubrange(outerCount...)
            (base, evaluator.base) = (outerBase, outerBase)
        }
        for value in values { push(value) }
        while locals.count < outerCount + Int(function.localCount) { push(.known(.null)) }
        for (index, item) in function.lets.enumerated() {
            let value = evaluate(item.value)
            switch value {
            case .failed: return .failed
            case .known, .resource, .segment: break
            case .field(let names): if !names.isEmpty { read.append(names) }
            case .unknown, .condition: return .unknown
            }
            locals[base + values.count + index] = value
            if case .known(let known) = value {
                evaluator.locals[base + values.count + index] = known
            }
        }
        let result = evaluate(function.result)
        guard !read.isEmpty else { return result }
        switch result {
        case .condition, .known(.bool): return .condition(reading(read, whether: result))
        case .failed: return .failed
        default: return .unknown
        }
    }

    /// A condition that fails where a field is missing which is read before.
    private mutating func reading(_ fields: [[String]], whether result: Partial) -> Truth {
        var truth: Truth
        if case .condition(let open) = result {
            truth = open
        } else if case .known(.bool(let holds)) = result {
            truth = constantly(holds)
        } else {
            return failing()
        }
        for names in fields {
            guard let node = truth.check else { break }
            let present = check.add(.present(ResidualCheck.FieldNames(names)))
            truth.check = check.add(.conditional(present, node, constant(.failure)))
        }
        // Where the field is missing the condition is neither.
        if truth.whenTrue.proof == .alwaysTrue { truth.whenTrue.proof = .alwaysFalse }
        if truth.whenFalse.proof == .alwaysTrue { truth.whenFalse.proof = .alwaysFalse }
        return truth
    }

    private mutating func push(_ value: Partial) {
        locals.append(value)
        if case .known(let known) = value {
            evaluator.locals.append(known)
        } else {
            evaluator.locals.append(.null)
        }
    }

    // MARK: What looks at the document

    /// Whether an expression looks at the document or its path.
    private mutating func isOpen(_ id: ExpressionID) -> Bool {
        isOpen(id, inBody: false)
    }

    /// `inBody`: of a function whose arguments are looked at by themselves.
    private mutating func isOpen(_ id: ExpressionID, inBody: Bool) -> Bool {
        switch rules.syntax[id].kind {
        case .null, .bool, .int, .float, .string, .bytes: return false
        case .name(_, .resource): return true
        case .name(_, .capture(let number)): return evaluator.captures[Int(number)] == nil
        case .name(_, .local(let slot)):
            guard !inBody, locals.indices.contains(base + Int(slot)) else { return false }
            if case .known = locals[base + Int(slot)] { return false }
            return true
        case .name: return false
        case .member(let receiver, let name):
            if rules.members[Int(name.index)] == .path { return true }
            return isOpen(receiver, inBody: inBody)
        case .unary(_, let operand), .typeTest(let operand, _):
            return isOpen(operand, inBody: inBody)
        case .binary(_, let left, let right), .index(let left, let right):
            return isOpen(left, inBody: inBody) || isOpen(right, inBody: inBody)
        case .conditional(let first, let second, let third),
            .slice(let first, let second, let third):
            return isOpen(first, inBody: inBody) || isOpen(second, inBody: inBody)
                || isOpen(third, inBody: inBody)
        case .call(let callee, let arguments):
            if rules.syntax[arguments].contains(where: { isOpen($0, inBody: inBody) }) {
                return true
            }
            guard case .function(let number) = callee else { return false }
            return isOpen(function: number)
        case .method(let receiver, _, let arguments):
            return isOpen(receiver, inBody: inBody)
                || rules.syntax[arguments].contains { isOpen($0, inBody: inBody) }
        case .loop(_, let list, _, _, let body):
            return isOpen(list, inBody: inBody) || isOpen(body, inBody: inBody)
        case .list(let operands), .map(let operands), .path(let operands):
            return rules.syntax[operands].contains { isOpen($0, inBody: inBody) }
        }
    }

    private mutating func isOpen(function number: Int32) -> Bool {
        if let known = openFunctions[number] { return known }
        let function = rules.syntax.functions[Int(number)]
        let looks =
            function.lets.contains { isOpen($0.value, inBody: true) }
            || isOpen(function.result, inBody: true)
        openFunctions[number] = looks
        return looks
    }
}
