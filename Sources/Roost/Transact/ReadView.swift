// Snapshots that last beyond one call: those of transactions, and of reads with the concern
// `snapshot`. Each has a reader of its own, which one thread at a time uses.

package import BSON
import Storage
import Synchronization

/// A snapshot with the catalog that belongs to it.
package final class ReadView: Sendable {
    /// What the lock guards: the use of `reader`, and this.
    struct State {
        /// The catalog that the snapshot shows.
        var catalog: CatalogSnapshot
        /// The snapshot; nil once it is gone.
        fileprivate var reader: Reader?
        /// Why it is gone.
        fileprivate var end: DBError?

        fileprivate mutating func use<R>(
            _ body: (Reader, inout State) throws -> R
        ) throws -> R {
            guard let reader else {
                throw end ?? DBError(.snapshotUnavailable, "The snapshot is gone")
            }
            return try body(reader, &self)
        }
    }

    /// The newest time whose commits it shows.
    package let time: Timestamp
    /// The store's number of the snapshot.
    let snapshotID: UInt64
    /// Keeps what is read; nil where nobody asks.
    let reads: ReadSet?
    private let state: Mutex<State>

    /// Takes the newest snapshot.
    /// - Throws: `exceededMemoryLimit` where no more snapshots can be had.
    init(_ engine: RoostEngine, keeping reads: ReadSet? = nil) throws(DBError) {
        self.reads = reads
        do {
            let reader = try engine.store.makeReader()
            var catalog = engine.catalog
            time = engine.clock.newest
            var snapshotID = try reader.pin()
            // A commit between the two looks would give the one without the other.
            while engine.catalog.version != catalog.version {
                catalog = engine.catalog
                snapshotID = try reader.pin()
            }
            self.snapshotID = snapshotID
            state = Mutex(State(catalog: catalog, reader: reader))
        } catch {
            throw DBError(engineFailure: error)
        }
    }

    /// Runs `body` with the reader to itself; nil where another thread has it and this one mustn't
    /// wait.
    /// - Throws: what `body` throws, and why the snapshot is gone.
    func use<R: Sendable>(
        mayWait: Bool = true, _ body: (Reader, inout State) throws -> R
    ) throws -> R? {
        if mayWait { return try state.withLock { state in try state.use(body) } }
        return try state.withLockIfAvailable { state in try state.use(body) }
    }

    /// Hands the snapshot over to one user; later uses throw `error`.
    /// - Throws: why the snapshot is gone.
    func take(_ error: DBError) throws -> Reader {
        try state.withLock { state in
            let reader = try state.use { reader, _ in reader }
            state.reader = nil
            state.end = error
            return reader
        }
    }

    /// Whether the snapshot is still there; true while it is in use.
    var isHeld: Bool { state.withLockIfAvailable { $0.reader != nil } ?? true }

    /// Lets go of the snapshot; later uses throw `error`.
    func end(_ error: DBError) {
        state.withLock { state in
            guard let reader = state.reader else { return }
            reader.invalidate()
            state.reader = nil
            state.end = error
        }
    }
}
