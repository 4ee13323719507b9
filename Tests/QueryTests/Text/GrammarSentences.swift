// Sentences at random from a grammar in EBNF: what a grammar page promises, put to the parser.

import TestSupport

/// Reads productions and makes sentences of `query`.
struct GrammarSentences {
    indirect enum Node {
        case text(String)
        case name(String)
        case sequence([Node])
        case choice([Node])
        case optional(Node)
        case repeated(Node)
    }

    struct BadGrammar: Error {
        let reason: String
    }

    private var productions: [String: Node] = [:]
    private var random: RandomSource
    private var names = 0
    /// Words to make before only the shortest ways are taken.
    private var room = 0

    init(_ grammar: String, seed: UInt64) throws {
        random = RandomSource(seed: seed)
        var reader = Reader(try Self.tokens(of: grammar))
        while let name = reader.take() {
            guard reader.take() == "=" else { throw BadGrammar(reason: "no '=' behind \(name)") }
            productions[name] = try reader.choice()
            guard reader.take() == ";" else { throw BadGrammar(reason: "no ';' behind \(name)") }
        }
    }

    /// A statement.
    mutating func next() -> String {
        names = 0
        room = 12 + random.below(60)
        var words: [String] = []
        write(.name("query"), 0, &words)
        return words.joined(separator: random.oneIn(4) ? "\n" : " ")
    }

    private mutating func write(_ node: Node, _ depth: Int, _ words: inout [String]) {
        let isTight = words.count > room || depth > 60
        switch node {
        case .text(let text): words.append(text)
        case .name(let name): write(name, depth, &words)
        case .sequence(let nodes): for node in nodes { write(node, depth, &words) }
        case .choice(let nodes):
            // Where it must end, brackets and calls would lead in again: the shortest is first.
            let chosen =
                isTight
                ? nodes.min { Self.weight($0) < Self.weight($1) } : nodes[random.below(nodes.count)]
            if let chosen { write(chosen, depth, &words) }
        case .optional(let node):
            if !isTight, random.oneIn(2) { write(node, depth, &words) }
        case .repeated(let node):
            while words.count <= room, depth <= 60, random.oneIn(3) { write(node, depth, &words) }
        }
    }

    /// How much a way leads to: literals and names least.
    private static func weight(_ node: Node) -> Int {
        switch node {
        case .text: 1
        case .name(let name):
            ["literal", "parameter", "path", "word", "number"].contains(name) ? 1 : 9
        case .sequence(let nodes): nodes.map(weight).reduce(0, +)
        case .choice(let nodes): nodes.map(weight).min() ?? 0
        case .optional, .repeated: 0
        }
    }

    /// Words of the lexer are made here; the rest by its production.
    private mutating func write(_ name: String, _ depth: Int, _ words: inout [String]) {
        switch name {
        case "word":
            // Names of an object must differ.
            names += 1
            words.append(random.oneIn(9) ? "größe\(names)" : "n\(names)")
        case "quoted":
            names += 1
            words.append(random.oneIn(2) ? "`from \(names)`" : "`\(names). $x`")
        case "string":
            names += 1
            words.append(random.oneIn(2) ? "\"s\\n\(names)\"" : "'s\\u00e4\(names)'")
        case "number": words.append(["0", "12", "2.5", "1e3", "7E-2"][random.below(5)])
        case "parameter": words.append(["$x", "$user", "$p1"][random.below(3)])
        default: if let node = productions[name] { write(node, depth + 1, &words) }
        }
    }

    // MARK: Reading EBNF

    private static func tokens(of grammar: String) throws -> [String] {
        var tokens: [String] = []
        var rest = Substring(grammar)
        while let first = rest.first {
            if first.isWhitespace {
                rest.removeFirst()
            } else if rest.hasPrefix("(*") {
                while !rest.isEmpty, !rest.hasPrefix("*)") { rest.removeFirst() }
                rest = rest.dropFirst(2)
            } else if first == "\"" {
                let text = rest.dropFirst().prefix { $0 != "\"" }
                tokens.append("\"" + text)
                rest = rest[text.endIndex...].dropFirst()
            } else if first.isLetter {
                let name = rest.prefix { $0.isLetter }
                tokens.append(String(name))
                rest = rest[name.endIndex...]
            } else if "=;|[]{}()".contains(first) {
                tokens.append(String(first))
                rest.removeFirst()
            } else {
                throw BadGrammar(reason: "unexpected \(first)")
            }
        }
        return tokens
    }

    private struct Reader {
        private var tokens: ArraySlice<String>

        init(_ tokens: [String]) {
            self.tokens = tokens[...]
        }

        mutating func take() -> String? { tokens.popFirst() }

        mutating func choice() throws -> Node {
            var nodes = [try sequence()]
            while tokens.first == "|" {
                tokens.removeFirst()
                nodes.append(try sequence())
            }
            return nodes.count == 1 ? nodes[0] : .choice(nodes)
        }

        private mutating func sequence() throws -> Node {
            var nodes: [Node] = []
            while let token = tokens.first, ![";", "|", "]", "}", ")"].contains(token) {
                tokens.removeFirst()
                switch token {
                case "[": nodes.append(.optional(try bracketed("]")))
                case "{": nodes.append(.repeated(try bracketed("}")))
                case "(": nodes.append(try bracketed(")"))
                default:
                    nodes.append(
                        token.hasPrefix("\"") ? .text(String(token.dropFirst())) : .name(token))
                }
            }
            return nodes.count == 1 ? nodes[0] : .sequence(nodes)
        }

        private mutating func bracketed(_ end: String) throws -> Node {
            let node = try choice()
            guard take() == end else { throw BadGrammar(reason: "no \(end)") }
            return node
        }
    }
}
