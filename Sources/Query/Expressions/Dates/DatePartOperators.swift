// $year $month $dayOfMonth $dayOfYear $dayOfWeek $week $isoWeekYear $isoWeek $isoDayOfWeek $hour
// $minute $second $millisecond: one part of a date, in UTC or a named zone.

import BSON

enum DatePartOperators {
    static let rows: [OperatorRow] = [
        part("$year") { $0.year }, part("$month") { $0.month },
        part("$dayOfMonth") { $0.day }, part("$dayOfYear") { $0.dayOfYear },
        part("$dayOfWeek") { $0.weekday + 1 }, part("$week") { $0.week },
        part("$isoWeek") { $0.isoWeek.week }, part("$isoDayOfWeek") { $0.isoDayOfWeek },
        part("$hour") { $0.hour }, part("$minute") { $0.minute },
        part("$second") { $0.second }, part("$millisecond") { $0.millisecond },
        part("$isoWeekYear", isInt64: true) { $0.isoWeek.year },
    ]

    private static func part(
        _ name: String, isInt64: Bool = false, _ read: @escaping @Sendable (CivilTime) -> Int64
    ) -> OperatorRow {
        let called = StrictOperator(nullRule: .nullIfFirst) {
            arguments, context throws(DBError) in
            guard let zone = try DateArguments.zone(arguments(1, context), &context) else {
                return .null
            }
            let millis = try DateArguments.millis(arguments(0, context), "\(name)'s date", 16006)
            let number = read(zone.civil(millis))
            return isInt64
                ? context.make(number) : context.make(Int32(truncatingIfNeeded: number))
        }
        return .custom(name) { argument, program throws(DBError) in
            try program.strict(called, parseArguments(name, argument, &program))
        }
    }

    /// The date alone, in a list of one or not, or `{date, timezone}`.
    private static func parseArguments(
        _ name: String, _ argument: ValueView, _ program: inout ProgramBuilder
    ) throws(DBError) -> [Int] {
        if let list = argument.array {
            guard list.count == 1, let date = list.first else {
                throw .location(
                    40536,
                    "\(name) accepts exactly one argument if given an array, but was given "
                        + "\(list.count)")
            }
            return [try program.parse(date.value), program.add(.absent)]
        }
        guard let object = argument.document,
            object.first?.name.starts(with: RawSpan("$")) != true
        else { return [try program.parse(argument), program.add(.absent)] }
        return try OperatorTable.parseNamed(
            name, argument, [.required("date", 40539), .optional("timezone")], notObject: 40535,
            unknown: 40535, &program)
    }
}
