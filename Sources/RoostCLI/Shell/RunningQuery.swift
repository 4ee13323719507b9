// What runs for the shell, so that Ctrl-C can end it at the server: a second connection finds the
// operation by the first one's number and kills it. Where that doesn't help, the connection goes.

import BSON
import Client
import Synchronization

/// The command under way. Safe from any thread.
final class RunningQuery: Sendable {
    private struct State {
        var connection: Connection?
        /// Ends what runs, where that isn't a command of a connection.
        var action: (@Sendable () -> Void)?
        var wasInterrupted = false
        /// Counts commands, so that a late kill hits none but its own.
        var number = 0
    }

    private let state = Mutex(State())
    private let target: ConnectionString
    /// How long a killed operation may take to end.
    private static let patience = Duration.seconds(1)

    init(_ target: ConnectionString) {
        self.target = target
    }

    /// Notes that something runs.
    func begin(_ connection: Connection) {
        state.withLock { state in
            state.connection = connection
            state.wasInterrupted = false
            state.number += 1
        }
    }

    /// Notes that something runs which `action` ends.
    func begin(endedBy action: @escaping @Sendable () -> Void) {
        state.withLock { state in
            state.action = action
            state.wasInterrupted = false
        }
    }

    /// Notes that it ended; whether it was interrupted.
    func end() -> Bool {
        state.withLock { state in
            state.connection = nil
            state.action = nil
            defer { state.wasInterrupted = false }
            return state.wasInterrupted
        }
    }

    /// Whether the interrupt key was pressed since `begin`.
    var wasInterrupted: Bool { state.withLock { $0.wasInterrupted } }

    /// Ends what runs.
    func interrupt() {
        let running = state.withLock { state -> (Connection, Int)? in
            if let action = state.action {
                state.wasInterrupted = true
                action()
            }
            guard let connection = state.connection else { return nil }
            // Pressed again: don't wait any longer.
            if state.wasInterrupted {
                connection.close()
                return nil
            }
            state.wasInterrupted = true
            return (connection, state.number)
        }
        guard let (connection, number) = running else { return }
        Task {
            await kill(connection, number)
            try? await Task.sleep(for: Self.patience)
            if isCurrent(number) { connection.close() }
        }
    }

    private func isCurrent(_ number: Int) -> Bool {
        state.withLock { $0.connection != nil && $0.number == number }
    }

    private func kill(_ connection: Connection, _ number: Int) async {
        guard let id = connection.serverNumber,
            let other = try? await Connection.open(target, timeoutSeconds: 2)
        else { return connection.close() }
        defer { other.close() }
        let listed = try? await other.run(
            ["currentOp": 1, "connectionId": .int64(id)], database: "admin")
        guard case .array(let operations)? = listed?["inprog"], isCurrent(number) else { return }
        for case .document(let operation) in operations {
            guard let opid = operation["opid"] else { continue }
            _ = try? await other.run(["killOp": 1, "op": opid], database: "admin")
        }
    }
}
