// What types expressions have and whether they can be true, from the text alone; and warnings where
// an expression always fails. Parameters and fields of documents may be anything.

internal import BSON

/// Infers what expressions come to.
struct TypeInference {
    let rules: RuleSet
    private(set) var problems: [RulesProblem] = []
    /// What functions give, by number; nil where not yet inferred.
    private var results: [Knowledge?]
    private var locals: [Knowledge] = []
    /// The types of the wildcards around, from the outermost.
    var captures: [TypeSet] = []
    /// The methods of the allow statement that is looked at.
    private var methods: RuleMethods?

    init(_ rules: RuleSet) {
        self.rules = rules
        results = Array(repeating: nil, count: rules.syntax.functions.count)
    }

    // MARK: Entries

    /// What a condition comes to, for an allow statement.
    mutating func knowledge(
        ofCondition id: ExpressionID, methods: RuleMethods, locals count: Int
    ) -> Knowledge {
        self.methods = methods
        locals = Array(repeating: Knowledge(.any), count: count)
        defer { self.methods = nil }
        let known = infer(id)
        if known.types.isDisjoint(with: .bool), !known.types.isEmpty {
            warn(.wrongType, id, "a condition is a bool, and this is \(known.types.text)")
            return .failure
        }
        return known
    }

    /// What a function gives. Calls don't recurse: binding has made sure.
    mutating func knowledge(ofFunction number: Int) -> Knowledge {
        if let known = results[number] { return known }
        let function = rules.syntax.functions[number]
        let outer = (locals, methods, captures)
        locals = Array(repeating: Knowledge(.any), count: Int(function.localCount))
        methods = nil
        // Its own wildcards are at the front of those around any caller, but others may call it.
        captures = []
        defer { (locals, methods, captures) = outer }
        for (index, item) in function.lets.enumerated() {
            locals[function.parameters.count + index] = infer(item.value)
        }
        let known = infer(function.result)
        results[number] = known
        return known
    }

    private mutating func warn(_ code: RulesProblem.Code, _ id: ExpressionID, _ message: String) {
        problems.append(RulesProblem(.warning, code, at: rules.syntax[id].range, message))
    }

    // MARK: Expressions

