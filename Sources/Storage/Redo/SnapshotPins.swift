import CLMDB
import Glibc
import Synchronization

/// The two read transactions that keep checkpoints' snapshots: LMDB uses no page again that one of
/// them shows, so the file holds the last durable snapshot whatever is written beside it. Their
/// slots are taken when the store is opened, so readers can't use them up.
///
/// The writer's thread takes, the checkpoint's thread releases, never both at once.
final class SnapshotPins {
    /// Reader slots that they take.
    static let count = 2

    private let environment: OpaquePointer
    // SAFETY: begun in init; ended by `close`, before the environment is closed.
    private var held: OpaquePointer?
    private var taken: OpaquePointer?
    private var idle: OpaquePointer?
    private let heldID = Atomic<UInt64>(0)
    private var takenCommit: UInt64 = 0

    /// The snapshot of the last durable checkpoint. For any thread.
    var heldCommit: UInt64 { heldID.load(ordering: .acquiring) }

    init(_ environment: OpaquePointer) throws(StorageError) {
        self.environment = environment
        idle = try Self.begin(environment)
        held = try Self.begin(environment)
    }

    private static func begin(_ environment: OpaquePointer) throws(StorageError) -> OpaquePointer {
        let transaction = try Registry.begin(environment, flags: UInt32(MDB_RDONLY))
        mdb_txn_reset(transaction)
        return transaction
    }

    /// Pins the snapshot that the store was opened with, which is durable.
    func hold() throws(StorageError) -> UInt64 {
        let code = mdb_txn_renew(held)
        guard code == 0 else { throw LMDBCode.error(code, "mdb_txn_renew") }
        heldID.store(UInt64(mdb_txn_id(held)), ordering: .releasing)
        return heldCommit
    }

    /// Pins the newest commit beside the one held, and answers its number.
    func take() throws(StorageError) -> UInt64 {
        guard let pin = idle else { throw .unexpected(operation: "taking a pin", code: 0) }
        let code = mdb_txn_renew(pin)
        guard code == 0 else { throw LMDBCode.error(code, "mdb_txn_renew") }
        (taken, idle) = (pin, nil)
        takenCommit = UInt64(mdb_txn_id(pin))
        return takenCommit
    }

    /// Lets go of the pin held before: the one taken since is durable.
    func advance() {
        guard let pin = taken else { return }
        mdb_txn_reset(held)
        (held, idle, taken) = (pin, held, nil)
        heldID.store(takenCommit, ordering: .releasing)
    }

    /// Lets go of the pin taken last, whose checkpoint failed.
    func giveUp() {
        guard let pin = taken else { return }
        mdb_txn_reset(pin)
        (idle, taken) = (pin, nil)
    }

    /// Whether LMDB still knows of the pin held: without it pages of the durable snapshot may have
    /// been written over.
    var isListed: Bool {
        var lines: [String] = []
        withUnsafeMutablePointer(to: &lines) { lines in
            _ = mdb_reader_list(
                environment,
                { line, context in
                    guard let line, let context else { return 0 }
                    // SAFETY: LMDB passes on the pointer given below, within that call.
                    context.assumingMemoryBound(to: [String].self).pointee
                        .append(String(cString: line))
                    return 0
                }, lines)
        }
        // Process, thread and snapshot of each reader that has one.
        return lines.contains { line in
            let fields = line.split { $0 == " " || $0 == "\n" }
            return fields.count == 3 && Int32(fields[0]) == getpid()
                && UInt64(fields[2]) == heldCommit
        }
    }

    /// Ends both.
    func close() {
        for transaction in [held, taken, idle] {
            if let transaction { mdb_txn_abort(transaction) }
        }
        (held, taken, idle) = (nil, nil, nil)
    }
}
