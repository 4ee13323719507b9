// Finds the match blocks whose path is the request's and tries their allow statements, in the order
// of the source, until one grants.

extension RuleEvaluator {
    /// What the rules say.
    mutating func decide() -> RuleDecision {
        var walk = MatchWalk(path: ["databases", request.database, "documents"] + request.segments)
        // The id of what a query returns is open.
        if request.method == .list, !request.segments.count.isMultiple(of: 2) {
            walk.path.append(nil)
        }
        do throws(RuleFailure) {
            for service in rules.syntax.services where service.name == "cloud.firestore" {
                for match in service.matches {
                    if try tryMatch(match, from: 0, &walk) { return walk.decision(nil) }
                }
            }
            return walk.decision(nil)
        } catch {
            return walk.decision(error)
        }
    }

    /// Lays a match over the path from an offset on, in every way. Whether to look no further.
    private mutating func tryMatch(
        _ number: Int32, from start: Int, _ walk: inout MatchWalk
    ) throws(RuleFailure) -> Bool {
        let segments = rules.syntax.matches[Int(number)].segments
        let rest = segments.firstIndex { if case .rest = $0 { true } else { false } }
        let room = walk.path.count - start - (segments.count - (rest == nil ? 0 : 1))
        guard room >= 0 else { return false }
        let least = rest == nil ? 0 : rules.syntax.version == 1 ? 1 : 0
        let most = rest == nil ? 0 : room
        guard least <= most else { return false }
        for length in least...most {
            walk.steps += 1
            guard walk.steps <= rules.limits.matchStepsMax else {
                throw failure(.limit("The path fits the rules in too many ways."))
            }
            let outer = captures.count
            defer { captures.removeSubrange(outer...) }
            guard let end = capture(segments, from: start, rest: length, walk) else { continue }
            if try tryItems(of: number, at: end, &walk) { return true }
        }
        return false
    }

    /// Binds the wildcards; the place behind the match, or nil where a segment differs.
    private mutating func capture(
        _ segments: [MatchSegment], from start: Int, rest: Int, _ walk: MatchWalk
    ) -> Int? {
        var offset = start
        for segment in segments {
            switch segment {
            case .literal(let text):
                guard let part = walk.path[offset],
                    part.utf8.elementsEqual(rules.syntax[text].utf8)
                else { return nil }
                offset += 1
            case .one:
                captures.append(walk.path[offset].map { .string($0) })
                offset += 1
            case .rest:
                let parts = walk.path[offset..<offset + rest]
                let known = parts.compactMap { $0 }
                captures.append(known.count == parts.count ? .path(RulePath(known)) : nil)
                offset += rest
            }
        }
        return offset
    }

    /// Tries what stands in a match that ends at `end`. Whether to look no further.
    private mutating func tryItems(
        of number: Int32, at end: Int, _ walk: inout MatchWalk
    ) throws(RuleFailure) -> Bool {
        let isWhole = end == walk.path.count
        if isWhole { trace?.matches.append(number) }
        for item in rules.syntax.matches[Int(number)].items {
            switch item {
            case .match(let nested):
                if try tryMatch(nested, from: end, &walk) { return true }
            case .allow(let allow):
                guard isWhole else { continue }
                let statement = rules.syntax.allows[Int(allow)]
                guard statement.methods.contains(RuleMethods(request.method)),
                    try grants(statement, allow)
                else { continue }
                if walk.grant(allow, hiding: statement.hidden) { return true }
            }
        }
        return false
    }

    /// Whether an allow statement's condition holds; failures are none but final ones.
    private mutating func grants(
        _ statement: AllowSyntax, _ number: Int32
    ) throws(RuleFailure) -> Bool {
        let step = statement.condition.flatMap { _ in trace.map { Int32(clamping: $0.steps.count) }
        }
        trace?.attempts.append(RuleTrace.Attempt(allow: number, step: step))
        guard let condition = statement.condition else { return true }
        base = 0
        locals = Array(repeating: .null, count: Int(statement.localCount))
        do throws(RuleFailure) {
            return try truth(condition)
        } catch {
            if error.isFinal { throw error }
            return false
        }
    }
}

/// How far the search for a granting statement is.
struct MatchWalk {
    /// The path's segments; nil for one that a query leaves open.
    var path: [String?]
    var steps = 0
    private var allow: Int32?
    private var hidden: [String] = []

    init(path: [String]) {
        self.path = path
    }

    /// Takes in a granting statement. Whether nothing can grant more.
    mutating func grant(_ number: Int32, hiding fields: [String]) -> Bool {
        hidden = allow == nil ? fields : hidden.filter(fields.contains)
        if allow == nil { allow = number }
        return hidden.isEmpty
    }

    func decision(_ failure: RuleFailure?) -> RuleDecision {
        RuleDecision(
            isAllowed: allow != nil, allow: allow, hidden: hidden,
            failure: allow == nil ? failure : nil)
    }
}