    private mutating func infer(_ id: ExpressionID) -> Knowledge {
        let node = rules.syntax[id]
        switch node.kind {
        case .null: return Knowledge(.null, canFail: false)
        case .bool(let value):
            return Knowledge(canBeTrue: value, canBeFalse: !value, canFail: false)
        case .int: return Knowledge(.int, canFail: false)
        case .float: return Knowledge(.float, canFail: false)
        case .string: return Knowledge(.string, canFail: false)
        case .bytes: return Knowledge(.bytes, canFail: false)
        case .name(_, let binding): return infer(binding)
        case .unary(.not, let operand):
            let known = bool(operand)
            return Knowledge(
                canBeTrue: known.canBeFalse, canBeFalse: known.canBeTrue, canFail: known.canFail)
        case .unary(.negate, let operand):
            let known = infer(operand)
            return Knowledge(expect(known, .number, operand, "'-' takes a number"))
        case .binary(let operation, let left, let right): return infer(operation, left, right, id)
        case .conditional(let condition, let yes, let no):
            let known = bool(condition)
            let (yes, no) = (infer(yes), infer(no))
            var result = Knowledge(
                (known.canBeTrue ? yes.types : []).union(known.canBeFalse ? no.types : []))
            result.canBeTrue =
                known.canBeTrue && yes.canBeTrue || known.canBeFalse && no.canBeTrue
            result.canBeFalse =
                known.canBeTrue && yes.canBeFalse || known.canBeFalse && no.canBeFalse
            result.canFail = known.canFail || yes.canFail || no.canFail
            return result
        case .typeTest(let operand, let type):
            let known = infer(operand)
            guard let type else {
                warn(
                    .unknownType, id,
                    "there is no such type; there are "
                        + RuleType.allCases.map(\.rawValue).joined(separator: ", "))
                return Knowledge(canBeTrue: false, canBeFalse: true, canFail: known.canFail)
            }
            let types = TypeSet(type)
            return Knowledge(
                canBeTrue: !known.types.isDisjoint(with: types),
                canBeFalse: !known.types.isSubset(of: types), canFail: known.canFail)
        case .member(let receiver, let name): return member(name, of: receiver, id)
        case .index(let receiver, let index):
            let known = infer(receiver)
            _ = infer(index)
            let usable: TypeSet = [.list, .string, .path, .map, .resource, .auth, .query]
            let types = expect(known, usable, receiver, "'[…]' takes a list, map, string or path")
            if types.isEmpty { return .failure }
            return Knowledge(
                types.isSubset(of: [.string, .path]) ? .string : .any)
        case .slice(let receiver, let start, let end):
            let known = infer(receiver)
            _ = expect(infer(start), .int, start, "a range takes ints")
            _ = expect(infer(end), .int, end, "a range takes ints")
            return Knowledge(
                expect(known, [.list, .string], receiver, "a range is of a list or string"))
        case .call(let callee, let arguments): return call(callee, arguments, id)
        case .method(let receiver, let name, let arguments):
            return method(name, of: receiver, arguments, id)
        case .loop(let method, let list, let variable, _, let body):
            let known = infer(list)
            _ = expect(known, [.list, .set], list, "'\(method.rawValue)' is for lists and sets")
            locals[Int(variable)] = Knowledge(.any)
            if method == .map {
                _ = infer(body)
            } else {
                _ = bool(body)
            }
            return Knowledge(method == .all || method == .any ? .bool : .list)
        case .list(let operands):
            for operand in rules.syntax[operands] { _ = infer(operand) }
            return Knowledge(.list)
        case .map(let operands):
            for operand in rules.syntax[operands] { _ = infer(operand) }
            return Knowledge(.map)
        case .path(let operands):
            for operand in rules.syntax[operands] {
                _ = expect(
                    infer(operand), [.string, .int, .path], operand,
                    "a segment of a path is a string")
            }
            return Knowledge(.path)
        }
    }

    private func infer(_ binding: NameBinding) -> Knowledge {
        switch binding {
        case .request: return Knowledge(.request, canFail: false)
        case .resource: return Knowledge([.resource, .null], canFail: false)
        case .local(let slot): return locals[Int(slot)]
        case .capture(let number):
            guard captures.indices.contains(Int(number)) else {
                return Knowledge([.string, .path], canFail: false)
            }
            return Knowledge(captures[Int(number)], canFail: false)
        case .namespace, .unknown: return .failure
        }
    }

    /// The types that are among the usable ones; a warning where none is.
    private mutating func expect(
        _ known: Knowledge, _ usable: TypeSet, _ id: ExpressionID, _ what: String
    ) -> TypeSet {
        let types = known.types.intersection(usable)
        if types.isEmpty, !known.types.isEmpty {
            warn(.wrongType, id, "\(what), and this is \(known.types.text): it always fails")
        }
        return types
    }

    private mutating func bool(_ id: ExpressionID) -> Knowledge {
        var known = infer(id)
        _ = expect(known, .bool, id, "a bool is needed")
        if !known.types.contains(.bool) { return .failure }
        known.canFail = known.canFail || known.types != .bool
        return known
    }

    // MARK: Operators

