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
            collections: lookup.collections, fields: lookup.fields(of:))
        guard let editor = LineEditor(historyPath: Self.historyPath, complete: completer.complete)
        else { throw FailureMessage(description: "this terminal can't be used") }
        defer { editor.close() }
        let running = session.running
        Terminal.onInterrupt { running.interrupt() }
        print("Connected to \(session.target.host):\(session.target.port). Type .help for help.")
        while await step(editor) {}
    }

    /// Reads a line and runs what is complete; false at the end.
    private func step(_ editor: LineEditor) async -> Bool {
        let prompt = buffer.isEmpty ? "\(session.database)> " : "   ... "
        guard let line = nextLine(editor, prompt) else {
            print("")
            return false
        }
        guard case .line(let text) = line else {
            print("^C")
            buffer = StatementBuffer()
            return true
        }
        if buffer.isEmpty, text.allSatisfy(\.isWhitespace) { return true }
        let isEmptyLine = text.allSatisfy(\.isWhitespace)
        if !isEmptyLine { buffer.append(text) }
        if !isEmptyLine, buffer.needsMore { return true }
        // Pasted text may go on with a stage.
        while editor.hasPendingInput, case .line(let next)? = nextLine(editor, "") {
            guard StatementBuffer.continues(next) else {
                heldLine = next
                break
            }
            buffer.append(next)
        }
        return await runStatement(editor, prompt)
    }

    private func runStatement(_ editor: LineEditor, _ prompt: String) async -> Bool {
        let isOneLine = !buffer.text.contains("\n")
        let typed = buffer.text
        let statement = buffer.take()
        guard !statement.isEmpty else { return true }
        editor.remember(statement)
        do throws(ShellFailure) {
            try await session.run(statement, pages: session.format == .table)
        } catch {
            if error.message == ShellSession.quitMark { return false }
            if error.wasInterrupted {
                print("cancelled")
            } else {
                let indent = typed.prefix { $0.isWhitespace }.count
                show(error, under: isOneLine ? prompt.count + indent : nil, statement)
            }
        }
        fflush(nil)
        return true
    }

    /// Shows an error; the caret under the line that was typed, where that is one and fits.
    private func show(_ failure: ShellFailure, under indent: Int?, _ statement: String) {
        if let place = failure.place {
            let width = Terminal.size.columns
            if let indent, indent + statement.unicodeScalars.count < width {
                print(String(repeating: " ", count: indent + place.column - 1) + "^")
            } else {
                print(place.marked)
            }
        }
        print("error: \(failure.message)")
    }

    private func nextLine(_ editor: LineEditor, _ prompt: String) -> LineEditor.Outcome? {
        if let held = heldLine {
            heldLine = nil
            print(prompt + held)
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

    /// The fields of a few documents.
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
        return TextTable.columns(of: rows)
    }

    /// The editor waits for this, on its own thread, so it must not take long.
    private func answer(_ command: Document) -> Document? {
        guard let connection = session.connection, connection.isOpen else { return nil }
        let command = Document { writer in
            writer.appendFields(of: command.view)
            writer.append("maxTimeMS", Int32(500))
        }
        return try? connection.runBlocking(command, database: session.database)
    }
}
