// The functions of the text language. `f(x, y)` and `x.f(y)` are the same call. A row names the
// aggregation operator that computes it; constants such as date("…") are values at once.

import BSON

/// A function's row.
private struct TextFunction: Sendable {
    enum Form: Sendable {
        /// Arguments in a list.
        case list(String)
        /// Arguments by name, in the order of the text's.
        case named(String, [String])
        /// Something that needs more than one operator.
        case other(@Sendable ([Value]) -> Value)
    }

    let arity: ClosedRange<Int>
    let form: Form
}

enum TextFunctions {
    /// Most arguments of a function that takes any number.
    private static let argumentsMax = 1_000
    private static let any = 1...argumentsMax

    /// Functions whose results are text.
    static let makesText: Set<String> = [
        "lower", "upper", "string", "concat", "substr", "trim", "ltrim", "rtrim", "replace",
        "format",
    ]

    /// The call as an expression.
    /// - Throws: for an unknown name and a wrong number of arguments.
    static func lower(
        _ name: String, _ arguments: [TextExpression], at offset: Int,
        _ lowering: inout TextLowering
    ) throws(TextError) -> Value {
        guard let function = table[name] else {
            throw TextError(at: offset, unknown(name))
        }
        guard function.arity.contains(arguments.count) else {
            throw TextError(
                at: offset,
                "\(name)() takes \(count(function.arity)), not \(arguments.count)")
        }
        let values = try lowering.raw(all: arguments)
        switch function.form {
        case .list(let operatorName): return TextLowering.call(operatorName, values)
        case .named(let operatorName, let names):
            let object = Document { writer in
                for (name, value) in zip(names, values) { writer.append(name, value) }
            }
            return .document(Document { $0.append(operatorName, object) })
        case .other(let make): return make(values)
        }
    }

    /// All names, sorted.
    static let names: [String] =
        Set(Array(table.keys) + TextConstants.names + TextLoop.allCases.map(\.rawValue)).sorted()

    /// The function that an aggregation operator stands for, where that is one.
    static let namesByOperator: [String: String] = {
        var names: [String: String] = [:]
        for (name, function) in table.sorted(by: { $0.key < $1.key }) {
            switch function.form {
            case .list(let operatorName), .named(let operatorName, _): names[operatorName] = name
            case .other: break
            }
        }
        return names
    }()

    /// What a function wants, where one can say it in a word.
    static func expectations(of name: String) -> [String] {
        switch name {
        case "length", "substr", "split", "indexOf", "trim", "ltrim", "rtrim", "replace",
            "matches", "contains", "startsWith", "concat":
            ["text"]
        case "year", "month", "day", "hour", "minute", "second", "millisecond", "dayOfWeek",
            "dayOfYear", "week", "format", "dateAdd", "dateDiff", "dateTrunc":
            ["a date"]
        case "size", "first", "last", "reverse", "slice", "concatArrays", "union",
            "intersection", "difference", "isSubset", "sort", "object":
            ["a list"]
        case "entries", "merge": ["a document"]
        case "int", "long", "double", "decimal", "date", "objectId", "bool", "string":
            ["a value that \(name)() can convert"]
        default: []
        }
    }

    /// What is said of a name that no function has.
    private static func unknown(_ name: String) -> String {
        if TextAccumulators.names.contains(name) {
            return "\(name)() is only known in the braces of 'group', as a whole value"
        }
        if name == "not" { return "there is no function 'not'; write '!'" }
        let near = names.filter { TextDistance.isNear(name, $0) }
        if near.isEmpty { return "there is no function '\(name)'; Grammar.md lists them" }
        return "there is no function '\(name)'; did you mean \(near.joined(separator: " or "))?"
    }

    /// `1 argument`, `2 or 3 arguments`, `at least 2 arguments`.
    static func count(_ arity: ClosedRange<Int>) -> String {
        if arity.upperBound == argumentsMax { return "at least \(arity.lowerBound) arguments" }
        if arity.count == 1 {
            return "\(arity.lowerBound) argument\(arity.lowerBound == 1 ? "" : "s")"
        }
        return "\(arity.lowerBound) to \(arity.upperBound) arguments"
    }