    private mutating func infer(
        _ operation: BinaryOperator, _ leftID: ExpressionID, _ rightID: ExpressionID,
        _ id: ExpressionID
    ) -> Knowledge {
        switch operation {
        case .and:
            let (left, right) = (bool(leftID), bool(rightID))
            return Knowledge(
                canBeTrue: left.canBeTrue && right.canBeTrue,
                canBeFalse: left.canBeFalse || right.canBeFalse,
                canFail: left.canFail || right.canFail)
        case .or:
            let (left, right) = (bool(leftID), bool(rightID))
            let isCertain =
                !left.canBeFalse && !left.canFail || !right.canBeFalse && !right.canFail
            return Knowledge(
                canBeTrue: left.canBeTrue || right.canBeTrue,
                canBeFalse: left.canBeFalse && right.canBeFalse,
                canFail: !isCertain && (left.canFail || right.canFail))
        case .equal, .notEqual: return equality(operation, leftID, rightID, id)
        case .less, .lessOrEqual, .greater, .greaterOrEqual:
            let (left, right) = (infer(leftID), infer(rightID))
            let groups: [TypeSet] = [.number, .string, .timestamp, .duration]
            let isPossible = groups.contains {
                !left.types.isDisjoint(with: $0) && !right.types.isDisjoint(with: $0)
            }
            if !isPossible, !left.types.isEmpty, !right.types.isEmpty {
                warn(
                    .wrongType, id,
                    "\(left.types.text) and \(right.types.text) have no order: this always fails")
                return .failure
            }
            return isPossible ? Knowledge(.bool) : .failure
        case .isIn:
            let (left, right) = (infer(leftID), infer(rightID))
            let types = expect(
                right, [.list, .set, .map, .resource, .auth, .query], rightID,
                "'in' takes a list, set or map")
            if types.isEmpty || left.types.isEmpty { return .failure }
            if types.isDisjoint(with: [.list, .set]) {
                _ = expect(left, .string, leftID, "keys of maps are strings")
            }
            return Knowledge(.bool)
        case .add, .subtract, .multiply, .divide, .remainder:
            return arithmetic(operation, infer(leftID), infer(rightID), id)
        }
    }

    private mutating func equality(
        _ operation: BinaryOperator, _ leftID: ExpressionID, _ rightID: ExpressionID,
        _ id: ExpressionID
    ) -> Knowledge {
        warnAmbiguous(leftID)
        warnAmbiguous(rightID)
        let (left, right) = (infer(leftID), infer(rightID))
        if left.types.isEmpty || right.types.isEmpty { return .failure }
        var (canBeEqual, canDiffer) = (true, true)
        if left.types.comparable.isDisjoint(with: right.types) {
            canBeEqual = false
            warn(
                .wrongType, id,
                "\(left.types.text) is never equal to \(right.types.text)")
        } else if left.types == .null, right.types == .null {
            canDiffer = false
        } else if let isSame = literalsAreEqual(leftID, rightID) {
            (canBeEqual, canDiffer) = (isSame, !isSame)
        } else if operation == .equal, let methods, let word = comparedMethod(leftID, rightID) {
            let method = RuleMethod(rawValue: word)
            if method.map({ methods.isDisjoint(with: RuleMethods($0)) }) ?? true {
                canBeEqual = false
                warn(
                    .neverAllows, id,
                    method == nil
                        ? "request.method is get, list, create, update or delete"
                        : "this statement is for \(methods.text) alone")
            }
        }
        let isEqual = operation == .equal
        return Knowledge(
            canBeTrue: isEqual ? canBeEqual : canDiffer,
            canBeFalse: isEqual ? canDiffer : canBeEqual,
            canFail: left.canFail || right.canFail)
    }

    /// Whether two literals are equal; nil where one is none.
    private func literalsAreEqual(_ left: ExpressionID, _ right: ExpressionID) -> Bool? {
        switch (rules.syntax[left].kind, rules.syntax[right].kind) {
        case (.bool(let left), .bool(let right)): left == right
        case (.int(let left), .int(let right)): left == right
        case (.string(let left), .string(let right)): left == right
        default: nil
        }
    }

