// The contract between the engine and what keeps its bytes: ordered tables in transactions.
//
// A store holds tables; a table maps keys (1 to 503 bytes, ordered as unsigned bytes, shorter
// first) to values (0 to 16 MiB and some). Reads see a snapshot: all that was committed before it
// was taken and nothing after. Writes are operations that one writer runs one after another, many
// of them in one commit.
//
// Who owns bytes: what a transaction or cursor hands out is lent. A value lives until the
// transaction is next changed (the compiler sees to it) and never beyond the transaction; a
// cursor's key and value until the cursor moves. Keys and values passed in are copied before the
// call returns. Bodies are synchronous: nothing lent crosses an `await`.
//
// Errors: StorageError. `corrupted` concerns one entry, and the transaction goes on; `noSuchTable`,
// `invalidKey` and `valueTooLarge` have changed nothing. Any other error of a writing call spoils
// the transaction, even if the operation catches it: the group is undone and its operations run
// again one by one.
//
// Operations are re-runnable: one may run several times before its completion is called, because
// the group it was in was undone. It changes nothing outside the transaction; what must happen
// once belongs in the completion.

/// A source of ordered tables with one writer and any number of readers.
package protocol OrderedStore: Sendable {
    /// Hands out snapshots.
    associatedtype Reader: StoreReader
    /// What an operation changes tables through.
    associatedtype WriteTransaction: WritableTransaction, ~Copyable

    /// Makes a reader for one event loop or thread. Throws `readersFull`, `closed`.
    func makeReader() throws(StorageError) -> Reader

    /// Queues an operation. `completion` is called exactly once: on the writer's thread when the
    /// commit is durable (or the operation failed), or on the calling thread, before this returns,
    /// with `busy`, `closed` or `writesStopped` when it can't be queued. Completions run in the
    /// order of the queue; a slow one delays every write behind it.
    func submit<R: Sendable>(
        _ options: OperationOptions,
        _ operation: @escaping @Sendable (inout WriteTransaction) throws -> R,
        completion: @escaping @Sendable (Result<R, any Error>) -> Void)

    /// Queues an operation and waits until it is durable. Throws what the operation throws, and
    /// StorageError. Never from an event loop, nor from a completion (`wouldDeadlock`).
    func perform<R: Sendable>(
        _ options: OperationOptions,
        _ operation: @escaping @Sendable (inout WriteTransaction) throws -> R
    ) throws -> R

    /// Sets what runs once a group, from the next one on.
    func setGroupHooks(_ hooks: GroupHooks<WriteTransaction>)

    /// Counters and gauges, all 0 once closed; costs microseconds.
    func statistics() -> StoreStatistics

    /// Goes over every table and entry (of `tables`; nil: of all): order, checksums, counts. `progress` is called now and then
    /// with what was seen so far. Throws where the walk itself can't go on; faults of single entries
    /// are in the report. Runs beside reads and writes.
    func verify(
        only tables: Set<TableID>?, progress: (VerifyReport) -> Void
    ) throws(StorageError) -> VerifyReport

    /// Finishes the queued operations and refuses new ones. The files are released when the last
    /// reader is gone. Idempotent.
    func close()
}

/// A renewable read transaction, used by one thread at a time.
package protocol StoreReader: AnyObject, Sendable {
    /// What the body reads through.
    associatedtype Transaction: ReadableTransaction, ~Copyable
    /// What edits change a draft through.
    associatedtype EditTransaction: WritableTransaction, ~Copyable

    /// Runs `body` on the newest snapshot (or the pinned one) and lets go of it. Where no snapshot
    /// can be had, every read in the body throws the reason.
    func read<R: ~Copyable, E: Error>(
        _ body: (borrowing Transaction) throws(E) -> R
    ) throws(E) -> R

    /// Until `release`, the snapshot of a read that ends is kept, and serves the next read if nothing
    /// was committed since: reads that follow each other closely are spared taking one each.
    func retain()

    /// Lets go of the snapshot that `retain` kept.
    func release()

    /// Takes the newest snapshot and keeps it for all reads until `invalidate`, and answers its id.
    /// A kept snapshot keeps all pages freed since: keep it short.
    @discardableResult
    func pin() throws(StorageError) -> UInt64

    /// Lets go of a pinned snapshot, and of its draft. Not inside `read`.
    func invalidate()

    /// About how many bytes were replaced or removed since the snapshot `snapshotID`, all of which
    /// are kept while it is in use; counts no further than `most`.
    func keptBytes(since snapshotID: UInt64, atMost most: UInt64) throws(StorageError) -> UInt64

    /// Begins a draft over the pinned snapshot: changes in memory, at most `bytesMax` bytes, which
    /// reads show from now on as if they were made.
    func beginDraft(bytesMax: Int)

    /// Changes the draft as an operation would change the store; throws `closed` where there is
    /// none, `draftTooLarge`. A body that throws leaves the changes that it made.
    func edit<R>(_ body: (inout EditTransaction) throws -> R) throws -> R

    /// As `read`, without what the draft changed.
    func readBelowDraft<R: ~Copyable, E: Error>(
        _ body: (borrowing Transaction) throws(E) -> R
    ) throws(E) -> R

    /// The draft's changes in order.
    var draftChanges: [DraftChange] { get }

    /// Ends the draft: reads show the pinned snapshot as it is. Answers its changes in order.
    func endDraft() -> [DraftChange]
}

