// The shell at a terminal: prompt, several lines to a statement, errors under what was typed.

import BSON
import Client
import Glibc
import Query

/// Reads and runs statements until the end of input.
final class InteractiveShell {
    private let session: ShellSession
    private var buffer = StatementBuffer()
    /// A line that was read but belongs to the next statement.
    private var heldLine: String?
    /// How many lines were read since the statement began.
    private var linesRead = 0

    init(_ session: ShellSession) {
        self.session = session
        session.showsTiming = true
    }

    /// Runs until `.quit` or the end of input.
    func run() async throws {
        do throws(DBError) {
            try await session.connect()
        } catch {
            throw FailureMessage(description: error.message)
        }
        let lookup = NameLookup(session)
        let completer = Completer(
            collections: lookup.collections, fields: lookup.fields(of:),
            databases: lookup.databases)
        guard let editor = LineEditor(historyPath: Self.historyPath, complete: completer.complete)
        else { throw FailureMessage(description: "this terminal can't be used") }
        defer { editor.close() }
        let running = session.running
        Terminal.onInterrupt { running.interrupt() }
        Terminal.writeLine(
            "Connected to \(session.target.host):\(session.target.port). Type .help for help.")
        while await step(editor) {}
    }

    /// Reads a line and runs what is complete; false at the end.
    private func step(_ editor: LineEditor) async -> Bool {
        let prompt = buffer.isEmpty ? "\(session.database)> " : "   ... "
        guard let line = nextLine(editor, prompt) else {
            Terminal.writeLine("")
            return false
        }
        guard case .line(let text) = line else {
            Terminal.writeLine("^C")
            buffer = StatementBuffer()
            linesRead = 0
            return true
        }
        let isEmptyLine = text.allSatisfy(\.isWhitespace)
        if buffer.isEmpty, isEmptyLine { return true }
        linesRead += 1
        if !isEmptyLine {
            buffer.append(text)
            if buffer.needsMore { return true }
        }
        // Pasted text may go on with a stage.
        while editor.hasPendingInput, case .line(let next)? = nextLine(editor, "") {
            guard StatementBuffer.continues(next) else {
                heldLine = next
                break
            }
            linesRead += 1
            buffer.append(next)
        }
        return await runStatements(editor, prompt)
    }

    private func runStatements(_ editor: LineEditor, _ prompt: String) async -> Bool {
        let isOneLine = linesRead == 1
        let whole = buffer.text
        linesRead = 0
        let statements = buffer.take()
        guard !statements.isEmpty else { return true }
        editor.remember(whole)
        for statement in statements {
            do throws(ShellFailure) {
                try await session.run(statement.text, pages: session.format == .table)
            } catch {
                if error.message == ShellSession.quitMark { return false }
                // Behind the first statement's output the line is no longer right above.
                let isAbove = isOneLine && statement == statements.first
                show(error, under: isAbove ? prompt + statement.lead : nil, statement.text)
                return true
            }
        }
        return true
    }

    /// Shows an error; the caret under the line that was typed, where that is one and fits.
    private func show(_ failure: ShellFailure, under lead: String?, _ statement: String) {
        if failure.wasInterrupted { return Terminal.writeLine("cancelled") }
        if let place = failure.place {
            let typed = String((lead ?? "") + statement)
            if let lead, ColumnWidth.of(typed) < Terminal.size.columns {
                let before = lead + String(statement.unicodeScalars.prefix(place.column - 1))
                Terminal.writeLine(String(repeating: " ", count: ColumnWidth.of(before)) + "^")
            } else {
                Terminal.writeLine(place.marked)
            }
        }
        Terminal.writeLine("error: \(failure.message)")
    }

    private func nextLine(_ editor: LineEditor, _ prompt: String) -> LineEditor.Outcome? {
        if let held = heldLine {
            heldLine = nil
            Terminal.writeLine(prompt + held)
            return .line(held)
        }
        switch editor.read(prompt: prompt) {
        case .end: return nil
        case let outcome: return outcome
        }
    }

    private static var historyPath: String? {
        if let path = getenv("ROOST_HISTORY") { return String(cString: path) }
        return getenv("HOME").map { String(cString: $0) + "/.roost_history" }
    }
}

/// Asks the server for names while a line is being typed.
private final class NameLookup {
    private let session: ShellSession

    init(_ session: ShellSession) {
        self.session = session
    }

    func collections() -> [String] {
        guard let reply = answer(["listCollections": 1, "nameOnly": true]) else { return [] }
        return ShellSession.names(in: reply, "cursor.firstBatch")
    }

    func databases() -> [String] {
        guard let reply = answer(["listDatabases": 1, "nameOnly": true], database: "admin") else {
            return []
        }
        return ShellSession.names(in: reply, "databases")
    }

    /// The fields of a few documents, dotted where they lie in others.
    func fields(of collection: String) -> [String] {
        let command: Document = [
            "find": .string(collection), "limit": 20, "singleBatch": true,
        ]
        guard let reply = answer(command), case .document(let cursor)? = reply["cursor"],
            case .array(let list)? = cursor["firstBatch"]
        else { return [] }
        let rows = list.compactMap { value -> Document? in
            if case .document(let document) = value { document } else { nil }
        }
        var names: [String] = []
        for row in rows { Self.collect(row, "", &names) }
        return names
    }

    private static func collect(_ document: Document, _ prefix: String, _ names: inout [String]) {
        for name in document.keys where names.count < 1_000 {
            let full = prefix + name
            if !names.contains(full) { names.append(full) }
            var inner = document[name]
            if case .array(let list)? = inner { inner = list.first }
            if case .document(let below)? = inner, prefix.count(where: { $0 == "." }) < 3 {
                collect(below, full + ".", &names)
            }
        }
    }

    /// The editor waits for this, on its own thread, so it must not take long.
    private func answer(_ command: Document, database: String? = nil) -> Document? {
        guard let connection = session.connection, connection.isOpen else { return nil }
        let command = Document { writer in
            writer.appendFields(of: command.view)
            writer.append("maxTimeMS", Int32(500))
        }
        return try? connection.runBlocking(command, database: database ?? session.database)
    }
}
