// Dates as text: ISO 8601 in UTC, and the notation of timestamps in string operators.

import BSON

enum DateText {
    /// `2024-01-31T12:30:00.000Z`.
    static func iso(_ millis: Int64) -> String {
        let date = CivilTime(millis: millis)
        let clock =
            pad(date.hour, 2) + ":" + pad(date.minute, 2) + ":" + pad(date.second, 2) + "."
            + pad(date.millisecond, 3)
        let sign = date.year < 0 ? "-" : ""
        return "\(sign)\(pad(abs(date.year), 4))-\(pad(date.month, 2))-\(pad(date.day, 2))T"
            + "\(clock)Z"
    }

    private static func pad(_ number: Int64, _ width: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, width - text.count)) + text
    }

    /// `Jan  1 00:00:00:1`: month, day and clock of a timestamp, and its ordinal.
    static func clock(_ timestamp: Timestamp) -> String {
        let date = CivilTime(millis: Int64(timestamp.seconds) * 1000)
        let name = String(describing: DateNames.months[Int(date.month) - 1]).prefix(3)
        let dayText = date.day < 10 ? " \(date.day)" : "\(date.day)"
        let time = pad(date.hour, 2) + ":" + pad(date.minute, 2) + ":" + pad(date.second, 2)
        return "\(name) \(dayText) \(time):\(timestamp.ordinal)"
    }

    /// Milliseconds of a date in any notation that `DateReader` knows, in UTC unless it names a
    /// zone; nil for other text.
    static func parse(_ utf8: RawSpan) -> Int64? {
        var reader = DateReader(utf8)
        return reader.readFreely()?.millis(in: .utc)
    }
}

/// English names of months and days.
enum DateNames {
    static let months: [StaticString] = [
        "January", "February", "March", "April", "May", "June", "July", "August", "September",
        "October", "November", "December",
    ]
    static let weekdays: [StaticString] = [
        "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
    ]
    /// Letters of an abbreviation.
    static let shortCount = 3
}
