import BSON
import TestSupport
import Testing

@testable import RoostCLI

/// What `roost import` and `roost export` make of cells and columns; Tests/EndToEnd/transfer.py has
/// the rest.
@Suite struct TransferTests {
    @Test(
        arguments: [
            ("", [("", false)]), ("a,b", [("a", false), ("b", false)]),
            ("a,,", [("a", false), ("", false), ("", false)]),
            ("\"a,\"\"b\"\"\",\"\"", [("a,\"b\"", true), ("", true)]),
            ("a\"b,\"x\"y", [("a\"b", false), ("xy", true)]),
        ] as [(String, [(String, Bool)])])
    func cells(_ row: String, _ expected: [(String, Bool)]) {
        let cells = CSVCell.cells(of: Array(row.utf8), separator: UInt8(ascii: ","))
        #expect(cells == expected.map { CSVCell(text: $0.0, isQuoted: $0.1) })
    }

    @Test func quotedCellsComeBack() {
        var random = RandomSource(seed: 11)
        let letters = ["a", "\"", ",", "\t", "\n", "\r", "ä", "𝄞", " ", ";"]
        for _ in 0..<2_000 {
            let separator = UInt8(ascii: random.oneIn(2) ? "," : "\t")
            let texts = (0..<1 + random.below(5)).map { _ in
                (0..<random.below(8)).map { _ in letters[random.below(letters.count)] }.joined()
            }
            let row = texts.map { CSVCell.quoted($0, separator: separator) }
                .joined(separator: separator == 0x09 ? "\t" : ",")
            let cells = CSVCell.cells(of: Array(row.utf8), separator: separator)
            #expect(cells.map(\.text) == texts, "\(row)")
        }
    }

    @Test(
        arguments: [
            (CSVType.auto, "5", Value.int32(5)), (.auto, "3000000000", .int64(3_000_000_000)),
            (.auto, "1e3", .double(1000)), (.auto, "nan", .string("nan")),
            (.auto, "0x10", .string("0x10")), (.auto, "infinity", .string("infinity")),
            (.auto, "-", .string("-")), (.auto, "007", .string("007")), (.auto, "0", .int32(0)),
            (.auto, "+49", .string("+49")), (.auto, "-0.5e-1", .double(-0.05)),
            (.auto, "1.", .string("1.")), (.int32, "3000000000", nil),
            (.boolean, "TRUE", .bool(true)),
            (.boolean, "yes", nil), (.date, "2020-01-01T00:00:00Z", .date(1_577_836_800_000)),
            (.date, "yesterday", nil), (.binary, "AAE=", .binary(subtype: 0, [0, 1])),
            (.binary, "A", nil),
            (.objectId, "12", nil), (.json, "[1, {\"a\": null}]", [1, ["a": nil]]),
            (.json, "{", nil),
            (.decimal, "1.50", .decimal128(low: 150, high: 0x303C_0000_0000_0000)),
        ] as [(CSVType, String, Value?)])
    func types(_ type: CSVType, _ text: String, _ value: Value?) {
        #expect(type.value(CSVCell(text: text, isQuoted: false)) == value)
        if let value, type != .auto, type != .boolean, type != .json {
            #expect(type.text(value) == text)
        }
    }

    @Test(
        arguments: [
            ("orders.ndjson", TransferFormat.ndjson), ("a/b.JSONL.gz", .ndjson), ("x.json", .json),
            ("x.csv", .csv), ("x.bson.gz", .bson), ("x.txt", nil), ("-", nil),
        ] as [(String, TransferFormat?)])
    func formats(_ path: String, _ format: TransferFormat?) {
        #expect(TransferFormat(path: path) == format)
    }
}
