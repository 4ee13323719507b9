import BSON
import Testing
import TestSupport

@Suite struct ExtendedJSONTests {
    @Test(arguments: 1...50 as ClosedRange<UInt64>)
    func canonicalFormKeepsEverything(seed: UInt64) throws {
        var generator = DocumentGenerator(seed: seed)
        for _ in 0..<20 {
            let document = generator.document(depthMax: 5)
            try validate(document: document.bytes.span.bytes)
            #expect(document.rewritten.bytes == document.bytes)
            let text = ExtendedJSON.string(of: document.view, canonical: true)
            let parsed = try ExtendedJSON.parse(text)
            // A NaN's payload and a decimal's spare encodings of zero and NaN are not kept.
            #expect(ExtendedJSON.string(of: parsed.view, canonical: true) == text)
            #expect(areEqual(parsed, document), "\(text)")
            let relaxed = ExtendedJSON.string(of: document.view)
            let again = try ExtendedJSON.parse(relaxed)
            #expect(again.description == relaxed)
        }
    }

    @Test(
        arguments: [
            ("0", .int32(0)), ("-0", .int32(0)), ("2147483647", .int32(.max)),
            ("2147483648", .int64(2_147_483_648)), ("-9223372036854775808", .int64(.min)),
            ("9223372036854775808", .double(0x1p63)), ("1.0", .double(1)), ("1e2", .double(100)),
            ("0e5", .double(0)), ("100000000000000000000", .double(1e20)),
            ("1.5E-3", .double(0.0015)),
            (" [1, \"a\\u00e9\\uD83D\\uDC26\\n\"] ", [1, "aé\u{1F426}\n"]),
            ("{\"$regex\": \"a\", \"$options\": \"xi\"}", .regex(pattern: "a", options: "ix")),
            ("{\"$regex\": \"a\"}", ["$regex": "a"]), ("{\"$type\": 2}", ["$type": 2]),
            ("{\"$binary\": \"AQI=\", \"$type\": \"5\"}", .binary(subtype: 5, [1, 2])),
            ("{\"$date\": \"1970-01-01T00:00:00.1234+01:30\"}", .date(123 - 5_400_000)),
            ("{\"$date\": \"0001-01-01T00:00:00Z\"}", .date(-62_135_596_800_000)),
            ("{\"$date\": \"2000-02-29T23:59:59-0100\"}", .date(951_872_399_000)),
            ("null", nil), ("true", true),
        ] as [(String, Value)])
    func values(text: String, expected: Value) throws {
        #expect(try ExtendedJSON.parseValue(text) == expected)
    }

    @Test(
        arguments: [
            ("", 1, 1), ("{", 1, 2), ("{}x", 1, 3), ("{\"a\":}", 1, 6), ("{\n  \"é\": nul}", 2, 8),
            ("{'a': 1}", 1, 2), ("{\"a\": 1,}", 1, 9), ("[1, 2,]", 1, 7), ("01", 1, 2),
            ("1.", 1, 3),
            ("-", 1, 2), ("+1", 1, 1), (".5", 1, 1), ("1e", 1, 3), ("\"\t\"", 1, 2),
            ("\"\\x\"", 1, 3),
            ("\"\\uD800\"", 1, 4), ("\"\\uD800\\u0041\"", 1, 4), ("\"\\uDC00\"", 1, 4),
            ("NaN", 1, 1),
            ("9223372036854775809", 1, 1), ("1e999", 1, 1), ("[1e-999]", 1, 2),
            ("99999999999999999999999999999999999999", 1, 1),
            ("{\"$numberLong\": \"9223372036854775808\"}", 1, 17), ("{\"$oid\": \"xyz\"}", 1, 10),
            ("{\"$date\": \"2001-02-29T00:00:00Z\"}", 1, 11), ("{\"$numberInt\": \"+1\"}", 1, 16),
            ("{\"$numberDouble\": \"0x10\"}", 1, 19), ("// a", 1, 1),
        ] as [(String, Int, Int)])
    func mistakesAreLocated(text: String, line: Int, column: Int) {
        let error = #expect(throws: DBError.self) { try ExtendedJSON.parseValue(text) }
        #expect(error?.code == .failedToParse)
        let place = "line \(line), column \(column):"
        #expect(error?.message.contains(place) == true, "\(error?.message ?? "")")
    }

    private func areEqual(_ left: Document, _ right: Document) -> Bool {
        left.view.equals(right.view)
    }

    /// Options are sorted, but not taken apart: found by fuzzing.
    @Test(arguments: [("xai", "aix"), ("ÿxaié", "aixéÿ"), ("b\u{301}a", "ab\u{301}")])
    func optionsAreSorted(_ given: String, _ expected: String) throws {
        let document: Document = ["r": .regex(pattern: "p", options: given)]
        let text = ExtendedJSON.string(of: document.view, canonical: true)
        #expect(text.unicodeScalars.contains(expected.unicodeScalars), "\(text)")
        let again = try ExtendedJSON.parse(text)
        #expect(again == ["r": .regex(pattern: "p", options: expected)])
        #expect(ExtendedJSON.string(of: again.view, canonical: true) == text)
    }

    @Test func nestingIsBounded() throws {
        func nested(_ levels: Int) -> String {
            String(repeating: "{\"a\":", count: levels) + "1"
                + String(repeating: "}", count: levels)
        }
        #expect(try ExtendedJSON.parse(nested(201)).bytes.isEmpty == false)
        #expect(throws: DBError.self) { try ExtendedJSON.parse(nested(202)) }
        #expect(throws: DBError.self) { try ExtendedJSON.parse(nested(100_000)) }
        #expect(throws: DBError.self) {
            try ExtendedJSON.parseValue(String(repeating: "[", count: 100_000))
        }
    }
}

extension Document {
    /// Copied through owned values.
    var rewritten: Document {
        Document { writer in
            var elements = view.makeIterator()
            while let element = elements.next() {
                writer.append(element.nameString, Value(element.value))
            }
        }
    }
}
