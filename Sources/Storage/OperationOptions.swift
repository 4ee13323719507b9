/// What an operation declares about itself, so that one operation's failure never undoes another's
/// work and costs nothing where it needn't.
package struct OperationOptions: Sendable {
    /// How a failing operation is undone.
    package enum Mode: Sendable {
        /// It throws only before its first change. (One that throws later all the same is undone
        /// too, but the whole group then runs again one by one.)
        case checksFirst
        /// It may throw at any time: it runs in a nested transaction of its own.
        case nested
    }

    /// How a failing operation is undone.
    package var mode: Mode
    /// Deletes and the like: runs also when the quota or the disk is nearly full.
    package var mayUseReserve: Bool
    /// About how many bytes it writes; bounds the queue and the group.
    package var byteCount: Int
    /// Where its completion runs, a small number that `GroupHooks.completer` understands; nil: on
    /// the writer's thread.
    package var completionPlace: Int?

    /// Declares an operation; `byteCount` is a rough sum of the keys and values it writes.
    package init(
        _ mode: Mode = .checksFirst, mayUseReserve: Bool = false, byteCount: Int = 0
    ) {
        self.mode = mode
        self.mayUseReserve = mayUseReserve
        self.byteCount = byteCount
    }
}

/// What the engine does once a group. All run on the writer's thread, but for `didStopWrites`.
package struct GroupHooks<Transaction: ~Copyable>: Sendable {
    /// After the last operation of a group that changed something, before its commit; what it
    /// writes is part of the commit. An error undoes the group, whose operations run again singly.
    package var willCommit: (@Sendable (inout Transaction) throws -> Void)?
    /// After the commit is durable, before any completion; gets the commit's snapshot id.
    package var didCommit: (@Sendable (UInt64) -> Void)?
    /// After a group was undone: forget what was derived from it.
    package var didAbort: (@Sendable () -> Void)?
    /// After a failure that stops all writes for good; gets the reason. On any thread.
    package var didStopWrites: (@Sendable (String) -> Void)?
    /// Runs the completions of a group that belong to a place there, on another thread, so that
    /// the writer goes on with the next group; nil: the writer runs them itself.
    package var completer: (@Sendable (Int, @escaping @Sendable () -> Void) -> Void)?

    /// No hooks unless set.
    package init(
        willCommit: (@Sendable (inout Transaction) throws -> Void)? = nil,
        didCommit: (@Sendable (UInt64) -> Void)? = nil,
        didAbort: (@Sendable () -> Void)? = nil,
        didStopWrites: (@Sendable (String) -> Void)? = nil,
        completer: (@Sendable (Int, @escaping @Sendable () -> Void) -> Void)? = nil
    ) {
        self.willCommit = willCommit
        self.didCommit = didCommit
        self.didAbort = didAbort
        self.didStopWrites = didStopWrites
        self.completer = completer
    }
}
