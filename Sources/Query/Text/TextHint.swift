// What people write who know SQL: what the text language says in its place.

/// Advice for a token that another query language has and this one writes otherwise.
enum TextHint {
    /// How what a token means is written here; nil where nothing is known of it.
    static func of(_ token: TextToken) -> String? {
        switch token.kind {
        case .symbol("="): "write '==' to compare"
        case .word(let word): words[word.lowercased()] ?? keyword(word)
        default: nil
        }
    }

    private static let words = [
        "and": "write '&&'",
        "or": "write '||'",
        "not": "write '!' before what must not hold",
        "like": "write 'startsWith(a, \"x\")', 'contains(a, \"x\")' or 'matches(a, \"pattern\")'",
        "ilike": "write 'matches(a, \"pattern\", \"i\")'",
        "regexp": "write 'matches(a, \"pattern\")'",
        "between": "write 'a >= 1 && a <= 2'",
        "offset": "write '| skip 10'",
        "order": "write '| sort a, -b'",
        "having": "write '| where …' behind the group",
        "values": "write 'insert into COLLECTION { a: 1 }'",
        "into": "write 'insert into COLLECTION { a: 1 }'",
        "select": "write 'from COLLECTION | where … | select { a, b }'",
        "set": "write 'update COLLECTION where … set a = 1'",
        "by": "write 'group a { n: count() }' or 'sort a, -b'",
    ]

    /// Words that go on with a query; each needs a `|` before it.
    private static let stages: Set<String> = [
        "where", "sort", "limit", "skip", "group", "join", "unwind", "count",
    ]

    /// Words that begin a statement.
    private static let verbs: Set<String> = [
        "from", "insert", "update", "upsert", "delete", "create", "drop", "explain", "live",
        "restore", "purge", "rename", "alter", "deploy",
    ]

    private static func keyword(_ word: String) -> String? {
        if stages.contains(word) { return "write '| \(word)'" }
        let lower = word.lowercased()
        guard lower != word, stages.contains(lower) || verbs.contains(lower) else { return nil }
        return "write '\(lower)': keywords are lower case"
    }
}
