// Dates as ISO 8601 text in UTC, for the years 0001 to 9999 of the proleptic Gregorian calendar.
// Day arithmetic after H. Hinnant, "chrono-Compatible Low-Level Date Algorithms".

/// Milliseconds since 1970 to and from ISO 8601.
package enum ISODate {
    /// 1970-01-01 up to the end of 9999: what relaxed Extended JSON writes as text.
    private static let textRange: ClosedRange<Int64> = 0...253_402_300_799_999
    private static let dayMillis: Int64 = 86_400_000

    /// `2012-12-24T12:15:30.501Z`, without fraction where it is zero; nil outside 1970 to 9999.
    package static func string(millis: Int64) -> String? {
        guard textRange.contains(millis) else { return nil }
        let (year, month, day) = civil(days: millis / dayMillis)
        let time = millis % dayMillis
        var text = "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))T"
        text += "\(padded(time / 3_600_000, 2)):\(padded(time / 60_000 % 60, 2)):"
        text += padded(time / 1000 % 60, 2)
        if time % 1000 != 0 { text += "." + padded(time % 1000, 3) }
        return text + "Z"
    }

    /// Parses `YYYY-MM-DDTHH:MM:SS[.fff]` with `Z`, `+HH:MM`, `+HHMM` or `+HH`; nil for other text
    /// and for days and times that don't exist. Digits behind the milliseconds are cut.
    package static func parse(_ text: String) -> Int64? {
        var scanner = Scanner(bytes: Array(text.utf8))
        guard let year = scanner.number(4), scanner.take("-"), let month = scanner.number(2),
            scanner.take("-"), let day = scanner.number(2), scanner.take("T"),
            let hour = scanner.number(2), scanner.take(":"), let minute = scanner.number(2),
            scanner.take(":"), let second = scanner.number(2),
            let millis = scanner.fraction(), let shift = scanner.zone(), scanner.isAtEnd
        else { return nil }
        guard year >= 1, 1...12 ~= month, hour < 24, minute < 60, second < 60 else { return nil }
        let days = days(year: year, month: month, day: day)
        guard day >= 1, civil(days: days) == (year, month, day) else { return nil }
        return days * dayMillis + hour * 3_600_000 + minute * 60_000 + second * 1000 + millis
            - shift * 60_000
    }

    private static func padded(_ number: Int64, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }

    /// Days since 1970 of a date; days beyond a month's end run on.
    private static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
        // Years begin in March here, so that the leap day is the last of its year.
        let shifted = month <= 2 ? year - 1 : year
        let era = shifted / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    /// The date of a day since 1970, from year 1 on.
    private static func civil(days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra =
            (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let place = (5 * dayOfYear + 2) / 153
        let month = place < 10 ? place + 3 : place - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (year, month, dayOfYear - (153 * place + 2) / 5 + 1)
    }

    private struct Scanner {
        let bytes: [UInt8]
        var offset = 0

        init(bytes: [UInt8]) {
            self.bytes = bytes
        }

        var isAtEnd: Bool { offset == bytes.count }

        private var current: UInt8 { offset < bytes.count ? bytes[offset] : 0 }

        mutating func take(_ letter: Unicode.Scalar) -> Bool {
            guard current == UInt8(ascii: letter) else { return false }
            offset += 1
            return true
        }

        mutating func digit() -> Int64? {
            guard 48...57 ~= current else { return nil }
            offset += 1
            return Int64(bytes[offset - 1] - 48)
        }

        mutating func number(_ digits: Int) -> Int64? {
            var number: Int64 = 0
            for _ in 0..<digits {
                guard let digit = digit() else { return nil }
                number = number * 10 + digit
            }
            return number
        }

        /// Milliseconds.
        mutating func fraction() -> Int64? {
            guard take(".") else { return 0 }
            var millis: Int64 = 0
            var count = 0
            while let digit = digit() {
                if count < 3 { millis = millis * 10 + digit }
                count += 1
            }
            guard count > 0 else { return nil }
            for _ in 0..<max(0, 3 - count) { millis *= 10 }
            return millis
        }

        /// Minutes east of UTC.
        mutating func zone() -> Int64? {
            if take("Z") { return 0 }
            let isWest = current == UInt8(ascii: "-")
            guard take("+") || take("-"), let hours = number(2), hours < 24 else { return nil }
            var minutes: Int64 = 0
            if take(":") || !isAtEnd {
                guard let number = number(2), number < 60 else { return nil }
                minutes = number
            }
            return (isWest ? -1 : 1) * (hours * 60 + minutes)
        }
    }
}