    private static let table: [String: TextFunction] = {
        var rows: [String: TextFunction] = [:]
        func list(_ name: String, _ arity: ClosedRange<Int>, _ operatorName: String) {
            rows[name] = TextFunction(arity: arity, form: .list(operatorName))
        }
        func named(
            _ name: String, _ arity: ClosedRange<Int>, _ operatorName: String, _ names: [String]
        ) {
            rows[name] = TextFunction(arity: arity, form: .named(operatorName, names))
        }
        func other(
            _ name: String, _ arity: ClosedRange<Int>,
            _ make: @escaping @Sendable ([Value]) -> Value
        ) {
            rows[name] = TextFunction(arity: arity, form: .other(make))
        }
        for (name, operatorName) in [
            ("abs", "$abs"), ("ceil", "$ceil"), ("floor", "$floor"), ("sqrt", "$sqrt"),
            ("exp", "$exp"), ("ln", "$ln"), ("sin", "$sin"), ("cos", "$cos"), ("tan", "$tan"),
            ("lower", "$toLower"), ("upper", "$toUpper"), ("string", "$toString"),
            ("int", "$toInt"), ("long", "$toLong"), ("double", "$toDouble"), ("bool", "$toBool"),
            ("decimal", "$toDecimal"), ("date", "$toDate"), ("objectId", "$toObjectId"),
            ("length", "$strLenCP"), ("size", "$size"), ("first", "$first"), ("last", "$last"),
            ("reverse", "$reverseArray"), ("isArray", "$isArray"), ("type", "$type"),
            ("entries", "$objectToArray"), ("object", "$arrayToObject"), ("year", "$year"),
            ("month", "$month"), ("day", "$dayOfMonth"), ("hour", "$hour"),
            ("minute", "$minute"), ("second", "$second"), ("millisecond", "$millisecond"),
            ("dayOfWeek", "$dayOfWeek"), ("dayOfYear", "$dayOfYear"), ("week", "$week"),
        ] { list(name, 1...1, operatorName) }
        list("round", 1...2, "$round")
        list("trunc", 1...2, "$trunc")
        list("pow", 2...2, "$pow")
        list("log", 2...2, "$log")
        list("concat", any, "$concat")
        list("substr", 3...3, "$substrCP")
        list("split", 2...2, "$split")
        list("indexOf", 2...4, "$indexOfCP")
        list("compareIgnoringCase", 2...2, "$strcasecmp")
        list("slice", 2...3, "$slice")
        list("range", 2...3, "$range")
        list("concatArrays", any, "$concatArrays")
        list("union", any, "$setUnion")
        list("intersection", any, "$setIntersection")
        list("difference", 2...2, "$setDifference")
        list("isSubset", 2...2, "$setIsSubset")
        list("merge", any, "$mergeObjects")
        list("ifNull", 2...argumentsMax, "$ifNull")
        list("min", any, "$min")
        list("max", any, "$max")
        list("sum", any, "$sum")
        list("avg", any, "$avg")
        named("trim", 1...2, "$trim", ["input", "chars"])
        named("ltrim", 1...2, "$ltrim", ["input", "chars"])
        named("rtrim", 1...2, "$rtrim", ["input", "chars"])
        named("replace", 3...3, "$replaceAll", ["input", "find", "replacement"])
        named("matches", 2...3, "$regexMatch", ["input", "regex", "options"])
        named("format", 2...3, "$dateToString", ["date", "format", "timezone"])
        named("dateAdd", 3...4, "$dateAdd", ["startDate", "unit", "amount", "timezone"])
        named("dateDiff", 3...4, "$dateDiff", ["startDate", "endDate", "unit", "timezone"])
        named("dateTrunc", 2...2, "$dateTrunc", ["date", "unit"])
        other("deletedAt", 0...0) { _ in ["$meta": "deletedAt"] }
        other("deletedBy", 0...0) { _ in ["$meta": "deletedBy"] }
        other("now", 0...0) { _ in .string("$$NOW") }
        other("exists", 1...1) { ["$ne": .array([["$type": .array([$0[0]])], "missing"])] }
        other("contains", 2...2) { ["$gte": .array([["$indexOfCP": .array($0)], 0])] }
        other("startsWith", 2...2) { ["$eq": .array([["$indexOfCP": .array($0)], 0])] }
        other("sort", 1...1) { ["$sortArray": ["input": $0[0], "sortBy": 1]] }
        return rows
    }()
}

/// Calls that are constants: values whose types have no literal.
enum TextConstants {
    static let names = [
        "date", "decimal", "long", "double", "objectId", "uuid", "minKey", "maxKey",
    ]

    /// The value of the call, nil where it is none of those or its argument is no text.
    /// - Throws: where the text doesn't fit.
    static func value(
        of name: String, _ arguments: [TextExpression], at offset: Int, _ lowering: TextLowering
    ) throws(TextError) -> Value? {
        if arguments.isEmpty {
            switch name {
            case "minKey": return .minKey
            case "maxKey": return .maxKey
            case "objectId": return .objectID(.generate())
            default: return nil
            }
        }
        guard arguments.count == 1, let argument = arguments.first, names.contains(name) else {
            return nil
        }
        switch (name, try lowering.constant(argument)) {
        case ("long", .int32(let number)?): return .int64(Int64(number))
        case ("long", .int64(let number)?): return .int64(number)
        case ("double", .int32(let number)?): return .double(Double(number))
        case ("double", .double(let number)?): return .double(number)
        case (_, .string(let text)?):
            guard let value = value(name, text) else {
                throw TextError(at: argument.offset, "\(name)() takes \(forms[name] ?? "a number")")
            }
            return value
        case (_, .some): return nil
        case ("uuid", nil):
            throw TextError(at: argument.offset, "uuid() takes \(forms[name] ?? "text")")
        default: return nil
        }
    }

