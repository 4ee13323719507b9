import Testing

@testable import BSON

/// What keys say of the values they were made of.
@Suite struct KeyDecodingTests {
    static let exact: [Value] = [
        0, 1, -1, .int32(.max), .int32(.min), .int64(1 << 40), .int64(-1 << 50), 0.5, -1e300,
        .double(.leastNonzeroMagnitude), 1e19, "", "abc", "a\0b\u{1}c", "ж", .bool(true),
        .bool(false), .date(0), .date(-5), .date(.max), .date(.min),
        .timestamp(Timestamp(seconds: 7, ordinal: 9)), .objectID(ObjectID.generate()), .minKey,
        .maxKey,
    ]

    @Test(arguments: exact, [false, true])
    func exactValuesComeBack(value: Value, descending: Bool) {
        let owned = OwnedValue(value)
        let isExact = owned.view.keyIsExact
        #expect(isExact)
        var encoder = KeyEncoder()
        encoder.append(OwnedValue(.string("before")).view, descending: descending)
        encoder.append(owned.view, descending: descending)
        encoder.append(OwnedValue(.int32(3)).view, descending: descending)
        var decoder = KeyDecoder()
        var offset = 0
        let decoded = Document { writer in
            let key = encoder.bytes
            while offset < key.count {
                guard
                    let type = decoder.next(
                        in: key.span.bytes, at: &offset, descending: descending)
                else { break }
                decoder.append("v", type, to: &writer)
            }
        }
        #expect(offset == encoder.count)
        let expected = Document { writer in
            writer.append("v", "before")
            writer.append("v", value)
            writer.append("v", Int32(3))
        }
        #expect(decoded == expected)
    }

    /// Values that share their key with a commoner one.
    @Test(arguments: [.int64(1), 1.0, .double(-0.0), .int64(-7), 1_099_511_627_776.0] as [Value])
    func commonerValuesAreTaken(value: Value) {
        let isExact = OwnedValue(value).view.keyIsExact
        #expect(!isExact)
    }

    /// Keys that don't say what the value was.
    @Test(
        arguments: [.document([:]), .array([]), .double(.nan), .int64(.max), .undefined] as [Value])
    func othersAreRefused(value: Value) {
        var encoder = KeyEncoder()
        encoder.append(OwnedValue(value).view)
        var decoder = KeyDecoder()
        var offset = 0
        #expect(decoder.next(in: encoder.bytes.span.bytes, at: &offset, descending: false) == nil)
    }

    /// Damaged keys end the decoding.
    @Test func cutKeysAreRefused() {
        for value in Self.exact where value != .minKey && value != .maxKey && value != 0 {
            var encoder = KeyEncoder()
            encoder.append(OwnedValue(value).view)
            let cut = Array(encoder.bytes.dropLast())
            var decoder = KeyDecoder()
            var offset = 0
            #expect(decoder.next(in: cut.span.bytes, at: &offset, descending: false) == nil)
        }
    }
}
