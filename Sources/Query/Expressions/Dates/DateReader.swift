// Reads dates from text, in the notations that people and programs use.
//
// The text is a row of tokens: a date (2024-01-31, 2024/1/31, 01/31/2024, 31-Jan-2024, 20240131,
// 2024-W05-3), a clock (12:30, 12:30:05.123, 1:30 pm), a zone (Z, +02:00, UTC, America/New_York), a
// month's or day's name, a day of the month, a year. Each may come once, in any order.

import BSON

/// A position in a text with dates.
struct DateReader: ~Escapable {
    let text: RawSpan
    var position = 0

    @_lifetime(copy text)
    init(_ text: RawSpan) {
        self.text = text
    }

    // MARK: Characters

    /// The byte ahead; 0, which no notation has, at the end.
    var next: UInt8 { byte(position) }

    func byte(_ offset: Int) -> UInt8 {
        // SAFETY: the offset is compared with the size.
        offset < text.byteCount ? text.unsafeLoad(fromByteOffset: offset, as: UInt8.self) : 0
    }

    var isAtEnd: Bool { position == text.byteCount }

    static func isDigit(_ byte: UInt8) -> Bool { (48...57).contains(byte) }
    static func isLetter(_ byte: UInt8) -> Bool { (97...122).contains(byte | 0x20) }

