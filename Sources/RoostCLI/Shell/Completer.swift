// Completion: collections behind the words that name them, else fields, keywords and functions.

/// Completes the last word of a line.
struct Completer {
    /// What the server knows; asked only when the key is pressed.
    let collections: () -> [String]
    let fields: (_ collection: String) -> [String]

    private static let keywords = [
        "from", "where", "sort", "limit", "skip", "select", "set", "unset", "group", "join",
        "unwind", "count", "insert", "into", "update", "upsert", "delete", "create", "drop",
        "index", "collection", "unique", "explain", "live", "restore", "true", "false", "null",
        "any", "all", "filter", "map", "sum", "avg", "min", "max", "lower", "upper", "contains",
        "startsWith", "matches", "exists", "size", "date", "objectId", "now",
    ]
    private static let dotCommands = [
        ".help", ".explain", ".watch", ".collections", ".databases", ".use", ".format", ".timing",
        ".quit",
    ]
    private static let methods = [
        "find", "findOne", "insertOne", "insertMany", "updateOne", "updateMany", "replaceOne",
        "deleteOne", "deleteMany", "aggregate", "countDocuments", "distinct", "createIndex",
        "dropIndex", "getIndexes", "drop",
    ]
    /// Words that a collection's name follows.
    private static let beforeCollection: Set<String> = [
        "from", "into", "update", "upsert", "join", "collection", "on",
    ]

    func complete(_ line: String) -> Completion {
        if line.hasPrefix("."), !line.contains(" ") {
            return Self.completion(of: line, Self.dotCommands)
        }
        var start = line.endIndex
        while start > line.startIndex, Self.isWord(line[line.index(before: start)]) {
            start = line.index(before: start)
        }
        let word = String(line[start...])
        let before = line[..<start]
        if before.hasPrefix("db."), before.dropFirst(3).allSatisfy({ $0 != "(" }) {
            return Self.completion(of: word, before == "db." ? collections() : Self.methods)
        }
        let words = before.split { !Self.isWord($0) }.map(String.init)
        if let last = words.last, Self.beforeCollection.contains(last), before.last == " " {
            return Self.completion(of: word, collections())
        }
        var names = Self.keywords
        if let place = words.lastIndex(where: { Self.beforeCollection.contains($0) }),
            place + 1 < words.count
        {
            names += fields(words[place + 1])
        }
        return Self.completion(of: word, names)
    }

    private static func isWord(_ character: Character) -> Bool {
        character == "_" || character.isLetter || character.isNumber
    }

    private static func completion(of word: String, _ names: [String]) -> Completion {
        let candidates = Set(names.filter { $0.hasPrefix(word) }).sorted()
        guard let first = candidates.first else { return Completion() }
        if candidates.count == 1 {
            return Completion(insertion: first.dropFirst(word.count) + " ", candidates: candidates)
        }
        var shared = Substring(first)
        for candidate in candidates {
            while !candidate.hasPrefix(shared) { shared = shared.dropLast() }
        }
        return Completion(
            insertion: String(shared.dropFirst(word.count)), candidates: candidates)
    }
}