    /// The word that `request.method` is compared with.
    private func comparedMethod(_ left: ExpressionID, _ right: ExpressionID) -> String? {
        for (member, literal) in [(left, right), (right, left)] {
            guard case .member(let receiver, let name) = rules.syntax[member].kind,
                rules.syntax[name] == "method",
                case .name(_, .request) = rules.syntax[receiver].kind,
                case .string(let word) = rules.syntax[literal].kind
            else { continue }
            return rules.syntax[word]
        }
        return nil
    }

    /// `'a' in m == true`: readers, and other tools, disagree on what comes first.
    private mutating func warnAmbiguous(_ id: ExpressionID) {
        let node = rules.syntax[id]
        switch node.kind {
        case .typeTest, .binary(.isIn, _, _):
            guard !rules.syntax.text(of: node.range).hasPrefix("(") else { return }
            warn(
                .ambiguous, id,
                "'in' and 'is' come before '==' here; put them in parentheses to make it plain")
        default: break
        }
    }

    private mutating func arithmetic(
        _ operation: BinaryOperator, _ left: Knowledge, _ right: Knowledge, _ id: ExpressionID
    ) -> Knowledge {
        if left.types.isEmpty || right.types.isEmpty { return .failure }
        var results: TypeSet = []
        if left.types.contains(.int), right.types.contains(.int) { results.formUnion(.int) }
        let numbers = (left.types.intersection(.number), right.types.intersection(.number))
        if !numbers.0.isEmpty, !numbers.1.isEmpty, numbers.0.union(numbers.1) != .int {
            results.formUnion(.float)
        }
        let sums: [(TypeSet, TypeSet, TypeSet, [BinaryOperator])] = [
            (.string, .string, .string, [.add]),
            (.timestamp, .duration, .timestamp, [.add, .subtract]),
            (.duration, .timestamp, .timestamp, [.add]),
            (.timestamp, .timestamp, .duration, [.subtract]),
            (.duration, .duration, .duration, [.add, .subtract]),
        ]
        for (first, second, result, operations) in sums
        where operations.contains(operation) && left.types.contains(first)
            && right.types.contains(second)
        {
            results.formUnion(result)
        }
        if results.isEmpty {
            let hint = left.types == .list && operation == .add ? "; lists have concat()" : ""
            warn(
                .wrongType, id,
                "there is no \(left.types.text) \(operation.rawValue) \(right.types.text), so "
                    + "this always fails\(hint)")
        }
        return Knowledge(results)
    }

    // MARK: Members and calls

    private mutating func member(
        _ name: TextID, of receiver: ExpressionID, _ id: ExpressionID
    ) -> Knowledge {
        let known = infer(receiver)
        let text = rules.syntax[name]
        var types: TypeSet = []
        var names: [String] = []
        if !known.types.isDisjoint(with: .map) { types.formUnion(.any) }
        for (owner, members) in Self.members where known.types.contains(owner) {
            names += members.map(\.0)
            for (member, result) in members where member == text { types.formUnion(result) }
        }
        if types.isEmpty, !known.types.isEmpty {
            let owner = known.types.subtracting(.null)
            var message = "\(owner.isEmpty ? known.types.text : owner.text) has no '\(text)'"
            if BuiltinMethod(rawValue: text) != nil {
                message += "; methods are called: \(text)()"
            } else if known.types.contains(.resource) {
                message += "; fields are in its 'data'"
            } else if known.types.contains(.auth) {
                message += "; claims are in its 'token'"
            } else if known.types.contains(.query) {
                message += "; it has limit, offset and orderBy, not the filter's values"
            } else {
                message += Spelling.hint(text, among: names)
            }
            warn(.unknownMember, id, message + ": this always fails")
            return .failure
        }
        let cannotFail = known.types == .request && text != "query"
        return Knowledge(types, canFail: !cannotFail)
    }

