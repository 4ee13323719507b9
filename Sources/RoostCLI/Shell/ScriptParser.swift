// mongosh's form: `db.coll.find({a: {$gt: 5}}).sort({a: -1})`. No JavaScript runs: chains of calls
// whose arguments are Extended JSON as people write it (unquoted names, single quotes, ObjectId(…),
// ISODate(…), /patterns/).

import BSON

/// What is wrong with what was typed, at which byte.
struct ScriptError: Error {
    let offset: Int
    let message: String
    /// Whether it ends too early, so that more lines may complete it.
    var isIncomplete = false
}

/// A chain of calls: `db`, names, calls with their arguments.
struct ScriptChain {
    struct Call: Sendable {
        let name: String
        let arguments: [Value]
        let offset: Int
    }

    /// The database that `getSiblingDB` names; nil for the current one.
    var database: String?
    /// The collection behind `db`; nil for `db.runCommand(…)` and its like.
    var collection: String?
    var calls: [Call] = []
    /// What is wanted of the last call's result: `.insertedId`, `[0].name`, `.length`.
    var path: [ResultStep] = []
    /// Where the path begins.
    var pathOffset = 0
}

/// Parses one chain.
struct ScriptParser {
    private let bytes: [UInt8]
    private var offset = 0
    private var depth = 0

    private static let depthMax = Limits.nestingDepthMax

    private init(_ text: String) {
        bytes = Array(text.utf8)
    }

    /// Whether text has mongosh's form.
    static func isScript(_ text: String) -> Bool {
        guard text.hasPrefix("db") else { return false }
        let rest = text.dropFirst(2).drop(while: \.isWhitespace)
        return rest.isEmpty || rest.hasPrefix(".") || rest.hasPrefix("[")
    }

    /// The chain that a text holds.
    static func parse(_ text: String) throws(ScriptError) -> ScriptChain {
        var parser = ScriptParser(text)
        let chain = try parser.chain()
        _ = parser.take(";")
        parser.skipSpace()
        guard parser.offset == parser.bytes.count else {
            throw parser.error("expected '.' or the end")
        }
        return chain
    }

    /// The document that a text holds: Extended JSON with mongosh's freedoms.
    static func document(_ text: String) throws(ScriptError) -> Document {
        var parser = ScriptParser(text)
        let value = try parser.value()
        parser.skipSpace()
        guard parser.offset == parser.bytes.count else { throw parser.error("expected the end") }
        guard case .document(let document) = value else {
            throw ScriptError(offset: 0, message: "expected a document in braces")
        }
        return document
    }

    // MARK: Characters

    private var current: UInt8 { offset < bytes.count ? bytes[offset] : 0 }

    private func error(_ message: String) -> ScriptError {
        ScriptError(offset: offset, message: message, isIncomplete: offset >= bytes.count)
    }

    private mutating func skipSpace() {
        while offset < bytes.count {
            if [0x20, 0x09, 0x0A, 0x0D].contains(current) {
                offset += 1
            } else if bytes[offset...].starts(with: "//".utf8) {
                while offset < bytes.count, current != 0x0A { offset += 1 }
            } else {
                return
            }
        }
    }

    private mutating func take(_ symbol: Character) -> Bool {
        skipSpace()
        guard let byte = symbol.asciiValue, current == byte, offset < bytes.count else {
            return false
        }
        offset += 1
        return true
    }

    private mutating func expect(_ symbol: Character, _ others: String = "") throws(ScriptError) {
        guard take(symbol) else { throw error("expected \(others)'\(symbol)'") }
    }

    private static func isName(_ byte: UInt8) -> Bool {
        switch byte {
        case 48...57, 65...90, 97...122, UInt8(ascii: "_"), UInt8(ascii: "$"), 128...255: true
        default: false
        }
    }

    private mutating func name(_ what: String) throws(ScriptError) -> String {
        skipSpace()
        let start = offset
        while offset < bytes.count, Self.isName(current) { offset += 1 }
        guard offset > start else { throw error("expected \(what)") }
        return String(decoding: bytes[start..<offset], as: UTF8.self)
    }

    // MARK: Chains

    /// Methods whose arguments are JavaScript.
    private static let scripted: Set<String> = ["forEach", "map", "mapReduce", "group"]

