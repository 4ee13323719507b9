// Bounds as explain shows them, in MongoDB's notation: `["abc", "abd")`.

import BSON

extension KeyInterval {
    /// The interval as text, the end that the scan meets first in front.
    func text(isReversed: Bool) -> String {
        let first = isReversed ? high : low
        let last = isReversed ? low : high
        let lowText = first.text(isHigh: isReversed)
        let highText = last.text(isHigh: !isReversed)
        let open = first.closes(isHigh: isReversed) ? "[" : "("
        let close = last.closes(isHigh: !isReversed) ? "]" : ")"
        return "\(open)\(lowText), \(highText)\(close)"
    }
}

extension KeyBound {
    /// Whether the bracket beside the label is a square one: a type's end may be shown as the
    /// first value of the next type, which isn't in.
    fileprivate func closes(isHigh: Bool) -> Bool {
        guard case .bracket(let rank, true) = label else { return isInclusive }
        switch rank {
        case BSONType.string.canonicalRank, BSONType.document.canonicalRank,
            BSONType.array.canonicalRank, BSONType.binary.canonicalRank:
            return false
        default: return isInclusive
        }
    }

    fileprivate func text(isHigh: Bool) -> String {
        switch label {
        case .minKey: "MinKey"
        case .maxKey: "MaxKey"
        case .value(let value): BoundsText.describe(value.view)
        case .text(let utf8): "\"\(String(decoding: utf8, as: UTF8.self))\""
        case .bracket(let rank, let isHigh): BoundsText.bracket(rank, isHigh: isHigh)
        }
    }
}

/// Values in bounds as text.
enum BoundsText {
    static func bracket(_ rank: UInt8, isHigh: Bool) -> String {
        let texts: (low: String, high: String) =
            switch rank {
            case BSONType.double.canonicalRank: ("-inf", "inf")
            case BSONType.string.canonicalRank: ("\"\"", "{}")
            case BSONType.document.canonicalRank: ("{}", "[]")
            case BSONType.array.canonicalRank: ("[]", "BinData(0, )")
            case BSONType.binary.canonicalRank:
                ("BinData(0, )", "ObjectId('000000000000000000000000')")
            case BSONType.objectID.canonicalRank:
                ("ObjectId('000000000000000000000000')", "ObjectId('ffffffffffffffffffffffff')")
            case BSONType.bool.canonicalRank: ("false", "true")
            case BSONType.date.canonicalRank:
                ("new Date(-9223372036854775808)", "new Date(9223372036854775807)")
            case BSONType.timestamp.canonicalRank:
                ("Timestamp(0, 0)", "Timestamp(4294967295, 4294967295)")
            case BSONType.regex.canonicalRank: ("//", "DBPointer")
            case BSONType.null.canonicalRank: ("null", "null")
            case BSONType.undefined.canonicalRank: ("undefined", "undefined")
            case BSONType.minKey.canonicalRank: ("MinKey", "MinKey")
            default: ("MaxKey", "MaxKey")
            }
        return isHigh ? texts.high : texts.low
    }

    static func describe(_ value: ValueView) -> String {
        switch value.type {
        case .int32: return "\(value.int32 ?? 0)"
        case .int64: return "\(value.int64 ?? 0)"
        case .double: return "\(value.double ?? 0)"
        case .decimal128: return value.decimal128.map { "\($0)" } ?? ""
        case .string, .symbol, .code: return "\"\(value.text)\""
        case .bool: return value.bool == true ? "true" : "false"
        case .null: return "null"
        case .undefined: return "undefined"
        case .minKey: return "MinKey"
        case .maxKey: return "MaxKey"
        case .objectID: return value.objectID.map { "ObjectId('\($0.hexString)')" } ?? ""
        case .date: return "new Date(\(value.dateMillis ?? 0))"
        case .timestamp:
            return value.timestamp.map { "Timestamp(\($0.seconds), \($0.ordinal))" } ?? ""
        case .regex:
            guard let regex = value.regex else { return "//" }
            return "/\(String(utf8: regex.pattern))/\(String(utf8: regex.options))"
        case .binary:
            guard let binary = value.binary else { return "BinData(0, )" }
            let digits = Array("0123456789ABCDEF".utf8)
            var hex: [UInt8] = []
            for byte in [UInt8](copying: binary.content) {
                hex.append(digits[Int(byte >> 4)])
                hex.append(digits[Int(byte & 15)])
            }
            return "BinData(\(binary.subtype), \(String(decoding: hex, as: UTF8.self)))"
        case .document: return fields(DocumentView(value.bytes), named: true)
        case .array: return fields(DocumentView(value.bytes), named: false)
        case .dbPointer: return "DBPointer"
        case .codeWithScope: return "Code"
        }
    }

    private static func fields(_ document: DocumentView, named: Bool) -> String {
        var parts: [String] = []
        var elements = document.makeIterator()
        while let element = elements.next() {
            let text = describe(element.value)
            parts.append(named ? "\(element.nameString): \(text)" : text)
        }
        if parts.isEmpty { return named ? "{}" : "[]" }
        let list = parts.joined(separator: ", ")
        return named ? "{ \(list) }" : "[ \(list) ]"
    }
}
