// Formats of dates: text with specifiers (%Y, %m …), for writing and for reading.

import BSON

enum DateFormat {
    private static let writable: StaticString = "bBdGHjLmMSuUVwYzZ%"
    private static let readable: StaticString = "bBdGHjLmMSuVYzZ%"

    /// Refuses a format with unknown specifiers: 18536; 18535 for a `%` at its end.
    static func check(_ format: RawSpan, reading: Bool) throws(DBError) {
        let known = RawSpan(reading ? readable : writable)
        var offset = 0
        while offset < format.byteCount {
            defer { offset += 1 }
            guard byte(format, offset) == UInt8(ascii: "%") else { continue }
            offset += 1
            guard offset < format.byteCount else {
                throw .location(18535, "Unmatched '%' at end of format string")
            }
            let specifier = byte(format, offset)
            var isKnown = false
            for index in 0..<known.byteCount where byte(known, index) == specifier {
                isKnown = true
            }
            if !isKnown {
                throw .location(
                    18536,
                    "Invalid format character '%\(Unicode.Scalar(specifier))' in format string")
            }
        }
    }

    private static func byte(_ text: RawSpan, _ offset: Int) -> UInt8 {
        // SAFETY: callers stay below the size.
        text.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
    }

    // MARK: Writing

    /// The date as text. Throws 18537 for years that have no four digits.
    static func write(
        _ millis: Int64, _ zone: TimeZone, _ format: RawSpan,
        _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        let seconds = CivilTime.floorDivide(millis, 1000).quotient
        let offset = zone.offsetSeconds(at: seconds)
        let date = CivilTime(millis: millis, offsetSeconds: offset)
        var size = 0
        try expand(format, date, offset) { size += $0.byteCount }
        try StringOperators.checkSize(size)
        var builder = StringBuilder(&context, byteCount: size)
        try expand(format, date, offset) { builder.append($0) }
        return builder.value
    }

    /// Gives the parts of the text in order.
    private static func expand(
        _ format: RawSpan, _ date: CivilTime, _ offset: Int64, _ take: (RawSpan) -> Void
    ) throws(DBError) {
        var position = 0
        var literal = 0
        while position < format.byteCount {
            guard byte(format, position) == UInt8(ascii: "%"), position + 1 < format.byteCount
            else {
                position += 1
                continue
            }
            take(format.extracting(literal..<position))
            try expand(specifier: byte(format, position + 1), date, offset, take)
            position += 2
            literal = position
        }
        take(format.extracting(literal..<format.byteCount))
    }

    private static func expand(
        specifier: UInt8, _ date: CivilTime, _ offset: Int64, _ take: (RawSpan) -> Void
    ) throws(DBError) {
        switch specifier {
        case UInt8(ascii: "Y"): try year(date.year, take)
        case UInt8(ascii: "G"): try year(date.isoWeek.year, take)
        case UInt8(ascii: "m"): digits(date.month, 2, take)
        case UInt8(ascii: "d"): digits(date.day, 2, take)
        case UInt8(ascii: "H"): digits(date.hour, 2, take)
        case UInt8(ascii: "M"): digits(date.minute, 2, take)
        case UInt8(ascii: "S"): digits(date.second, 2, take)
        case UInt8(ascii: "L"): digits(date.millisecond, 3, take)
        case UInt8(ascii: "j"): digits(date.dayOfYear, 3, take)
        case UInt8(ascii: "u"): digits(date.isoDayOfWeek, 1, take)
        case UInt8(ascii: "w"): digits(date.weekday + 1, 1, take)
        case UInt8(ascii: "U"): digits(date.week, 2, take)
        case UInt8(ascii: "V"): digits(date.isoWeek.week, 2, take)
        case UInt8(ascii: "B"): take(RawSpan(DateNames.months[Int(date.month) - 1]))
        case UInt8(ascii: "b"):
            let name = RawSpan(DateNames.months[Int(date.month) - 1])
            take(name.extracting(0..<DateNames.shortCount))
        case UInt8(ascii: "z"):
            take(RawSpan(offset < 0 ? "-" : "+"))
            let minutes = abs(offset) / 60
            digits(minutes / 60, 2, take)
            digits(minutes % 60, 2, take)
        case UInt8(ascii: "Z"):
            if offset < 0 { take(RawSpan("-")) }
            digits(abs(offset) / 60, 1, take)
        default: take(RawSpan("%"))
        }
    }

