// Which reads' answers change as time goes by.

extension RuleSet {
    /// Whether the rules for reading documents of a collection may ask for the time of the request.
    /// - Parameter names: the names of the collection, from the outermost.
    package func readsUseTime(of names: [String]) -> Bool {
        let path: [String?] = ["databases", nil, "documents"] + names.flatMap { [$0, nil] }
        return syntax.allows.contains { statement in
            !statement.methods.isDisjoint(with: .read)
                && mayMatch(segments(of: statement.match)[...], path[...])
                && statement.condition.map(usesTime) ?? false
        }
    }

    /// Names of collections (dotted where they lie below others) in which documents are looked up,
    /// as far as the paths in the text say it.
    package var lookupCollections: Set<String> {
        var names: Set<String> = []
        for expression in syntax.expressions {
            guard case .path(let segments) = expression.kind else { continue }
            // /databases/NAME/documents/, then collections and ids by turns.
            let texts = syntax[segments].dropFirst(3).enumerated().filter { $0.offset % 2 == 0 }
                .map { segment -> String? in
                    guard case .string(let text) = syntax[segment.element].kind else { return nil }
                    return syntax[text]
                }
            guard !texts.isEmpty, texts.allSatisfy({ $0 != nil }) else { continue }
            names.insert(texts.compactMap { $0 }.joined(separator: "."))
        }
        return names
    }

    /// The segments of a match, behind those of the matches around.
    func segments(of number: Int32) -> [MatchSegment] {
        guard number >= 0 else { return [] }
        let match = syntax.matches[Int(number)]
        return segments(of: match.parent) + match.segments
    }

    /// Whether some document of the path is matched; nil stands for any segment.
    private func mayMatch(
        _ segments: ArraySlice<MatchSegment>, _ path: ArraySlice<String?>
    ) -> Bool {
        guard let first = segments.first else { return path.isEmpty }
        if case .rest = first { return true }
        guard let part = path.first else { return false }
        if case .literal(let text) = first, let part, syntax[text] != part { return false }
        return mayMatch(segments.dropFirst(), path.dropFirst())
    }

    /// Whether a condition, or a function that it calls, asks for the time.
    private func usesTime(_ condition: ExpressionID) -> Bool {
        var waiting = [condition]
        var called: Set<Int32> = []
        while let id = waiting.popLast() {
            switch syntax[id].kind {
            case .member(_, let name) where members[Int(name.index)] == .time: return true
            case .call(.function(let number), _) where called.insert(number).inserted:
                let function = syntax.functions[Int(number)]
                waiting += function.lets.map(\.value) + [function.result]
            default: break
            }
            waiting += syntax.operands(of: id)
        }
        return false
    }
}
