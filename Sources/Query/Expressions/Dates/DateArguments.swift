// Arguments that date operators share: dates, time zones, units, days of the week.

import BSON

enum DateArguments {
    /// Milliseconds of a date, a timestamp or an ObjectId; `code` for other types.
    static func millis(
        _ value: ValueRef, _ what: String, _ code: Int32
    ) throws(DBError) -> Int64 {
        switch value.type {
        case .date: return value.view.dateMillis ?? 0
        case .timestamp: return Int64(value.view.timestamp?.seconds ?? 0) * 1000
        case .objectID:
            // The seconds of an ObjectId are signed, as MongoDB reads them.
            return Int64(Int32(bitPattern: value.view.objectID?.seconds ?? 0)) * 1000
        default:
            throw .location(code, "\(what) must be a date, but is \(value.typeName)")
        }
    }

    /// The zone that an argument names; UTC if it was not written, nil if it is null. Throws 40517
    /// for other types, 40485 for unknown names.
    static func zone(
        _ value: ValueRef, _ context: inout EvaluationContext
    ) throws(DBError) -> TimeZone? {
        if value.isAbsent { return .utc }
        if value.isNullish { return nil }
        guard value.isType(.string) else {
            throw .location(
                40517,
                "timezone must evaluate to a string, found \(value.typeName)")
        }
        guard let zone = context.zones.zone(value.utf8) else {
            throw .location(
                40485,
                "unrecognized time zone identifier: \"\(value.view.text)\"; known are names of "
                    + "tzdata such as \"Europe/Paris\", \"UTC\", and offsets such as \"+02:00\"")
        }
        return zone
    }

    /// The unit that an argument names: 5439013 for other types, 9 for unknown names.
    static func unit(_ value: ValueRef, _ name: String) throws(DBError) -> DateUnit {
        guard value.isType(.string) else {
            throw .location(
                5_439_013, "\(name) requires 'unit' to be a string, but got \(value.typeName)")
        }
        guard let unit = DateUnit(value.utf8) else {
            throw DBError(
                .failedToParse,
                "\(name) parameter 'unit' value cannot be recognized as a time unit: "
                    + value.view.text)
        }
        return unit
    }

    /// The first day of the week, from 0 on Sunday, which is also what counts if it was not
    /// written. Throws 5439015 for other types, 5439016 for unknown names.
    static func startOfWeek(_ value: ValueRef, _ name: String) throws(DBError) -> Int64 {
        if value.isAbsent { return 0 }
        guard value.isType(.string) else {
            throw .location(
                5_439_015,
                "\(name) requires 'startOfWeek' to be a string, but got \(value.typeName)")
        }
        let reader = DateReader(value.utf8)
        guard let (index, length) = reader.name(of: DateNames.weekdays),
            length == value.utf8.byteCount
        else {
            throw .location(
                5_439_016,
                "\(name) parameter 'startOfWeek' value cannot be recognized as a day of a week: "
                    + value.view.text)
        }
        return Int64(index - 1)
    }
}

/// A unit of time as date arithmetic takes it.
enum DateUnit {
    case year, quarter, month, week, day, hour, minute, second, millisecond

    private static let all: [(name: StaticString, unit: DateUnit)] = [
        ("year", .year), ("quarter", .quarter), ("month", .month), ("week", .week),
        ("day", .day), ("hour", .hour), ("minute", .minute), ("second", .second),
        ("millisecond", .millisecond),
    ]

    /// The unit of a name, in lower case and the singular.
    init?(_ name: RawSpan) {
        for (known, unit) in Self.all where name.equals(RawSpan(known)) {
            self = unit
            return
        }
        return nil
    }

    /// Milliseconds of a unit of constant length; a calendar unit's mean is not asked for: nil.
    var fixedMillis: Int64? {
        switch self {
        case .hour: 3_600_000
        case .minute: 60_000
        case .second: 1000
        case .millisecond: 1
        case .year, .quarter, .month, .week, .day: nil
        }
    }

    /// Months of a unit that is counted in them.
    var months: Int64? {
        switch self {
        case .year: 12
        case .quarter: 3
        case .month: 1
        default: nil
        }
    }

    /// Days of a unit that is counted in them.
    var days: Int64? {
        switch self {
        case .week: 7
        case .day: 1
        default: nil
        }
    }

    /// More than this of a unit leaves the range of dates, wherever one begins.
    var amountMax: Int64 {
        switch self {
        case .year: 584_942_417
        case .quarter: 4 * 584_942_417
        case .month: 12 * 584_942_417
        case .week: 30_500_568_904
        case .day: 213_503_982_334
        case .hour: 5_124_095_576_030
        case .minute: 307_445_734_561_825
        case .second: 18_446_744_073_709_551
        case .millisecond: .max
        }
    }
}