    private static func year(_ year: Int64, _ take: (RawSpan) -> Void) throws(DBError) {
        guard (0...9999).contains(year) else {
            throw .location(
                18537,
                "Could not convert date to string: the year \(year) has no four digits")
        }
        digits(year, 4, take)
    }

    /// A number with zeros in front up to `width`.
    private static func digits(_ number: Int64, _ width: Int, _ take: (RawSpan) -> Void) {
        withUnsafeTemporaryAllocation(byteCount: 20, alignment: 1) { buffer in
            var start = buffer.count
            var rest = number
            while rest > 0 || buffer.count - start < width {
                start -= 1
                buffer[start] = UInt8(truncatingIfNeeded: 48 + rest % 10)
                rest /= 10
            }
            // SAFETY: the span lives for the call; `number` has at most 19 digits.
            let used = UnsafeRawBufferPointer(rebasing: buffer[start...])
            take(RawSpan(_unsafeBytes: used))
        }
    }
}

extension DateReader {
    // MARK: Reading by format

    /// Reads all of the text as `format`, which was checked, says; nil if it is written otherwise.
    mutating func read(_ format: RawSpan) -> ParsedDate? {
        var date = ParsedDate()
        var offset = 0
        while offset < format.byteCount {
            // SAFETY: below the size; a checked format has no `%` at its end.
            let byte = format.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
            offset += 1
            if byte == UInt8(ascii: "%"), offset < format.byteCount {
                let specifier = format.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
                offset += 1
                guard read(specifier, &date) else { return nil }
            } else {
                guard !isAtEnd, next == byte else { return nil }
                position += 1
            }
        }
        return isAtEnd ? date : nil
    }

    private mutating func read(_ specifier: UInt8, _ date: inout ParsedDate) -> Bool {
        switch specifier {
        case UInt8(ascii: "Y"):
            date.year = number(4...4)
            return date.year != nil
        case UInt8(ascii: "G"):
            date.isoYear = number(4...4)
            return date.isoYear != nil
        case UInt8(ascii: "m"):
            date.month = number(1...2)
            return date.month != nil
        case UInt8(ascii: "d"):
            date.day = number(1...2)
            return date.day != nil
        case UInt8(ascii: "b"), UInt8(ascii: "B"):
            guard let (index, length) = name(of: DateNames.months) else { return false }
            date.month = Int64(index)
            position += length
            return true
        case UInt8(ascii: "H"): return readClockPart(1...2, max: 23, 3_600_000, &date)
        case UInt8(ascii: "M"): return readClockPart(2...2, max: 59, 60_000, &date)
        case UInt8(ascii: "S"): return readClockPart(2...2, max: 59, 1000, &date)
        case UInt8(ascii: "L"):
            let start = position
            guard let number = number(1...3) else { return false }
            let scale: Int64 = [100, 10, 1][min(position - start, 3) - 1]
            date.millisOfDay = (date.millisOfDay ?? 0) + number * scale
            return true
        case UInt8(ascii: "j"):
            // Counted from 0, as MongoDB reads it, though it writes it from 1.
            date.ordinalDay = number(1...3)
            return date.ordinalDay.map { $0 <= 366 } ?? false
        case UInt8(ascii: "u"):
            date.isoDayOfWeek = number(1...1)
            return date.isoDayOfWeek != nil
        case UInt8(ascii: "V"):
            date.isoWeek = number(1...2)
            return date.isoWeek != nil
        case UInt8(ascii: "z"): return readZone(&date)
        case UInt8(ascii: "Z"):
            let isWest = skip("-")
            if !isWest { _ = skip("+") }
            guard date.zone == nil, let minutes = number(1...4) else { return false }
            date.zone = TimeZone(offsetSeconds: (isWest ? -minutes : minutes) * 60)
            return true
        default: return skip("%")
        }
    }

    private mutating func readClockPart(
        _ digits: ClosedRange<Int>, max: Int64, _ unitMillis: Int64, _ date: inout ParsedDate
    ) -> Bool {
        guard let number = number(digits), number <= max else { return false }
        date.millisOfDay = (date.millisOfDay ?? 0) + number * unitMillis
        return true
    }
}
