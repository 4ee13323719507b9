// Errors of the text language: where they are and what was expected.

import BSON
import TestSupport
import Testing

@testable import Query

@Suite struct TextErrorTests {
    private static func error(_ text: String, _ parameters: Document = [:]) -> DBError? {
        do throws(DBError) {
            _ = try TextQuery.compile(text, parameters: parameters.view, ExpressionScope())
            return nil
        } catch {
            return error
        }
    }

    @Test(arguments: [
        ("", 1, 1, "expected 'from'"),
        ("select 1", 1, 1, "expected 'from', 'insert'"),
        ("from", 1, 5, "expected a collection's name"),
        ("from a | ", 1, 10, "expected 'where', 'sort'"),
        ("from a\n| whre b", 2, 3, "found 'whre'"),
        ("from a | where b ==", 1, 20, "expected a value, a field or '('"),
        ("from a | where b = 1", 1, 18, "expected an operator, '|' or the end of the query"),
        ("from a | where (b", 1, 18, "expected an operator or ')'"),
        ("from a | where [1, 2", 1, 21, "expected an operator, ',' or ']'"),
        ("from a | where 'x", 1, 16, "there is no closing '"),
        ("from a | where \"\\q\"", 1, 17, "escape"),
        ("from a | where ä == 'ö' && #", 1, 28, "unexpected character"),
        ("from a | where 1 < b < 3", 1, 22, "can't be chained"),
        ("from a | where b is sting", 1, 21, "found 'sting'"),
        ("from a | limit b", 1, 16, "a whole number"),
        ("from a | limit 0", 1, 16, "at least 1"),
        ("from a | skip -1", 1, 15, "at least 0"),
        ("from a | sort b, -b", 1, 19, "occurs twice"),
        ("from a | select { b, b: 1 }", 1, 22, "occurs twice"),
        ("from a | select { `x.y`: 1 }", 1, 19, "a name here"),
        ("from a | where lowr(b) == 1", 1, 16, "did you mean lower"),
        ("from a | where lower(b, c) == 1", 1, 16, "takes 1 argument, not 2"),
        ("from a | where count() > 1", 1, 16, "only known in the braces of 'group'"),
        ("from a | group b { c: sum(d) + 1 }", 1, 30, "expected addToSet(…)"),
        ("from a | group b", 1, 17, "'{' with what to compute"),
        ("from a | group b | count", 1, 18, "'{' with what to compute"),
        ("from a | group b { _id: sum(d) }", 1, 20, "holds the group's key"),
        ("from a | where b == $c", 1, 21, "the parameter $c is not bound"),
        ("from a | where b == date('x')", 1, 26, "date() takes a date"),
        ("from a | where b == objectId('12')", 1, 30, "24 hexadecimal digits"),
        ("from a | where b == 99999999999999999999", 1, 21, "does not fit 64 bits"),
        ("from a | where b == 12x", 1, 23, "an operator behind the number"),
        ("insert into a { b: c }", 1, 20, "there is no document here"),
        ("insert into a 5", 1, 15, "expected a document"),
        ("update a set b = 1", 1, 10, "where true"),
        ("update a where true", 1, 20, "'set'"),
        ("update a where true set b = 1, b = 2", 1, 32, "changed twice"),
        ("update a where true set b", 1, 26, "expected '='"),
        ("delete from a", 1, 14, "where true"),
        ("create table a", 1, 8, "expected 'index' or 'collection'"),
        ("create index on a (b) where lower(b) == 'x'", 1, 38, "an index's condition"),
        ("from a | join b on c == d", 1, 26, "expected 'as'"),
        ("from a | where b = 1", 1, 18, "found '=' (write '==' to compare)"),
        ("from a | where b == 1 and c == 2", 1, 23, "found 'and' (write '&&')"),
        ("from a | where b == 1 OR c == 2", 1, 23, "found 'OR' (write '||')"),
        ("from a | where not (b == 1)", 1, 16, "write '!'"),
        ("from a | where not b", 1, 20, "expected an operator"),
        ("from a | where b like 'x%'", 1, 18, "startsWith"),
        ("from a | where b <> 1", 1, 18, "expected '!='"),
        ("from a | where b == “x”", 1, 21, "straight quotes"),
        ("from a where b == 1", 1, 8, "(write '| where')"),
        ("from a | where b limit 3", 1, 18, "(write '| limit')"),
        ("from a | order by b", 1, 10, "(write '| sort a, -b')"),
        ("select * from a", 1, 1, "(write 'from COLLECTION"),
        ("FROM a", 1, 1, "keywords are lower case"),
        ("update a set b = 2 where c == 1", 1, 10, "where … set"),
    ])
    func isLocated(_ text: String, _ line: Int32, _ column: Int32, _ part: String) throws {
        let error = try #require(Self.error(text), "\(text) compiles")
        #expect(error.code == .failedToParse)
        #expect(error.message.contains(part), "\(error.message)")
        #expect(error.details["line"] == .int32(line), "\(error.message)")
        #expect(error.details["column"] == .int32(column), "\(error.message)")
        // The caret stands below the column.
        let lines = error.message.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.last?.last == "^" && lines.last?.count == Int(column))
    }

    @Test(arguments: [
        ("restore a", 10, "'where' (write `where true` to restore all documents)"),
        ("purge from a where", 19, "expected"),
        ("live from a onlyDeleted | count", 13, "expected '|'"),
        ("from a deleted | count", 8, "'withDeleted', 'onlyDeleted'"),
        ("create collection a softDelete 30", 32, "a duration"),
        ("from a onlyDeleted | where deletedAt(1) == 2", 28, "deletedAt() takes 0 arguments"),
    ])
    func deletedDocumentsHaveTheirPlace(
        _ text: String, _ column: Int32, _ part: String
    ) throws {
        let error = try #require(Self.error(text), "\(text) compiles")
        #expect(error.code == .failedToParse)
        #expect(error.message.contains(part), "\(error.message)")
        #expect(error.details["column"] == .int32(column), "\(error.message)")
    }

    @Test func sizesAndDepthsAreBounded() throws {
        let many = 20_000
        for (text, part) in [
            (String(repeating: "(", count: many) + "a", "nests more than"),
            (String(repeating: "[", count: many), "nests more than"),
            (String(repeating: "{a:", count: many), "nests more than"),
            (String(repeating: "!", count: many) + "a", "nests more than"),
            ("a" + String(repeating: "[0]", count: many), "nests more than"),
            ("a" + String(repeating: ".b", count: many), "field names"),
            ("a" + String(repeating: ".f()", count: many), "nests more than"),
            ("a" + String(repeating: " - 1", count: many), "nests more than"),
            (String(repeating: "a ? b : ", count: many) + "c", "nests more than"),
            (String(repeating: "1,", count: 60_000), "words and symbols"),
            (String(repeating: " ", count: 1 << 21), "bytes"),
        ] {
            let error = try #require(Self.error("from a | where " + text))
            #expect(error.message.contains(part), "\(error.message.prefix(200))")
            #expect(error.details["line"] == .int32(1))
        }
        let stages = "from a" + String(repeating: " | count", count: 501)
        #expect(try #require(Self.error(stages)).message.contains("500 stages"))
        // Long but flat is fine.
        let flat = (0..<10_000).map { "b == \($0)" }.joined(separator: " || ")
        #expect(Self.error("from a | where " + flat) == nil)
    }

    /// Statements cut, repeated, swapped and spoilt at random: always an answer, never a crash, and
    /// errors lie within the text.
    @Test(arguments: 0..<20)
    func mutatedTextIsRefusedWithAPlace(_ seed: UInt64) throws {
        var random = RandomSource(seed: seed)
        for _ in 0..<400 {
            let text = TextMutator.mutant(&random)
            guard let error = Self.error(text, ["x": 1, "user": "u"]) else { continue }
            guard error.code == .failedToParse, case .int32(let offset)? = error.details["offset"]
            else { continue }
            #expect(0...text.utf8.count ~= Int(offset), "seed \(seed): \(text)")
        }
    }
}

