// Security rules: who may do what with which document.
//
// The language is Firestore's (rules_version '1' and '2'), with what Roost adds: imports, options,
// masks of fields, loops over lists. How a file becomes a decision:
//
//     text --RulesLexer, RulesParser--> RuleSyntax      flat arrays, names unbound
//          --RulesBinder-------------> RuleSet          every name has its meaning; immutable
//          --RulesChecker------------> [RulesProblem]   what is suspicious
//     RuleSet + RuleRequest --RuleEvaluator--> RuleDecision, and a trace where one is asked for
//
// The module is pure: no clock, no store, no network. What it must know comes with the request;
// documents that rules look up come from the caller's `RuleDocuments`. Nothing in a rules file or
// in a request ends the process: nesting, steps, lookups and memory are bounded (RulesLimits).

internal import Query

/// Rules that can be evaluated. Immutable: threads share it.
package final class RuleSet: Sendable {
    /// The parsed rules.
    package let syntax: RuleSyntax
    /// What holds for files and requests.
    package let limits: RulesLimits
    /// What binding found; errors among them mean that there is no rule set.
    let bindingProblems: [RulesProblem]
    /// Which functions each function calls, by number.
    let calls: [[Int32]]
    /// Whether functions may be those of a module that isn't there.
    let lacksModules: Bool
    /// Functions that allow statements call themselves.
    let roots: Set<Int32>

    /// The method that a text names, by the text's number.
    let methods: [BuiltinMethod?]
    /// The member of requests and resources that a text names, by the text's number.
    let members: [KnownMember?]
    /// Literal patterns, compiled once, by the text's number.
    let patterns: [Int32: RulesPattern]

    /// A rule set, or what is wrong with the text.
    package struct Parsed: Sendable {
        /// Nil where a problem is an error.
        package let rules: RuleSet?
        /// What parsing and binding found, in the order of the source.
        package let problems: [RulesProblem]
        /// The texts that the problems' ranges are of.
        package let files: [RulesFile]
    }

    /// Finds the file that an `import` names: the path as written, and the name of the file that
    /// imports it. Nil where there is none.
    package typealias Importer = (_ path: String, _ importing: String) -> RulesFile?

    /// Parses and binds a file and what it imports. O(bytes).
    package static func parse(
        _ file: RulesFile, limits: RulesLimits = .firestore,
        importer: Importer = { _, _ in nil }
    ) -> Parsed {
        var parser = RulesParser(limits: limits)
        var problems: [RulesProblem] = []
        do throws(RulesProblem) {
            try parse(file, with: &parser, importer: importer, problems: &problems)
        } catch {
            return Parsed(rules: nil, problems: problems + [error], files: parser.syntax.files)
        }
        var binder = RulesBinder(parser.syntax, limits: limits)
        binder.lacksModules = problems.contains { $0.code == .unknownModule }
        binder.bind()
        problems += binder.problems
        problems.sort { ($0.range.file, $0.range.start) < ($1.range.file, $1.range.start) }
        let isSound = !problems.contains { $0.severity == .error }
        return Parsed(
            rules: isSound ? RuleSet(binder, limits, problems) : nil, problems: problems,
            files: binder.syntax.files)
    }

    /// Parses the first file, then those that it imports, each once.
    private static func parse(
        _ file: RulesFile, with parser: inout RulesParser, importer: Importer,
        problems: inout [RulesProblem]
    ) throws(RulesProblem) {
        var waiting = [file]
        var known: Set<String> = [file.name]
        while let next = waiting.first {
            waiting.removeFirst()
            try parser.parse(next)
            for item in parser.imports {
                guard let found = importer(item.path, next.name) else {
                    guard item.isNamed, !item.path.hasSuffix(".rules") else {
                        throw RulesProblem(
                            .badImport, at: item.range, "there is no file '\(item.path)' here")
                    }
                    problems.append(
                        RulesProblem(
                            .warning, .unknownModule, at: item.range,
                            "there is no module '\(item.path)' here; calling its functions is an "
                                + "error"))
                    continue
                }
                guard known.insert(found.name).inserted else { continue }
                guard known.count <= parser.limits.filesMax else {
                    throw RulesProblem(
                        .tooMany, at: item.range,
                        "rules may have at most \(parser.limits.filesMax) files")
                }
                waiting.append(found)
            }
        }
    }

    private init(_ binder: RulesBinder, _ limits: RulesLimits, _ problems: [RulesProblem]) {
        syntax = binder.syntax
        self.limits = limits
        bindingProblems = problems
        calls = binder.calls.map { $0.map(\.function) }
        roots = binder.roots
        lacksModules = binder.lacksModules
        methods = syntax.texts.map { BuiltinMethod(rawValue: $0) }
        members = syntax.texts.map { KnownMember(rawValue: $0) }
        var patterns: [Int32: RulesPattern] = [:]
        for expression in syntax.expressions {
            guard case .method(_, let name, let arguments) = expression.kind,
                let method = BuiltinMethod(rawValue: syntax[name]),
                [.matches, .replace, .split].contains(method),
                let first = syntax[arguments].first, case .string(let text) = syntax[first].kind,
                patterns[text.index] == nil
            else { continue }
            patterns[text.index] = try? RulesPattern(syntax[text])
        }
        self.patterns = patterns
    }

    /// Whether queries leave out what is not allowed, rather than being refused: what the first
    /// `option mode` says.
    package var filters: Bool {
        for service in syntax.services {
            for option in service.options {
                if case .filters(let filters) = option.value { return filters }
            }
        }
        return false
    }
}
