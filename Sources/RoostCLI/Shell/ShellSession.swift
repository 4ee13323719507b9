// What a shell remembers, and how it runs one statement.

import BSON
import Client
import Glibc
import Query
import Synchronization

/// Why a statement failed.
struct ShellFailure: Error {
    var message: String
    /// Where in the statement, if that is known.
    var place: TextPlace?
    var isConnectionLost = false
    var wasInterrupted = false
}

/// The current connection, which the interrupt thread closes to end what runs.
final class RunningQuery: Sendable {
    private struct State {
        var connection: Connection?
        var isRunning = false
        var wasInterrupted = false
    }

    private let state = Mutex(State())

    /// Notes that something runs.
    func begin(_ connection: Connection) {
        state.withLock { $0 = State(connection: connection, isRunning: true) }
    }

    /// Notes that it ended; whether it was interrupted.
    func end() -> Bool {
        state.withLock { state in
            defer { state = State() }
            return state.wasInterrupted
        }
    }

    /// Ends what runs: the server drops the reads of a connection that is gone.
    func interrupt() {
        let connection = state.withLock { state -> Connection? in
            guard state.isRunning else { return nil }
            state.wasInterrupted = true
            return state.connection
        }
        connection?.close()
    }
}

/// A session of the shell. Used by one task at a time.
final class ShellSession {
    let target: ConnectionString
    var database: String
    var format: RowFormat
    var showsTiming = false
    let running = RunningQuery()
    private(set) var connection: Connection?

    /// Rows that are fetched and laid out together where there is no terminal.
    private static let blockRows = 500

    init(_ target: ConnectionString, format: RowFormat) {
        self.target = target
        self.format = format
        database = target.database
    }

    /// The connection, opened where there is none (any more).
    @discardableResult
    func connect() async throws(DBError) -> Connection {
        if let connection, connection.isOpen { return connection }
        let opened = try await Connection.open(target)
        connection = opened
        return opened
    }

    // MARK: Statements

    /// Runs one statement and prints its answer.
    ///
    /// `pages`: whether a long answer stops at each screenful.
    func run(_ statement: String, pages: Bool) async throws(ShellFailure) {
        if statement.hasPrefix(".") { return try await runDotCommand(statement, pages: pages) }
        let words = statement.split { $0 == " " || $0 == "\t" }
        switch (words.first, words.count) {
        case ("use", 2): return try use(String(words[1]))
        case ("show", 2):
            switch words[1] {
            case "dbs", "databases": return try await runDotCommand(".databases", pages: pages)
            case "collections", "tables":
                return try await runDotCommand(".collections", pages: pages)
            default: break
            }
        case ("exit", 1), ("quit", 1): return try await runDotCommand(".quit", pages: pages)
        case ("help", 1): return try await runDotCommand(".help", pages: pages)
        default: break
        }
        if statement == "db" { return print(database) }
        if ScriptParser.isScript(statement) {
            let request: ShellRequest
            do throws(ScriptError) {
                request = try ScriptCommands.request(try ScriptParser.parse(statement))
            } catch {
                throw ShellFailure(
                    message: error.message, place: TextPlace(of: error.offset, in: statement))
            }
            return try await perform(request, statement, pages: pages)
        }
        let request = ShellRequest(command: ["query": .string(statement)], answer: .rows)
        try await perform(request, statement, pages: pages)
    }

    /// Runs a command and prints its answer.
    func perform(
        _ request: ShellRequest, _ statement: String, pages: Bool, isPretty: Bool = false
    ) async throws(ShellFailure) {
        let clock = ContinuousClock()
        let start = clock.now
        var rows: Int?
        do throws(DBError) {
            let connection = try await connect()
            running.begin(connection)
            let database = request.isAdministrative ? "admin" : database
            let reply = try await connection.run(request.command, database: database)
            if case .rows = request.answer {
                let cursor = try Cursor(reply: reply, database: database, on: connection)
                rows = try await show(cursor, pages: pages, isPretty: isPretty)
            } else {
                try show(reply, request.answer)
            }
        } catch {
            let wasInterrupted = running.end()
            throw failure(error, statement, wasInterrupted: wasInterrupted)
        }
        _ = running.end()
        guard showsTiming else { return }
        let elapsed = clock.now - start
        let millis =
            Double(elapsed.components.attoseconds) / 1e15
            + Double(elapsed.components.seconds) * 1_000
        let time = millis < 10 ? Self.rounded(millis, 100) : Self.rounded(millis, 10)
        let count = rows.map { "\($0) row\($0 == 1 ? "" : "s"), " } ?? ""
        print("(\(count)\(time) ms)")
    }

    private static func rounded(_ value: Double, _ factor: Double) -> String {
        "\((value * factor).rounded() / factor)"
    }

    private func failure(
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
        _ cursor: Cursor, pages: Bool, isPretty: Bool
    ) async throws(DBError) -> Int {
        var cursor = cursor
        var count = 0
        let size = Terminal.size
        var writer = RowWriter(format, terminalColumns: size.columns)
        let blockRows = pages ? max(5, size.rows - 4) : Self.blockRows
        var row = try await cursor.next()
        if row == nil, format == .table { print("no rows") }
        while row != nil {
            var block: [Document] = []
            while let document = row, block.count < blockRows {
                block.append(document)
                row = try await cursor.next()
            }
            count += block.count
            if isPretty, format == .table {
                for document in block { print(PrettyJSON.text(.document(document))) }
            } else {
                print(writer.text(of: block), terminator: "")
            }
            if pages, row != nil, !Pager.goesOn(after: count) {
                try await cursor.close()
                break
            }
        }
        if writer.incompleteRows > 0 {
            Terminal.writeError(
                "warning: \(writer.incompleteRows) rows have fields that the header lacks; "
                    + "select the fields you want\n")
        }
        return count
    }

    private func show(_ reply: Document, _ answer: ShellRequest.Answer) throws(DBError) {
        // A write's errors come in a reply that is otherwise fine.
        if case .array(let errors)? = reply["writeErrors"],
            case .document(let first)? = errors.first,
            case .string(let message)? = first["errmsg"], case .int32(let code)? = first["code"]
        {
            throw DBError(DBError.Code(rawValue: code), message)
        }
        switch answer {
        case .field(let name): print(reply[name].map(Cell.text) ?? "")
        case .list(let name):
            guard case .array(let values)? = reply[name] else { return }
            for value in values { print(ExtendedJSON.string(of: OwnedValue(value).view)) }
        case .reply, .rows:
            let hidden: Set<String> = ["ok", "$clusterTime", "operationTime"]
            let shown = Document { writer in
                var fields = reply.view.makeIterator()
                while let field = fields.next() {
                    if !hidden.contains(field.nameString) { writer.append(field) }
                }
            }
            if shown.isEmpty {
                print(format == .json ? "{\"ok\":1}" : "ok")
            } else if format == .json {
                print(ExtendedJSON.string(of: shown.view))
            } else {
                print(PrettyJSON.text(.document(shown)))
            }
        }
    }
}

/// Stops at each screenful.
enum Pager {
    /// Asks whether more is wanted.
    static func goesOn(after count: Int) -> Bool {
        print("-- \(count) rows so far; Enter shows more, q stops --", terminator: "")
        fflush(nil)
        let answer = readLine()
        return answer.map { !$0.lowercased().hasPrefix("q") } ?? false
    }
}
