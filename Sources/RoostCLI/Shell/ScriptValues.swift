// The constructors of BSON types, as mongosh has them: `ObjectId("…")`, `new Date()`, `UUID()`.

import BSON
import FoundationEssentials

/// Values of types that JSON lacks.
enum ScriptValues {
    /// The value; nil where name or arguments are wrong.
    static func make(_ name: String, _ arguments: [Value]) -> Value? {
        switch name {
        case "ObjectId", "ObjectID": return objectID(arguments)
        case "ISODate", "Date": return date(arguments)
        case "NumberLong", "Long", "Int64": return integer(arguments).map { .int64($0) }
        case "NumberInt", "Int32":
            return integer(arguments).flatMap(Int32.init(exactly:)).map { .int32($0) }
        case "Double", "Number":
            return number(arguments).map { .double($0) }
        case "NumberDecimal", "Decimal128":
            let digits = text(arguments) ?? number(arguments).map { "\($0)" }
            let exact = integer(arguments).map { "\($0)" } ?? digits
            return exact.flatMap { Decimal128($0) }.map { .decimal128(low: $0.low, high: $0.high) }
        case "UUID": return uuid(arguments)
        case "BinData", "HexData", "MD5", "Binary": return binary(name, arguments)
        case "Timestamp": return timestamp(arguments)
        case "RegExp": return pattern(arguments)
        case "DBRef": return reference(arguments)
        case "MinKey": return arguments.isEmpty ? .minKey : nil
        case "MaxKey": return arguments.isEmpty ? .maxKey : nil
        default: return nil
        }
    }

    /// What the constructors are called, for completion.
    static let names = [
        "ObjectId", "ISODate", "Date", "NumberLong", "NumberInt", "NumberDecimal", "Double", "UUID",
        "BinData", "HexData", "Timestamp", "RegExp", "MinKey", "MaxKey", "DBRef",
    ]

    private static func objectID(_ arguments: [Value]) -> Value? {
        if arguments.isEmpty { return .objectID(.generate()) }
        return text(arguments).flatMap { ObjectID($0) }.map { .objectID($0) }
    }

    /// Now, a text, milliseconds, or year, month (from 0), day and so on, in UTC.
    private static func date(_ arguments: [Value]) -> Value? {
        if arguments.isEmpty { return .date(Int64(Date().timeIntervalSince1970 * 1_000)) }
        if arguments.count > 1 { return calendarDate(arguments) }
        if case .date = arguments[0] { return arguments[0] }
        if let text = text(arguments) {
            let forms = [text, text + "Z", text + "T00:00:00Z", text + ":00Z"]
            return forms.lazy.compactMap { ISODate.parse($0) }.first.map { .date($0) }
        }
        return integer(arguments).map { .date($0) }
    }

    private static func calendarDate(_ arguments: [Value]) -> Value? {
        let parts = arguments.compactMap { integer([$0]) }
        guard parts.count == arguments.count, parts.count <= 7, 0...9_999 ~= parts[0],
            0...11 ~= parts[1]
        else { return nil }
        func part(_ index: Int, _ fallback: Int64, _ width: Int) -> String {
            let digits = "\(index < parts.count ? parts[index] : fallback)"
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let month = parts[1] + 1
        let text =
            part(0, 1_970, 4) + "-" + (month < 10 ? "0" : "") + "\(month)-" + part(2, 1, 2) + "T"
            + part(3, 0, 2) + ":" + part(4, 0, 2) + ":" + part(5, 0, 2) + "." + part(6, 0, 3) + "Z"
        return ISODate.parse(text).map { .date($0) }
    }

    private static func uuid(_ arguments: [Value]) -> Value? {
        let text = arguments.isEmpty ? UUID().uuidString : text(arguments)
        return text.flatMap { UUID(uuidString: $0) }.map { id in
            .binary(subtype: 4, withUnsafeBytes(of: id.uuid) { Array($0) })
        }
    }

    /// `BinData(subtype, base64)`, `HexData(subtype, digits)`, `MD5(digits)`.
    private static func binary(_ name: String, _ arguments: [Value]) -> Value? {
        if name == "MD5" {
            return text(arguments).flatMap(bytes(hex:)).map { .binary(subtype: 5, $0) }
        }
        guard arguments.count == 2, let subtype = integer([arguments[0]]),
            let kind = UInt8(exactly: subtype), case .string(let content) = arguments[1]
        else { return nil }
        let bytes =
            name == "HexData"
            ? bytes(hex: content) : Data(base64Encoded: content).map { [UInt8]($0) }
        return bytes.map { .binary(subtype: kind, $0) }
    }

    private static func bytes(hex: String) -> [UInt8]? {
        let digits = hex.compactMap(\.hexDigitValue)
        guard digits.count == hex.count, digits.count.isMultiple(of: 2) else { return nil }
        return stride(from: 0, to: digits.count, by: 2).map { index in
            UInt8(digits[index] << 4 | digits[index + 1])
        }
    }

    /// `Timestamp(seconds, ordinal)` or `Timestamp({t: seconds, i: ordinal})`.
    private static func timestamp(_ arguments: [Value]) -> Value? {
        var arguments = arguments
        if arguments.isEmpty { arguments = [0, 0] }
        if arguments.count == 1, case .document(let parts) = arguments[0],
            let seconds = parts["t"], let ordinal = parts["i"]
        {
            arguments = [seconds, ordinal]
        }
        guard arguments.count == 2, let seconds = integer([arguments[0]]),
            let ordinal = integer([arguments[1]]), let first = UInt32(exactly: seconds),
            let second = UInt32(exactly: ordinal)
        else { return nil }
        return .timestamp(Timestamp(seconds: first, ordinal: second))
    }

    private static func pattern(_ arguments: [Value]) -> Value? {
        guard 1...2 ~= arguments.count else { return nil }
        let options = arguments.count == 2 ? text([arguments[1]]) : ""
        guard let options, !options.utf8.contains(0) else { return nil }
        switch arguments[0] {
        case .string(let pattern) where !pattern.utf8.contains(0):
            return .regex(pattern: pattern, options: String(options.sorted()))
        case .regex(let pattern, _):
            return .regex(pattern: pattern, options: String(options.sorted()))
        default: return nil
        }
    }

    private static func reference(_ arguments: [Value]) -> Value? {
        guard 2...3 ~= arguments.count, case .string = arguments[0] else { return nil }
        return .document(
            Document { writer in
                writer.append("$ref", arguments[0])
                writer.append("$id", arguments[1])
                if arguments.count == 3 { writer.append("$db", arguments[2]) }
            })
    }

    private static func text(_ arguments: [Value]) -> String? {
        if arguments.count == 1, case .string(let text) = arguments[0] { text } else { nil }
    }

    private static func number(_ arguments: [Value]) -> Double? {
        guard arguments.count == 1 else { return nil }
        return switch arguments[0] {
        case .int32(let number): Double(number)
        case .int64(let number): Double(number)
        case .double(let number): number
        case .string(let text): Double(text)
        default: nil
        }
    }

    private static func integer(_ arguments: [Value]) -> Int64? {
        guard arguments.count == 1 else { return nil }
        return switch arguments[0] {
        case .int32(let number): Int64(number)
        case .int64(let number): number
        case .double(let number): Int64(exactly: number)
        case .string(let text): Int64(text)
        default: nil
        }
    }
}