    mutating func skip(_ character: Unicode.Scalar) -> Bool {
        guard !isAtEnd, next == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    /// White space, NUL, no-break spaces, commas.
    private mutating func skipSpace() {
        while !isAtEnd {
            if next == 32 || next == 0 || (9...13).contains(next) || next == UInt8(ascii: ",") {
                position += 1
            } else if next == 0xC2, byte(position + 1) == 0xA0 {
                position += 2
            } else {
                break
            }
        }
    }

    /// The number of digits ahead.
    private var digitCount: Int {
        var end = position
        while Self.isDigit(byte(end)) { end += 1 }
        return end - position
    }

    /// As many digits as there are of the number asked for; nil out of the range.
    mutating func number(_ digits: ClosedRange<Int>) -> Int64? {
        var value: Int64 = 0
        var count = 0
        while count < digits.upperBound, Self.isDigit(next) {
            value = value * 10 + Int64(next - 48)
            position += 1
            count += 1
        }
        return count >= digits.lowerBound ? value : nil
    }

    /// Whether the letters from `start` to `end` are the first of `name`, in any case.
    func isWord(_ start: Int, _ end: Int, _ name: StaticString) -> Bool {
        let name = RawSpan(name)
        guard end - start <= name.byteCount else { return false }
        for offset in start..<end {
            // SAFETY: the sizes were compared.
            let letter = name.unsafeLoad(fromByteOffset: offset - start, as: UInt8.self)
            if byte(offset) | 0x20 != letter | 0x20 { return false }
        }
        return true
    }

    /// The index from 1 of the name that is written out or abbreviated ahead, and its length.
    func name(of names: [StaticString]) -> (index: Int, length: Int)? {
        var end = position
        while Self.isLetter(byte(end)) { end += 1 }
        for (index, name) in names.enumerated() {
            let length = end - position
            guard length == DateNames.shortCount || length == name.utf8CodeUnitCount else {
                continue
            }
            if isWord(position, end, name) { return (index + 1, length) }
        }
        return nil
    }

    // MARK: Free text

    /// Reads all of the text; nil if a part of it has no meaning in a date.
    mutating func readFreely() -> ParsedDate? {
        var date = ParsedDate()
        while true {
            skipSpace()
            if isAtEnd { return date }
            let isRead =
                if Self.isDigit(next) {
                    readNumber(&date)
                } else if Self.isLetter(next) {
                    readWord(&date)
                } else if next == UInt8(ascii: "-"), date.year == nil {
                    readNegativeYear(&date)
                } else {
                    readZone(&date)
                }
            if !isRead { return nil }
        }
    }

    private mutating func readNumber(_ date: inout ParsedDate) -> Bool {
        let count = digitCount
        let after = byte(position + count)
        switch (count, after) {
        case (1...2, UInt8(ascii: ":")): return readClock(&date)
        case (4, UInt8(ascii: "-")) where date.year == nil: return readISODate(&date)
        case (4, UInt8(ascii: "W")) where date.year == nil: return readISODate(&date)
        case (4, UInt8(ascii: "/")) where date.year == nil:
            date.year = number(4...4)
            return skip("/") && readMonthAndDay(&date, "/")
        case (1...2, UInt8(ascii: "/")) where date.month == nil:
            date.month = number(1...2)
            return skip("/") && readDayAndYear(&date)
        case (1...2, UInt8(ascii: "-")), (1...2, UInt8(ascii: ".")):
            return readDayFirst(&date, Unicode.Scalar(after))
        case (8, _) where date.year == nil:
            date.year = number(4...4)
            date.month = number(2...2)
            date.day = number(2...2)
            return true
        case (6, _) where date.year != nil && date.millisOfDay == nil:
            guard let hour = number(2...2), let minute = number(2...2), let second = number(2...2),
                hour < 24, minute < 60, second < 60
            else { return false }
            date.millisOfDay = (hour * 3600 + minute * 60 + second) * 1000
            return true
        case (1...2, _) where date.day == nil:
            date.day = number(1...2)
            skipOrdinalEnding()
            return true
        case (4, _) where date.year == nil && date.month != nil:
            date.year = number(4...4)
            return true
        default: return false
        }
    }

    private mutating func skipOrdinalEnding() {
        for ending: StaticString in ["st", "nd", "rd", "th"]
        where Self.isLetter(next) && isWord(position, position + 2, ending)
            && !Self.isLetter(byte(position + 2))
        {
            position += 2
            return
        }
    }

    /// `-0001-01-01`.
    private mutating func readNegativeYear(_ date: inout ParsedDate) -> Bool {
        position += 1
        guard digitCount == 4, let year = number(4...4), skip("-") else { return false }
        date.year = -year
        return readMonthAndDay(&date, "-")
    }

    /// `2024-01-31`, `2024-01`, `2024-Jan-31`, `2024-031`, `2024-W05-3`, `2024W053`.
    private mutating func readISODate(_ date: inout ParsedDate) -> Bool {
        guard let year = number(4...4) else { return false }
        _ = skip("-")
        if skip("W") {
            date.isoYear = year
            date.isoWeek = number(2...2)
            if skip("-") || Self.isDigit(next) { date.isoDayOfWeek = number(1...1) }
            date.year = year
            return date.isoWeek != nil
        }
        date.year = year
        if digitCount == 3 {
            date.ordinalDay = number(3...3).map { $0 - 1 }
            return date.ordinalDay.map { (0..<366).contains($0) } ?? false
        }
        return readMonthAndDay(&date, "-")
    }

    /// A month, and a day unless the text goes on otherwise.
    private mutating func readMonthAndDay(
        _ date: inout ParsedDate, _ separator: Unicode.Scalar
    ) -> Bool {
        guard let month = monthNumber() else { return false }
        date.month = month
        guard skip(separator) else {
            date.day = 1
            return true
        }
        guard digitCount <= 2, let day = number(1...2) else { return false }
        date.day = day
        return true
    }

    private mutating func monthNumber() -> Int64? {
        if let (index, length) = name(of: DateNames.months) {
            position += length
            return Int64(index)
        }
        return digitCount <= 2 ? number(1...2) : nil
    }

    /// What follows `01/`.
    private mutating func readDayAndYear(_ date: inout ParsedDate) -> Bool {
        guard digitCount <= 2, let day = number(1...2), skip("/"), digitCount == 4 else {
            return false
        }
        date.day = day
        date.year = number(4...4)
        return true
    }

    /// `31-01-2024`, `31-Jan-2024`, `31.1.2024`.
    private mutating func readDayFirst(
        _ date: inout ParsedDate, _ separator: Unicode.Scalar
    ) -> Bool {
        guard date.day == nil, let day = number(1...2), skip(separator),
            let month = monthNumber(), skip(separator), digitCount == 4
        else { return false }
        (date.day, date.month) = (day, month)
        date.year = number(4...4)
        return true
    }

    /// `hh:mm[:ss[.fraction]] [am|pm]`.
    private mutating func readClock(_ date: inout ParsedDate) -> Bool {
        guard date.millisOfDay == nil, var hour = number(1...2), skip(":"),
            let minute = number(2...2), minute < 60
        else { return false }
        var millis: Int64 = 0
        if skip(":") {
            guard let second = number(2...2), second < 60 else { return false }
            millis = second * 1000
            if skip(".") {
                guard let fraction = fraction() else { return false }
                millis += fraction
            }
        }
        let end = position
        skipSpace()
        let letter = next | 0x20
        if letter == UInt8(ascii: "a") || letter == UInt8(ascii: "p"),
            byte(position + 1) | 0x20 == UInt8(ascii: "m"), !Self.isLetter(byte(position + 2))
        {
            guard (1...12).contains(hour) else { return false }
            hour = hour % 12 + (letter == UInt8(ascii: "p") ? 12 : 0)
            position += 2
        } else {
            position = end
        }
        guard hour < 24 else { return false }
        date.millisOfDay = hour * 3_600_000 + minute * 60_000 + millis
        return true
    }

    /// One digit or more as a fraction of a second, cut to milliseconds.
    private mutating func fraction() -> Int64? {
        let count = digitCount
        guard count > 0, var millis = number(1...3) else { return nil }
        for _ in count..<max(count, 3) { millis *= 10 }
        while Self.isDigit(next) { position += 1 }
        return millis
    }

    private mutating func readWord(_ date: inout ParsedDate) -> Bool {
        if next | 0x20 == UInt8(ascii: "t"), Self.isDigit(byte(position + 1)) {
            position += 1
            return date.year != nil
        }
        if let (index, length) = name(of: DateNames.months) {
            guard date.month == nil else { return false }
            date.month = Int64(index)
            position += length
            _ = skip(".")
            return true
        }
        if let (_, length) = name(of: DateNames.weekdays) {
            position += length
            return true
        }
        return readZone(&date)
    }

    // MARK: Zones

    private static let abbreviations: [(name: StaticString, hours: Int64)] = [
        ("z", 0), ("utc", 0), ("gmt", 0), ("est", -5), ("edt", -4), ("cst", -6), ("cdt", -5),
        ("mst", -7), ("mdt", -6), ("pst", -8), ("pdt", -7), ("cet", 1), ("cest", 2), ("eet", 2),
        ("eest", 3), ("wet", 0), ("west", 1), ("bst", 1), ("msk", 3), ("jst", 9),
    ]

    /// An offset, an abbreviation or a place's name, as the zone of the date.
    mutating func readZone(_ date: inout ParsedDate) -> Bool {
        guard date.zone == nil else { return false }
        if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") {
            let isWest = next == UInt8(ascii: "-")
            position += 1
            let count = digitCount
            guard (1...4).contains(count), let hours = number(count == 3 ? 1...1 : 1...2) else {
                return false
            }
            _ = skip(":")
            let seconds = hours * 3600 + (number(2...2) ?? 0) * 60
            date.zone = TimeZone(offsetSeconds: isWest ? -seconds : seconds)
            return true
        }
        var end = position
        while Self.isLetter(byte(end)) { end += 1 }
        for (name, hours) in Self.abbreviations
        where name.utf8CodeUnitCount == end - position && isWord(position, end, name) {
            position = end
            date.zone = TimeZone(offsetSeconds: hours * 3600)
            // "GMT+2" goes on with the offset.
            if hours == 0, next == UInt8(ascii: "+") || next == UInt8(ascii: "-") {
                date.zone = nil
                return readZone(&date)
            }
            return true
        }
        while Self.isLetter(byte(end)) || byte(end) == UInt8(ascii: "/")
            || byte(end) == UInt8(ascii: "_")
        {
            end += 1
        }
        guard end > position, let zone = TimeZone(text.extracting(position..<end)) else {
            return false
        }
        date.zone = zone
        position = end
        return true
    }
}
