// Gives every name its meaning, from the inside out: loop variable, `let`, parameter, wildcard of a
// match around the declaration, `request` and `resource`; functions of the innermost block first.
//
// What has no meaning is a warning, as in Firestore, and an error only when it is evaluated; calls
// in a circle and chains of calls that are too long are errors, even where nothing calls them.

/// Binds the names of a parsed syntax.
struct RulesBinder {
    private(set) var syntax: RuleSyntax
    private(set) var problems: [RulesProblem] = []
    /// Which functions each function's body calls, and where.
    private(set) var calls: [[(function: Int32, at: SourceRange)]]
    /// Functions that allow statements call.
    private(set) var roots: Set<Int32> = []

    /// Whether a module is missing: then its functions aren't called unknown.
    var lacksModules = false

    private let limits: RulesLimits
    private var scopes: [[TextID: Int32]] = []
    private var captures: [TextID] = []
    private var locals: [TextID] = []
    private var localCount = 0
    private var currentFunction: Int32 = -1
    /// Guesses that may still be made: each looks at all names.
    private var hintsLeft = 50
    private var namespaces: Set<TextID> = []
    private var textNumbers: [String: TextID] = [:]

    init(_ syntax: RuleSyntax, limits: RulesLimits) {
        self.syntax = syntax
        self.limits = limits
        calls = Array(repeating: [], count: syntax.functions.count)
        for (number, text) in syntax.texts.enumerated() {
            textNumbers[text] = TextID(number)
            if BuiltinFunction.namespaces.contains(text) { namespaces.insert(TextID(number)) }
        }
    }

    /// Binds everything.
    mutating func bind() {
        scopes = [scope(of: syntax.globalFunctions)]
        for function in syntax.globalFunctions { bind(function: function) }
        for service in syntax.services {
            scopes.append(scope(of: service.functions))
            for function in service.functions { bind(function: function) }
            for match in service.matches { bind(match: match) }
            scopes.removeLast()
        }
        checkCalls()
    }

    private mutating func scope(of functions: [Int32]) -> [TextID: Int32] {
        var scope: [TextID: Int32] = [:]
        for function in functions {
            let declared = syntax.functions[Int(function)]
            if scope[declared.name] != nil {
                problems.append(
                    RulesProblem(
                        .warning, .duplicate, at: declared.nameRange,
                        "there is a function '\(syntax[declared.name])' here already; the first "
                            + "is used"))
            } else {
                scope[declared.name] = function
            }
        }
        return scope
    }

    private mutating func bind(match number: Int32) {
        let match = syntax.matches[Int(number)]
        let outer = captures.count
        for segment in match.segments {
            switch segment {
            case .one(let name), .rest(let name): captures.append(name)
            case .literal: break
            }
        }
        scopes.append(scope(of: match.functions))
        for function in match.functions { bind(function: function) }
        for item in match.items {
            switch item {
            case .match(let nested): bind(match: nested)
            case .allow(let allow):
                guard let condition = syntax.allows[Int(allow)].condition else { continue }
                locals = []
                localCount = 0
                currentFunction = -1
                bind(condition)
                syntax.allows[Int(allow)].localCount = Int32(clamping: localCount)
            }
        }
        scopes.removeLast()
        captures.removeSubrange(outer...)
    }

    private mutating func bind(function number: Int32) {
        let function = syntax.functions[Int(number)]
        currentFunction = number
        locals = function.parameters
        localCount = locals.count
        for item in function.lets {
            bind(item.value)
            push(item.name)
        }
        bind(function.result)
        syntax.functions[Int(number)].localCount = Int32(clamping: localCount)
        locals = []
        currentFunction = -1
    }

    private mutating func push(_ local: TextID) {
        locals.append(local)
        localCount = max(localCount, locals.count)
    }

    // MARK: Expressions

    private mutating func bind(_ id: ExpressionID) {
        let node = syntax[id]
        switch node.kind {
        case .null, .bool, .int, .float, .string, .bytes: break
        case .name(let name, _):
            let binding = binding(of: name)
            syntax.expressions[Int(id.index)].kind = .name(name, binding)
            if binding == .unknown { warnUnknown(name, at: node.range) }
            if binding == .namespace {
                problems.append(
                    RulesProblem(
                        .warning, .unknownName, at: node.range,
                        "'\(syntax[name])' is no value; call one of its functions"))
            }
        case .unary(_, let operand), .typeTest(let operand, _), .member(let operand, _):
            bind(operand)
        case .binary(_, let left, let right), .index(let left, let right):
            bind(left)
            bind(right)
        case .conditional(let first, let second, let third),
            .slice(let first, let second, let third):
            bind(first)
            bind(second)
            bind(third)
        case .call(.unknown(let name), let arguments):
            let callee = callee(of: name)
            syntax.expressions[Int(id.index)].kind = .call(callee, arguments)
            if case .function(let function) = callee { called(function, at: node.range) }
            if case .unknown = callee { warnUnknown(function: syntax[name], at: node.range) }
            bind(arguments)
        case .call(_, let arguments), .list(let arguments), .map(let arguments),
            .path(let arguments):
            bind(arguments)
        case .method(let receiver, let name, let arguments):
            if let callee = namespaceCallee(receiver, name) {
                syntax.expressions[Int(id.index)].kind = .call(callee, arguments)
                if case .unknown(let full) = callee {
                    warnUnknown(function: syntax[full], at: node.range)
                }
            } else {
                bind(receiver)
            }
            bind(arguments)
        case .loop(let method, let list, _, let name, let body):
            bind(list)
            let slot = locals.count
            push(name)
            bind(body)
            locals.removeLast()
            syntax.expressions[Int(id.index)].kind = .loop(
                method, list, variable: Int32(clamping: slot), name, body)
        }
    }

