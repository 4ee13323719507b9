// Sums, distances and bins of dates. Calendar units (day and up) are those of a place's wall clock;
// hours and below are exact lengths of time.

enum DateArithmetic {
    /// The date `amount` units later; nil out of int64's range. Days beyond a month's end become
    /// its last. `amount` is within the unit's `amountMax`.
    static func add(
        _ millis: Int64, _ unit: DateUnit, _ amount: Int64, _ zone: TimeZone
    ) -> Int64? {
        if let unitMillis = unit.fixedMillis {
            let (distance, overflows) = amount.multipliedReportingOverflow(by: unitMillis)
            let (sum, carries) = millis.addingReportingOverflow(distance)
            return overflows || carries ? nil : sum
        }
        var civil = zone.civil(millis)
        if let months = unit.months {
            let (years, month) = CivilTime.floorDivide(civil.month - 1 + amount * months, 12)
            civil.year += years
            civil.month = month + 1
            civil.day = min(civil.day, CivilTime.daysInMonth(civil.year, civil.month))
        } else {
            civil.day += amount * (unit.days ?? 1)
        }
        return zone.millis(civil)
    }

    /// How many boundaries between units lie from `start` to `end`; negative backwards. Weeks
    /// begin on `startOfWeek` (0: Sunday).
    static func distance(
        _ start: Int64, _ end: Int64, _ unit: DateUnit, _ zone: TimeZone, startOfWeek: Int64
    ) -> Int64? {
        if unit == .millisecond {
            let (distance, overflows) = end.subtractingReportingOverflow(start)
            return overflows ? nil : distance
        }
        let first = zone.civil(start)
        let last = zone.civil(end)
        if let months = unit.months {
            return monthBin(last, months) - monthBin(first, months)
        }
        if let days = unit.days {
            return dayBin(last, days, startOfWeek) - dayBin(first, days, startOfWeek)
        }
        guard let unitMillis = unit.fixedMillis, let from = first.millis, let to = last.millis
        else { return nil }
        // What the clocks were moved in between is no time that passed.
        let moved = (to &- end) &- (from &- start)
        return CivilTime.floorDivide(to, unitMillis).quotient
            - CivilTime.floorDivide(from, unitMillis).quotient - moved / unitMillis
    }

    private static func monthBin(_ civil: CivilTime, _ size: Int64) -> Int64 {
        CivilTime.floorDivide(civil.year * 12 + civil.month - 1, size).quotient
    }

    private static func dayBin(_ civil: CivilTime, _ size: Int64, _ startOfWeek: Int64) -> Int64 {
        // 4 January 1970 was a Sunday.
        size == 1
            ? civil.days : CivilTime.floorDivide(civil.days - 3 - startOfWeek, size).quotient
    }

    /// The start of the bin in which a date lies; bins of `size` units are counted from 1 January
    /// 2000, those of weeks from the first `startOfWeek` thereafter. Nil out of int64's range.
    static func truncate(
        _ millis: Int64, _ unit: DateUnit, _ size: Int64, _ zone: TimeZone, startOfWeek: Int64
    ) -> Int64? {
        let civil = zone.civil(millis)
        if let months = unit.months {
            let (bin, overflows) = months.multipliedReportingOverflow(by: size)
            let distance = (civil.year - 2000) * 12 + civil.month - 1
            guard !overflows, let start = binStart(distance, bin) else { return nil }
            let (years, month) = CivilTime.floorDivide(start, 12)
            return zone.millis(CivilTime(year: 2000 + years, month: month + 1))
        }
        let firstDay = CivilTime.days(year: 2000, month: 1, day: 1)
        if let days = unit.days {
            let wait =
                unit == .week ? (startOfWeek - CivilTime.weekday(ofDay: firstDay) + 7) % 7 : 0
            let reference = firstDay + wait
            let (bin, overflows) = days.multipliedReportingOverflow(by: size)
            guard !overflows, let start = binStart(civil.days - reference, bin) else { return nil }
            let (day, carries) = start.addingReportingOverflow(reference)
            guard !carries, abs(day) <= DateUnit.day.amountMax else { return nil }
            return zone.millis(CivilTime(year: 1970, day: day + 1))
        }
        guard let unitMillis = unit.fixedMillis, let local = civil.millis else { return nil }
        let (bin, overflows) = unitMillis.multipliedReportingOverflow(by: size)
        guard !overflows else { return nil }
        let rest = CivilTime.floorDivide(local &- firstDay * CivilTime.dayMillis, bin).rest
        let (start, carries) = millis.subtractingReportingOverflow(rest)
        return carries ? nil : start
    }

    private static func binStart(_ distance: Int64, _ bin: Int64) -> Int64? {
        let (start, overflows) = CivilTime.floorDivide(distance, bin).quotient
            .multipliedReportingOverflow(by: bin)
        return overflows || abs(start) > DateUnit.day.amountMax ? nil : start
    }
}
