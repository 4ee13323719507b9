// The shell's parts: tables, CSV, statements of several lines, completion, connection strings.

import BSON
import Client
import Testing

@testable import RoostCLI

@Suite struct ShellTests {
    private static let rows: [Document] = [
        ["_id": 1, "name": "Ann", "note": .string(String(repeating: "long ", count: 20))],
        ["_id": 20, "name": "日本", "n": 2.5], ["_id": 3, "name": "a\u{1B}[2J\n"],
    ]

    @Test(arguments: [20, 30, 40, 80, 200])
    func tablesFitTheTerminal(_ columns: Int) {
        let table = TextTable(Self.rows, terminalColumns: columns).text
        for line in table.split(separator: "\n") {
            #expect(DisplayWidth.of(String(line)) <= columns, "\(line)")
        }
        #expect(!table.contains("\u{1B}"))
    }

    @Test func tablesAlignAndCut() {
        #expect(
            TextTable([["a": 1, "b": "x"], ["a": 100]], terminalColumns: 80).text
                == "  a  b\n───  ─\n  1  x\n100\n")
        #expect(
            TextTable([["a": "123456789012"]], terminalColumns: 8).text
                == "a\n────────\n1234567…\n")
        #expect(TextTable([[:], [:]], terminalColumns: 80).text == "{}\n{}\n")
    }

    @Test func csvIsQuoted() {
        var writer = RowWriter(.csv, terminalColumns: 80)
        #expect(
            writer.text(of: [["a": "x,\"y\"", "b": 1], ["a": "l\nm"]])
                == "a,b\r\n\"x,\"\"y\"\"\",1\r\n\"l\nm\",\r\n")
        _ = writer.text(of: [["c": 1]])
        #expect(writer.incompleteRows == 1)
    }

    @Test func linesBecomeStatements() {
        let text = """
            from a
            | where b == 1
              | limit 3
            from b |
              count;

            update a where true set
              b = { c: 1,
                d: 2 }
            db.c.find({
              a: 1 })
            .help
            use x
            // the end
            """
        #expect(
            StatementBuffer.statements(of: text) == [
                "from a\n| where b == 1\n  | limit 3", "from b |\n  count",
                "update a where true set\n  b = { c: 1,\n    d: 2 }", "db.c.find({\n  a: 1 })",
                ".help", "use x", "// the end",
            ])
    }

    @Test(arguments: [
        ("fr", "om "), ("from or", "ders "), ("from orders | where stat", ""),
        ("from orders | where statu", "s "), ("from orders | where star", "tsWith "),
        ("db.or", "ders "), ("db.orders.findO", "ne "), (".he", "lp "), ("from zzz", ""),
    ])
    func completes(_ line: String, _ insertion: String) {
        let completer = Completer(
            collections: { ["orders", "people"] },
            fields: { $0 == "orders" ? ["_id", "status", "station"] : [] })
        let completion = completer.complete(line)
        #expect(completion.insertion == insertion, "\(line): \(completion)")
        if line.hasSuffix(" stat") { #expect(completion.candidates == ["station", "status"]) }
    }

    @Test(arguments: [
        ("mongodb://h", "h", 27_017, "test", false), ("h:1", "h", 1, "test", false),
        ("mongodb://[::1]:5/db?tls=true&w=1", "::1", 5, "db", true),
        ("mongodb://h/?ssl=false", "h", 27_017, "test", false),
    ])
    func connectionStrings(
        _ text: String, _ host: String, _ port: Int, _ database: String, _ tls: Bool
    ) throws {
        let target = try ConnectionString(text)
        #expect(target.host == host && target.port == port)
        #expect(target.database == database && target.usesTLS == tls)
    }

    @Test(arguments: [
        "", "mongodb://", "mongodb+srv://h", "mongodb://u:p@h", "h:x", "h:99999", "a,b",
    ])
    func badConnectionStrings(_ text: String) {
        #expect(throws: DBError.self) { try ConnectionString(text) }
    }
}
