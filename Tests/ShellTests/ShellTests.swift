// The shell's parts: tables, CSV, statements of several lines, completion, connection strings.

import ArgumentParser
import BSON
import Client
import Query
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
            #expect(ColumnWidth.of(String(line)) <= columns, "\(line)")
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
            StatementBuffer.statements(of: text).map(\.text) == [
                "from a\n| where b == 1\n  | limit 3", "from b |\n  count",
                "update a where true set\n  b = { c: 1,\n    d: 2 }", "db.c.find({\n  a: 1 })",
                ".help", "use x",
            ])
    }

    @Test(
        arguments: [
            ("// c", []), ("", []), (" ; ;", []), ("from a; from b", ["from a", "from b"]),
            (
                "from a where x == \";\"; // x; y\nfrom b // z",
                ["from a where x == \";\"", "from b // z"]
            ),
            ("db.c.find({a: /;\"/}); db.c.drop()", ["db.c.find({a: /;\"/})", "db.c.drop()"]),
            ("from a | select { b: 1; c }; from d", ["from a | select { b: 1; c }", "from d"]),
            ("insert into a {b: 4 / 2}; from `x;y`", ["insert into a {b: 4 / 2}", "from `x;y`"]),
            ("// first\nfrom a\n// between\n| limit 3", ["from a\n// between\n| limit 3"]),
            (".help; use x", [".help", "use x"]), ("from a | where 'x", ["from a | where 'x"]),
        ] as [(String, [String])])
    func semicolonsEndStatements(_ text: String, _ statements: [String]) {
        #expect(StatementBuffer.statements(of: text).map(\.text) == statements)
    }

    @Test func errorsCountTheLinesOfTheWholeText() {
        let text = "// c\nfrom a\n\nfrom b; from c |\n  limit x\n"
        let statements = StatementBuffer.statements(of: text)
        #expect(statements.map(\.linesBefore) == [1, 3, 3])
        func placed(_ message: String, _ offset: Int?, _ names: Bool = true) -> String {
            ShellFailure(
                message: message,
                place: offset.map { TextPlace(of: $0, in: statements[2].text) }
            ).placed(behind: statements[2], namesLines: names).message
        }
        #expect(placed("line 2, column 9: no", 17) == "line 5, column 9: no")
        #expect(placed("line 1, column 3: no", 2) == "line 4, column 11: no")
        #expect(placed("no", 2) == "line 4, column 11: no")
        #expect(placed("no", 2, false) == "no")
        #expect(placed("no", nil) == "line 4: no")
        #expect(placed("no", nil, false) == "no")
    }

    @Test(
        arguments: [
            ("n=5", "n", 5), ("n=5.5", "n", 5.5), ("a=b=c", "a", "b=c"), ("x_1=", "x_1", ""),
            ("$s=open", "s", "open"), ("s=\"5\"", "s", "5"), ("l=[1, null]", "l", [1, nil]),
            ("id={\"$numberLong\": \"7\"}", "id", .int64(7)), ("t=true", "t", true),
        ] as [(String, String, Value)])
    func parametersAreJSONOrText(_ given: String, _ name: String, _ value: Value) throws {
        var parameters = ShellParameters()
        try parameters.set(given)
        #expect(parameters.document[name] == value)
        #expect(
            parameters.command("from a")
                == ["query": "from a", "params": .document(parameters.document)])
    }

    @Test(arguments: ["", "n", "=5", "a b=5", "1=2", "a.b=1"])
    func otherParametersAreRefused(_ given: String) {
        var parameters = ShellParameters()
        #expect(throws: ShellFailure.self) { try parameters.set(given) }
        #expect(parameters.command("from a") == ["query": "from a"])
    }

    @Test func helpFitsEightyColumns() {
        let commands: [any ParsableCommand.Type] = [
            Roost.self, Serve.self, Shell.self, Verify.self, RulesCommand.self, RulesCheck.self,
            RulesTest.self, RulesDeploy.self, RulesWhy.self, ImportCommand.self,
            ExportCommand.self, BackupCommand.self, RestoreCommand.self, MigrateCommand.self,
            SchemaCommand.self, Admin.self, CreateAdministrator.self,
        ]
        for command in commands {
            for line in command.configuration.discussion.split(separator: "\n") {
                #expect(line.count <= 78, "\(command): \(line)")
            }
        }
    }

    @Test func statementsKnowWhatStandsBeforeThem() {
        var buffer = StatementBuffer()
        buffer.append("from a |")
        #expect(buffer.needsMore)
        buffer.append("limit 1; from b")
        #expect(!buffer.needsMore)
        #expect(
            buffer.take() == [
                Statement(text: "from a |\nlimit 1", lead: "", isEnded: true),
                Statement(text: "from b", lead: "limit 1; ", isEnded: false, linesBefore: 1),
            ])
        buffer.append("from a; db.c.find({")
        #expect(buffer.needsMore)
    }

    @Test(arguments: [
        ("a", 1), ("ä", 1), ("e\u{301}", 1), ("日本", 4), ("👩‍👩‍👧", 2), ("🇩🇪", 2), ("❤️", 2), ("한", 2),
        ("\u{1112}\u{1161}\u{11ab}", 2), ("", 0), ("ｆ", 2), ("\u{200B}", 0),
    ])
    func widthsOfText(_ text: String, _ width: Int) {
        #expect(ColumnWidth.of(text) == width)
    }

    @Test func explanationsAreTrees() {
        let reply: Document = [
            "queryPlanner": [
                "winningPlan": [
                    "stage": "FETCH", "filter": ["b": ["$eq": 1]],
                    "inputStage": [
                        "stage": "IXSCAN", "indexName": "a_1", "keyPattern": ["a": 1],
                        "direction": "backward", "indexBounds": ["a": ["[1, 5]"]],
                    ],
                ], "rejectedPlans": [["stage": "COLLSCAN"]], "advice": "An index would help.",
            ], "command": ["aggregate": "x", "pipeline": [["$match": [:]], ["$group": [:]]]],
        ]
        #expect(
            ExplainTree.text(of: reply, columns: 80) == """
                FETCH
                  filter: {"b":{"$eq":1}}
                └ IXSCAN on a_1 {"a":1}, backward
                    a: [1, 5]
                Pipeline: $match, $group
                1 other plan was considered (.format json shows all)
                Advice: An index would help.

                """)
        for columns in [40, 50, 60] {
            let text = ExplainTree.text(of: reply, columns: columns)
            #expect(text.split(separator: "\n").allSatisfy { $0.count <= columns }, "\(text)")
        }
    }

    static let replies: [(Document, ShellRequest.Answer, String)] = [
        (["n": 2, "ok": 1.0], .deleted, "{\"acknowledged\":true,\"deletedCount\":2}"),
        (
            ["n": 1, "nModified": 0, "upserted": [["index": 0, "_id": 7]]], .updated,
            "{\"acknowledged\":true,\"insertedId\":7,\"matchedCount\":0,\"modifiedCount\":0,"
                + "\"upsertedCount\":1}"
        ),
        (["n": 1], .inserted(isMany: false), "{\"acknowledged\":true,\"insertedId\":5}"),
        (["n": 1], .inserted(isMany: true), "{\"acknowledged\":true,\"insertedIds\":{\"0\":5}}"),
        (["value": nil, "ok": 1.0], .document("value"), "null"),
        (["n": .int64(3)], .field("n"), "3"), (["values": [1, "a"]], .list("values"), "1\n\"a\""),
        (["ok": 1.0, "operationTime": .int64(1)], .reply, "{\"ok\":1}"),
        (["ns": "x", "ok": 1.0], .reply, "{\"ns\":\"x\"}"),
    ]

    @Test(arguments: replies.indices)
    func repliesAreText(_ index: Int) throws {
        let (reply, answer, text) = Self.replies[index]
        #expect(try ReplyText(.json).text(of: reply, answer, [5]) == text + "\n")
    }

    @Test func errorsInRepliesAreErrors() {
        let error: Value = ["index": 1, "ok": 0.0, "code": 11_000, "errmsg": "E11000"]
        let inserted: Document = ["n": 1, "writeErrors": .array([error])]
        let bulk: Document = ["cursor": ["firstBatch": .array([error])]]
        #expect(throws: DBError.self) {
            try ReplyText(.json).text(of: inserted, .inserted(isMany: true), [])
        }
        #expect(throws: DBError.self) { try ReplyText(.json).text(of: bulk, .bulk, []) }
    }

    @Test func helpFitsTheTerminal() {
        for text in [ShellHelp.general, ShellHelp.database, ShellHelp.collection] {
            #expect(text.split(separator: "\n").allSatisfy { $0.count <= 78 })
        }
    }

    @Test(arguments: [
        ("fr", "om "), ("from or", "ders "), ("from orders | where stat", ""),
        ("from orders | where statu", "s "), ("from orders | where star", "tsWith "),
        ("db.or", "ders "), ("db.orders.findOneA", "nd"), (".he", "lp "), ("from zzz", ""),
        ("from orders; from peo", "ple "), ("from orders | where customer.ci", "ty "),
        ("db.orders.find({stati", "on "), ("db.orders.find({a: {$gt", ""),
        ("db.orders.find({a: {$lt", ""), ("db.orders.find({a: {$elemM", "atch "),
        ("db.orders.find({a: ISO", "Date "), ("db.orders.find({}).sor", "t "),
        ("use ad", "min "), ("show col", "lections "), ("db.getColl", "ection"),
    ])
    func completes(_ line: String, _ insertion: String) {
        let completer = Completer(
            collections: { ["orders", "people"] },
            fields: {
                $0 == "orders" ? ["_id", "status", "station", "customer", "customer.city"] : []
            }, databases: { ["admin", "shop"] })
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

    @Test(
        arguments: [
            ("mongodb://u:p@h", "u", "p", "admin"), ("mongodb://u@h/db", "u", nil, "db"),
            ("mongodb://a%40b:c%3A%C3%A4@h/db?authSource=x", "a@b", "c:ä", "x"),
            ("mongodb://h/db", nil, nil, "db"),
        ] as [(String, String?, String?, String)])
    func connectionStringsOfUsers(
        _ text: String, _ user: String?, _ password: String?, _ source: String
    ) throws {
        let target = try ConnectionString(text)
        #expect(target.host == "h" && target.user == user && target.password == password)
        #expect(target.authSource == source)
    }

    @Test(arguments: [
        "", "mongodb://", "mongodb+srv://h", "mongodb://@h", "mongodb://u:%zz@h", "h:x", "h:99999",
        "a,b", "mongodb://u:p@h/?authMechanism=SCRAM-SHA-1",
    ])
    func badConnectionStrings(_ text: String) {
        #expect(throws: DBError.self) { try ConnectionString(text) }
    }
}
