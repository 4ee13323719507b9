import BSON
import TestSupport
import Testing

@testable import Query

@Suite struct CollationTests {
    private static func collation(_ json: String) throws -> Collation? {
        let document = try ExtendedJSON.parse(json)
        return try Collation.parse(document.view)
    }

    private static func order(_ left: String, _ right: String, _ collation: Collation?) -> Int {
        let left = OwnedValue(.string(left))
        let right = OwnedValue(.string(right))
        let order = left.view.compare(right.view, collation)
        return order.signum()
    }

    @Test(arguments: [
        (#"{}"#, 40414), (#"{"strength": 2}"#, 40414), (#"{"locale": 1}"#, 14),
        (#"{"locale": null}"#, 14), (#"{"locale": "invalid_locale_xyz"}"#, 2),
        (#"{"locale": "textIndexVersion", "strength": 2}"#, 2),
        (#"{"locale": ""}"#, 2), (#"{"locale": "root"}"#, 2), (#"{"locale": "en-US"}"#, 2),
        (#"{"locale": "en\u0000x"}"#, 2), (#"{"locale": "en", "strength": 0}"#, 2),
        (#"{"locale": "en", "strength": 6}"#, 2), (#"{"locale": "en", "strength": "3"}"#, 14),
        (#"{"locale": "en", "strength": {"$numberDouble": "NaN"}}"#, 2),
        (#"{"locale": "en", "strength": {"$numberDecimal": "5.5"}}"#, 2),
        (#"{"locale": "en", "caseLevel": 1}"#, 14), (#"{"locale": "en", "backwards": null}"#, 14),
        (#"{"locale": "en", "strength": 1, "backwards": true}"#, 2),
        (#"{"locale": "en", "strength": 2, "caseFirst": "upper"}"#, 2),
        (#"{"locale": "en", "caseFirst": "up"}"#, 2), (#"{"locale": "en", "caseFirst": 1}"#, 14),
        (#"{"locale": "en", "alternate": "no"}"#, 2), (#"{"locale": "en", "maxVariable": ""}"#, 2),
        (#"{"locale": "en", "version": "58"}"#, 161), (#"{"locale": "en", "x": 1}"#, 40415),
        (#"{"locale": "en", "Strength": 1}"#, 40415),
    ])
    func refused(_ json: String, _ code: Int) throws {
        let document = try ExtendedJSON.parse(json)
        do throws(DBError) {
            _ = try Collation.parse(document.view)
            Issue.record("accepted")
        } catch {
            #expect(Int(error.code.rawValue) == code)
        }
    }

    @Test func completed() throws {
        let expected = """
            {"locale":"en","caseLevel":false,"caseFirst":"off","strength":3,\
            "numericOrdering":false,"alternate":"non-ignorable","maxVariable":"punct",\
            "normalization":false,"backwards":false,"version":"57.1"}
            """
        let plain = try #require(try Self.collation(#"{"locale": "en", "caseLevel": null}"#))
        let document = plain.document
        let text = ExtendedJSON.string(of: document.view, canonical: false)
        #expect(text == expected)
        // What a locale itself decides is filled in too.
        let canadian = try #require(try Self.collation(#"{"locale": "fr_CA"}"#))
        #expect(canadian.document["backwards"] == .bool(true))
        // The completed document gives the same collation again.
        let again = try Collation.parse(document.view)
        #expect(Collation.areSame(plain, again))
        #expect(!Collation.areSame(plain, canadian))
        #expect(!Collation.areSame(plain, nil))
        #expect(try Self.collation(#"{"locale": "simple"}"#) == nil)
    }

    @Test(arguments: [
        (#"{"locale": "en", "strength": 1}"#, "cafe", "CAFÉ", 0),
        (#"{"locale": "en", "strength": 2}"#, "cafe", "CAFE", 0),
        (#"{"locale": "en", "strength": 2}"#, "cafe", "café", -1),
        (#"{"locale": "en"}"#, "a", "A", -1), (#"{"locale": "en"}"#, "A", "b", -1),
        (#"{"locale": "en", "caseFirst": "upper"}"#, "a", "A", 1),
        (#"{"locale": "en", "strength": 1, "caseLevel": true}"#, "a", "A", -1),
        (#"{"locale": "en", "strength": 1, "caseLevel": true}"#, "a", "á", 0),
        (#"{"locale": "en"}"#, "file10", "file2", -1),
        (#"{"locale": "en", "numericOrdering": true}"#, "file10", "file2", 1),
        (#"{"locale": "en", "alternate": "shifted"}"#, "a-b c", "abc", 0),
        (#"{"locale": "en", "alternate": "shifted", "maxVariable": "space"}"#, "a b", "ab", 0),
        (#"{"locale": "en", "alternate": "shifted", "maxVariable": "space"}"#, "a-b", "ab", -1),
        (#"{"locale": "en", "alternate": "shifted", "strength": 4}"#, "a b", "ab", -1),
        (#"{"locale": "fr", "backwards": true}"#, "côte", "coté", -1),
        (#"{"locale": "fr"}"#, "côte", "coté", 1),
        (#"{"locale": "sv"}"#, "z", "ö", -1), (#"{"locale": "de"}"#, "z", "ö", 1),
        (#"{"locale": "de@collation=phonebook"}"#, "Muffler", "Müller", 1),
    ])
    func orders(_ json: String, _ left: String, _ right: String, _ expected: Int) throws {
        let collation = try #require(try Self.collation(json))
        #expect(Self.order(left, right, collation) == expected)
        #expect(Self.order(right, left, collation) == -expected)
    }

    /// Sort keys and comparison give one order, at any depth and in both directions.
    @Test(arguments: [
        #"{"locale": "en", "strength": 1}"#, #"{"locale": "en", "strength": 2}"#,
        #"{"locale": "en"}"#, #"{"locale": "fr", "backwards": true}"#,
        #"{"locale": "en", "alternate": "shifted", "strength": 4}"#,
        #"{"locale": "en", "strength": 5}"#, #"{"locale": "de", "numericOrdering": true}"#,
        #"{"locale": "vi", "normalization": true}"#,
    ])
    func keysAgree(_ json: String) throws {
        let collation = try #require(try Self.collation(json))
        let alphabet = Array("aAáäbB 10-_\u{0}\u{1}ß\u{301}éЖ日🍎").map { String($0) }
        var generator = RandomSource(seed: 7)
        func text() -> Value {
            let count = Int.random(in: 0...6, using: &generator)
            return .string(
                (0..<count).map { _ in alphabet.randomElement(using: &generator) ?? "" }.joined())
        }
        for _ in 0..<2_000 {
            var pair: [OwnedValue] = []
            let shape = Int.random(in: 0...3, using: &generator)
            for _ in 0..<2 {
                switch shape {
                case 0: pair.append(OwnedValue(.array([text(), text()])))
                case 1: pair.append(OwnedValue(.document(["k": text(), "l": 1])))
                default: pair.append(OwnedValue(text()))
                }
            }
            let (left, right) = (pair[0], pair[1])
            let order = left.view.compare(right.view, collation).signum()
            for descending in [false, true] {
                var keys: [[UInt8]] = []
                for value in pair {
                    var encoder = KeyEncoder()
                    encoder.append(value.view, descending: descending, order: collation)
                    keys.append(encoder.bytes)
                }
                let (low, high) = (keys[0], keys[1])
                let bytes = low.span.bytes.compareBytes(high.span.bytes).signum()
                #expect(bytes == (descending ? -order : order), "\(pair)")
                if order != 0 {
                    #expect(!keys[0].starts(with: keys[1]) && !keys[1].starts(with: keys[0]))
                }
            }
        }
    }

    /// Long strings' keys outgrow the first guess of their size.
    @Test func longKeys() throws {
        let collation = try #require(try Self.collation(#"{"locale": "en", "strength": 4}"#))
        for count in [0, 1, 100, 10_000, 100_000] {
            let text = String(repeating: "Ǻ", count: count)
            #expect(Self.order(text, text + "a", collation) == -1)
            var keys: [[UInt8]] = []
            for value in [text, text + "a"] {
                var encoder = KeyEncoder()
                encoder.append(OwnedValue(.string(value)).view, order: collation)
                keys.append(encoder.bytes)
            }
            #expect(keys[0].lexicographicallyPrecedes(keys[1]))
        }
    }

    @Test(arguments: [
        (#"{"a": "APPLE"}"#, #"{"a": "apple"}"#, true),
        (#"{"a": {"$eq": "APPLE"}}"#, #"{"a": ["pear", "Apple"]}"#, true),
        (#"{"a": {"$ne": "APPLE"}}"#, #"{"a": "apple"}"#, false),
        (#"{"a": {"$in": ["x", "APPLE", "B", 3]}}"#, #"{"a": "apple"}"#, true),
        (#"{"a": {"$in": ["x", "APPLE", "B", 3]}}"#, #"{"a": 3}"#, true),
        (#"{"a": {"$nin": ["x", "APPLE"]}}"#, #"{"a": "apple"}"#, false),
        (#"{"a": {"$gt": "B"}}"#, #"{"a": "apple"}"#, false),
        (#"{"a": {"$lt": "B"}}"#, #"{"a": "apple"}"#, true),
        (#"{"a": {"$gt": "a"}}"#, #"{"a": 1}"#, false),
        (#"{"a": {"b": "X"}}"#, #"{"a": {"b": "x"}}"#, true),
        (#"{"a": {"B": "X"}}"#, #"{"a": {"b": "x"}}"#, false),
        (#"{"a": ["X", 1]}"#, #"{"a": ["x", 1]}"#, true),
        (#"{"a": {"$elemMatch": {"$eq": "X"}}}"#, #"{"a": ["x", 1]}"#, true),
        (#"{"a": {"$regex": "^AP"}}"#, #"{"a": "apple"}"#, false),
        (#"{"$expr": {"$eq": ["$a", "APPLE"]}}"#, #"{"a": "apple"}"#, true),
        (#"{"$expr": {"$in": ["$a", ["APPLE"]]}}"#, #"{"a": "apple"}"#, true),
        (#"{"a": {"$gte": {"$minKey": 1}}}"#, #"{"a": "apple"}"#, true),
    ])
    func filters(_ filter: String, _ document: String, _ expected: Bool) throws {
        var scope = ExpressionScope()
        scope.collation = try Self.collation(#"{"locale": "en", "strength": 2}"#)
        let parsed = try ExtendedJSON.parse(filter)
        let compiled = try Filter.parse(parsed.view, scope.filterOptions(.find))
        var scratch = MatchScratch()
        let subject = try ExtendedJSON.parse(document)
        let matches = try compiled.matches(subject.view, &scratch)
        #expect(matches == expected)
    }

    @Test(arguments: [
        (#"{"$addToSet": {"a": "X"}}"#, #"{"a": ["x"]}"#, #"{"a": ["x"]}"#),
        (#"{"$pull": {"a": "X"}}"#, #"{"a": ["x", "y"]}"#, #"{"a": ["y"]}"#),
        (#"{"$pull": {"a": {"$gte": "X"}}}"#, #"{"a": ["w", "x"]}"#, #"{"a": ["w"]}"#),
        (#"{"$pullAll": {"a": ["X", "Z"]}}"#, #"{"a": ["x", "y"]}"#, #"{"a": ["y"]}"#),
        (#"{"$min": {"a": "B"}}"#, #"{"a": "a"}"#, #"{"a": "a"}"#),
        (#"{"$max": {"a": "B"}}"#, #"{"a": "a"}"#, #"{"a": "B"}"#),
        (
            #"{"$push": {"a": {"$each": ["B"], "$sort": 1}}}"#, #"{"a": ["c", "a"]}"#,
            #"{"a": ["a", "B", "c"]}"#
        ),
    ])
    func updates(_ update: String, _ document: String, _ expected: String) throws {
        var options = UpdateOptions()
        options.filterOptions.collation = try Self.collation(#"{"locale": "en", "strength": 2}"#)
        let change = OwnedValue(.document(try ExtendedJSON.parse(update)))
        let compiled = try Update.parse(change.view, options)
        let before = try ExtendedJSON.parse(document)
        var writer = DocumentWriter()
        var scratch = UpdateScratch()
        let time = WriteTime(millis: 0, timestamp: Timestamp(rawValue: 0))
        let changed = try compiled.apply(to: before.view, time: time, into: &writer, &scratch)
        let after = changed ? Document(unchecked: writer.take()) : before
        #expect(after == (try ExtendedJSON.parse(expected)))
    }
}
