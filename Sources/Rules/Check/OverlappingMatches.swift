// Matches that one path fits: what either allows is allowed, which narrower rules can't take back.

internal import Query

/// A match's path with those of the matches around it.
struct MatchPath {
    let segments: [MatchSegment]

    init(_ syntax: RuleSyntax, _ match: Int32) {
        var segments: [MatchSegment] = []
        var current = match
        while current >= 0 {
            segments = syntax.matches[Int(current)].segments + segments
            current = syntax.matches[Int(current)].parent
        }
        self.segments = segments
        texts = syntax.texts
    }

    private let texts: [String]

    /// The types of its wildcards.
    var captures: [TypeSet] {
        segments.compactMap { segment in
            switch segment {
            case .literal: nil
            case .one: .string
            case .rest: .path
            }
        }
    }

    /// How many segments a path has that fits; nil where that varies.
    var fixedCount: Int? {
        for segment in segments {
            if case .rest = segment { return nil }
        }
        return segments.count
    }

    /// Whether paths below `/databases/NAME/documents` can fit, or paths below can.
    var canBeginDocuments: Bool {
        for (segment, wanted) in zip(segments, ["databases", nil, "documents"]) {
            switch segment {
            case .rest: return true
            case .one: break
            case .literal(let text):
                if let wanted, texts[Int(text.index)] != wanted { return false }
            }
        }
        return true
    }

    /// Whether it has `{x=**}` where the other hasn't, or earlier.
    func isBroader(than other: MatchPath) -> Bool {
        func fixed(_ path: MatchPath) -> Int {
            path.segments.firstIndex { if case .rest = $0 { true } else { false } } ?? .max
        }
        return fixed(self) < fixed(other)
    }

    /// Whether some path fits both. O(n · m).
    func overlaps(_ other: MatchPath) -> Bool {
        // Row by row: can the first i segments here and the first j there fit one path?
        var row = [Bool](repeating: false, count: other.segments.count + 1)
        row[0] = true
        for (index, segment) in other.segments.enumerated() {
            if case .rest = segment { row[index + 1] = row[index] }
        }
        for segment in segments {
            var next = [Bool](repeating: false, count: row.count)
            let isRest = if case .rest = segment { true } else { false }
            next[0] = isRest && row[0]
            for (index, opposite) in other.segments.enumerated() {
                let oppositeIsRest = if case .rest = opposite { true } else { false }
                var fits = false
                if isRest { fits = row[index + 1] || next[index] }
                if oppositeIsRest { fits = fits || next[index] || row[index + 1] }
                if !isRest, !oppositeIsRest { fits = row[index] && Self.fit(segment, opposite) }
                next[index + 1] = fits
            }
            row = next
        }
        return row[other.segments.count]
    }

    private static func fit(_ left: MatchSegment, _ right: MatchSegment) -> Bool {
        guard case .literal(let left) = left, case .literal(let right) = right else { return true }
        return left == right
    }
}

/// Finds matches that overlap and allow the same.
struct OverlappingMatches {
    private let syntax: RuleSyntax

    init(_ syntax: RuleSyntax) {
        self.syntax = syntax
    }

    private struct Candidate {
        let path: MatchPath
        let range: SourceRange
        let service: Int32
        /// Methods that something but `if false` allows.
        let granted: RuleMethods
        /// Methods of `if false`.
        let refused: RuleMethods
    }

    /// A warning at the later of two matches, once for each match, at most 100.
    func problems() -> [RulesProblem] {
        let candidates = syntax.matches.indices.prefix(300).compactMap { candidate($0) }
        var problems: [RulesProblem] = []
        for (index, later) in candidates.enumerated() where problems.count < 100 {
            for earlier in candidates[..<index] where earlier.service == later.service {
                guard let problem = problem(earlier, later) else { continue }
                problems.append(problem)
                break
            }
        }
        return problems
    }

    private func candidate(_ number: Int) -> Candidate? {
        var granted: RuleMethods = []
        var refused: RuleMethods = []
        let match = syntax.matches[number]
        for case .allow(let allow) in match.items {
            let statement = syntax.allows[Int(allow)]
            if let condition = statement.condition, case .bool(false) = syntax[condition].kind {
                refused.formUnion(statement.methods)
            } else {
                granted.formUnion(statement.methods)
            }
        }
        guard !granted.isEmpty || !refused.isEmpty else { return nil }
        return Candidate(
            path: MatchPath(syntax, Int32(clamping: number)), range: match.range,
            service: match.service, granted: granted, refused: refused)
    }

    /// What a match's 'if false' means to refuse, and a match at least as broad allows.
    private static func lifted(_ refusing: Candidate, by granting: Candidate) -> RuleMethods {
        guard !refusing.path.isBroader(than: granting.path) else { return [] }
        return granting.granted.intersection(refusing.refused.subtracting(refusing.granted))
    }

    private func problem(_ earlier: Candidate, _ later: Candidate) -> RulesProblem? {
        let both = earlier.granted.intersection(later.granted)
        // A broad 'if false' under narrower grants is a habit that does no harm.
        let lifted = Self.lifted(earlier, by: later).union(Self.lifted(later, by: earlier))
        guard !both.isEmpty || !lifted.isEmpty, earlier.path.overlaps(later.path) else {
            return nil
        }
        let place = syntax.files[Int(earlier.range.file)].place(of: earlier.range)
        let file =
            earlier.range.file == later.range.file
            ? "" : " of " + syntax.files[Int(earlier.range.file)].name
        var message = "paths can match both this and line \(place.line)\(file): "
        if lifted.isEmpty {
            message += "what either allows is allowed (\(both.text))"
        } else {
            message +=
                "what one allows the other's 'if false' doesn't take back (\(lifted.text))"
        }
        return RulesProblem(.warning, .overlappingMatch, at: later.range, message)
    }
}
