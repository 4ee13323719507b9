// .watch and `live from …`: a live query whose result is drawn where it was drawn before, each time it changes.
//
// At a terminal the table is drawn over the one before, at most ten times a second, until Ctrl-C.
// Elsewhere, and with the formats json and csv, each event is written as a line of JSON.

import BSON
import Client
import Query

extension ShellSession {
    /// Follows a query until the interrupt key is pressed.
    func watch(_ query: String) async throws(ShellFailure) {
        guard !query.isEmpty else { throw ShellFailure(message: ".watch takes a query") }
        let (live, statement) = try liveQuery(query)
        let draws = Terminal.isOutput && format == .table
        let task = Task { try await draws ? LiveView.draw(live) : LiveView.write(live) }
        running.begin { task.cancel() }
        let outcome = await task.result
        _ = running.end()
        do {
            try outcome.get()
        } catch let error as DBError {
            throw failure(error, statement, wasInterrupted: false)
        } catch {
            throw ShellFailure(message: "\(error)")
        }
    }

    /// The live query that a statement of either language asks for, and the text that errors are
    /// shown in.
    private func liveQuery(_ query: String) throws(ShellFailure) -> (LiveQuery, String) {
        let remote = Client(target).database(database)
        guard ScriptParser.isScript(query) else {
            let statement = query.hasPrefix("live") ? query : "live " + query
            return (remote.live(statement, parameters: parameters.document), statement)
        }
        let request: ShellRequest
        do throws(ScriptError) {
            request = try ScriptCommands.request(
                try ScriptParser.parse(query), database: database)
        } catch {
            throw ShellFailure(
                message: error.message, place: TextPlace(of: error.offset, in: query))
        }
        let command = request.command
        if case .string(let name)? = command["find"], request.path.isEmpty {
            let taken: Set = ["filter", "sort", "skip", "limit", "projection", "collation"]
            return (remote.collection(name).live(command: Self.fields(command, taken)), query)
        }
        if case .string(let name)? = command["aggregate"], request.path.isEmpty {
            let taken: Set = ["pipeline", "collation", "let"]
            return (remote.collection(name).live(command: Self.fields(command, taken)), query)
        }
        throw ShellFailure(message: ".watch takes a query: from …, db.coll.find or aggregate")
    }

    private static func fields(_ command: Document, _ taken: Set<String>) -> Document {
        Document { writer in
            for name in command.keys where taken.contains(name) {
                if let value = command[name] { writer.append(name, value) }
            }
        }
    }
}

/// What is shown of a live query.
enum LiveView {
    /// Least time between two drawings.
    private static let pause = Duration.milliseconds(100)

    /// Draws the result in place until the task is cancelled.
    static func draw(_ query: LiveQuery) async throws(DBError) {
        var drawing = Drawing()
        var changes = -1
        for try await result in query.results {
            changes += 1
            let rows = result.isOrdered ? result.documents : inOrderOfIDs(result)
            drawing.draw(rows, changes: changes)
            // Meanwhile events gather at the server.
            try? await Task.sleep(for: pause)
        }
    }

    /// Writes the events until the task is cancelled.
    static func write(_ query: LiveQuery) async throws(DBError) {
        for try await event in query {
            Terminal.writeLine(ExtendedJSON.string(of: event.line.view))
        }
    }

    /// Rows without an order stand still when others come and go.
    private static func inOrderOfIDs(_ result: LiveResult) -> [Document] {
        result.rows.map { (id: OwnedValue($0.id), document: $0.document) }
            .sorted { $0.id.view.compare($1.id.view) < 0 }.map(\.document)
    }
}

/// A table that is drawn over itself.
private struct Drawing {
    private var linesDrawn = 0

    mutating func draw(_ rows: [Document], changes: Int) {
        let size = Terminal.size
        let room = max(3, size.rows - 5)
        let table = TextTable(Array(rows.prefix(room)), terminalColumns: size.columns)
        var text = rows.isEmpty ? "no rows\n" : table.text
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
        if lines.count > room + 2 { lines = lines.prefix(room + 2) }
        text = lines.joined(separator: "\n") + "\n"
        let count = "\(rows.count) row\(rows.count == 1 ? "" : "s")"
        let state = "-- live: \(count), \(changes) change\(changes == 1 ? "" : "s"); Ctrl-C ends --"
        // Up to where the last one begins, and nothing of it left.
        let back = linesDrawn > 0 ? "\u{1B}[\(linesDrawn)A\r\u{1B}[J" : ""
        Terminal.write(back + text + state + "\n")
        linesDrawn = lines.count + 1
    }
}

extension LiveEvent {
    /// The event as a line of JSON shows it.
    fileprivate var line: Document {
        Document { writer in
            writer.append("op", kind.rawValue)
            if let id { writer.append("id", id) }
            if let document { writer.append("doc", document) }
            if let index { writer.append("index", Int32(clamping: index)) }
            if let previousIndex { writer.append("from", Int32(clamping: previousIndex)) }
        }
    }
}
