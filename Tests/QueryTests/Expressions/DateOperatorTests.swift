import BSON
import Testing

@testable import Query

/// A date as ISO 8601 has it; null if the text is none, so that no row passes by accident.
private func at(_ text: String) -> Value { ISODate.parse(text).map { .date($0) } ?? .null }

@Suite struct DateOperatorTests {
    static let document: Document = [
        "d": at("2014-01-01T08:15:39.736Z"), "text": "2017-02-08T12:10:40.787",
        "ts": .timestamp(Timestamp(seconds: 1_721_046_337, ordinal: 3)), "a": 5,
        "id": ObjectID("669515410000000000000000").map { .objectID($0) } ?? .null,
        "tz": "America/New_York",
    ]

    static let parts: [ExpressionRow] = [
        .init(["$year": "$d"], 2014), .init(["$month": "$d"], 1),
        .init(["$dayOfMonth": "$d"], 1), .init(["$dayOfYear": "$d"], 1),
        .init(["$dayOfWeek": "$d"], 4), .init(["$week": "$d"], 0),
        .init(["$isoWeek": "$d"], 1), .init(["$isoWeekYear": "$d"], .int64(2014)),
        .init(["$isoDayOfWeek": "$d"], 3), .init(["$hour": "$d"], 8),
        .init(["$minute": "$d"], 15), .init(["$second": ["$d"]], 39),
        .init(["$millisecond": "$d"], 736), .init(["$hour": "$ts"], 12),
        .init(["$hour": "$id"], 12), .init(["$hour": ["date": "$d", "timezone": "$tz"]], 3),
        .init(["$hour": ["date": "$d", "timezone": "+05:30"]], 13),
        .init(["$hour": ["date": "$d", "timezone": nil]], nil),
        .init(["$hour": ["date": "$d", "timezone": "america/new_york"]], code: 40485),
        .init(["$hour": ["date": "$d", "timezone": "../zoneinfo/UTC"]], code: 40485),
        .init(["$hour": ["date": "$d", "timezone": "Z"]], code: 40485),
        .init(["$hour": ["date": "$d", "timezone": 1]], code: 40517),
        .init(["$year": "$a"], code: 16006), .init(["$year": "$zz"], nil),
        .init(["$year": ["$d", "$d"]], code: 40536), .init(["$year": ["a": 1]], code: 40535),
        .init(["$year": ["timezone": "UTC"]], code: 40539),
        .init(["$year": .date(.max)], 292_278_994), .init(["$year": .date(.min)], -292_275_055),
        .init(["$isoWeek": at("2021-01-03T00:00:00Z")], 53),
        .init(
            ["$dateToParts": ["date": "$d", "timezone": "$tz", "iso8601": true]],
            [
                "isoWeekYear": 2014, "isoWeek": 1, "isoDayOfWeek": 3, "hour": 3, "minute": 15,
                "second": 39, "millisecond": 736,
            ]),
        .init(["$dateToParts": ["date": "$d", "iso8601": 1]], code: 40521),
        .init(
            ["$dateFromParts": ["year": 2017, "month": 14, "day": 0]], at("2018-01-31T00:00:00Z")),
        .init(
            ["$dateFromParts": ["isoWeekYear": 2017, "isoWeek": 6, "isoDayOfWeek": 3]],
            at("2017-02-08T00:00:00Z")),
        .init(
            ["$dateFromParts": ["year": 2016, "month": 12, "timezone": "$tz"]],
            at("2016-12-01T05:00:00Z")),
        .init(["$dateFromParts": ["year": 0]], code: 40523),
        .init(["$dateFromParts": ["year": 2017, "hour": 40_000]], code: 31034),
        .init(["$dateFromParts": ["year": 2017, "hour": 1.5]], code: 40515),
        .init(["$dateFromParts": ["year": 2017, "second": .int64(.max)]], code: 15),
        .init(["$dateFromParts": ["hour": 1]], code: 40516),
        .init(["$dateFromParts": ["year": 1, "isoWeek": 1]], code: 40489),
        .init(["$dateFromParts": ["isoWeekYear": 1, "day": 1]], code: 40525),
        .init(["$tsSecond": "$ts"], .int64(1_721_046_337)),
        .init(["$tsIncrement": "$ts"], .int64(3)),
        .init(["$tsSecond": "$d"], code: 5_687_301), .init(["$tsIncrement": 1], code: 5_687_302),
    ]