    private static let members: [(TypeSet, [(String, TypeSet)])] = [
        (
            .request,
            [
                ("auth", [.auth, .null]), ("method", .string), ("path", .path),
                ("resource", [.resource, .null]), ("time", .timestamp), ("query", .query),
            ]
        ),
        (.resource, [("data", .map), ("id", .string), ("__name__", .path)]),
        // Anonymous users of some sources have no uid, so that comparing it with null is none of ours.
        (.auth, [("uid", [.string, .null]), ("token", .map)]),
        (.query, [("limit", .int), ("offset", .int), ("orderBy", .any)]),
    ]

    private mutating func call(
        _ callee: Callee, _ arguments: OperandRange, _ id: ExpressionID
    ) -> Knowledge {
        let given = rules.syntax[arguments].map { ($0, infer($0)) }
        switch callee {
        case .unknown: return rules.lacksModules ? Knowledge(.any) : .failure
        case .function(let number):
            let function = rules.syntax.functions[Int(number)]
            let known = knowledge(ofFunction: Int(number))
            guard isCount(given.count, function.parameters.count, id) else { return .failure }
            return known
        case .builtin(let function):
            guard isCount(given.count, function.arity, id) else { return .failure }
            if function == .debug {
                warn(.testOnly, id, "debug() is for tests; Firestore refuses it in production")
            }
            for ((argument, known), types) in zip(given, function.argumentTypes) {
                _ = expect(known, types, argument, "\(function.rawValue)() takes \(types.text)")
            }
            return Knowledge(function.resultTypes)
        }
    }

    private mutating func isCount(_ given: Int, _ wanted: Int, _ id: ExpressionID) -> Bool {
        if given == wanted { return true }
        warn(
            .wrongArgumentCount, id,
            "this takes \(wanted) argument\(wanted == 1 ? "" : "s"), not \(given): it always fails")
        return false
    }

    private mutating func method(
        _ name: TextID, of receiver: ExpressionID, _ arguments: OperandRange, _ id: ExpressionID
    ) -> Knowledge {
        let known = infer(receiver)
        let given = rules.syntax[arguments].map { ($0, infer($0)) }
        guard let method = rules.methods[Int(name.index)] else {
            let names = BuiltinMethod.allCases.map(\.rawValue)
            warn(
                .unknownMethod, id,
                "nothing has a method '\(rules.syntax[name])'"
                    + Spelling.hint(rules.syntax[name], among: names) + ": this always fails")
            return .failure
        }
        if known.types.isEmpty { return .failure }
        let signatures = MethodSignature.of(method).filter {
            !$0.receiver.isDisjoint(with: known.types)
        }
        guard !signatures.isEmpty else {
            var message = "\(known.types.text) has no method '\(method.rawValue)'"
            if known.types == .map, [.hasAll, .hasAny, .hasOnly].contains(method) {
                message += "; its keys() have"
            }
            warn(.unknownMethod, id, message + ": this always fails")
            return .failure
        }
        guard isCount(given.count, method.arity, id) else { return .failure }
        var results: TypeSet = []
        for signature in signatures
        where zip(given, signature.arguments).allSatisfy({
            $0.1.types.isEmpty || !$0.1.types.isDisjoint(with: $1)
        }) {
            results.formUnion(signature.result)
        }
        if results.isEmpty, let signature = signatures.first {
            for ((argument, known), types) in zip(given, signature.arguments) {
                _ = expect(
                    known, types, argument,
                    "\(signature.receiver.text).\(method.rawValue)() takes \(types.text)")
            }
        }
        checkPattern(method, rules.syntax[arguments].first)
        return Knowledge(results)
    }

    private mutating func checkPattern(_ method: BuiltinMethod, _ argument: ExpressionID?) {
        guard [.matches, .replace, .split].contains(method), let argument,
            case .string(let text) = rules.syntax[argument].kind,
            rules.patterns[text.index] == nil
        else { return }
        do throws(DBError) {
            _ = try RulesPattern(rules.syntax[text])
        } catch {
            warn(.badRegex, argument, "\(error.message): this always fails")
        }
    }
}