/// What reads share in read and write transactions.
package protocol ReadableTransaction: ~Copyable {
    /// Walks a table.
    associatedtype Cursor: OrderedCursor, ~Copyable, ~Escapable

    /// The number of the commit that the snapshot shows; in a write transaction the number that
    /// its commit will have.
    var snapshotID: UInt64 { get }

    /// The value under `key`, checksum verified; nil if there is none. Logarithmic; no allocation.
    @_lifetime(borrow self)
    func value(_ table: TableID, _ key: RawSpan) throws(StorageError) -> RawSpan?

    /// Replaces `bytes` by a copy of the value under `key`, whose room is used again; false (and
    /// `bytes` empty) if there is none. For operations, which must let go of a lent value before
    /// their next change.
    func copyValue(
        _ table: TableID, _ key: RawSpan, into bytes: inout [UInt8]
    ) throws(StorageError) -> Bool

    /// The number of entries, exact, in constant time.
    func entryCount(_ table: TableID) throws(StorageError) -> UInt64

    /// A cursor before the first entry. What stands in its way (`noSuchTable` …) is thrown by its
    /// first move.
    @_lifetime(borrow self)
    func cursor(_ table: TableID) -> Cursor

    /// Ascending keys that divide the entries of `range` into at most `partsMax` parts of about
    /// equal bytes, none much below `partBytesMin`; none where that can't be told quickly. They
    /// need not be keys of entries, and later snapshots may divide otherwise.
    func splitKeys(
        _ table: TableID, _ range: SplitRange, partsMax: Int, partBytesMin: Int
    ) -> [[UInt8]]
}

extension ReadableTransaction where Self: ~Copyable {
    /// No keys: each range is one part.
    package func splitKeys(
        _ table: TableID, _ range: SplitRange, partsMax: Int, partBytesMin: Int
    ) -> [[UInt8]] { [] }
}

/// The keys from `low` on that are below `high`; an empty `high` is above all keys.
package struct SplitRange: Sendable {
    package let low: [UInt8]
    package let high: [UInt8]

    package init(low: [UInt8], high: [UInt8]) {
        self.low = low
        self.high = high
    }
}

/// A place in a table. New cursors stand before the first and after the last entry at once: `next`
/// goes to the first, `previous` to the last. A move that finds nothing answers false and leaves
/// the cursor in that same state.
package protocol OrderedCursor: ~Copyable, ~Escapable {
    /// Moves to the first entry.
    mutating func first() throws(StorageError) -> Bool
    /// Moves to the last entry.
    mutating func last() throws(StorageError) -> Bool
    /// Moves to the first entry whose key is not below `key`; an empty key is the first entry.
    mutating func seek(to key: RawSpan) throws(StorageError) -> Bool
    /// Moves to the last entry whose key is below `key`.
    mutating func seek(before key: RawSpan) throws(StorageError) -> Bool
    /// Moves one entry on.
    mutating func next() throws(StorageError) -> Bool
    /// Moves one entry back.
    mutating func previous() throws(StorageError) -> Bool

    /// The key at the cursor, not verified (the checksum of the value covers it); empty when the
    /// cursor stands on no entry.
    var key: RawSpan { @_lifetime(borrow self) get }
    /// The value at the cursor; the checksum is verified at each call, so call once. Empty when the
    /// cursor stands on no entry.
    @_lifetime(borrow self)
    func value() throws(StorageError) -> RawSpan
}

/// A write transaction: reads see its own writes.
package protocol WritableTransaction: ReadableTransaction, ~Copyable {
    /// Stores `value` under `key`, replacing what is there.
    mutating func put(_ table: TableID, key: RawSpan, value: RawSpan) throws(StorageError)

    /// Stores `value` under `key` if there is nothing yet; false, and nothing changed, if there is.
    mutating func insert(_ table: TableID, key: RawSpan, value: RawSpan) throws(StorageError)
        -> Bool

    /// As `put`, with the hint that `key` is above all keys of the table: ascending runs fill pages
    /// completely. A wrong hint only costs time.
    mutating func append(_ table: TableID, key: RawSpan, value: RawSpan) throws(StorageError)

    /// Removes `key`; false if it wasn't there.
    mutating func delete(_ table: TableID, key: RawSpan) throws(StorageError) -> Bool

    /// Makes an empty table with an id never used before.
    mutating func createTable() throws(StorageError) -> TableID

    /// Makes a table unreachable with this commit, in constant time. Snapshots taken earlier still
    /// read it; its space is given back step by step afterwards, also after a restart.
    mutating func dropTable(_ table: TableID) throws(StorageError)

    /// Runs `body`, and undoes all that it did if it throws. Costs about a microsecond.
    mutating func nested<R>(_ body: (inout Self) throws -> R) throws -> R
}