    static func add(_ start: String, _ unit: String, _ amount: Value, _ zone: Value) -> Value {
        [
            "$dateAdd": [
                "startDate": at(start), "unit": .string(unit), "amount": amount,
                "timezone": zone,
            ]
        ]
    }

    static let sums: [ExpressionRow] = [
        .init(add("2020-12-31T12:00:00Z", "month", 2, "UTC"), at("2021-02-28T12:00:00Z")),
        .init(add("2020-02-29T12:00:00Z", "year", 1, "UTC"), at("2021-02-28T12:00:00Z")),
        .init(add("2021-01-31T00:00:00Z", "quarter", 1, "UTC"), at("2021-04-30T00:00:00Z")),
        // Clocks skip 2 o'clock on 14 March 2021 in New York: a day has 23 hours.
        .init(
            add("2021-03-13T15:00:00Z", "day", 1, "America/New_York"), at("2021-03-14T14:00:00Z")),
        .init(
            add("2021-03-13T15:00:00Z", "hour", 24, "America/New_York"), at("2021-03-14T15:00:00Z")),
        .init(add("2021-01-01T00:00:00Z", "day", 1.5, "UTC"), code: 5_166_405),
        .init(add("2021-01-01T00:00:00Z", "days", 1, "UTC"), code: 9),
        .init(add("2021-01-01T00:00:00Z", "month", .int64(30_000_000_000), "UTC"), code: 5_976_500),
        .init(add("2021-01-01T00:00:00Z", "millisecond", .int64(.max), "UTC"), code: 5_166_406),
        .init(add("2021-01-01T00:00:00Z", "day", 1, nil), nil),
        .init(
            ["$dateSubtract": ["startDate": "$d", "unit": "day", "amount": .int64(.min)]],
            code: 6_045_000),
        .init(["$dateAdd": ["startDate": "$a", "unit": "day", "amount": 1]], code: 5_166_403),
        .init(["$dateAdd": ["unit": "day"]], code: 5_166_402),
        .init(["$dateAdd": ["x": 1]], code: 5_166_401), .init(["$dateAdd": 1], code: 5_166_400),
    ]

    static func diff(_ start: String, _ end: String, _ unit: String, _ week: Value) -> Value {
        [
            "$dateDiff": [
                "startDate": at(start), "endDate": at(end), "unit": .string(unit),
                "startOfWeek": week,
            ]
        ]
    }
    static func bin(_ date: String, _ unit: String, _ size: Value, _ zone: Value) -> Value {
        [
            "$dateTrunc": [
                "date": at(date), "unit": .string(unit), "binSize": size,
                "timezone": zone,
            ]
        ]
    }

    static let distances: [ExpressionRow] = [
        .init(diff("2010-01-01T00:00:00Z", "2011-07-01T00:00:00Z", "year", nil), .int64(1)),
        .init(diff("2021-01-01T00:00:00Z", "2021-01-31T00:00:00Z", "week", "sun"), .int64(5)),
        .init(diff("2021-01-01T00:00:00Z", "2021-01-31T00:00:00Z", "week", "MONDAY"), .int64(4)),
        .init(diff("2021-01-01T00:00:00Z", "2021-01-31T00:00:00Z", "week", nil), nil),
        .init(diff("2021-01-01T00:00:00Z", "2021-01-31T00:00:00Z", "week", "x"), code: 5_439_016),
        .init(diff("2021-01-01T00:00:00Z", "2021-01-31T00:00:00Z", "day", 1), .int64(30)),
        .init(diff("2021-04-01T00:00:00Z", "2021-01-01T00:00:00Z", "quarter", nil), .int64(-1)),
        .init(
            [
                "$dateDiff": [
                    "startDate": .date(.min), "endDate": .date(.max), "unit": "millisecond",
                ]
            ], code: 5_166_308),
        .init(bin("2021-03-20T11:30:05Z", "hour", 2, "UTC"), at("2021-03-20T10:00:00Z")),
        .init(bin("2021-03-20T11:30:05Z", "week", 1, "UTC"), at("2021-03-14T00:00:00Z")),
        .init(
            bin("2021-03-20T11:30:05Z", "month", 6, "America/Los_Angeles"),
            at("2021-01-01T08:00:00Z")),
        .init(bin("1999-12-31T23:59:59Z", "year", 5, "UTC"), at("1995-01-01T00:00:00Z")),
        .init(bin("2021-03-20T11:30:05Z", "day", 0, "UTC"), code: 5_439_018),
        .init(bin("2021-03-20T11:30:05Z", "day", 1.5, "UTC"), code: 5_439_017),
        .init(bin("2021-03-20T11:30:05Z", "quarter", .int64(.max), "UTC"), code: 15),
        .init(bin("2021-03-20T11:30:05Z", "hour", nil, "UTC"), nil),
        .init(["$dateTrunc": ["date": "$a", "unit": "day"]], code: 5_166_307),
    ]

