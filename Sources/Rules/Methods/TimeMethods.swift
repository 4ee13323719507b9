// Methods of timestamps (in UTC) and durations.

internal import Query

extension RuleEvaluator {
    func timestampMethod(
        _ method: BuiltinMethod, _ time: RuleTimestamp
    ) throws(RuleFailure) -> RuleValue {
        let civil = CivilTime(millis: time.millis)
        switch method {
        case .year: return .int(civil.year)
        case .month: return .int(civil.month)
        case .day: return .int(civil.day)
        case .hours: return .int(civil.hour)
        case .minutes: return .int(civil.minute)
        case .seconds: return .int(civil.second)
        case .nanos: return .int(time.nanosOfSecond)
        case .dayOfWeek: return .int(civil.isoDayOfWeek)
        case .dayOfYear: return .int(civil.dayOfYear)
        case .toMillis: return .int(time.millis)
        case .date: return try timestamp(Int128(civil.days) * Self.dayNanos)
        case .time: return try duration(time.nanos - Int128(civil.days) * Self.dayNanos)
        default: throw notFound(method)
        }
    }

    func durationMethod(
        _ method: BuiltinMethod, _ duration: RuleDuration
    ) throws(RuleFailure) -> RuleValue {
        switch method {
        case .seconds: return .int(Int64(clamping: duration.nanos / 1_000_000_000))
        case .nanos: return .int(Int64(clamping: duration.nanos % 1_000_000_000))
        default: throw notFound(method)
        }
    }

    static var dayNanos: Int128 { 86_400_000_000_000 }

    // MARK: Constructors

    /// `timestamp.date(year, month, day)`.
    func timestampDate(_ arguments: [RuleValue]) throws(RuleFailure) -> RuleValue {
        guard case .int(let year) = arguments[0], case .int(let month) = arguments[1],
            case .int(let day) = arguments[2]
        else { throw wrongArguments(.timestampDate, arguments, "int, int, int") }
        guard 1...9999 ~= year, 1...12 ~= month, day >= 1,
            day <= CivilTime.daysInMonth(year, month)
        else { throw failure(.other("There is no date \(year)-\(month)-\(day).")) }
        let civil = CivilTime(year: year, month: month, day: day)
        return try timestamp(Int128(civil.days) * Self.dayNanos)
    }

    /// `duration.value(magnitude, unit)`.
    func durationValue(_ arguments: [RuleValue]) throws(RuleFailure) -> RuleValue {
        guard case .int(let magnitude) = arguments[0], case .string(let unit) = arguments[1] else {
            throw wrongArguments(.durationValue, arguments, "int, string")
        }
        let units: [String: Int128] = [
            "w": 7 * Self.dayNanos, "d": Self.dayNanos, "h": 3_600_000_000_000,
            "m": 60_000_000_000, "s": 1_000_000_000, "ms": 1_000_000, "ns": 1,
        ]
        guard let nanos = units[unit] else {
            throw failure(.other("The units of durations are w, d, h, m, s, ms and ns."))
        }
        return try duration(Int128(magnitude) * nanos)
    }

    /// `duration.time(hours, minutes, seconds, nanos)`.
    func durationTime(_ arguments: [RuleValue]) throws(RuleFailure) -> RuleValue {
        var nanos: Int128 = 0
        let units: [Int128] = [3_600_000_000_000, 60_000_000_000, 1_000_000_000, 1]
        for (argument, unit) in zip(arguments, units) {
            guard case .int(let number) = argument else {
                throw wrongArguments(.durationTime, arguments, "int, int, int, int")
            }
            nanos += Int128(number) * unit
        }
        return try duration(nanos)
    }
}