    private mutating func bind(_ operands: OperandRange) {
        for operand in Array(syntax[operands]) { bind(operand) }
    }

    private func binding(of name: TextID) -> NameBinding {
        if let slot = locals.lastIndex(of: name) { return .local(Int32(clamping: slot)) }
        if let number = captures.lastIndex(of: name) {
            // A function sees only what its declaration stands in.
            return .capture(Int32(clamping: number))
        }
        switch syntax[name] {
        case "request": return .request
        case "resource": return .resource
        default: return namespaces.contains(name) ? .namespace : .unknown
        }
    }

    private func callee(of name: TextID) -> Callee {
        for scope in scopes.reversed() {
            if let function = scope[name] { return .function(function) }
        }
        let text = syntax[name]
        if !text.utf8.contains(UInt8(ascii: ".")), let builtin = BuiltinFunction(rawValue: text) {
            return .builtin(builtin)
        }
        return .unknown(name)
    }

    /// What `math.abs(…)` calls; nil where the receiver is a value.
    private mutating func namespaceCallee(_ receiver: ExpressionID, _ name: TextID) -> Callee? {
        guard case .name(let space, _) = syntax[receiver].kind, binding(of: space) == .namespace
        else { return nil }
        let full = "\(syntax[space]).\(syntax[name])"
        if let builtin = BuiltinFunction(rawValue: full) { return .builtin(builtin) }
        if let known = textNumbers[full] { return .unknown(known) }
        let number = TextID(syntax.texts.count)
        syntax.texts.append(full)
        textNumbers[full] = number
        return .unknown(number)
    }

    private mutating func called(_ function: Int32, at range: SourceRange) {
        if currentFunction >= 0 {
            calls[Int(currentFunction)].append((function, range))
        } else {
            roots.insert(function)
        }
    }

    // MARK: Findings

    private mutating func warnUnknown(_ name: TextID, at range: SourceRange) {
        let known = ["request", "resource"] + (locals + captures).map { syntax[$0] }
        hintsLeft -= 1
        problems.append(
            RulesProblem(
                .warning, .unknownName, at: range,
                "there is nothing named '\(syntax[name])' here, so this is always an error"
                    + (hintsLeft > 0 ? Spelling.hint(syntax[name], among: known) : "")))
    }

    private mutating func warnUnknown(function name: String, at range: SourceRange) {
        guard !lacksModules else { return }
        var message = "there is no function '\(name)', so this is always an error"
        if BuiltinFunction.absent.contains(name) {
            message += "; it is documented, but Firestore has none either"
        } else if hintsLeft > 0 {
            hintsLeft -= 1
            let known =
                BuiltinFunction.allCases.map(\.rawValue)
                + scopes.flatMap { $0.keys.map { syntax[$0] } }.sorted()
            message += Spelling.hint(name, among: known)
        }
        problems.append(RulesProblem(.warning, .unknownFunction, at: range, message))
    }

    /// Calls in a circle, and chains that are too long.
    private mutating func checkCalls() {
        /// Functions in the longest chain from each function on; 0 where unknown.
        var heights = [Int](repeating: 0, count: calls.count)
        var open = [Bool](repeating: false, count: calls.count)

        func visit(_ function: Int32, _ depth: Int) -> RulesProblem? {
            let index = Int(function)
            open[index] = true
            defer { open[index] = false }
            var height = 1
            for (callee, range) in calls[index] {
                let name = syntax[syntax.functions[Int(callee)].name]
                if open[Int(callee)] {
                    return RulesProblem(
                        .recursion, at: range,
                        "'\(name)' calls itself here, directly or through others; functions must "
                            + "not recurse")
                }
                if heights[Int(callee)] == 0 {
                    guard depth < limits.callDepthMax else { return tooLong(range) }
                    if let problem = visit(callee, depth + 1) { return problem }
                }
                height = max(height, 1 + heights[Int(callee)])
                guard height <= limits.callDepthMax else { return tooLong(range) }
            }
            heights[index] = height
            return nil
        }

        for function in calls.indices where heights[function] == 0 {
            if let problem = visit(Int32(clamping: function), 1) {
                problems.append(problem)
                return
            }
        }
    }

    private func tooLong(_ range: SourceRange) -> RulesProblem {
        RulesProblem(
            .callDepth, at: range,
            "functions call each other at most \(limits.callDepthMax) deep")
    }
}

/// Guesses at what was meant.
enum Spelling {
    /// `; did you mean 'x'?` where a known name is near; else nothing.
    static func hint(_ name: String, among known: [String]) -> String {
        let letters = Array(name.utf8.prefix(40))
        let bound = max(1, letters.count / 4)
        let near = known.compactMap { candidate -> (String, Int)? in
            let distance = distance(letters, Array(candidate.utf8.prefix(40)))
            return distance <= bound ? (candidate, distance) : nil
        }
        guard let best = near.min(by: { $0.1 < $1.1 }) else { return "" }
        return "; did you mean '\(best.0)'?"
    }

    /// Letters to change, add or remove, whatever their case.
    private static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var row = Array(0...right.count)
        for (index, letter) in left.enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for column in right.indices {
                let isSame = letter | 0x20 == right[column] | 0x20
                let best = min(row[column] + 1, row[column + 1] + 1, diagonal + (isSame ? 0 : 1))
                diagonal = row[column + 1]
                row[column + 1] = best
            }
        }
        return row[right.count]
    }
}
