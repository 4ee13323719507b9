// Walks the matches over a collection's path and gathers the statements that may grant.

internal import BSON
internal import Query

/// The state of one partial evaluation.
struct PartialEvaluator {
    let rules: RuleSet
    let question: RuleQuestion
    /// Evaluates what doesn't depend on the document.
    var evaluator: RuleEvaluator
    /// The path of a document of the collection; nil for ids.
    let path: [String?]
    /// Which segment of the path, behind `documents`, a wildcard stands for; nil for others.
    var captured: [Int?] = []
    /// Segments that must be a literal for the match at hand.
    var literals: [(segment: Int, text: String)] = []
    var check: ResidualCheck
    /// What a call's names stand for, beside the evaluator's own locals.
    var locals: [Partial] = []
    var base = 0
    /// Expressions looked at.
    var spent = 0
    /// Whether a function looks at the document, by number.
    var openFunctions: [Int32: Bool] = [:]
    private var steps = 0
    private var isTooMuch = false
    private var grants: [(truth: Truth, hidden: [String])] = []

    init(_ rules: RuleSet, _ question: RuleQuestion, _ documents: any RuleDocuments) {
        self.rules = rules
        self.question = question
        // The path of the request is that of a document, and open: nothing asks for this one.
        let request = RuleRequest(
            .list, database: question.database, [question.collection.joined(separator: ".")],
            auth: question.auth, timeMillis: question.timeMillis, query: question.query)
        evaluator = RuleEvaluator(rules, request, documents)
        path =
            ["databases", question.database, "documents"]
            + question.collection.flatMap { [$0, nil] }
        check = ResidualCheck(collectionNames: question.collection.count)
    }

    /// What the rules leave open.
    mutating func run() -> RuleResidual {
        for service in rules.syntax.services where service.name == "cloud.firestore" {
            for match in service.matches { lay(match, from: 0) }
        }
        var whole = Truth(whenTrue: .never, whenFalse: .always, check: constant(.no))
        for grant in grants { whole = either(whole, grant.truth) }
        if isTooMuch { whole = Truth(whenTrue: .unknown, whenFalse: .unknown, check: nil) }
        let hidden = hiddenFields
        var done: ResidualCheck?
        if let root = whole.check, hidden.isEmpty {
            check.root = root
            done = check
        }
        // Below other collections an `_id` may have no path, and then no rule is about it.
        let isOpen =
            whole.whenTrue.proof == .alwaysTrue && done != nil && check.collectionNames == 1
        return RuleResidual(
            bounds: whole.whenTrue.bounds, proof: whole.whenTrue.proof, check: done,
            hidden: hidden, usesLookups: !evaluator.lookups.isEmpty, allowsAll: isOpen)
    }

    /// Fields that a statement which may grant hides, unless one that always grants hides nothing.
    private var hiddenFields: [String] {
        let able = grants.filter { $0.truth.whenTrue.bounds != .alwaysFalse }
        let isOpen = able.contains {
            $0.hidden.isEmpty && $0.truth.whenTrue.proof == .alwaysTrue && $0.truth.check != nil
        }
        if isOpen && !isTooMuch { return [] }
        return Array(Set(able.flatMap(\.hidden))).sorted()
    }

    // MARK: Matches

    /// Lays a match over the path from an offset on, in every way.
    private mutating func lay(_ number: Int32, from start: Int) {
        let segments = rules.syntax.matches[Int(number)].segments
        let rest = segments.firstIndex { if case .rest = $0 { true } else { false } }
        let room = path.count - start - (segments.count - (rest == nil ? 0 : 1))
        guard room >= 0 else { return }
        let least = rest == nil ? 0 : rules.syntax.version == 1 ? 1 : 0
        let most = rest == nil ? 0 : room
        guard least <= most else { return }
        for length in least...most {
            steps += 1
            guard steps <= rules.limits.matchStepsMax else {
                isTooMuch = true
                return
            }
            let (outer, outerLiterals) = (captured.count, literals.count)
            if let end = bind(segments, from: start, rest: length) {
                visit(number, at: end)
            }
            captured.removeSubrange(outer...)
            evaluator.captures.removeSubrange(outer...)
            literals.removeSubrange(outerLiterals...)
        }
    }

