// The rule by which a place's clocks go on changing each year: the footer of a TZif file, in the
// notation of POSIX's TZ variable ("CET-1CEST,M3.5.0,M10.5.0/3").

/// A standard offset, and summer time between two days of the year where there is one.
struct RecurringRule: Sendable {
    private let standardOffset: Int64
    private var summer: Summer?

    private struct Summer: Sendable {
        let offset: Int64
        let start: Change
        let end: Change
    }

    /// A day of the year and a time of that day on the clocks before the change.
    private struct Change: Sendable {
        enum Day: Sendable {
            /// From 1, without 29 February.
            case julian(Int64)
            /// From 0, with 29 February.
            case ordinal(Int64)
            /// The `week`th (5: last) `weekday` (0: Sunday) of a month.
            case weekday(month: Int64, week: Int64, weekday: Int64)
        }
        let day: Day
        let seconds: Int64

        /// Seconds from 1970 to the change in a year, on clocks that show UTC.
        func seconds(in year: Int64) -> Int64 {
            let first = CivilTime.days(year: year, month: 1, day: 1)
            switch day {
            case .julian(let number):
                let leap = CivilTime.daysInMonth(year, 2) == 29 && number >= 60
                return (first + number - (leap ? 0 : 1)) * 86_400 + seconds
            case .ordinal(let number): return (first + number) * 86_400 + seconds
            case .weekday(let month, let week, let weekday):
                let start = CivilTime.days(year: year, month: month, day: 1)
                let wait = (weekday - CivilTime.weekday(ofDay: start) + 7) % 7
                var day = wait + (week - 1) * 7
                if day >= CivilTime.daysInMonth(year, month) { day -= 7 }
                return (start + day) * 86_400 + seconds
            }
        }
    }

    /// Parses the notation; nil where it is empty or malformed.
    init?(_ text: some Collection<UInt8>) {
        var scanner = Scanner(rest: Array(text)[...])
        guard scanner.name(), let standard = scanner.clock() else { return nil }
        standardOffset = -standard
        if scanner.rest.isEmpty { return }
        guard scanner.name() else { return nil }
        var offset = standardOffset + 3600
        if scanner.rest.first != UInt8(ascii: ",") {
            guard let clock = scanner.clock() else { return nil }
            offset = -clock
        }
        guard let start = Self.change(&scanner), let end = Self.change(&scanner),
            scanner.rest.isEmpty
        else { return nil }
        summer = Summer(offset: offset, start: start, end: end)
    }

    /// Seconds ahead of UTC at a time.
    func offset(at seconds: Int64) -> Int64 {
        guard let summer else { return standardOffset }
        let days = CivilTime.floorDivide(seconds + standardOffset, 86_400).quotient
        let year = CivilTime.civil(fromDays: days).year
        let start = summer.start.seconds(in: year) - standardOffset
        let end = summer.end.seconds(in: year) - summer.offset
        // South of the equator summer spans the new year.
        let isSummer =
            start < end
            ? seconds >= start && seconds < end : seconds >= start || seconds < end
        return isSummer ? summer.offset : standardOffset
    }

    /// `,Mm.w.d[/time]`, `,Jn[/time]` or `,n[/time]`.
    private static func change(_ scanner: inout Scanner) -> Change? {
        guard scanner.take(",") else { return nil }
        let day: Change.Day
        if scanner.take("M") {
            guard let month = scanner.number(), scanner.take("."), let week = scanner.number(),
                scanner.take("."), let weekday = scanner.number(), (1...12).contains(month),
                (1...5).contains(week), (0...6).contains(weekday)
            else { return nil }
            day = .weekday(month: month, week: week, weekday: weekday)
        } else {
            let isJulian = scanner.take("J")
            guard let number = scanner.number(), number <= 365 else { return nil }
            day = isJulian ? .julian(number) : .ordinal(number)
        }
        guard scanner.take("/") else { return Change(day: day, seconds: 7200) }
        guard let seconds = scanner.clock() else { return nil }
        return Change(day: day, seconds: seconds)
    }

    private struct Scanner {
        var rest: ArraySlice<UInt8>

        mutating func take(_ character: Unicode.Scalar) -> Bool {
            guard rest.first == UInt8(ascii: character) else { return false }
            rest.removeFirst()
            return true
        }

        /// An abbreviation: letters, or anything in angle brackets.
        mutating func name() -> Bool {
            let before = rest.count
            if take("<") {
                rest = rest.drop { $0 != UInt8(ascii: ">") }
                return take(">")
            }
            rest = rest.drop { (65...90).contains($0 & 0xDF) }
            return rest.count < before
        }

        mutating func number() -> Int64? {
            let digits = rest.prefix { (48...57).contains($0) }
            rest = rest.dropFirst(digits.count)
            return (1...4).contains(digits.count)
                ? digits.reduce(0) { $0 * 10 + Int64($1 - 48) } : nil
        }

        /// Seconds of `[±]h[:m[:s]]`.
        mutating func clock() -> Int64? {
            let isNegative = take("-")
            if !isNegative { _ = take("+") }
            guard var seconds = number().map({ $0 * 3600 }) else { return nil }
            for unit: Int64 in [60, 1] {
                guard take(":") else { break }
                guard let part = number() else { return nil }
                seconds += part * unit
            }
            return isNegative ? -seconds : seconds
        }
    }
}
