import BSON
import Testing
import TestSupport

/// What `compare` must say for pairs that are got wrong: left < right, or equal.
@Suite struct CompareTests {
    static let edges = EdgeValues.all.map { OwnedValue($0) }

    static func decimal(_ text: String) -> Value {
        let number = Decimal128(text) ?? .nan
        return .decimal128(low: number.low, high: number.high)
    }

    @Test(
        arguments: [
            (.int64((1 << 53) + 1), .double(0x1p53 + 2)),
            (.double(0x1p53), .int64((1 << 53) + 1)),
            (.int64(.max), .double(0x1p63)),
            (.double(9_223_372_036_854_774_784), .int64(.max)),
            (decimal("0.1"), .double(0.1)),
            (.double(0.3), decimal("0.3")),
            (.double(.nan), .double(-.infinity)),
            (decimal("NaN"), decimal("-Infinity")),
            (.double(.greatestFiniteMagnitude), decimal("1E+309")),
            (decimal("1E-6176"), .double(.leastNonzeroMagnitude)),
            (.double(-.leastNonzeroMagnitude), decimal("-1E-6176")),
            (.int32(1), ""), (nil, .int32(0)), (.undefined, nil), (.minKey, .undefined),
            ("a", .document([:])), (.document([:]), []), ([], .binary(subtype: 0, [])),
            (["a": 1], ["b": 0]), (["b": 1], ["a": "x"]), (["a": 1], ["a": 1, "b": nil]),
            ([1], [1, nil]), ([1, 2], [2]), ("a", "a\0"), ("Z", "a"), ("z", "é"),
            (.binary(subtype: 9, [255]), .binary(subtype: 0, [0, 0])),
            (.date(-1), .date(0)),
            (.timestamp(Timestamp(rawValue: 1)), .timestamp(Timestamp(rawValue: 1 << 63))),
            (false, true), (true, .date(.min)), (.code("x"), .codeWithScope("", [:])),
            (.codeWithScope("z", ["z": 1]), .maxKey),
        ] as [(Value, Value)])
    func smaller(left: Value, right: Value) {
        let (left, right) = (OwnedValue(left), OwnedValue(right))
        #expect(compare(left, right) < 0)
        #expect(compare(right, left) > 0)
        #expect(!equals(left, right))
    }

    @Test(
        arguments: [
            (.int32(1), .double(1)), (.int64(1), decimal("1.00")), (.double(0), .double(-0.0)),
            (.int32(0), decimal("-0E+10")), (.double(.nan), decimal("-NaN")), ("a", .symbol("a")),
            (.double(.infinity), decimal("Infinity")), (["a": 1], ["a": .double(1)]),
            ([1, .int64(2)], [.double(1), decimal("2.0")]), (.double(0.5), decimal("0.50")),
            (.int64(.min), .double(-0x1p63)), (.double(0x1p64), decimal("18446744073709551616")),
        ] as [(Value, Value)])
    func equal(left: Value, right: Value) {
        let (left, right) = (OwnedValue(left), OwnedValue(right))
        #expect(compare(left, right) == 0)
        #expect(equals(left, right))
        #expect(hash(left) == hash(right))
    }

    /// A comparison is a total order exactly if it is antisymmetric and agrees, for all pairs, with
    /// the places in a list sorted by it.
    @Test func edgesAreTotallyOrdered() {
        let values = Self.edges.sorted { compare($0, $1) < 0 }
        var broken: [String] = []
        var group = 0
        var groups: [Int] = []
        for (index, value) in values.enumerated() {
            if index > 0, compare(values[index - 1], value) != 0 { group += 1 }
            groups.append(group)
        }
        for (i, left) in values.enumerated() {
            for (j, right) in values.enumerated() {
                let order = (groups[i] - groups[j]).signum()
                if compare(left, right) != order || equals(left, right) != (order == 0) {
                    broken.append("\(left.type) \(left.payload), \(right.type) \(right.payload)")
                }
                if order == 0, hash(left) != hash(right) {
                    broken.append("hash: \(left.type) \(left.payload) \(right.type)")
                }
            }
        }
        #expect(broken.isEmpty, "\(broken.count): \(broken.prefix(3))")
    }

    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func randomNumbersAgreeWithTheirDigits(seed: UInt64) {
        var generator = DocumentGenerator(seed: seed)
        for _ in 0..<200 {
            let (left, right) = (generator.number(), generator.number())
            let (a, b) = (OwnedValue(left), OwnedValue(right))
            let expected = ExactDecimal.compare(ExactDecimal(a.view), ExactDecimal(b.view))
            #expect(compare(a, b) == expected, "\(left) \(right)")
            #expect(compare(b, a) == -expected, "\(left) \(right)")
            if expected == 0 { #expect(hash(a) == hash(b), "\(left) \(right)") }
        }
    }

    private func compare(_ left: OwnedValue, _ right: OwnedValue) -> Int {
        left.view.compare(right.view).signum()
    }

    private func equals(_ left: OwnedValue, _ right: OwnedValue) -> Bool {
        left.view.equals(right.view)
    }

    private func hash(_ value: OwnedValue) -> Int {
        var hasher = Hasher()
        value.view.hash(into: &hasher)
        return hasher.finalize()
    }
}
