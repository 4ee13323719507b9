// Completion: collections behind the words that name them, fields and databases where those may
// stand, else keywords, functions, methods and operators.

import Query

/// Completes the last word of a line.
struct Completer {
    /// What the server knows; asked only when the key is pressed.
    let collections: () -> [String]
    let fields: (_ collection: String) -> [String]
    var databases: () -> [String] = { [] }

    private static let keywords =
        [
            "from", "where", "sort", "limit", "skip", "select", "set", "unset", "group", "join",
            "unwind", "count", "insert", "into", "update", "upsert", "delete", "create", "drop",
            "index", "collection", "unique", "explain", "full", "live", "restore", "purge", "true",
            "false",
            "null", "capped", "expire", "after", "seconds", "outer", "withDeleted",
            "onlyDeleted", "softDelete", "rename", "to", "convert", "alter", "validator",
            "jsonSchema", "level", "action", "deploy", "rules",
        ] + TextQuery.functionNames
    private static let dotCommands = [
        ".help", ".explain", ".watch", ".collections", ".databases", ".use", ".param", ".format",
        ".timing", ".quit",
    ]
    private static let operators = [
        "$and", "$or", "$nor", "$not", "$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin",
        "$exists", "$type", "$regex", "$elemMatch", "$size", "$all", "$mod", "$expr", "$set",
        "$unset", "$inc", "$push", "$pull", "$addToSet", "$rename", "$min", "$max", "$mul",
        "$currentDate", "$setOnInsert", "$match", "$group", "$sort", "$limit", "$skip", "$project",
        "$unwind", "$lookup", "$count", "$addFields", "$facet", "$sum", "$avg", "$first", "$last",
    ]
    /// Words that a collection's name follows.
    private static let beforeCollection: Set<String> = [
        "from", "into", "update", "upsert", "join", "collection", "on", "restore", "purge",
    ]

    func complete(_ line: String) -> Completion {
        // Behind a `;` another statement begins.
        let line = String(line.split(separator: ";", omittingEmptySubsequences: false).last ?? "")
            .trimmedStart
        if line.hasPrefix("."), !line.contains(" ") {
            return Self.completion(of: line, Self.dotCommands)
        }
        var start = line.endIndex
        while start > line.startIndex, Self.isWord(line[line.index(before: start)]) {
            start = line.index(before: start)
        }
        let word = String(line[start...])
        let before = line[..<start]
        if before.hasPrefix("db.") { return script(word, before) }
        if ["use ", ".use "].contains(String(before)) {
            return Self.completion(of: word, databases())
        }
        if before == "show " {
            return Self.completion(of: word, ["collections", "databases", "dbs", "profile"])
        }
        return text(word, before, line)
    }

    /// The text language.
    private func text(_ word: String, _ before: Substring, _ line: String) -> Completion {
        let words = before.split { !Self.isWord($0) }.map(String.init)
        if let last = words.last, Self.beforeCollection.contains(last), before.last == " " {
            return Self.completion(of: word, collections())
        }
        var known: [String] = []
        if let place = words.lastIndex(where: { Self.beforeCollection.contains($0) }),
            place + 1 < words.count
        {
            known = fields(words[place + 1])
        }
        guard before.last == "." else {
            let names = known.map { String($0.prefix { $0 != "." }) }
            return Self.completion(of: word, Self.keywords + names)
        }
        // The rest of a path: what stands before the point belongs to it.
        var start = line.endIndex
        while start > line.startIndex {
            let character = line[line.index(before: start)]
            guard Self.isWord(character) || character == "." else { break }
            start = line.index(before: start)
        }
        return Self.completion(of: String(line[start...]), known)
    }

    /// mongosh's form: collections and methods, then fields and operators in the arguments.
    private func script(_ word: String, _ before: Substring) -> Completion {
        let rest = before.dropFirst(3)
        guard let open = rest.firstIndex(of: "(") else {
            return Self.completion(
                of: word,
                before == "db." ? collections() + ScriptDatabase.names : ScriptCommands.names)
        }
        if before.hasSuffix(").") { return Self.completion(of: word, ScriptReads.cursorMethods) }
        let path = rest[..<open]
        guard let point = path.lastIndex(of: ".") else { return Completion() }
        return Self.completion(
            of: word,
            fields(String(path[..<point])) + Self.operators + ScriptValues.names
                + ["true", "false", "null"])
    }

    private static func isWord(_ character: Character) -> Bool {
        character == "_" || character == "$" || character.isLetter || character.isNumber
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

extension String {
    fileprivate var trimmedStart: String { String(drop { $0 == " " || $0 == "\t" }) }
}
