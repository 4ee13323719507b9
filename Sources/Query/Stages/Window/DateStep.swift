// Steps of the calendar for windows, $densify and rates: in UTC, months clamped to their end.

import BSON

/// A unit of time and how to go on by it.
enum DateStep: String, Sendable, CaseIterable {
    case millisecond, second, minute, hour, day, week, month, quarter, year

    /// The unit of that name; throws 9 for an unknown one.
    static func parse(_ value: ValueView, _ place: String) throws(DBError) -> DateStep {
        guard let text = value.string else {
            throw DBError(
                .typeMismatch,
                "BSON field '\(place)' is the wrong type '\(value.type.alias)', expected type "
                    + "'string'")
        }
        guard let step = DateStep(rawValue: text) else {
            throw DBError(.failedToParse, "unknown time unit value: \(text)")
        }
        return step
    }

    /// The unit's length in milliseconds; nil for those that vary.
    var millis: Int64? {
        switch self {
        case .millisecond: 1
        case .second: 1_000
        case .minute: 60_000
        case .hour: 3_600_000
        case .day: 86_400_000
        case .week: 604_800_000
        case .month, .quarter, .year: nil
        }
    }

    private var months: Int64 {
        switch self {
        case .quarter: 3
        case .year: 12
        default: 1
        }
    }

    /// The date `amount` units behind `date` (both in milliseconds since 1970); nil where no date
    /// can say it.
    func adding(_ amount: Int64, to date: Int64) -> Int64? {
        if let millis {
            let (distance, overflow) = amount.multipliedReportingOverflow(by: millis)
            let (sum, overflowed) = date.addingReportingOverflow(distance)
            return overflow || overflowed ? nil : sum
        }
        let (total, overflow) = amount.multipliedReportingOverflow(by: months)
        guard !overflow, abs(total) < 12 * 300_000_000 else { return nil }
        let day = Self.floor(date, 86_400_000)
        let civil = Self.civil(day)
        let month = civil.year * 12 + (civil.month - 1) + total
        let year = Self.floor(month, 12)
        let inYear = month - year * 12 + 1
        let first = Self.days(year, inYear, 1)
        let length =
            (inYear == 12 ? Self.days(year + 1, 1, 1) : Self.days(year, inYear + 1, 1)) - first
        let days = first + min(civil.day, length) - 1
        let (millis, overflowed) = days.multipliedReportingOverflow(by: 86_400_000)
        let (sum, overflowedToo) = millis.addingReportingOverflow(date - day * 86_400_000)
        return overflowed || overflowedToo ? nil : sum
    }

    private static func floor(_ value: Int64, _ divisor: Int64) -> Int64 {
        let quotient = value / divisor
        return value % divisor < 0 ? quotient - 1 : quotient
    }

    /// Days since 1970 of a day of the proleptic Gregorian calendar (years counted from March).
    private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = floor(shifted, 400)
        let ofEra = shifted - era * 400
        let ofYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return era * 146_097 + ofEra * 365 + ofEra / 4 - ofEra / 100 + ofYear - 719_468
    }

    private static func civil(_ days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = floor(shifted, 146_097)
        let ofEra = shifted - era * 146_097
        let year = (ofEra - ofEra / 1_460 + ofEra / 36_524 - ofEra / 146_096) / 365
        let ofYear = ofEra - (365 * year + year / 4 - year / 100)
        let month = (5 * ofYear + 2) / 153
        let day = ofYear - (153 * month + 2) / 5 + 1
        return (
            era * 400 + year + (month >= 10 ? 1 : 0), month < 10 ? month + 3 : month - 9, day
        )
    }
}
