// $dateToParts $dateFromParts: dates taken apart and put together.

import BSON

enum DatePartsOperators {
    static let rows: [OperatorRow] = [
        .named(
            "$dateToParts",
            [.required("date", 40522), .optional("timezone"), .optional("iso8601")],
            notObject: 40524, unknown: 40520, toParts),
        .custom("$dateFromParts", parseFromParts),
    ]

    // MARK: $dateToParts

    @Sendable
    private static func toParts(
        _ arguments: Arguments, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        let date = arguments(0, context)
        if date.isNullish { return .null }
        guard let zone = try DateArguments.zone(arguments(1, context), &context) else {
            return .null
        }
        let iso = arguments(2, context)
        if iso.isNullish, !iso.isAbsent { return .null }
        guard iso.isAbsent || iso.isType(.bool) else {
            throw .location(
                40521, "iso8601 must evaluate to a bool, found \(iso.typeName)")
        }
        let civil = zone.civil(try DateArguments.millis(date, "$dateToParts's date", 16006))
        let start = context.stack.count
        let names = context.names.count
        if iso.isTruthy {
            add("isoWeekYear", civil.isoWeek.year, &context)
            add("isoWeek", civil.isoWeek.week, &context)
            add("isoDayOfWeek", civil.isoDayOfWeek, &context)
        } else {
            add("year", civil.year, &context)
            add("month", civil.month, &context)
            add("day", civil.day, &context)
        }
        add("hour", civil.hour, &context)
        add("minute", civil.minute, &context)
        add("second", civil.second, &context)
        add("millisecond", civil.millisecond, &context)
        return context.makeDocument(fromStack: start, names: names)
    }

    private static func add(
        _ name: StaticString, _ number: Int64, _ context: inout EvaluationContext
    ) {
        let value = context.make(Int32(truncatingIfNeeded: number))
        context.stack.append(value)
        context.names.append(ValueRef(.string, RawSpan(name)))
    }

    // MARK: $dateFromParts

    private static let parts: [NamedArgument] = [
        .optional("year"), .optional("month"), .optional("day"), .optional("isoWeekYear"),
        .optional("isoWeek"), .optional("isoDayOfWeek"), .optional("hour"), .optional("minute"),
        .optional("second"), .optional("millisecond"), .optional("timezone"),
    ]

    @Sendable
    private static func parseFromParts(
        _ argument: ValueView, _ program: inout ProgramBuilder
    ) throws(DBError) -> Int {
        let nodes = try OperatorTable.parseNamed(
            "$dateFromParts", argument, parts, notObject: 40519, unknown: 40518, &program)
        let object = argument.document
        let hasYear = object?.value("year") != nil
        let hasISOYear = object?.value("isoWeekYear") != nil
        guard hasYear || hasISOYear else {
            throw .location(
                40516, "$dateFromParts requires either 'year' or 'isoWeekYear' to be present")
        }
        if hasYear,
            hasISOYear || object?.value("isoWeek") != nil || object?.value("isoDayOfWeek") != nil
        {
            throw .location(
                40489, "$dateFromParts does not allow mixing natural dates with ISO dates")
        }
        if hasISOYear, object?.value("month") != nil || object?.value("day") != nil {
            throw .location(
                40525, "$dateFromParts does not allow mixing ISO dates with natural dates")
        }
        return try program.strict(fromParts, nodes)
    }

    private static let fromParts = StrictOperator(nullRule: .nullIfAny) {
        arguments, context throws(DBError) in
        let isISO = arguments(0, context).isAbsent
        let year = try number(isISO ? 3 : 0, 1970, 1...9999, arguments, context)
        let hour = try number(6, 0, smallRange, arguments, context)
        let minute = try number(7, 0, smallRange, arguments, context)
        let second = try number(8, 0, nil, arguments, context)
        let millisecond = try number(9, 0, nil, arguments, context)
        let days: Int64
        if isISO {
            let week = try number(4, 1, smallRange, arguments, context)
            let dayOfWeek = try number(5, 1, smallRange, arguments, context)
            days = CivilTime.firstDay(ofISOYear: year) + (week - 1) * 7 + dayOfWeek - 1
        } else {
            let month = try number(1, 1, smallRange, arguments, context)
            let day = try number(2, 1, smallRange, arguments, context)
            days = CivilTime.days(year: year, month: month, day: day)
        }
        guard let zone = try DateArguments.zone(arguments(10, context), &context) else {
            return .null
        }
        let (secondMillis, overflows) = second.multipliedReportingOverflow(by: 1000)
        let (rest, carries) = secondMillis.addingReportingOverflow(millisecond)
        let (carried, restOfDay) = CivilTime.floorDivide(rest, CivilTime.dayMillis)
        let (moreDays, millisOfDay) = CivilTime.floorDivide(
            hour * 3_600_000 + minute * 60_000 + restOfDay, CivilTime.dayMillis)
        let civil = CivilTime(
            year: 1970, day: days + carried + moreDays + 1, millisOfDay: millisOfDay)
        guard !overflows, !carries, let millis = zone.millis(civil) else {
            throw DBError(.overflow, "$dateFromParts: the parts leave the range of dates")
        }
        return context.make(millis, .date)
    }

    /// What parts of a date and hours and minutes may be; they carry over.
    private static let smallRange: ClosedRange<Int64> = -32768...32767

    private static func number(
        _ index: Int, _ standard: Int64, _ range: ClosedRange<Int64>?, _ arguments: Arguments,
        _ context: borrowing EvaluationContext
    ) throws(DBError) -> Int64 {
        let value = arguments(index, context)
        if value.isAbsent { return standard }
        guard let number = Number(value)?.exactInt64 else {
            throw .location(
                40515,
                "'\(parts[index].name)' must evaluate to an integer, found \(value.typeName)")
        }
        if let range, !range.contains(number) {
            let isYear = index == 0 || index == 3
            throw .location(
                isYear ? 40523 : 31034,
                "'\(parts[index].name)' must evaluate to an integer in the range "
                    + "\(range.lowerBound) to \(range.upperBound), found \(number)")
        }
        return number
    }
}
