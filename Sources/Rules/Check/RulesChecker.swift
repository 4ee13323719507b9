// What is suspicious in rules that can be used: what always fails, what never or always allows, what
// is never used, matches that overlap. Errors come from parsing and binding; all here are warnings,
// since Firestore takes such files.

/// Checks parsed rules.
package struct RulesChecker {
    /// All findings, in the order of the source.
    package struct Report: Sendable {
        /// All errors, and warnings up to `problemsMax`.
        package let problems: [RulesProblem]
        /// How many warnings are left out.
        package let omitted: Int
        /// The texts that the problems' ranges are of.
        package let files: [RulesFile]

        /// Most findings: each is looked up in the text when it is shown.
        package static let problemsMax = 1_000

        init(_ problems: [RulesProblem], _ files: [RulesFile]) {
            let isLong = problems.count > Self.problemsMax
            let errors = isLong ? problems.filter { $0.severity == .error } : []
            self.problems =
                isLong
                ? errors
                    + problems.filter { $0.severity == .warning }
                    .prefix(max(0, Self.problemsMax - errors.count)) : problems
            omitted = problems.count - self.problems.count
            self.files = files
        }
    }

    private let rules: RuleSet
    private var inference: TypeInference
    private var problems: [RulesProblem] = []

    private init(_ rules: RuleSet) {
        self.rules = rules
        inference = TypeInference(rules)
    }

    /// The findings of parsing and binding, and those about what the rules mean. O(n) in the text,
    /// O(n²) in the matches, of which the first 300 are compared.
    package static func check(_ parsed: RuleSet.Parsed) -> Report {
        guard let rules = parsed.rules else {
            return Report(parsed.problems, parsed.files)
        }
        var checker = RulesChecker(rules)
        checker.checkFile()
        for function in checker.calleesFirst() {
            _ = checker.inference.knowledge(ofFunction: function)
            checker.checkLets(of: function)
        }
        for match in rules.syntax.matches.indices { checker.checkMatch(match) }
        checker.checkUse()
        let overlaps = OverlappingMatches(rules.syntax).problems()
        // What binding found of a name, inference finds again as a failure, silently.
        let all = parsed.problems + checker.problems + checker.inference.problems + overlaps
        return Report(
            all.sorted {
                ($0.range.file, $0.range.start, $0.range.end)
                    < ($1.range.file, $1.range.start, $1.range.end)
            }, parsed.files)
    }

    /// All functions, each behind those that it calls, so that inferring one never goes into
    /// another: chains of calls times nested expressions would be deep.
    private func calleesFirst() -> [Int] {
        var order: [Int] = []
        var known = [Bool](repeating: false, count: rules.calls.count)
        /// As deep as chains of calls are long.
        func visit(_ function: Int) {
            guard !known[function] else { return }
            known[function] = true
            for callee in rules.calls[function] { visit(Int(callee)) }
            order.append(function)
        }
        for function in rules.calls.indices { visit(function) }
        return order
    }

    private mutating func warn(
        _ code: RulesProblem.Code, _ range: SourceRange, _ message: String
    ) {
        problems.append(RulesProblem(.warning, code, at: range, message))
    }

    // MARK: File

    private mutating func checkFile() {
        let syntax = rules.syntax
        if syntax.versionRange == nil, let service = syntax.services.first {
            warn(
                .missingVersion, service.range,
                "without rules_version = '2'; at the top of the file the old version 1 holds: "
                    + "{x=**} matches one segment or more, and only at a path's end")
        }
        for service in syntax.services where service.name != "cloud.firestore" {
            warn(
                .unknownService, service.range,
                "only the service cloud.firestore is asked; what stands here does nothing")
        }
    }

    // MARK: Matches

    private mutating func checkMatch(_ number: Int) {
        let match = rules.syntax.matches[number]
        let path = MatchPath(rules.syntax, Int32(clamping: number))
        let allows = match.items.compactMap { item -> AllowSyntax? in
            if case .allow(let allow) = item { rules.syntax.allows[Int(allow)] } else { nil }
        }
        inference.captures = path.captures
        for allow in allows { check(allow) }
        guard !allows.isEmpty || match.parent < 0 else { return }
        if match.parent < 0, !path.canBeginDocuments {
            warn(
                .badPath, match.range,
                "the paths of documents begin with /databases/{database}/documents: this never "
                    + "matches")
        } else if allows.contains(where: { !isNever($0) }), let count = path.fixedCount {
            if count <= 3 {
                warn(
                    .badPath, match.range,
                    "this is no path of a document, so what is allowed here is never asked")
            } else if count.isMultiple(of: 2) {
                warn(
                    .badPath, match.range,
                    "this is the path of a collection, so what is allowed here is never asked; "
                        + "the path of its documents ends with /{id}")
            }
        }
    }

    /// Whether it is `if false`.
    private func isNever(_ allow: AllowSyntax) -> Bool {
        guard let condition = allow.condition, case .bool(false) = rules.syntax[condition].kind
        else { return false }
        return true
    }

    private mutating func check(_ allow: AllowSyntax) {
        guard let condition = allow.condition else {
            warn(.allowsEveryone, allow.range, everyone(allow.methods))
            return
        }
        let known = inference.knowledge(
            ofCondition: condition, methods: allow.methods, locals: Int(allow.localCount))
        if isNever(allow) { return }
        if !known.canBeTrue {
            warn(
                .neverAllows, rules.syntax[condition].range,
                known.canBeFalse
                    ? "this condition is never true: nobody is allowed"
                    : "this condition always fails: nobody is allowed")
        } else if !known.canBeFalse, !known.canFail {
            warn(.allowsEveryone, allow.range, everyone(allow.methods))
        }
    }

    private func everyone(_ methods: RuleMethods) -> String {
        let verb = methods.isDisjoint(with: .write) ? "read" : "change"
        return "this allows everyone to \(verb) these documents (\(methods.text)), signed in or not"
    }

    // MARK: Use

    /// Functions that nothing allowed depends on.
    private mutating func checkUse() {
        guard !rules.syntax.services.isEmpty else { return }
        var used = rules.roots
        var waiting = Array(used)
        while let function = waiting.popLast() {
            for callee in rules.calls[Int(function)] where used.insert(callee).inserted {
                waiting.append(callee)
            }
        }
        for (number, function) in rules.syntax.functions.enumerated()
        where !function.isShared && !used.contains(Int32(clamping: number)) {
            warn(
                .unusedFunction, function.nameRange,
                "no rule uses the function '\(rules.syntax[function.name])'")
        }
    }

    private mutating func checkLets(of number: Int) {
        let function = rules.syntax.functions[number]
        guard !function.lets.isEmpty else { return }
        var used: Set<Int32> = []
        for item in function.lets { collectLocals(item.value, into: &used) }
        collectLocals(function.result, into: &used)
        for (index, item) in function.lets.enumerated()
        where !used.contains(Int32(clamping: function.parameters.count + index)) {
            warn(
                .unusedLet, item.nameRange,
                "'\(rules.syntax[item.name])' isn't used, but is evaluated: if it fails, the "
                    + "function fails")
        }
    }

    private func collectLocals(_ id: ExpressionID, into used: inout Set<Int32>) {
        if case .name(_, .local(let slot)) = rules.syntax[id].kind { used.insert(slot) }
        for operand in rules.syntax.operands(of: id) { collectLocals(operand, into: &used) }
    }
}

extension RuleSyntax {
    /// The operands of an expression, in the order of the source.
    package func operands(of id: ExpressionID) -> [ExpressionID] {
        switch self[id].kind {
        case .null, .bool, .int, .float, .string, .bytes, .name: []
        case .unary(_, let operand), .typeTest(let operand, _), .member(let operand, _): [operand]
        case .binary(_, let left, let right), .index(let left, let right): [left, right]
        case .conditional(let first, let second, let third),
            .slice(let first, let second, let third):
            [first, second, third]
        case .call(_, let arguments), .list(let arguments), .map(let arguments),
            .path(let arguments):
            Array(self[arguments])
        case .method(let receiver, _, let arguments): [receiver] + self[arguments]
        case .loop(_, let list, _, _, let body): [list, body]
        }
    }
}
