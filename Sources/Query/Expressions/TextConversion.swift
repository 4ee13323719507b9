// Values as text and back, as $toString, $toLower, $toDate … do it.

import BSON
import Glibc

enum TextConversion {
    /// The text of a number, date, bool, ObjectId or string; nil for types without one.
    static func text(_ value: ValueRef) -> String? {
        let view = value.view
        switch value.type {
        case .string, .symbol, .code: return view.text
        case .int32: return String(view.int32 ?? 0)
        case .int64: return String(view.int64 ?? 0)
        case .double: return text(view.double ?? 0)
        case .decimal128:
            guard let decimal = view.decimal128 else { return nil }
            return decimal.isNaN ? "NaN" : decimal.description
        case .bool: return view.bool == true ? "true" : "false"
        case .objectID: return view.objectID?.hexString
        case .date: return DateText.iso(view.dateMillis ?? 0)
        default: return nil
        }
    }

    /// The text that string operators take a value for: doubles in six digits, timestamps by
    /// their clock.
    static func coercedText(_ value: ValueRef) -> String? {
        switch value.type {
        case .double: return sixDigits(value.view.double ?? 0)
        case .timestamp: return value.view.timestamp.map { DateText.clock($0) }
        default: return text(value)
        }
    }

    /// As printf's %.6g, with "nan" for every NaN.
    private static func sixDigits(_ double: Double) -> String {
        if double.isNaN { return "nan" }
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 32) { buffer in
            let length = withVaList([double]) { vsnprintf(buffer.baseAddress, 32, "%.6g", $0) }
            let digits = buffer.prefix(max(0, Int(length))).map { UInt8(bitPattern: $0) }
            return String(decoding: digits, as: UTF8.self)
        }
    }

    /// The hyphened notation of sixteen bytes.
    static func uuid(_ content: RawSpan) -> String {
        var text: [UInt8] = []
        for (index, byte) in [UInt8](copying: content).enumerated() {
            if [4, 6, 8, 10].contains(index) { text.append(45) }
            for digit in [byte >> 4, byte & 15] {
                text.append(digit < 10 ? 48 + digit : 87 + digit)
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// A double in its shortest form that reads back the same: plain notation for exponents from
    /// -4 to 15, else `d.ddde+XX`.
    static func text(_ double: Double) -> String {
        if double.isNaN { return "NaN" }
        if double.isInfinite { return double < 0 ? "-Infinity" : "Infinity" }
        // Swift's description has the shortest digits; only the notation is chosen here.
        var digits: [UInt8] = []
        var exponent = 0
        var pointAt: Int?
        var bytes = Array(double.magnitude.description.utf8)
        if let mark = bytes.firstIndex(of: 101) {
            exponent = Int(String(decoding: bytes[(mark + 1)...], as: UTF8.self)) ?? 0
            bytes.removeSubrange(mark...)
        }
        for byte in bytes {
            if byte == 46 { pointAt = digits.count } else { digits.append(byte) }
        }
        var scale = (pointAt ?? digits.count) + exponent
        while digits.count > 1, digits.first == 48 {
            digits.removeFirst()
            scale -= 1
        }
        while digits.count > 1, digits.last == 48 { digits.removeLast() }
        let sign = double.sign == .minus ? "-" : ""
        let all = String(decoding: digits, as: UTF8.self)
        if double == 0 { return sign + "0" }
        if scale > 16 || scale < -3 {
            let power = scale - 1
            let magnitude = power.magnitude < 10 ? "0\(power.magnitude)" : "\(power.magnitude)"
            let rest = all.dropFirst()
            let fraction = rest.isEmpty ? "" : ".\(rest)"
            return "\(sign)\(all.prefix(1))\(fraction)e\(power < 0 ? "-" : "+")\(magnitude)"
        }
        if scale <= 0 { return sign + "0." + String(repeating: "0", count: -scale) + all }
        if digits.count <= scale {
            return sign + all + String(repeating: "0", count: scale - digits.count)
        }
        return sign + all.prefix(scale) + "." + all.dropFirst(scale)
    }
}
