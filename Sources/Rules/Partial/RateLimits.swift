// Which limits of requests count for a collection.

extension RuleSet {
    /// Whether there are limits.
    package var hasRateLimits: Bool {
        let options = syntax.services.flatMap(\.options) + syntax.matches.flatMap(\.options)
        return options.contains { if case .limit = $0.value { true } else { false } }
    }

    /// The limits that count for requests about documents of a collection, each with a number of
    /// its own: those of services, and of matches whose path is that of documents there or begins
    /// it.
    /// - Parameter names: the names of the collection, from the outermost.
    package func rateLimits(of names: [String]) -> [(index: Int, limit: RateLimit)] {
        let path: [String?] = ["databases", nil, "documents"] + names.flatMap { [$0, nil] }
        var found: [(index: Int, limit: RateLimit)] = []
        var index = 0
        func add(_ options: [OptionSyntax], _ counts: Bool) {
            for option in options {
                guard case .limit(let limit) = option.value else { continue }
                if counts { found.append((index, limit)) }
                index += 1
            }
        }
        for service in syntax.services { add(service.options, true) }
        for (number, match) in syntax.matches.enumerated() where !match.options.isEmpty {
            add(match.options, mayBegin(segments(of: Int32(number))[...], path[...]))
        }
        return found
    }

    /// Whether a match lies over the beginning of a path; nil stands for any segment.
    private func mayBegin(
        _ segments: ArraySlice<MatchSegment>, _ path: ArraySlice<String?>
    ) -> Bool {
        guard let first = segments.first else { return true }
        if case .rest = first { return true }
        guard let part = path.first else { return false }
        if case .literal(let text) = first, let part, syntax[text] != part { return false }
        return mayBegin(segments.dropFirst(), path.dropFirst())
    }
}
