// What a connection is doing, for other threads to see: currentOp lists it, killOp ends it, and the
// profiler reads from it when the operation ends.
//
// Only operations that leave the event loop are noted here, under a lock that nobody else wants: an
// operation that is answered in place is over before anyone could ask for it.

import BSON
import Query
import Roost
import Synchronization
import Wire

/// One operation under way.
struct RunningOperation: Sendable {
    /// Its number, by which killOp names it.
    let number: Int32
    /// When it began, on the monotonic clock, in nanoseconds.
    let startedAt: UInt64
    let request: Request
    /// Ends it; nil where it ends soon by itself, as plain inserts do.
    var interrupt: Interrupt?
    /// Whether it was killed before it was known how.
    fileprivate var isKilled = false

    init(number: Int32, startedAt: UInt64, request: Request) {
        self.number = number
        self.startedAt = startedAt
        self.request = request
    }

    /// Whether it is one of the commands that write documents.
    var isWrite: Bool {
        guard let name = request.body.first?.name else { return false }
        return name.equals("insert") || name.equals("update") || name.equals("delete")
            || name.equals("findAndModify") || name.equals("findandmodify")
            || name.equals("bulkWrite")
    }
}

/// The place of a connection's running operation. Safe from any thread.
final class OperationSlot: Sendable {
    /// Who is connected.
    struct Client: Sendable {
        let connection: Int32
        var address = ""
        var appName: String?
        /// The service account that signed in.
        var user: QualifiedName?
    }

    private struct State {
        var client: Client
        var running: RunningOperation?
        /// What the operation read, once that is known.
        var report: ReadReport?
    }

    private let state: Mutex<State>

    init(connection: Int32) {
        state = Mutex(State(client: Client(connection: connection)))
    }

    /// Who is connected.
    var client: Client {
        get { state.withLock { $0.client } }
        set { state.withLock { $0.client = newValue } }
    }

    /// The operation that runs now, off the event loop.
    var running: RunningOperation? { state.withLock { $0.running } }

    /// Notes the operation that runs from now on.
    func begin(_ operation: RunningOperation) {
        state.withLock { $0.running = operation }
    }

    /// Says how the running operation can be ended.
    func set(_ interrupt: Interrupt) {
        let isKilled = state.withLock { state in
            state.running?.interrupt = interrupt
            return state.running?.isKilled == true
        }
        if isKilled { interrupt.kill(.interrupted) }
    }

    /// Ends the operation of that number at its next check, if it is the one that runs.
    func kill(_ number: Int32) {
        let interrupt = state.withLock { state in
            guard state.running?.number == number else { return Interrupt?.none }
            state.running?.isKilled = true
            return state.running?.interrupt
        }
        interrupt?.kill(.interrupted)
    }

    /// Notes that nothing runs any more.
    func end() {
        state.withLock {
            $0.running = nil
            $0.report = nil
        }
    }

    /// Keeps what the operation read until it is profiled.
    func note(_ report: ReadReport) {
        state.withLock { $0.report = report }
    }

    /// Hands out what the operation read, once.
    func takeReport() -> ReadReport? {
        state.withLock { state in
            defer { state.report = nil }
            return state.report
        }
    }
}

/// The slots of all connections, for currentOp and killOp.
final class OperationTable: Sendable {
    private let slots = Mutex<[Int32: OperationSlot]>([:])
    private let last = Atomic<Int32>(0)

    /// A number for an operation.
    func nextNumber() -> Int32 { last.wrappingAdd(1, ordering: .relaxed).newValue }

    /// Adds a connection.
    func add(_ slot: OperationSlot) {
        let number = slot.client.connection
        slots.withLock { $0[number] = slot }
    }

    /// Removes a connection.
    func remove(connection: Int32) {
        slots.withLock { _ = $0.removeValue(forKey: connection) }
    }

    /// What runs now, by the number of the operation.
    var all: [(client: OperationSlot.Client, operation: RunningOperation)] {
        let slots = slots.withLock { Array($0.values) }
        return slots.compactMap { slot in slot.running.map { (slot.client, $0) } }
            .sorted { $0.operation.number < $1.operation.number }
    }

    /// Ends an operation at its next check, where it runs and can be ended.
    func kill(_ number: Int32) {
        for slot in slots.withLock({ Array($0.values) }) { slot.kill(number) }
    }
}
