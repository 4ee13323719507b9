// What a text says of a date, before it is known whether that is enough.

/// Fields of a date as they were read; nil where the text says nothing.
struct ParsedDate {
    var year: Int64?
    var month: Int64?
    var day: Int64?
    /// From 0 on 1 January.
    var ordinalDay: Int64?
    var isoYear: Int64?
    var isoWeek: Int64?
    var isoDayOfWeek: Int64?
    var millisOfDay: Int64?
    var zone: TimeZone?

    /// The time meant, in `zone` unless the text names one; nil if the date is incomplete or does
    /// not exist.
    func millis(in outer: TimeZone) -> Int64? {
        guard let day = civilDay else { return nil }
        var civil = CivilTime(year: 1970, day: day + 1)
        (civil.year, civil.month, civil.day) = CivilTime.civil(fromDays: day)
        civil.millisOfDay = millisOfDay ?? 0
        return (zone ?? outer).millis(civil)
    }

    /// The day counted from 1970.
    private var civilDay: Int64? {
        if let isoYear {
            let week = isoWeek ?? 1
            let dayOfWeek = isoDayOfWeek ?? 1
            guard (1...53).contains(week), (1...7).contains(dayOfWeek) else { return nil }
            return CivilTime.firstDay(ofISOYear: isoYear) + (week - 1) * 7 + dayOfWeek - 1
        }
        guard let year else { return nil }
        if let ordinalDay {
            return CivilTime.days(year: year, month: 1, day: 1) + ordinalDay
        }
        guard let month, let day, (1...12).contains(month),
            (1...CivilTime.daysInMonth(year, month)).contains(day)
        else { return nil }
        return CivilTime.days(year: year, month: month, day: day)
    }
}
