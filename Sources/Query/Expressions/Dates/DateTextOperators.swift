// $dateToString $dateFromString.

import BSON

enum DateTextOperators {
    static let rows: [OperatorRow] = [
        .named(
            "$dateToString",
            [
                .required("date", 18628), .optional("format"), .optional("timezone"),
                .optional("onNull"),
            ], notObject: 18629, unknown: 18534, toString),
        .custom("$dateFromString") { argument, program throws(DBError) in
            let nodes = try OperatorTable.parseNamed(
                "$dateFromString", argument,
                [
                    .required("dateString", 40542), .optional("format"), .optional("timezone"),
                    .optional("onError"), .optional("onNull"),
                ], notObject: 40540, unknown: 40541, &program)
            return program.lazy(fromString, nodes)
        },
    ]

    // MARK: $dateToString

    private static let utcFormat: StaticString = "%Y-%m-%dT%H:%M:%S.%LZ"
    private static let zonedFormat: StaticString = "%Y-%m-%dT%H:%M:%S.%L"

    @Sendable
    private static func toString(
        _ arguments: Arguments, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        // A bad format or zone is an error even where there is no date.
        let format = arguments(1, context)
        if !format.isNullish {
            guard format.isType(.string) else {
                throw .location(
                    18533,
                    "$dateToString requires that 'format' be a string, found: \(format.typeName)")
            }
            try DateFormat.check(format.utf8, reading: false)
        }
        let zone = try DateArguments.zone(arguments(2, context), &context)
        let date = arguments(0, context)
        if date.isNullish {
            let onNull = arguments(3, context)
            return onNull.isAbsent ? .null : onNull
        }
        guard let zone else { return .null }
        if format.isNullish, !format.isAbsent { return .null }
        let millis = try DateArguments.millis(date, "$dateToString's date", 16006)
        if format.isAbsent {
            let standard = zone.isUTC ? utcFormat : zonedFormat
            return try DateFormat.write(millis, zone, RawSpan(standard), &context)
        }
        return try DateFormat.write(millis, zone, format.utf8, &context)
    }

    // MARK: $dateFromString

    /// Children: dateString, format, timezone, onError, onNull.
    private static let fromString = LazyOperator { call, context throws(DBError) in
        let text = try call(0, &context)
        let format = try call(1, &context)
        if !format.isNullish {
            guard format.isType(.string) else {
                throw .location(
                    40684,
                    "$dateFromString requires that 'format' be a string, found: "
                        + format.typeName)
            }
            try DateFormat.check(format.utf8, reading: true)
        }
        let zone = try DateArguments.zone(try call(2, &context), &context)
        if text.isNullish {
            let onNull = try call(4, &context)
            return onNull.isAbsent ? .null : onNull
        }
        guard let zone else { return .null }
        if format.isNullish, !format.isAbsent { return .null }
        if let millis = millis(text, format, zone) { return context.make(millis, .date) }
        let onError = try call(3, &context)
        guard onError.isAbsent else { return onError }
        throw DBError(
            .conversionFailure,
            text.isType(.string)
                ? "Error parsing date string '\(text.view.text)': it is incomplete, does not fit "
                    + "the format, or names a zone beside 'timezone'"
                : "$dateFromString requires that 'dateString' be a string, found: "
                    + text.typeName)
    }

    private static func millis(_ text: ValueRef, _ format: ValueRef, _ zone: TimeZone) -> Int64? {
        guard text.isType(.string) else { return nil }
        var reader = DateReader(text.utf8)
        let date = format.isAbsent ? reader.readFreely() : reader.read(format.utf8)
        guard let date, date.zone == nil || zone.isUTC else { return nil }
        return date.millis(in: zone)
    }
}
