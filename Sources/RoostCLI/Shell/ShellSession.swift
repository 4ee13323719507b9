// What a shell remembers, and how it runs one statement.

import BSON
import Client
import Glibc
import Query

/// Why a statement failed.
struct ShellFailure: Error {
    var message: String
    /// Where in the statement, if that is known.
    var place: TextPlace?
    var isConnectionLost = false
    var wasInterrupted = false

    /// The failure with its place in the text that the statement is a part of, not in the statement.
    /// - Parameter namesLines: whether the message shall name the line where it does not yet.
    func placed(behind statement: Statement, namesLines: Bool) -> ShellFailure {
        guard !isConnectionLost else { return self }
        var failure = self
        let line = (place?.line ?? 1) + statement.linesBefore
        guard let place else {
            if namesLines { failure.message = "line \(line): \(message)" }
            return failure
        }
        let lead = place.line == 1 ? statement.lead.unicodeScalars.count : 0
        let inStatement = "line \(place.line), column \(place.column): "
        let inText = "line \(line), column \(place.column + lead): "
        if message.hasPrefix(inStatement) {
            failure.message = inText + message.dropFirst(inStatement.count)
        } else if namesLines {
            failure.message = inText + message
        }
        return failure
    }
}

/// A session of the shell. Used by one task at a time.
final class ShellSession {
    let target: ConnectionString
    var database: String
    var format: RowFormat
    var showsTiming = false
    /// What `$name` stands for.
    var parameters = ShellParameters()
    let running: RunningQuery
    private(set) var connection: Connection?

    /// Rows that are fetched and laid out together where there is no terminal.
    private static let blockRows = 500

    init(_ target: ConnectionString, format: RowFormat) {
        self.target = target
        self.format = format
        running = RunningQuery(target)
        database = target.database
    }

    /// The connection, opened where there is none (any more).
    @discardableResult
    func connect() async throws(DBError) -> Connection {
        if let connection, connection.isOpen { return connection }
        let opened = try await Connection.open(target)
        try await opened.greet(appName: "roost shell")
        connection = opened
        return opened
    }

    // MARK: Statements

    /// Runs one statement and prints its answer.
    ///
    /// `pages`: whether a long answer stops at each screenful.
    func run(_ statement: String, pages: Bool) async throws(ShellFailure) {
        if statement.hasPrefix(".") { return try await runDotCommand(statement, pages: pages) }
        if try await runShellWord(statement, pages: pages) { return }
        if ScriptParser.isScript(statement) {
            if statement == "db" { return Terminal.writeLine(database) }
            let request: ShellRequest
            do throws(ScriptError) {
                request = try ScriptCommands.request(
                    try ScriptParser.parse(statement), database: database)
            } catch {
                throw ShellFailure(
                    message: error.message, place: TextPlace(of: error.offset, in: statement))
            }
            return try await perform(request, statement, pages: pages)
        }
        let first = statement.prefix { $0.isLetter }
        // Its result never ends, so it can't be laid out as a whole.
        if first == "live" { return try await watch(statement) }
        let isExplanation = first == "explain"
        try await perform(
            ShellRequest(
                command: parameters.command(statement),
                answer: isExplanation ? .explanationRow : .rows), statement, pages: pages)
    }

    /// Runs `use x`, `show dbs` and their like; whether it was one.
    private func runShellWord(
        _ statement: String, pages: Bool
    ) async throws(ShellFailure) -> Bool {
        let words = statement.split(whereSeparator: \.isWhitespace)
        switch (words.first, words.count) {
        case ("use", 2): try use(String(words[1]))
        case ("show", 2):
            switch words[1] {
            case "dbs", "databases": try await runDotCommand(".databases", pages: pages)
            case "collections", "tables": try await runDotCommand(".collections", pages: pages)
            case "profile": try await showProfile(pages: pages)
            default:
                throw ShellFailure(
                    message: "show takes dbs, collections or profile",
                    place: TextPlace(of: 5, in: statement))
            }
        case ("exit", 1), ("quit", 1): try await runDotCommand(".quit", pages: pages)
        case ("help", 1): try await runDotCommand(".help", pages: pages)
        case ("cls", 1): Terminal.write("\u{1B}[H\u{1B}[2J")
        default: return false
        }
        return true
    }

    /// The newest commands that the profiler took.
    private func showProfile(pages: Bool) async throws(ShellFailure) {
        let command: Document = [
            "find": "system.profile", "sort": ["$natural": -1], "limit": 5,
            "projection": [
                "_id": 0, "ts": 1, "op": 1, "ns": 1, "millis": 1, "planSummary": 1,
                "docsExamined": 1, "nreturned": 1,
            ],
        ]
        try await perform(
            ShellRequest(command: command, answer: .rows), "show profile", pages: pages)
    }

    /// Runs a command and prints its answer.
    func perform(
        _ request: ShellRequest, _ statement: String, pages: Bool
    ) async throws(ShellFailure) {
        if case .text(let text) = request.answer { return Terminal.writeLine(text) }
        let clock = ContinuousClock()
        let start = clock.now
        var rows: Int?
        do throws(DBError) {
            rows = try await answer(request, pages: pages)
        } catch {
            let wasInterrupted = running.end()
            throw failure(error, statement, wasInterrupted: wasInterrupted)
        }
        guard !running.end() else {
            throw ShellFailure(message: "cancelled", wasInterrupted: true)
        }
        guard showsTiming else { return }
        let elapsed = clock.now - start
        let millis =
            Double(elapsed.components.attoseconds) / 1e15
            + Double(elapsed.components.seconds) * 1_000
        let time = millis < 10 ? Self.rounded(millis, 100) : Self.rounded(millis, 10)
        let count = rows.map { "\($0) row\($0 == 1 ? "" : "s"), " } ?? ""
        Terminal.writeLine("(\(count)\(time) ms)")
    }