    private mutating func chain() throws(ScriptError) -> ScriptChain {
        _ = try name("db")
        var chain = ScriptChain()
        var names: [String] = []
        while true {
            skipSpace()
            let symbol = offset
            if take("[") {
                let key = try value()
                try expect("]")
                if !chain.calls.isEmpty {
                    try want(Self.step(key, at: symbol), at: symbol, &chain)
                } else if case .string(let name) = key {
                    names.append(name)
                } else {
                    throw ScriptError(
                        offset: symbol, message: "expected a collection's name in quotes")
                }
                continue
            }
            guard take(".") else { break }
            skipSpace()
            let start = offset
            let name = try name("a collection or a method")
            guard take("(") else {
                if chain.calls.isEmpty {
                    names.append(name)
                } else {
                    try want(.field(name), at: symbol, &chain)
                }
                continue
            }
            guard chain.path.isEmpty else {
                throw ScriptError(
                    offset: start,
                    message: "\(name)() can't be called on a part of a result: only fields and "
                        + "[numbers] may follow there")
            }
            if Self.scripted.contains(name) {
                throw ScriptError(
                    offset: start,
                    message: "\(name)() runs JavaScript, and Roost has none: leave it away, or "
                        + "compute with aggregate()")
            }
            let arguments = try arguments()
            let call = ScriptChain.Call(name: name, arguments: arguments, offset: start)
            if !enter(call, &chain, &names) { chain.calls.append(call) }
        }
        if !names.isEmpty { chain.collection = names.joined(separator: ".") }
        guard !chain.calls.isEmpty else {
            throw ScriptError(
                offset: bytes.count, message: "expected a method such as .find()",
                isIncomplete: false)
        }
        return chain
    }

    /// Adds a step to what is wanted of the result.
    private func want(
        _ step: ResultStep, at symbol: Int, _ chain: inout ScriptChain
    ) throws(ScriptError) {
        if chain.path.isEmpty { chain.pathOffset = symbol }
        guard chain.path.count < Self.depthMax else {
            throw ScriptError(offset: symbol, message: "a path has at most \(Self.depthMax) steps")
        }
        chain.path.append(step)
    }

    /// The step that `[key]` means.
    private static func step(_ key: Value, at symbol: Int) throws(ScriptError) -> ResultStep {
        switch key {
        case .string(let name): return .field(name)
        case .int32(let index) where index >= 0: return .element(Int(index))
        default:
            throw ScriptError(
                offset: symbol, message: "[…] takes an element's number or a field's name in quotes"
            )
        }
    }

    /// Takes a call that only names a collection or a database; whether it was one.
    private func enter(
        _ call: ScriptChain.Call, _ chain: inout ScriptChain, _ names: inout [String]
    ) -> Bool {
        guard chain.calls.isEmpty, names.isEmpty, call.arguments.count == 1,
            case .string(let name) = call.arguments[0]
        else { return false }
        switch call.name {
        case "getCollection": names.append(name)
        case "getSiblingDB", "getSisterDB": chain.database = name
        default: return false
        }
        return true
    }

    private mutating func arguments() throws(ScriptError) -> [Value] {
        var arguments: [Value] = []
        while !take(")") {
            arguments.append(try value())
            if !take(",") {
                try expect(")", "',' or ")
                break
            }
        }
        return arguments
    }

    // MARK: Values