/// Makes statements that are nearly right.
enum TextMutator {
    private static let corpus = [
        "from orders | where status == \"open\" && total > 100 && \"gift\" in tags | sort -a, b",
        "from orders | group status { n: count(), revenue: sum(total) } | sort -revenue",
        "from orders | join customers on customerId == _id as customer | unwind customer outer",
        "insert into orders { status: \"open\", total: 5, at: date(\"2026-01-01\"), l: [1, {a: 2}] }",
        "update orders where status == $x set total = total * 1.1, a.b = -c, unset note, d",
        "delete from orders where any(i in items: i.price > 10 || !(i.n is number)) // all",
        "create index on orders (status, -createdAt) unique where status != \"void\"",
        "explain full from a | select { o: { x, `y z`: a ? b[0].c : d.e(1) } } | limit $user",
    ]
    private static let pieces = [
        "(", ")", "[", "]", "{", "}", "|", "||", "\"", "'", "`", "$", "$x", "\\", "\\u", "\\uD800",
        "0", "9e999", "-", "!", ".", ",", ":", "==", "in", "is", "not", "from", "where", "set",
        "null", "\u{0}", "ä", "𝄞", "\n", "any(", "count()", "date('x')", "; ", "//", "1.", "?",
    ]

    /// A statement after up to eight mutations.
    static func mutant(_ random: inout RandomSource) -> String {
        var bytes = Array(corpus[random.below(corpus.count)].utf8)
        for _ in 0...random.below(8) {
            let place = random.below(bytes.count + 1)
            switch random.below(5) {
            case 0: bytes.insert(contentsOf: pieces[random.below(pieces.count)].utf8, at: place)
            case 1: bytes.removeSubrange(place..<min(bytes.count, place + random.below(12)))
            case 2: bytes = Array(bytes[..<place])
            case 3:
                let end = min(bytes.count, place + random.below(30))
                let part = bytes[place..<end]
                for _ in 0...random.below(4) { bytes.insert(contentsOf: part, at: place) }
            default: if place < bytes.count { bytes[place] = UInt8(random.below(128)) }
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