    /// Binds the wildcards; the place behind the match, or nil where a segment differs.
    private mutating func bind(
        _ segments: [MatchSegment], from start: Int, rest: Int
    ) -> Int? {
        var offset = start
        for segment in segments {
            switch segment {
            case .literal(let text):
                let literal = rules.syntax[text]
                if let part = path[offset] {
                    guard part.utf8.elementsEqual(literal.utf8) else { return nil }
                } else {
                    literals.append((offset - 3, literal))
                }
                offset += 1
            case .one:
                let part = path[offset]
                evaluator.captures.append(part.map { .string($0) })
                captured.append(part == nil ? offset - 3 : nil)
                offset += 1
            case .rest:
                let parts = path[offset..<offset + rest]
                let known = parts.compactMap { $0 }
                evaluator.captures.append(
                    known.count == parts.count ? .path(RulePath(known)) : nil)
                captured.append(nil)
                offset += rest
            }
        }
        return offset
    }

    /// Takes what stands in a match that ends at `end`.
    private mutating func visit(_ number: Int32, at end: Int) {
        for item in rules.syntax.matches[Int(number)].items {
            switch item {
            case .match(let nested): lay(nested, from: end)
            case .allow(let allow):
                let statement = rules.syntax.allows[Int(allow)]
                guard end == path.count, statement.methods.contains(.list) else { continue }
                take(statement)
            }
        }
    }

    private mutating func take(_ statement: AllowSyntax) {
        var truth = Truth(whenTrue: .always, whenFalse: .never, check: constant(.yes))
        for (segment, text) in literals {
            truth = both(truth, segmentEquals(segment, text))
        }
        if let condition = statement.condition {
            openFunctions = [:]
            base = 0
            locals = Array(repeating: .known(.null), count: Int(statement.localCount))
            evaluator.base = 0
            evaluator.locals = Array(repeating: .null, count: Int(statement.localCount))
            truth = both(truth, self.truth(of: condition))
        }
        grants.append((truth, statement.hidden))
    }

    // MARK: Logic

    mutating func constant(_ answer: ResidualCheck.Answer) -> Int32 {
        check.add(.constant(answer))
    }

    /// Both conditions. A false one decides, even if the other fails.
    mutating func both(_ left: Truth, _ right: Truth) -> Truth {
        Truth(
            whenTrue: .both(left.whenTrue, right.whenTrue),
            whenFalse: .either(left.whenFalse, right.whenFalse),
            check: joined(left, right) { .both($0, $1) })
    }

    /// One of the conditions. A true one decides, even if the other fails.
    mutating func either(_ left: Truth, _ right: Truth) -> Truth {
        Truth(
            whenTrue: .either(left.whenTrue, right.whenTrue),
            whenFalse: .both(left.whenFalse, right.whenFalse),
            check: joined(left, right) { .either($0, $1) })
    }

    private mutating func joined(
        _ left: Truth, _ right: Truth, _ node: (Int32, Int32) -> ResidualCheck.Node
    ) -> Int32? {
        guard let left = left.check, let right = right.check else { return nil }
        return check.add(node(left, right))
    }

    mutating func not(_ truth: Truth) -> Truth {
        Truth(
            whenTrue: truth.whenFalse, whenFalse: truth.whenTrue,
            check: truth.check.map { check.add(.not($0)) })
    }

    /// The condition that fails for every document.
    mutating func failing() -> Truth {
        Truth(whenTrue: .never, whenFalse: .never, check: constant(.failure))
    }

    mutating func constantly(_ holds: Bool) -> Truth {
        Truth(
            whenTrue: holds ? .always : .never, whenFalse: holds ? .never : .always,
            check: constant(holds ? .yes : .no))
    }
}
