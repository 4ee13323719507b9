// Values where types, widths, signs, precision or bytes change: what comparison, keys and
// conversions get wrong first.

package import BSON

/// Values at the edges of every type.
package enum EdgeValues {
    /// All of them.
    package static let all: [Value] =
        integers + doubles + decimals + texts + nested + bytes + times + singles

    static let integers: [Value] = {
        var values: [Value] = []
        for number: Int32 in [0, 1, -1, 2, 9, 10, 11, -10, 255, 256, .max, .min] {
            values.append(.int32(number))
            values.append(.int64(Int64(number)))
        }
        for power in [24, 31, 32, 52, 53, 54, 62] {
            for offset: Int64 in [-2, -1, 0, 1, 2] {
                values.append(.int64((1 << power) + offset))
                values.append(.int64(-(1 << power) + offset))
            }
        }
        let tens: Int64 = 1_000_000_000_000_000_000
        for number in [.max, .max - 1, .max - 512, .min, .min + 1, tens, tens + 1, tens - 1] {
            values.append(.int64(number))
        }
        return values
    }()

    static let doubles: [Value] =
        [
            0.0, -0.0, 1, -1, 0.1, -0.1, 0.5, 1.5, 2, 10, 1e15, 1e16, 1e22, 1e23, 1e100, -1e100,
            0x1p31, 0x1p32, 0x1p52, 0x1p53, 0x1p53 + 2, 0x1p54, 0x1p62, 0x1p63, -0x1p63, 0x1p64,
            9_223_372_036_854_774_784, 0.1 + 0.2, 0.3, 1.0 / 3,
            .leastNonzeroMagnitude, -.leastNonzeroMagnitude, .leastNormalMagnitude,
            .greatestFiniteMagnitude, -.greatestFiniteMagnitude, .infinity, -.infinity, .nan,
            -Double.nan, Double(nan: 5, signaling: false), Double(1).nextUp, Double(1).nextDown,
        ].map { .double($0) }

    static let decimals: [Value] = [
        "0", "-0", "0E-6176", "0E+6111", "-0.000", "1", "1.0", "1.00", "-1", "-1.000", "10", "1E+1",
        "0.1", "0.10", "-0.1", "0.3", "0.30000000000000004", "0.5", "1.5", "2", "9", "11", "255",
        "0.1000000000000000055511151231257827", "0.1000000000000000055511151231257828",
        "0.1000000000000000055511151231257826", "0.3333333333333333333333333333333333",
        "2147483647", "2147483648", "-2147483648", "4294967296", "9007199254740991",
        "9007199254740992", "9007199254740993", "9007199254740992.5", "9007199254740994",
        "-9007199254740993", "9223372036854775807", "9223372036854775807.5", "9223372036854775808",
        "-9223372036854775808", "-9223372036854775809", "18446744073709551616", "1E+18",
        "1000000000000000001", "1E+22", "1E+23", "1E+100", "-1E+100", "1E+308", "1E+309", "-1E+400",
        "1.797693134862315708145274237317043E+308", "1.797693134862315708145274237317044E+308",
        "9.999999999999999999999999999999999E+6144", "-9.999999999999999999999999999999999E+6144",
        "1E-6176", "-1E-6176", "9E-6176", "10E-6176", "1E-324", "4.9E-324", "5E-324", "2E-308",
        "1234567890123456789012345678901234", "123456789012345678901234567890123",
        "9999999999999999999999999999999999", "9999999999999999999999999999999998",
        "Infinity", "-Infinity", "NaN", "-NaN",
    ].map { string in
        let number = Decimal128(string) ?? .nan
        return .decimal128(low: number.low, high: number.high)
    }

    static let texts: [Value] = {
        let strings = [
            "", "\0", "\0\0", "\0\u{1}", "\u{1}", "\u{1}\0", "\u{1}\u{1}", "\u{2}", "a", "a\0",
            "a\0b", "a\u{1}", "aa", "ab", "b", "A", "é", "e\u{301}", "\u{7F}", "\u{80}", "\u{7FF}",
            "\u{800}", "\u{FFFF}", "\u{10000}", "\u{10FFFF}", "12345678", "1234567\0", "12345678\0",
            "123456789", "1234567\u{1}9", "\u{1}2345678",
        ]
        return strings.map { .string($0) } + ["", "a", "a\0", "b"].map { .symbol($0) }
            + ["", "a", "a\0", "b"].map { .code($0) } + [
                .codeWithScope("", [:]), .codeWithScope("a", [:]), .codeWithScope("a", ["x": 1]),
                .codeWithScope("a", ["x": 2]), .codeWithScope("b", [:]),
            ]
    }()

    static let nested: [Value] = [
        .document([:]), ["a": 1], ["a": 1.0], ["a": .int64(1)], ["a": 2], ["a": -1], ["b": -1],
        ["b": 1], ["a": nil], ["a": "x"], ["a": "x", "b": 1], ["a": 1, "b": 2], ["b": 2, "a": 1],
        ["a": 1, "b": 3], ["": 1], ["": nil], ["a": ["b": 1]], ["a": ["b": 2]],
        ["a": .document([:])],
        ["a": []], ["a": [1]], ["aa": 1], ["a": .minKey], ["a": .maxKey], ["a": 1, "a": 2],
        [], [1], [1.0], [2], [1, 2], [1, 1], [nil], [.undefined], [[]], [[1]], [["a": 1]], ["x"],
        ["x", "y"], [.minKey], [.maxKey], [.document([:])], [1, nil], [[], []], [["a": 1], 2],
    ]

    static let bytes: [Value] = [
        .binary(subtype: 0, []), .binary(subtype: 0, [0]), .binary(subtype: 0, [1]),
        .binary(subtype: 0, [255]), .binary(subtype: 0, [0, 0]), .binary(subtype: 1, []),
        .binary(subtype: 1, [0]), .binary(subtype: 128, [0]), .binary(subtype: 255, [0]),
        .binary(subtype: 4, Array(0..<16)), .binary(subtype: 2, [1, 0, 0, 0, 9]),
        .binary(subtype: 0, Array(repeating: 7, count: 256)),
        .objectID(ObjectID(head: 0, tail: 0)), .objectID(ObjectID(head: 0, tail: 1)),
        .objectID(ObjectID(head: 1, tail: 0)), .objectID(ObjectID(head: .max, tail: .max)),
        .objectID(ObjectID(head: 1 << 63, tail: 1 << 31)),
        .dbPointer(namespace: "a", ObjectID(head: 0, tail: 0)),
        .dbPointer(namespace: "a", ObjectID(head: 0, tail: 1)),
        .dbPointer(namespace: "b", ObjectID(head: 0, tail: 0)),
        .dbPointer(namespace: "aa", ObjectID(head: 0, tail: 0)),
    ]

    static let times: [Value] = [
        .date(0), .date(1), .date(-1), .date(.max), .date(.min), .date(1_700_000_000_000),
        .date(-62_135_596_800_000), .date(253_402_300_799_999), .date(253_402_300_800_000),
        .timestamp(Timestamp(rawValue: 0)), .timestamp(Timestamp(rawValue: 1)),
        .timestamp(Timestamp(seconds: 1, ordinal: 0)), .timestamp(Timestamp(rawValue: .max)),
        .timestamp(Timestamp(rawValue: 1 << 63)),
    ]

    static let singles: [Value] = [
        .minKey, .maxKey, nil, .undefined, true, false,
        .regex(pattern: "", options: ""), .regex(pattern: "", options: "i"),
        .regex(pattern: "a", options: ""), .regex(pattern: "a", options: "i"),
        .regex(pattern: "a", options: "im"), .regex(pattern: "ab", options: ""),
        .regex(pattern: "\u{1}", options: ""),
    ]
}
