// Dates as text and back.

import BSON

enum DateText {
    /// `2024-01-31T12:30:00.000Z`.
    static func iso(_ millis: Int64) -> String {
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

    /// `Jan  1 00:00:00:1`: month, day and clock of a timestamp, and its ordinal.
    static func clock(_ timestamp: Timestamp) -> String {
        let seconds = Int64(timestamp.seconds)
        let (_, month, day) = civil(fromDays: seconds / 86_400)
        let names = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ]
        let dayText = day < 10 ? " \(day)" : "\(day)"
        let time =
            pad(seconds / 3600 % 24, 2) + ":" + pad(seconds / 60 % 60, 2) + ":"
            + pad(seconds % 60, 2)
        return "\(names[Int(month) - 1]) \(dayText) \(time):\(timestamp.ordinal)"
    }

    /// Milliseconds of an ISO 8601 text: `YYYY-MM-DD`, then optionally `T` or white space, `hh:mm`,
    /// `:ss`, `.fraction`, and `Z` or `±hh[:mm]`, with white space around and before the zone. Nil
    /// for anything else.
    static func parse(_ text: String) -> Int64? {
        var scanner = DigitScanner(Array(text.utf8))
        scanner.skipSpace()
        guard let year = scanner.digits(4), scanner.skip(45), let month = scanner.digits(2),
            scanner.skip(45), let day = scanner.digits(2),
            (1...12).contains(month), (1...31).contains(day)
        else { return nil }
        let start = days(year: year, month: month, day: day)
        guard civil(fromDays: start) == (year, month, day) else { return nil }
        let millis = start * 86_400_000
        let hasSpace = scanner.skipSpace()
        if scanner.isAtEnd { return millis }
        guard scanner.skip(84) || hasSpace, let clock = parseClock(&scanner) else { return nil }
        scanner.skipSpace()
        guard let offset = parseZone(&scanner) else { return nil }
        scanner.skipSpace()
        return scanner.isAtEnd ? millis + clock - offset : nil
    }

    /// Milliseconds of `hh:mm[:ss[.fraction]]`.
    private static func parseClock(_ scanner: inout DigitScanner) -> Int64? {
        guard let hour = scanner.digits(2), scanner.skip(58), let minute = scanner.digits(2),
            hour < 24, minute < 60
        else { return nil }
        var millis = hour * 3_600_000 + minute * 60_000
        guard scanner.skip(58) else { return millis }
        guard let second = scanner.digits(2), second < 60 else { return nil }
        millis += second * 1000
        guard scanner.skip(46) else { return millis }
        guard let fraction = scanner.milliseconds() else { return nil }
        return millis + fraction
    }

    /// Milliseconds east of UTC of `Z`, `±hh`, `±hhmm`, `±hh:mm`, or nothing.
    private static func parseZone(_ scanner: inout DigitScanner) -> Int64? {
        if scanner.isAtEnd || scanner.skip(90) { return 0 }
        let isBehind = scanner.skip(45)
        guard isBehind || scanner.skip(43), let hours = scanner.digits(2) else { return nil }
        _ = scanner.skip(58)
        let offset = hours * 3_600_000 + (scanner.digits(2) ?? 0) * 60_000
        return isBehind ? -offset : offset
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

        /// White space, NUL and no-break spaces; whether there was any.
        @discardableResult
        mutating func skipSpace() -> Bool {
            let start = position
            while position < bytes.count {
                if bytes[position] == 32 || bytes[position] == 0
                    || (9...13).contains(bytes[position])
                {
                    position += 1
                } else if bytes[position...].starts(with: [0xC2, 0xA0]) {
                    position += 2
                } else {
                    break
                }
            }
            return position > start
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