    static func write(_ format: Value, _ zone: Value = "UTC") -> Value {
        ["$dateToString": ["date": "$d", "format": format, "timezone": zone]]
    }
    static func read(_ text: Value, _ format: Value) -> Value {
        ["$dateFromString": ["dateString": text, "format": format]]
    }
    static func read(_ text: Value) -> Value { ["$dateFromString": ["dateString": text]] }

    static let texts: [ExpressionRow] = [
        .init(write("%Y-%m-%d %H:%M:%S:%L%z", "$tz"), "2014-01-01 03:15:39:736-0500"),
        .init(write("%j %U %V %G %u %w %b %B %Z %%"), "001 00 01 2014 3 4 Jan January 0 %"),
        .init(write("%Z", "America/New_York"), "-300"), .init(write("%q"), code: 18536),
        .init(write("%"), code: 18535), .init(write(1), code: 18533), .init(write(nil), nil),
        .init(["$dateToString": ["date": "$d"]], "2014-01-01T08:15:39.736Z"),
        .init(["$dateToString": ["date": "$d", "timezone": "$tz"]], "2014-01-01T03:15:39.736"),
        .init(["$dateToString": ["date": "$zz", "onNull": "none"]], "none"),
        .init(["$dateToString": ["date": .date(.max)]], code: 18537),
        .init(read("$text"), at("2017-02-08T12:10:40.787Z")),
        .init(read("oct 20 2020"), at("2020-10-20T00:00:00Z")),
        .init(read("WED jan 31 12:05:28 +03:30 1996"), at("1996-01-31T08:35:28Z")),
        .init(read("31-Jan-2024 1:30 pm"), at("2024-01-31T13:30:00Z")),
        .init(read("2/8/2017"), at("2017-02-08T00:00:00Z")),
        .init(read("20170208T121040Z"), at("2017-02-08T12:10:40Z")),
        .init(read("2017-W06-3"), at("2017-02-08T00:00:00Z")),
        .init(read("2017-039"), at("2017-02-08T00:00:00Z")),
        .init(read("2017-02-08 12:10 America/New_York"), at("2017-02-08T17:10:00Z")),
        .init(read("2017-02-30"), code: 241), .init(read("2017"), code: 241),
        .init(read(""), code: 241), .init(read("12:30"), code: 241), .init(read(5), code: 241),
        .init(read("2017-02-08 2018-01-01"), code: 241), .init(read("tomorrow"), code: 241),
        .init(read("06-15-2018", "%m-%d-%Y"), at("2018-06-15T00:00:00Z")),
        .init(read("2024-W24-6", "%G-W%V-%u"), at("2024-06-15T00:00:00Z")),
        .init(read("2024 +330 jan 7", "%Y %Z %b %d"), at("2024-01-06T18:30:00Z")),
        .init(read("2024", "%Y"), code: 241), .init(read("2024-13-01", "%Y-%m-%d"), code: 241),
        .init(read("2024", "%U"), code: 18536), .init(read("2024", 1), code: 40684),
        .init(
            ["$dateFromString": ["dateString": "2017-02-08T12:00:00Z", "timezone": "$tz"]],
            code: 241),
        .init(["$dateFromString": ["dateString": "x", "onError": "bad"]], "bad"),
        .init(["$dateFromString": ["dateString": nil, "onNull": 1, "onError": 2]], 1),
        .init(["$toDate": "-0001-01-01T00:00:00Z"], .date(-62_198_755_200_000)),
    ]

    @Test(arguments: parts + sums + distances + texts)
    func row(_ row: ExpressionRow) {
        #expect(evaluate(row.expression, Self.document) == row.outcome)
    }
}
