import BSON
import Testing

@testable import Query

/// Keys of hashed, geo, text and wildcard indexes.
@Suite struct SpecialKeysTests {
    private static func count(
        _ key: Document, _ document: Document, _ options: IndexKindOptions = IndexKindOptions()
    ) throws -> Int {
        var keys = IndexKeys()
        try IndexKeyPattern.parse(key.view, options: options)
            .keys(of: document.view, sparse: false, into: &keys)
        return keys.count
    }

    struct Row: Sendable {
        let key: Document
        let document: Document
        let count: Int
    }

    @Test(arguments: [
        Row(key: ["a": "hashed"], document: [:], count: 1),
        Row(key: ["a": "hashed", "b": 1], document: ["a": 1, "b": [1, 2, 3]], count: 3),
        Row(key: ["p": "2dsphere"], document: [:], count: 0),
        Row(key: ["p": "2dsphere"], document: ["p": .null], count: 0),
        Row(key: ["p": "2dsphere"], document: ["p": [1, 2]], count: 1),
        Row(key: ["p": "2dsphere", "q": "2dsphere"], document: ["p": [1, 2]], count: 1),
        Row(key: ["p": "2d"], document: ["p": [[1, 2], [3, 4]]], count: 2),
        Row(key: ["t": "text"], document: ["t": "the Coffee and coffees"], count: 1),
        Row(key: ["t": "text"], document: ["t": "the and"], count: 0),
        Row(key: ["$**": 1], document: ["_id": 1, "a": 1, "b": ["c": [1, 2]]], count: 3),
        Row(key: ["b.$**": 1], document: ["a": 1, "b": ["c": [], "d": [:]]], count: 2),
    ])
    func counts(row: Row) throws {
        #expect(try Self.count(row.key, row.document) == row.count, "\(row.key) \(row.document)")
    }

    struct Refusal: Sendable {
        let key: Document
        let document: Document
        let code: Int32
    }

    @Test(arguments: [
        Refusal(key: ["a": "hashed"], document: ["a": [1]], code: 16766),
        Refusal(key: ["p": "2dsphere"], document: ["p": [200, 0]], code: 16755),
        Refusal(key: ["p": "2dsphere"], document: ["p": "x"], code: 16755),
        Refusal(key: ["p": "2d"], document: ["p": [181, 0]], code: 13027),
        Refusal(key: ["t": "text"], document: ["t": "x", "language": "klingon"], code: 17262),
        Refusal(key: ["a": "hashed", "b": "hashed"], document: [:], code: 31303),
        Refusal(key: ["$**": 1, "a.$**": 1], document: [:], code: 7_246_201),
        Refusal(key: ["a": 1, "$**": 1], document: [:], code: 7_246_209),
        Refusal(key: ["a": 1, "b.$**": 1], document: ["a": [1], "b": 1], code: 7_246_301),
    ])
    func refuses(row: Refusal) {
        do {
            _ = try Self.count(row.key, row.document)
            Issue.record("\(row.key) \(row.document): no error")
        } catch {
            #expect((error as? DBError)?.code.rawValue == row.code, "\(row.key) \(error)")
        }
    }

    /// Numbers with one whole part hash alike; the digest is that of RFC 1321.
    @Test func hashes() {
        func hash(_ value: Value) -> Int64 { HashedKey.hash(of: OwnedValue(value).view) }
        #expect(hash(1) == hash(.double(1.9)))
        #expect(hash(1) == hash(.int64(1)))
        #expect(hash(1) != hash(2))
        #expect(hash(["a": 1]) == hash(["a": .double(1)]))
        #expect(hash(["a": 1]) != hash(["b": 1]))
        // As MongoDB 8.2.4's $toHashedIndexKey has it.
        #expect(hash("hello") == 5_347_277_839_332_858_538)
        var digest = MD5()
        // MD5("abc") begins with 900150983cd24fb0.
        for byte in "abc".utf8 { digest.append(byte) }
        #expect(digest.finish() == Int64(bitPattern: 0xb04f_d23c_9850_0190))
    }
}

/// Scores and matches of $text.
@Suite struct TextPredicateTests {
    private static func predicate(
        _ search: Document, _ weights: [(String, Double)] = [("t", 1)]
    ) throws -> TextPredicate {
        let filter = try Filter.parse(Document { $0.append("$text", search) }.view)
        guard case .text(let predicate) = filter.root else {
            throw DBError(.badValue, "no text")
        }
        return predicate.bound(
            to: TextIndexSpecification(
                weights: weights, language: .english, overrideField: "language"))
    }

    struct Row: Sendable {
        let search: Document
        let text: String
        let score: Double?
    }

    @Test(arguments: [
        Row(search: ["$search": "coffee"], text: "Coffee and cakes", score: 0.75),
        Row(search: ["$search": "coffee"], text: "tea", score: nil),
        // The stem is "coffe", so only the second is its term and no more.
        Row(search: ["$search": "coffee"], text: "coffee", score: 1),
        Row(search: ["$search": "tea"], text: "Tea", score: 1.1),
        Row(search: ["$search": "spam"], text: "spam eggs and spam", score: 1.25),
        Row(search: ["$search": "coffee -cake"], text: "Coffee and cakes", score: nil),
        Row(search: ["$search": "-coffee"], text: "tea", score: nil),
        Row(search: ["$search": "\"and cakes\""], text: "Coffee and cakes", score: 0.75),
        Row(search: ["$search": "\"cakes and\""], text: "Coffee and cakes", score: nil),
        Row(search: ["$search": "cafe"], text: "le Café x", score: 2.0 / 3),
        Row(
            search: ["$search": "cafe", "$diacriticSensitive": .bool(true)], text: "le Café x",
            score: nil),
        Row(
            search: ["$search": "coffee", "$caseSensitive": .bool(true)], text: "Coffee tea",
            score: nil),
        Row(search: ["$search": "running"], text: "he runs far", score: 0.75),
        Row(
            search: ["$search": "running", "$language": "none"], text: "he runs far", score: nil),
    ])
    func scores(row: Row) throws {
        let score = try Self.predicate(row.search).score(
            of: Document { $0.append("t", row.text) }.view)
        guard let wanted = row.score else {
            #expect(score == nil, "\(row)")
            return
        }
        let difference = (score ?? -1) - wanted
        #expect(abs(difference) < 1e-9, "\(row) \(score as Any)")
    }

    @Test func weightsMultiply() throws {
        let predicate = try Self.predicate(["$search": "tea"], [("a", 10), ("b.c", 2)])
        let score = try predicate.score(
            of: (["a": "tea cup", "b": [["c": "green tea"]]] as Document).view)
        #expect(score == 10 * 0.75 + 2 * 0.75)
    }
}
