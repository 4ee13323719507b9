// Calls of functions, of the file's and of the language's, and loops over lists.

extension RuleEvaluator {
    mutating func call(
        _ callee: Callee, _ arguments: OperandRange, _ id: ExpressionID
    ) throws(RuleFailure) -> RuleValue {
        switch callee {
        case .function(let number): return try call(function: Int(number), arguments)
        case .builtin(let function):
            guard Int(arguments.count) == function.arity else {
                throw failure(
                    .argumentCount(received: Int(arguments.count), expected: function.arity))
            }
            return try callBuiltin(function, try evaluate(arguments), id)
        case .unknown(let name):
            throw failure(.functionNotFound(rules.syntax[name]))
        }
    }

    private mutating func call(
        function number: Int, _ arguments: OperandRange
    ) throws(RuleFailure) -> RuleValue {
        let function = rules.syntax.functions[number]
        guard Int(arguments.count) == function.parameters.count else {
            throw failure(
                .argumentCount(
                    received: Int(arguments.count), expected: function.parameters.count))
        }
        let values = try evaluate(arguments)
        let outerBase = base
        let outerCount = locals.count
        base = outerCount
        locals += values
        for _ in values.count..<Int(function.localCount) { locals.append(.null) }
        defer {
            locals.removeSubrange(outerCount...)
            base = outerBase
        }
        for (index, item) in function.lets.enumerated() {
            try spend()
            locals[base + values.count + index] = try evaluate(item.value)
        }
        return try evaluate(function.result)
    }

    mutating func callMethod(
        _ name: TextID, of receiver: ExpressionID, _ arguments: OperandRange
    ) throws(RuleFailure) -> RuleValue {
        let value = try evaluate(receiver)
        if case .null = value { throw failure(.nullValue) }
        guard let method = rules.methods[Int(name.index)] else {
            throw failure(.functionNotFound(rules.syntax[name]))
        }
        guard Int(arguments.count) == method.arity else {
            throw failure(
                .argumentCount(received: Int(arguments.count), expected: method.arity))
        }
        // A default is given whatever the key leads to, so failures of it count as usual.
        let values = try evaluate(arguments)
        switch value {
        case .string(let text): return try stringMethod(method, text, values, arguments)
        case .list, .storedList: return try listMethod(method, value, values)
        case .set(let elements): return try setMethod(method, elements, values)
        case .map, .storedMap, .resource: return try mapMethod(method, value, values)
        case .mapDiff(let diff): return try diffMethod(method, diff)
        case .timestamp(let time): return try timestampMethod(method, time)
        case .duration(let duration): return try durationMethod(method, duration)
        case .latlng(let place): return try latlngMethod(method, place, values)
        case .path(let path): return try pathMethod(method, path, values)
        case .bytes(let bytes): return try bytesMethod(method, bytes)
        case .null, .bool, .int, .float, .request: throw notFound(method)
        }
    }

    /// The failure that a type has no such method.
    func notFound(_ method: BuiltinMethod) -> RuleFailure {
        failure(.functionNotFound(method.rawValue))
    }

    /// The failure that an argument is of another type.
    func mismatch(
        _ receiver: String, _ method: BuiltinMethod, _ argument: RuleValue, expected: String
    ) -> RuleFailure {
        if case .null = argument { return failure(.nullValue) }
        return failure(
            .unsupported(
                "\(receiver).\(method.rawValue)(\(argument.typeName))",
                expected: "\(receiver).\(method.rawValue)(\(expected))"))
    }

    // MARK: Loops

    /// `all` and `any` absorb failures as `&&` and `||` do.
    mutating func loop(
        _ method: LoopMethod, _ list: RuleValue, _ slot: Int, _ body: ExpressionID
    ) throws(RuleFailure) -> RuleValue {
        let elements: [RuleValue]
        switch list {
        case .null: throw failure(.nullValue)
        case .set(let members): elements = members
        default:
            guard let members = list.elements else {
                throw failure(.functionNotFound(method.rawValue))
            }
            elements = members
        }
        let outer = locals[base + slot]
        defer { locals[base + slot] = outer }
        var kept: [RuleValue] = []
        var failed: RuleFailure?
        for element in elements {
            locals[base + slot] = element
            if method == .map {
                kept.append(try evaluate(body))
                continue
            }
            do throws(RuleFailure) {
                let holds = try truth(body)
                switch method {
                case .all where !holds: return .bool(false)
                case .any where holds: return .bool(true)
                case .filter where holds: kept.append(element)
                default: break
                }
            } catch {
                if error.isFinal || method == .filter { throw error }
                failed = failed ?? error
            }
        }
        if let failed { throw failed }
        switch method {
        case .all: return .bool(true)
        case .any: return .bool(false)
        case .map, .filter: return .list(kept)
        }
    }
}
