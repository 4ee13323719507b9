// The proleptic Gregorian calendar: days counted from 1970 to dates and back, week numbers.

/// What a calendar and a clock on the wall show at one place.
package struct CivilTime: Equatable {
    package var year: Int64
    package var month: Int64
    package var day: Int64
    var millisOfDay: Int64

    static let dayMillis: Int64 = 86_400_000

    /// The given date, which need not exist (month 14, day 0), at midnight.
    package init(year: Int64, month: Int64 = 1, day: Int64 = 1, millisOfDay: Int64 = 0) {
        self.year = year
        self.month = month
        self.day = day
        self.millisOfDay = millisOfDay
    }

    /// What is shown `millis` after 1970 began in UTC, on a clock that is `offsetSeconds` ahead.
    package init(millis: Int64, offsetSeconds: Int64 = 0) {
        let (seconds, rest) = Self.floorDivide(millis, 1000)
        let (days, secondOfDay) = Self.floorDivide(seconds + offsetSeconds, 86_400)
        (year, month, day) = Self.civil(fromDays: days)
        millisOfDay = secondOfDay * 1000 + rest
    }

    package var hour: Int64 { millisOfDay / 3_600_000 }
    package var minute: Int64 { millisOfDay / 60_000 % 60 }
    package var second: Int64 { millisOfDay / 1000 % 60 }
    var millisecond: Int64 { millisOfDay % 1000 }

    /// Days since 1970.
    package var days: Int64 { Self.days(year: year, month: month, day: day) }

    /// From 1 on 1 January.
    package var dayOfYear: Int64 { days - Self.days(year: year, month: 1, day: 1) + 1 }

    /// From 0 on Sunday.
    var weekday: Int64 { Self.weekday(ofDay: days) }

    /// From 1 on Monday.
    package var isoDayOfWeek: Int64 { (weekday + 6) % 7 + 1 }

    /// Weeks begin on Sundays; the days before a year's first Sunday are week 0.
    var week: Int64 { (dayOfYear + 6 - weekday) / 7 }

    /// The year and number of the ISO 8601 week, which belongs to the year of its Thursday.
    var isoWeek: (year: Int64, week: Int64) {
        let thursday = days - isoDayOfWeek + 4
        let year = Self.civil(fromDays: thursday).year
        return (year, (thursday - Self.days(year: year, month: 1, day: 1)) / 7 + 1)
    }

    /// Milliseconds of a UTC clock that shows this; nil out of int64's range.
    var millis: Int64? {
        // Before 1970 counted back from the day's end, which is in range wherever the sum is.
        let isBefore = days < 0
        let (product, overflows) = (isBefore ? days + 1 : days)
            .multipliedReportingOverflow(by: Self.dayMillis)
        let (sum, carries) = product.addingReportingOverflow(
            isBefore ? millisOfDay - Self.dayMillis : millisOfDay)
        return overflows || carries ? nil : sum
    }

    /// The number of days of a month.
    package static func daysInMonth(_ year: Int64, _ month: Int64) -> Int64 {
        if month == 2 {
            return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        }
        return [4, 6, 9, 11].contains(month) ? 30 : 31
    }

    /// From 0 on Sunday, for a day counted from 1970.
    static func weekday(ofDay days: Int64) -> Int64 { floorDivide(days + 4, 7).rest }

    /// The Monday on which an ISO year begins, counted from 1970.
    static func firstDay(ofISOYear year: Int64) -> Int64 {
        // 4 January lies in the first week.
        let fourth = days(year: year, month: 1, day: 4)
        return fourth - (weekday(ofDay: fourth) + 6) % 7
    }

    /// Division that rounds down, so that the rest is never negative.
    static func floorDivide(_ value: Int64, _ by: Int64) -> (quotient: Int64, rest: Int64) {
        let (quotient, rest) = value.quotientAndRemainder(dividingBy: by)
        return rest < 0 ? (quotient - 1, rest + by) : (quotient, rest)
    }

    /// Year, month and day of a day counted from 1970.
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

    /// Days from 1970 to a date; months and days beyond their bounds run on.
    static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
        let (carriedYears, monthFromZero) = floorDivide(month - 1, 12)
        let month = monthFromZero + 1
        let shiftedYear = year + carriedYears - (month <= 2 ? 1 : 0)
        let (era, yearOfEra) = floorDivide(shiftedYear, 400)
        let monthFromMarch = month > 2 ? month - 3 : month + 9
        let dayOfYear = (153 * monthFromMarch + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }
}
