import Testing
import TestSupport

@testable package import BSON

extension Decimal128: ExpressibleByStringLiteral {
    /// The number, NaN for what is none.
    package init(stringLiteral text: String) {
        self = Decimal128(text) ?? .nan
    }
}

@Suite struct DecimalTests {
    @Test(
        arguments: [
            ("1", "2", "3", "-1", "2", "0.5", "1"),
            (
                "1.10", "-0.3", "0.80", "1.40", "-0.330", "-3.666666666666666666666666666666667",
                "0.20"
            ),
            ("-7", "2", "-5", "-9", "-14", "-3.5", "-1"),
            (
                "1E+6144", "9E+6144", "Infinity", "-8.000000000000000000000000000000000E+6144",
                "Infinity",
                "0.1111111111111111111111111111111111", "1E+6144"
            ),
            ("1", "0", "1", "1", "0", "Infinity", "NaN"),
            ("0", "0", "0", "0", "0", "NaN", "NaN"),
            ("Infinity", "-Infinity", "NaN", "Infinity", "-Infinity", "NaN", "NaN"),
            ("NaN", "1", "NaN", "NaN", "NaN", "NaN", "NaN"),
            ("0.1", "0.2", "0.3", "-0.1", "0.02", "0.5", "0.1"),
        ] as [(Decimal128, Decimal128, String, String, String, String, String)])
    func arithmetic(
        _ x: Decimal128, _ y: Decimal128, sum: String, difference: String, product: String,
        quotient: String, remainder: String
    ) {
        // Equal as numbers; the sum's exponent is checked by its text where it matters.
        func same(_ result: Decimal128, _ text: String) -> Bool { result == Decimal128(text) }
        #expect(same(x.add(y), sum))
        #expect(same(x.subtract(y), difference))
        #expect(same(x.multiply(y), product))
        #expect(same(x.divide(y), quotient))
        #expect(same(x.mod(y), remainder))
    }

    @Test func trailingZerosSurviveArithmetic() {
        #expect(Decimal128("1.10").add("2.20").description == "3.30")
        #expect(Decimal128("1.10").multiply("2.0").description == "2.200")
        #expect(Decimal128("-0.00").negated.description == "0.00")
        #expect(Decimal128("-1.50").magnitude.description == "1.50")
    }

    @Test(
        arguments: [
            ("2.5", [2, 3, 3, 2, 2, 3]), ("-2.5", [-2, -3, -2, -3, -2, -3]),
            ("3.5", [4, 4, 4, 3, 3, 4]), ("2.4", [2, 2, 3, 2, 2, 3]),
            ("-0.1", [0, 0, 0, -1, 0, -1]),
            ("1E+2", [100, 100, 100, 100, 100, 100]),
        ] as [(Decimal128, [Int64])])
    func rounding(number: Decimal128, expected: [Int64]) {
        let rules: [FloatingPointRoundingRule] = [
            .toNearestOrEven, .toNearestOrAwayFromZero, .up, .down, .towardZero, .awayFromZero,
        ]
        #expect(rules.map { number.rounded($0).exactInt64 } == expected)
    }

    @Test(
        arguments: [
            ("1.2345", 2, "1.23"), ("1.235", 2, "1.24"), ("1.225", 2, "1.22"), ("1.2", 5, "1.2"),
            ("1234", -2, "1.2E+3"), ("1250", -2, "1.2E+3"), ("1", -5, "0E+5"), ("-1.999", 0, "-2"),
            ("NaN", 2, "NaN"), ("Infinity", 2, "Infinity"), ("1E+10", 20, "1E+10"),
            ("5", Int.min, "0E+6111"), ("5", Int.max, "5"),
        ] as [(Decimal128, Int, String)])
    func places(number: Decimal128, places: Int, expected: String) {
        let rounded = number.rounded(places: places)
        #expect(rounded == Decimal128(expected), "\(rounded)")
    }

    @Test(
        arguments: [
            (5.5, "5.50000000000000"), (0.1, "0.100000000000000"), (1, "1.00000000000000"),
            (1.0 / 3, "0.333333333333333"), (0.99999999999999989, "1.00000000000000"),
            (1e23, "1.00000000000000E+23"), (-123456789.123456789, "-123456789.123457"),
            (.leastNonzeroMagnitude, "4.94065645841247E-324"), (.infinity, "Infinity"),
            (.nan, "NaN"), (0, "0"),
            (123456789012345680, "1.23456789012346E+17"),
        ] as [(Double, String)])
    func fifteenDigits(number: Double, expected: String) {
        #expect(Decimal128(fifteenDigits: number).description == expected)
    }