    /// Sends the command and shows what comes; how many rows that were, where rows come.
    private func answer(
        _ request: ShellRequest, pages: Bool
    ) async throws(DBError) -> Int? {
        let connection = try await connect()
        running.begin(connection)
        let database = request.database ?? database
        let (command, ids) = request.withIDs()
        let reply = try await connection.run(command, database: database)
        switch request.answer {
        case .rows, .one, .changes, .explanationRow, .names:
            var cursor = try Cursor(reply: reply, database: database, on: connection)
            do throws(DBError) {
                return try await show(&cursor, request, pages: pages)
            } catch {
                // The server need not keep what nobody will read.
                try? await cursor.close()
                throw error
            }
        default:
            let shown = try ReplyText(format).text(
                of: reply, request.answer, path: request.path, ids)
            var pager = Pager(isOn: pages)
            _ = pager.show(shown, after: 0)
            return nil
        }
    }

    private static func rounded(_ value: Double, _ factor: Double) -> String {
        "\((value * factor).rounded() / factor)"
    }

    /// What the shell says of an error; the place where the statement has it.
    func failure(
        _ error: DBError, _ statement: String, wasInterrupted: Bool
    ) -> ShellFailure {
        if wasInterrupted { return ShellFailure(message: "cancelled", wasInterrupted: true) }
        if error.code == .hostUnreachable {
            return ShellFailure(message: error.message, isConnectionLost: true)
        }
        guard error.details["line"] != nil, case .int32(let offset)? = error.details["offset"]
        else {
            return ShellFailure(message: "\(error.message) (\(error.code.name))")
        }
        // The message's further lines show the place, which is shown in our own way.
        let message = error.message.split(separator: "\n").first.map(String.init) ?? error.message
        return ShellFailure(
            message: message, place: TextPlace(of: Int(offset), in: statement))
    }

    // MARK: Answers

    /// Prints a cursor's documents; how many there were.
    private func show(
        _ cursor: inout Cursor, _ request: ShellRequest, pages: Bool
    ) async throws(DBError) -> Int? {
        switch request.answer {
        case _ where !request.path.isEmpty:
            Terminal.write(ReplyText(format).part(try await part(&cursor, request)))
            return nil
        case .one:
            let row = try await cursor.next()
            try await cursor.close()
            Terminal.writeLine(row.map { ReplyText(format).document(.document($0)) } ?? "null")
            return nil
        case .changes:
            while !running.wasInterrupted, let change = try await cursor.next() {
                Terminal.writeLine(ExtendedJSON.string(of: change.view))
            }
            try await cursor.close()
            return nil
        case .explanationRow:
            let row = try await cursor.next() ?? Document()
            var pager = Pager(isOn: pages)
            _ = pager.show(try ReplyText(format).text(of: row, .explanation, []), after: 0)
            return nil
        case .names:
            while let row = try await cursor.next() {
                if case .string(let name)? = row["name"] { Terminal.writeLine(name) }
            }
            return nil
        default:
            return try await showRows(&cursor, isPretty: request.isPretty, pages: pages)
        }
    }

    /// The part of a cursor's documents that the request wants; nil where it isn't there.
    private func part(
        _ cursor: inout Cursor, _ request: ShellRequest
    ) async throws(DBError) -> Value? {
        var path = request.path[...]
        var row = try await cursor.next()
        if request.answer != .one {
            switch path.popFirst() {
            case .field("length")?:
                var count: Int32 = 0
                while row != nil, !running.wasInterrupted {
                    count += 1
                    row = try await cursor.next()
                }
                return ResultPath.part(of: .int32(count), at: path)
            case .element(let index)?:
                var left = index
                while row != nil, left > 0, !running.wasInterrupted {
                    left -= 1
                    row = try await cursor.next()
                }
            default: row = nil
            }
        }
        try await cursor.close()
        guard let row else { return nil }
        let value = request.answer == .names ? row["name"] ?? .null : .document(row)
        return ResultPath.part(of: value, at: path)
    }

    private func showRows(
        _ cursor: inout Cursor, isPretty: Bool, pages: Bool
    ) async throws(DBError) -> Int {
        var count = 0
        let size = Terminal.size
        var writer = RowWriter(format, terminalColumns: size.columns)
        var pager = Pager(isOn: pages)
        // A page's rows are laid out together, with room for the header and the question.
        let blockRows = pages ? max(5, size.rows - 4) : Self.blockRows
        var row = try await cursor.next()
        if row == nil, format == .table { Terminal.writeLine("no rows") }
        var goesOn = true
        while row != nil, goesOn, !running.wasInterrupted {
            var block: [Document] = []
            while let document = row, block.count < blockRows, !running.wasInterrupted {
                block.append(document)
                row = try await cursor.next()
            }
            let texts =
                isPretty && format == .table
                ? block.map { PrettyJSON.text(.document($0)) + "\n" } : writer.texts(of: block)
            if pages {
                for text in texts where goesOn {
                    goesOn = pager.show(text, after: count)
                    if goesOn { count += 1 }
                }
            } else {
                Terminal.write(texts.joined())
                count += block.count
            }
        }
        if row != nil { try await cursor.close() }
        if writer.incompleteRows > 0 {
            Terminal.writeError(
                "warning: \(writer.incompleteRows) rows have fields that the header lacks; "
                    + "select the fields you want\n")
        }
        return count
    }
}
