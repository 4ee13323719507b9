// Values as text and back, as $toString, $toLower, $toDate … do it.

import BSON

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
        case .date: return isoDate(view.dateMillis ?? 0)
        case .timestamp:
            return view.timestamp.map { "Timestamp(\($0.seconds), \($0.ordinal))" }
        default: return nil
        }
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

    // MARK: Dates

    /// `2024-01-31T12:30:00.000Z`.
    static func isoDate(_ millis: Int64) -> String {
        let (days, rest) = floorDivide(millis, 86_400_000)
        let (year, month, day) = civil(fromDays: days)
        let clock =
            pad(rest / 3_600_000, 2) + ":" + pad(rest / 60_000 % 60, 2) + ":"
            + pad(rest / 1000 % 60, 2) + "." + pad(rest % 1000, 3)
        let sign = year < 0 ? "-" : ""
        return "\(sign)\(pad(abs(year), 4))-\(pad(month, 2))-\(pad(day, 2))T\(clock)Z"
    }

    private static func pad(_ number: Int64, _ width: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, width - text.count)) + text
    }

    private static func floorDivide(_ value: Int64, _ by: Int64) -> (Int64, Int64) {
        let (quotient, rest) = value.quotientAndRemainder(dividingBy: by)
        return rest < 0 ? (quotient - 1, rest + by) : (quotient, rest)
    }

    /// Year, month and day of a day counted from 1970, in the proleptic Gregorian calendar.
    static func civil(fromDays days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        // Counted from 0000-03-01, so that leap days end a year; eras of 400 years are equal.
        let shifted = days + 719_468
        let (era, dayOfEra) = floorDivide(shifted, 146_097)
        let yearOfEra =
            (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }

    /// Days from 1970 to a date in the proleptic Gregorian calendar.
    static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
        let shiftedYear = month <= 2 ? year - 1 : year
        let (era, yearOfEra) = floorDivide(shiftedYear, 400)
        let monthFromMarch = month > 2 ? month - 3 : month + 9
        let dayOfYear = (153 * monthFromMarch + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    /// Milliseconds of an ISO 8601 text: `YYYY-MM-DD`, then optionally `T` or a blank, `hh:mm`,
    /// `:ss`, `.fraction`, and `Z` or `±hh[:mm]`. Nil for anything else.
    static func parseISODate(_ text: String) -> Int64? {
        var scanner = DigitScanner(Array(text.utf8))
        guard let year = scanner.digits(4), scanner.skip(45), let month = scanner.digits(2),
            scanner.skip(45), let day = scanner.digits(2),
            (1...12).contains(month), (1...31).contains(day)
        else { return nil }
        let start = days(year: year, month: month, day: day)
        guard civil(fromDays: start) == (year, month, day) else { return nil }
        var millis = start * 86_400_000
        if scanner.isAtEnd { return millis }
        guard scanner.skip(84) || scanner.skip(32), let hour = scanner.digits(2),
            scanner.skip(58), let minute = scanner.digits(2), hour < 24, minute < 60
        else { return nil }
        millis += hour * 3_600_000 + minute * 60_000
        if scanner.skip(58) {
            guard let second = scanner.digits(2), second < 60 else { return nil }
            millis += second * 1000
            if scanner.skip(46) {
                guard let fraction = scanner.milliseconds() else { return nil }
                millis += fraction
            }
        }
        if scanner.isAtEnd || (scanner.skip(90) && scanner.isAtEnd) { return millis }
        let isBehind = scanner.skip(45)
        guard isBehind || scanner.skip(43), let hours = scanner.digits(2) else { return nil }
        _ = scanner.skip(58)
        let minutes = scanner.isAtEnd ? 0 : scanner.digits(2)
        guard let minutes, scanner.isAtEnd else { return nil }
        let offset = hours * 3_600_000 + minutes * 60_000
        return isBehind ? millis + offset : millis - offset
    }

    /// Reads runs of digits.
    private struct DigitScanner {
        private let bytes: [UInt8]
        private var position = 0

        init(_ bytes: [UInt8]) { self.bytes = bytes }

        var isAtEnd: Bool { position == bytes.count }

        mutating func skip(_ byte: UInt8) -> Bool {
            guard position < bytes.count, bytes[position] == byte else { return false }
            position += 1
            return true
        }

        /// Exactly `count` digits.
        mutating func digits(_ count: Int) -> Int64? {
            guard position + count <= bytes.count else { return nil }
            var number: Int64 = 0
            for byte in bytes[position..<position + count] {
                guard (48...57).contains(byte) else { return nil }
                number = number * 10 + Int64(byte - 48)
            }
            position += count
            return number
        }

        /// One digit or more as a fraction of a second, cut to milliseconds.
        mutating func milliseconds() -> Int64? {
            var number: Int64 = 0
            var count = 0
            while position < bytes.count, (48...57).contains(bytes[position]) {
                if count < 3 { number = number * 10 + Int64(bytes[position] - 48) }
                count += 1
                position += 1
            }
            guard count > 0 else { return nil }
            for _ in 0..<max(0, 3 - count) { number *= 10 }
            return number
        }
    }
}