    private mutating func value() throws(ScriptError) -> Value {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.depthMax else {
            throw error("nested more than \(Self.depthMax) levels deep")
        }
        skipSpace()
        switch current {
        case UInt8(ascii: "{"): return try object()
        case UInt8(ascii: "["): return try array()
        case UInt8(ascii: "\""), UInt8(ascii: "'"), UInt8(ascii: "`"): return .string(try string())
        case UInt8(ascii: "/"): return try pattern()
        case UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "."), 48...57: return try number()
        default: return try named()
        }
    }

    private mutating func object() throws(ScriptError) -> Value {
        offset += 1
        var fields: [(name: String, value: Value)] = []
        while !take("}") {
            skipSpace()
            let start = offset
            let isQuoted = [UInt8(ascii: "\""), UInt8(ascii: "'")].contains(current)
            let name = isQuoted ? try string() : try name("a field's name or '}'")
            guard !name.utf8.contains(0) else {
                throw ScriptError(offset: start, message: "a name must not hold a zero character")
            }
            try expect(":")
            fields.append((name, try value()))
            if !take(",") {
                try expect("}", "',' or ")
                break
            }
        }
        let document = Document { writer in
            for (name, value) in fields { writer.append(name, value) }
        }
        // `{"$oid": "…"}` and its like are values.
        if fields.count <= 2, fields.first?.name.hasPrefix("$") == true,
            Self.typeNames.contains(fields[0].name),
            let value = try? ExtendedJSON.parseValue(ExtendedJSON.string(of: document.view))
        {
            return value
        }
        return .document(document)
    }

    /// Names of Extended JSON's typed values that are no query operators.
    private static let typeNames: Set<String> = [
        "$oid", "$date", "$numberInt", "$numberLong", "$numberDouble", "$numberDecimal", "$binary",
        "$uuid", "$timestamp", "$regularExpression", "$minKey", "$maxKey", "$undefined",
    ]

    private mutating func array() throws(ScriptError) -> Value {
        offset += 1
        var values: [Value] = []
        while !take("]") {
            values.append(try value())
            if !take(",") {
                try expect("]", "',' or ")
                break
            }
        }
        return .array(values)
    }

    private mutating func string() throws(ScriptError) -> String {
        let start = offset
        let quote = current
        offset += 1
        var content: [UInt8] = []
        while offset < bytes.count {
            let byte = current
            offset += 1
            if byte == quote { return String(decoding: content, as: UTF8.self) }
            guard byte == UInt8(ascii: "\\") else {
                content.append(byte)
                continue
            }
            let escape = current
            offset += 1
            switch escape {
            case UInt8(ascii: "n"): content.append(0x0A)
            case UInt8(ascii: "t"): content.append(0x09)
            case UInt8(ascii: "r"): content.append(0x0D)
            case UInt8(ascii: "u"):
                let end = min(offset + 4, bytes.count)
                let digits = String(decoding: bytes[min(offset, end)..<end], as: UTF8.self)
                guard let code = UInt32(digits, radix: 16), let scalar = Unicode.Scalar(code) else {
                    throw ScriptError(
                        offset: offset - 2, message: "\\u takes four hexadecimal digits")
                }
                content += Array(String(Character(scalar)).utf8)
                offset = end
            default: content.append(escape)
            }
        }
        throw ScriptError(
            offset: start, message: "there is no closing \(Character(Unicode.Scalar(quote)))")
    }

    private mutating func pattern() throws(ScriptError) -> Value {
        let start = offset
        offset += 1
        var content: [UInt8] = []
        while offset < bytes.count, current != UInt8(ascii: "/") {
            if current == UInt8(ascii: "\\"), offset + 1 < bytes.count {
                content.append(current)
                offset += 1
            }
            content.append(current)
            offset += 1
        }
        guard take("/"), !content.contains(0) else {
            throw ScriptError(offset: start, message: "there is no closing /")
        }
        let optionsStart = offset
        while 97...122 ~= current { offset += 1 }
        let options = String(decoding: bytes[optionsStart..<offset], as: UTF8.self)
        return .regex(
            pattern: String(decoding: content, as: UTF8.self), options: String(options.sorted()))
    }

    private mutating func number() throws(ScriptError) -> Value {
        let start = offset
        while offset < bytes.count,
            Self.isName(current) || [0x2B, 0x2D, 0x2E].contains(current)
        {
            offset += 1
        }
        let text = String(decoding: bytes[start..<offset], as: UTF8.self)
        if text == "-Infinity" { return .double(-.infinity) }
        if let whole = Int64(text) {
            return Int32(exactly: whole).map { .int32($0) } ?? .int64(whole)
        }
        let isDecimal = text.utf8.allSatisfy { 48...57 ~= $0 || "+-.eE".utf8.contains($0) }
        guard isDecimal, let number = Double(text), number.isFinite else {
            throw ScriptError(offset: start, message: "'\(text)' is no number")
        }
        return .double(number)
    }

    /// Constants and constructors.
    private mutating func named() throws(ScriptError) -> Value {
        let start = offset
        var name = try name("a value")
        switch name {
        case "true": return .bool(true)
        case "false": return .bool(false)
        case "null": return .null
        case "undefined": return .undefined
        case "NaN": return .double(.nan)
        case "Infinity": return .double(.infinity)
        case "new": name = try self.name("a type")
        default: break
        }
        guard take("(") else {
            switch name {
            case "MinKey": return .minKey
            case "MaxKey": return .maxKey
            default:
                throw ScriptError(
                    offset: start, message: "'\(name)' is no value; text needs quotes")
            }
        }
        let arguments = try arguments()
        guard let value = ScriptValues.make(name, arguments) else {
            throw ScriptError(offset: start, message: "these arguments make no \(name)")
        }
        return value
    }
}