    private static let forms = [
        "date": "a date such as \"2026-01-31\" or \"2026-01-31T12:00:00Z\"",
        "decimal": "a number of at most 34 digits in quotes",
        "objectId": "24 hexadecimal digits in quotes",
        "uuid": "8-4-4-4-12 hexadecimal digits in quotes",
    ]

    private static func value(_ name: String, _ text: String) -> Value? {
        switch name {
        case "date":
            return (ISODate.parse(text) ?? ISODate.parse(text + "T00:00:00Z")).map { .date($0) }
        case "decimal":
            return Decimal128(text).map { .decimal128(low: $0.low, high: $0.high) }
        case "objectId": return ObjectID(text).map { .objectID($0) }
        case "long": return Int64(text).map { .int64($0) }
        case "double": return Double(text).map { .double($0) }
        case "uuid": return uuid(text).map { .binary(subtype: 4, $0) }
        default: return nil
        }
    }

    /// The 16 bytes of a UUID's text.
    private static func uuid(_ text: String) -> [UInt8]? {
        let groups = text.split(separator: "-", omittingEmptySubsequences: false)
        guard groups.map(\.utf8.count) == [8, 4, 4, 4, 12] else { return nil }
        let digits = Array(groups.joined().utf8)
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: digits.count, by: 2) {
            let pair = String(decoding: digits[index..<index + 2], as: UTF8.self)
            guard pair.utf8.first != UInt8(ascii: "+"), let byte = UInt8(pair, radix: 16) else {
                return nil
            }
            bytes.append(byte)
        }
        return bytes
    }
}

/// The values of `group`'s braces.
enum TextAccumulators {
    private static let operators: [String: String] = [
        "sum": "$sum", "avg": "$avg", "min": "$min", "max": "$max", "first": "$first",
        "last": "$last", "push": "$push", "addToSet": "$addToSet", "merge": "$mergeObjects",
        "stdDevPop": "$stdDevPop", "stdDevSamp": "$stdDevSamp",
    ]

    /// All names, sorted.
    static let names: [String] = (["count"] + operators.keys).sorted()

    /// The one group's row where there is nothing to group: counts and sums are 0, lists empty.
    static func emptyGroup(_ outputs: [TextEntry]) -> Document {
        Document { writer in
            writer.appendNull("_id")
            for output in outputs {
                guard case .call(let name, _) = output.value.kind else { continue }
                switch name {
                case "count", "sum": writer.append(output.name, Int32(0))
                case "push", "addToSet": writer.append(output.name, .array([]))
                case "merge": writer.append(output.name, Document())
                default: writer.appendNull(output.name)
                }
            }
        }
    }

    /// One accumulator of `$group`.
    static func lower(
        _ entry: TextEntry, _ lowering: inout TextLowering
    ) throws(TextError) -> Value {
        guard case .call(let name, let arguments) = entry.value.kind, names.contains(name) else {
            throw TextError(
                at: entry.value.offset,
                expected: names.map { "\($0)(…)" },
                found: "something else; compute with the results in a 'select' behind the group")
        }
        if name == "count" {
            guard let condition = arguments.first else { return ["$sum": 1] }
            guard arguments.count == 1 else {
                throw TextError(at: entry.value.offset, "count() takes no argument or a condition")
            }
            return ["$sum": ["$cond": .array([try lowering.raw(condition), 1, 0])]]
        }
        guard arguments.count == 1, let argument = arguments.first,
            let operatorName = operators[name]
        else { throw TextError(at: entry.value.offset, "\(name)() takes 1 argument") }
        let keepsNulls = ["first", "last", "push", "addToSet"].contains(name)
        let value = keepsNulls ? try lowering.present(argument) : try lowering.raw(argument)
        return .document(Document { $0.append(operatorName, value) })
    }
}

/// How far apart two names are.
enum TextDistance {
    /// Names longer than this are near to nothing.
    private static let lengthMax = 32

    /// Whether one is the other but for case or two slips (Levenshtein's distance).
    static func isNear(_ left: String, _ right: String) -> Bool {
        let left = Array(left.lowercased().utf8)
        let right = Array(right.lowercased().utf8)
        guard left.count <= lengthMax, right.count <= lengthMax else { return false }
        var row = Array(0...right.count)
        for (index, byte) in left.enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for (column, other) in right.enumerated() {
                let cost = diagonal + (byte == other ? 0 : 1)
                diagonal = row[column + 1]
                row[column + 1] = min(cost, row[column] + 1, diagonal + 1)
            }
        }
        return row[right.count] <= (left.count < 6 ? 1 : 2)
    }
}
