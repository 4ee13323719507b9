// Pipelines: `NAME | stage | stage`.

extension TextParser {
    private static let stageWords = [
        "where", "sort", "limit", "skip", "select", "set", "unset", "rename", "convert", "group",
        "join", "unwind", "count",
    ]

    /// The words that begin a list of changes.
    static let changeWords = ["set", "unset", "rename", "convert"]

    /// Most stages of a pipeline. Some become two of the aggregation's, which takes 1,000.
    private static let stagesMax = 500

    /// What follows `from`. `isLive`: behind `live`, where deleted documents have no place.
    mutating func pipeline(isLive: Bool = false) throws(TextError) -> TextPipeline {
        let source = try collection()
        var deleted: TextDeleted?
        if !isLive, case .word(let word) = current.kind, let wanted = TextDeleted(rawValue: word) {
            deleted = wanted
            advance()
        }
        var stages: [TextStage] = []
        continuations =
            isLive || deleted != nil ? ["'|'"] : ["'withDeleted'", "'onlyDeleted'", "'|'"]
        while take("|") {
            guard stages.count < Self.stagesMax else {
                throw TextError(
                    at: current.offset, "a query may have at most \(Self.stagesMax) stages")
            }
            stages.append(try stage())
        }
        return TextPipeline(source: source, deleted: deleted, stages: stages)
    }

    private mutating func stage() throws(TextError) -> TextStage {
        guard case .word(let word) = current.kind, Self.stageWords.contains(word) else {
            throw unexpected(Self.stageWords.map { "'\($0)'" })
        }
        if Self.changeWords.contains(word) {
            let stage = TextStage.set(try changes())
            continuations = ["an operator", "','", "'|'"]
            return stage
        }
        advance()
        continuations = ["an operator", "'|'"]
        switch word {
        case "where": return .where(try expression())
        case "limit": return .limit(try expression())
        case "skip": return .skip(try expression())
        case "sort":
            let stage = TextStage.sort(try keys())
            continuations = ["','", "'|'"]
            return stage
        case "select":
            let stage = TextStage.select(try entries())
            continuations = ["'|'"]
            return stage
        case "count":
            continuations = ["'|'"]
            return .count
        case "group": return try group()
        case "join": return try join()
        default: return try unwind()
        }
    }

    /// `a, -b.c`: the keys of an order or an index.
    mutating func keys() throws(TextError) -> [TextKey] {
        var keys: [TextKey] = []
        repeat {
            let isDescending = take("-")
            keys.append(TextKey(path: try path(), isDescending: isDescending))
        } while take(",")
        return keys
    }

    /// `set a = 1, b.c = a + 1, unset d, rename e to f, convert g to int`.
    mutating func changes() throws(TextError) -> [TextChange] {
        var changes: [TextChange] = []
        var removes = false
        repeat {
            if case .symbol = following.kind {
                // A field that is called `set` or `unset`.
            } else if takeWord("rename") {
                removes = false
                let source = try path()
                try expectWord("to")
                changes.append(.rename(source, to: try path()))
                continue
            } else if takeWord("convert") {
                removes = false
                let path = try path()
                try expectWord("to")
                let type = try name("a type")
                let otherwise = takeWord("else") ? try expression() : nil
                changes.append(.convert(path, to: type, otherwise: otherwise))
                continue
            } else if takeWord("set") {
                removes = false
            } else if takeWord("unset") {
                removes = true
            }
            let path = try path()
            if take("=") {
                removes = false
                changes.append(.set(path, try expression()))
            } else if removes {
                changes.append(.unset(path))
            } else {
                throw unexpected(["'='"])
            }
        } while take(",")
        continuations = ["an operator", "','"]
        return changes
    }

    /// `{ id: _id, total }`: values by name, a path alone standing for its last name.
    mutating func entries() throws(TextError) -> [TextEntry] {
        let offset = current.offset
        try expect("{")
        let object = try objectBody(at: offset)
        guard case .object(let entries) = object.kind else { return [] }
        return entries
    }

    private mutating func group() throws(TextError) -> TextStage {
        continuations = ["'|'"]
        let first = try expression()
        // What stands alone is the outputs, what stands before them is the key.
        if current.kind == .symbol("{") { return .group(key: first, outputs: try entries()) }
        guard case .object(let outputs) = first.kind else {
            throw unexpected(["an operator", "'{' with what to compute"])
        }
        continuations = ["'{'", "'|'"]
        return .group(key: nil, outputs: outputs)
    }

    private mutating func join() throws(TextError) -> TextStage {
        let other = try collection()
        try expectWord("on")
        let local = try path()
        try expect("==")
        let foreign = try path()
        guard takeWord("as") else { throw unexpected(["'as'"]) }
        let output = try name("the name of the field for what is joined")
        continuations = ["'|'"]
        return .join(other, local: local, foreign: foreign, output: output)
    }

    private mutating func unwind() throws(TextError) -> TextStage {
        let path = try path()
        var index: TextName?
        if takeWord("at") { index = try name("the name of the field for the position") }
        let keepsEmpty = takeWord("outer")
        continuations = ["'at'", "'outer'", "'|'"]
        return .unwind(path, index: index, keepsEmpty: keepsEmpty)
    }
}
