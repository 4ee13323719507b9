// Percent-encoding: the parts of a request's target.

import BSON

/// The parameters behind the question mark.
struct QueryString {
    private let items: [(name: String, value: String)]

    init() {
        items = []
    }

    /// Reads `a=1&b=2`.
    /// - Throws: 2 BadValue for what doesn't decode to UTF-8.
    init(_ text: Substring) throws(DBError) {
        var items: [(name: String, value: String)] = []
        for part in text.split(separator: "&") {
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            items.append(
                (
                    try PercentEncoding.decode(pair[0], plusIsSpace: true),
                    pair.count > 1 ? try PercentEncoding.decode(pair[1], plusIsSpace: true) : ""
                ))
        }
        self.items = items
    }

    /// The first value of a parameter; nil where it isn't there.
    subscript(_ name: String) -> String? {
        items.first { $0.name == name }?.value
    }

    /// Refuses parameters that aren't known, since a misspelt one would be passed over.
    /// - Throws: 2 BadValue.
    func check(_ known: [String]) throws(DBError) {
        for item in items where !known.contains(item.name) {
            throw DBError(
                .badValue,
                "there is no parameter '\(item.name.prefix(100))' here"
                    + (known.isEmpty ? "" : "; there are \(known.joined(separator: ", "))"))
        }
    }

    /// A whole number.
    /// - Throws: 2 BadValue.
    func integer(_ name: String, in range: ClosedRange<Int>) throws(DBError) -> Int? {
        guard let text = self[name] else { return nil }
        guard let number = Int(text), range.contains(number) else {
            throw DBError(
                .badValue,
                "'\(name)' must be a whole number from \(range.lowerBound) to "
                    + "\(range.upperBound)")
        }
        return number
    }

    /// A JSON object.
    /// - Throws: 2 BadValue, 9 FailedToParse.
    func document(_ name: String) throws(DBError) -> Document? {
        guard let text = self[name] else { return nil }
        return try ExtendedJSON.parse(text)
    }
}

/// RFC 3986's encoding.
enum PercentEncoding {
    /// The text that a part of a target stands for.
    /// - Throws: 2 BadValue for a broken escape, and for what is not UTF-8.
    static func decode(
        _ text: Substring, plusIsSpace: Bool = false
    ) throws(DBError) -> String {
        var needsWork = false
        for byte in text.utf8
        where byte == UInt8(ascii: "%") || byte == UInt8(ascii: "+") || byte >= 0x80 {
            needsWork = true
            break
        }
        guard needsWork else { return String(text) }
        var bytes: [UInt8] = []
        var rest = text.utf8.makeIterator()
        while let byte = rest.next() {
            if byte == UInt8(ascii: "+"), plusIsSpace {
                bytes.append(UInt8(ascii: " "))
            } else if byte == UInt8(ascii: "%") {
                guard let high = rest.next().flatMap(digit), let low = rest.next().flatMap(digit)
                else { throw DBError(.badValue, "the address has a broken percent escape") }
                bytes.append(high << 4 | low)
            } else {
                bytes.append(byte)
            }
        }
        guard let decoded = String(validating: bytes, as: UTF8.self) else {
            throw DBError(.badValue, "the address is not UTF-8")
        }
        return decoded
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    /// The text as a segment of a path.
    static func encode(_ text: String) -> String {
        var encoded: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: "_"), UInt8(ascii: "~"):
                encoded.append(byte)
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                encoded += "%\(byte < 16 ? "0" : "")\(digits)".utf8
            }
        }
        return String(decoding: encoded, as: UTF8.self)
    }
}
