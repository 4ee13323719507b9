import BSON
import Testing
import TestSupport

@Suite struct KeyEncodingTests {
    private static func key(_ values: [OwnedValue], descending: [Bool] = [false, false]) -> [UInt8]
    {
        var encoder = KeyEncoder()
        for (index, value) in values.enumerated() {
            encoder.append(value.view, descending: descending[index])
        }
        return encoder.bytes
    }

    private static func compare(_ left: [UInt8], _ right: [UInt8]) -> Int {
        left.span.bytes.compareBytes(right.span.bytes).signum()
    }

    private static func order(_ left: OwnedValue, _ right: OwnedValue) -> Int {
        left.view.compare(right.view).signum()
    }

    @Test(arguments: [false, true])
    func bytesOrderAsValuesDo(descending: Bool) {
        let values = EdgeValues.all.map { OwnedValue($0) }
        let keys = values.map { Self.key([$0], descending: [descending]) }
        var broken: [String] = []
        for (i, left) in values.enumerated() {
            for (j, right) in values.enumerated() {
                let order = Self.order(left, right) * (descending ? -1 : 1)
                if Self.compare(keys[i], keys[j]) != order {
                    broken.append("\(EdgeValues.all[i]) \(EdgeValues.all[j])")
                }
                if order != 0, keys[i].starts(with: keys[j]) {
                    broken.append("prefix: \(EdgeValues.all[i]) \(EdgeValues.all[j])")
                }
            }
        }
        #expect(broken.isEmpty, "\(broken.count): \(broken.prefix(5))")
    }

    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func randomCompoundKeysOrderPartByPart(seed: UInt64) {
        var generator = DocumentGenerator(seed: seed)
        var broken: [String] = []
        // Few values, so that first parts are often equal.
        let values = (0..<60).map { index in
            OwnedValue(index % 2 == 0 ? generator.number() : generator.value(depthMax: 3))
        }
        for descending in [[false, false], [false, true], [true, false], [true, true]] {
            let pairs = (0..<40).map { _ in
                [values[generator.random.below(8)], values[generator.random.below(values.count)]]
            }
            let keys = pairs.map { Self.key($0, descending: descending) }
            for (i, left) in pairs.enumerated() {
                for (j, right) in pairs.enumerated() {
                    var order = 0
                    for part in 0..<2 where order == 0 {
                        order = Self.order(left[part], right[part])
                        if descending[part] { order = -order }
                    }
                    if Self.compare(keys[i], keys[j]) != order { broken.append("\(left) \(right)") }
                }
            }
        }
        #expect(broken.isEmpty, "\(broken.count): \(broken.prefix(2))")
    }

    @Test(arguments: [false, true])
    func bracketsEncloseTheirTypesOnly(descending: Bool) {
        for rank in UInt8(1)...17 {
            var low = KeyEncoder()
            low.appendBracket(rank: rank, .low, descending: descending)
            var high = KeyEncoder()
            high.appendBracket(rank: rank, .high, descending: descending)
            for value in EdgeValues.all {
                let key = Self.key([OwnedValue(value)], descending: [descending])
                if key[0] == 0 || key[0] == 0xFF { Issue.record("first byte of \(value)") }
                let fromLow = Self.compare(key, low.bytes) * (descending ? -1 : 1)
                let fromHigh = Self.compare(key, high.bytes) * (descending ? -1 : 1)
                let order = Int(value.type.canonicalRank) - Int(rank)
                if fromLow != (order < 0 ? -1 : 1) || fromHigh != (order > 0 ? 1 : -1) {
                    Issue.record("\(value) \(rank)")
                }
            }
        }
    }

    @Test(arguments: ["", "a", "a\0", "\u{1}", "é", "12345678"], [false, true])
    func prefixBoundsEncloseStringsWithThePrefix(prefix: String, descending: Bool) {
        var bounds = [KeyEncoder(), KeyEncoder()]
        let utf8 = Array(prefix.utf8)
        bounds[0].appendStringPrefix(utf8.span.bytes, .low, descending: descending)
        bounds[1].appendStringPrefix(utf8.span.bytes, .high, descending: descending)
        for value in EdgeValues.all {
            let key = Self.key(
                [OwnedValue(value), OwnedValue(.maxKey)], descending: [descending, descending])
            let fromLow = Self.compare(key, bounds[0].bytes) * (descending ? -1 : 1)
            let fromHigh = Self.compare(key, bounds[1].bytes) * (descending ? -1 : 1)
            let isInside = fromLow > 0 && fromHigh < 0
            switch value {
            case .string(let string), .symbol(let string):
                #expect(isInside == Array(string.utf8).starts(with: utf8), "\(value)")
            default: #expect(!isInside, "\(value)")
            }
        }
    }

    @Test func commonKeysAreShort() {
        #expect(Self.key([OwnedValue(.int32(7))]).count == 9)
        #expect(Self.key([OwnedValue(.double(0.1))]).count == 9)
        #expect(Self.key([OwnedValue("abc")]).count == 5)
        #expect(Self.key([OwnedValue(.objectID(.generate()))]).count == 13)
    }

    /// The format is on disk: these bytes never change.
    @Test(
        arguments: [
            (.int32(1), [0x25, 0x7F, 0xE0, 0, 0, 0, 0, 0, 0]),
            (.int32(-1), [0x23, 0x80, 0x1F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]),
            (.double(-0.0), [0x24]), (.double(.nan), [0x21]), (nil, [0x19]), (true, [0x51, 1]),
            (
                .int64(9_007_199_254_740_993),
                [
                    0x25, 0x86, 0x80, 0, 0, 0, 0, 0, 1, 0x18, 0x2F, 91, 8, 20, 93, 55, 75, 10, 94,
                    0,
                ]
            ),
            ("a\0", [0x29, 0x61, 1, 1, 0]), (.date(0), [0x59, 0x80, 0, 0, 0, 0, 0, 0, 0]),
            (["a": true], [0x31, 0x50, 0x61, 0, 0x51, 1, 0]), ([nil], [0x39, 0x19, 0]),
            (.binary(subtype: 4, [9]), [0x41, 0, 0, 0, 2, 4, 9]),
        ] as [(Value, [UInt8])])
    func bytesAreFixed(value: Value, expected: [UInt8]) {
        #expect(Self.key([OwnedValue(value)]) == expected)
    }
}