    @Test(
        arguments: [
            ("4", "2", nil, nil, nil), ("2", "1.414213562373095048801688724209698", nil, nil, nil),
            ("-1", "NaN", nil, "NaN", "NaN"), ("0", "0", "1", "-Infinity", "-Infinity"),
            ("1", "1", "2.718281828459045235360287471352662", "0", "0"),
            ("100", "10", nil, nil, "2"), ("0.001", nil, nil, nil, "-3"),
            ("10", nil, nil, "2.302585092994045684017991454684364", "1"),
            ("Infinity", "Infinity", "Infinity", "Infinity", "Infinity"),
            ("-Infinity", "NaN", "0", "NaN", "NaN"), ("NaN", "NaN", "NaN", "NaN", "NaN"),
        ] as [(Decimal128, String?, String?, String?, String?)])
    func functions(
        x: Decimal128, root: String?, exponential: String?, natural: String?, common: String?
    ) {
        if let root { #expect(x.squareRoot == Decimal128(root)) }
        if let exponential { #expect(x.exponential == Decimal128(exponential)) }
        if let natural { #expect(x.naturalLogarithm == Decimal128(natural)) }
        if let common { #expect(x.commonLogarithm == Decimal128(common)) }
    }

    @Test func powers() {
        #expect(Decimal128("2").power("10") == "1024")
        #expect(Decimal128("2").power("-1") == "0.5")
        #expect(Decimal128("-8").power("0.5").isNaN)
        #expect(Decimal128("0").power("0") == "1")
    }

    /// Text that the strict parser refuses and the rounding one takes.
    @Test(arguments: [
        ("12345678901234567890123456789012345", "1.234567890123456789012345678901234E+34"),
        ("12345678901234567890123456789012335", "1.234567890123456789012345678901234E+34"),
        (
            "123456789012345678901234567890123450000000000000000000000001",
            "1.234567890123456789012345678901235E+59"
        ),
        ("99999999999999999999999999999999999", "1.000000000000000000000000000000000E+35"),
        ("1E+7000", "Infinity"), ("-1E+99999999999999999999", "-Infinity"), ("4E-6177", "0E-6176"),
        ("5E-6177", "0E-6176"), ("15E-6177", "2E-6176"), ("-6E-6177", "-1E-6176"),
        ("1E-99999999999999999999", "0E-6176"),
    ])
    func roundingText(text: String, expected: String) {
        #expect(Decimal128(text) == nil)
        #expect(Decimal128(rounding: text)?.description == expected)
    }

    @Test func specialBits() {
        // Coefficients above 34 digits count as zero.
        let large = Decimal128(low: .max, high: 0x3040_0000_0000_0000 | 0x0001_FFFF_FFFF_FFFF)
        #expect(large.isZero && large == .zero && large.description == "0")
        let second = Decimal128(low: 1, high: 0x6C10_0000_0000_0000)
        #expect(second.isZero && second.isFinite && second == .zero)
        #expect(second.description == "0")
        #expect(Decimal128(low: 7, high: 0xFE00_0000_0000_0000).isNaN)
    }

    @Test(arguments: 1...10 as ClosedRange<UInt64>)
    func conversionsAgreeWithTheirDigits(seed: UInt64) {
        var generator = DocumentGenerator(seed: seed)
        for _ in 0..<300 {
            let owned = OwnedValue(generator.number())
            guard let number = owned.view.decimal128, number.isFinite else { continue }
            let text = number.description
            if Decimal128(text)?.low != number.low || Decimal128(text)?.high != number.high {
                Issue.record("text of \(text)")
            }
            // The cut double is at most the number in magnitude, and its neighbour is above.
            let (cut, isExact) = number.truncatedDouble
            let exact = ExactDecimal(OwnedValue(Value(number.magnitude)).view)
            let low = ExactDecimal(OwnedValue(.double(cut.magnitude)).view)
            let high = ExactDecimal(OwnedValue(.double(cut.magnitude.nextUp)).view)
            if ExactDecimal.compare(low, exact) != (isExact ? 0 : -1)
                || ExactDecimal.compare(exact, high) >= 0
            {
                Issue.record("cut of \(text)")
            }
            if (number.exactDouble != nil) != isExact { Issue.record("exact double of \(text)") }
            let digits = text.contains("E") ? nil : Int64(text.split(separator: ".")[0])
            if text.contains("."), !text.contains("E") {
                // Behind the point are digits; the integer is exact only if all are zero.
                let isWhole = text.split(separator: ".")[1].allSatisfy { $0 == "0" }
                if (number.exactInt64 != nil) != (isWhole && digits != nil) {
                    Issue.record("integer of \(text)")
                }
            } else if !text.contains("E"), number.exactInt64 != digits {
                Issue.record("integer of \(text)")
            }
        }
    }
}

@Suite struct ObjectIDTests {
    @Test func hexRoundTrip() throws {
        let id = try #require(ObjectID("57E193d7a9cc81b4027498b5"))
        #expect(id.description == "57e193d7a9cc81b4027498b5")
        #expect(id.seconds == 0x57E1_93D7)
        for text in [
            "", "57e193d7a9cc81b4027498b", "57e193d7a9cc81b4027498b55", "57e193d7a9cc81b4027498bg",
        ] {
            #expect(ObjectID(text) == nil)
        }
    }

    @Test func generatedOnesAreDistinctAndRising() {
        let ids = (0..<10_000).map { _ in ObjectID.generate() }
        #expect(Set(ids).count == ids.count)
        #expect(Set(ids.map { $0.hexString.dropFirst(8).prefix(10) }).count == 1)
        #expect(ids[0].seconds > 1_700_000_000)
        #expect(ObjectID(head: 1, tail: 0) < ObjectID(head: 1, tail: 1))
        #expect(ObjectID(head: 0, tail: .max) < ObjectID(head: 1 << 63, tail: 0))
    }
}
