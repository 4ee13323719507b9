// A lock against writes: operations wait, all that was committed is in a checkpoint, and no file of
// the folder changes, so that others may copy it (fsync with lock).

extension Writer {
    /// Has writes wait from now on, until `unlock` was called as often; true when no file changes
    /// any more, false (and not locked) where that took longer than `timeoutMillis`.
    func lock(timeoutMillis: UInt64) -> Bool {
        queue.withLock { $0.locks += 1 }
        queue.wake()
        let isAtRest = queue.wait(timeoutMillis: timeoutMillis) { queue -> Bool? in
            queue.isAtRest || queue.isClosing ? true : nil
        }
        if isAtRest == nil { unlock() }
        return isAtRest != nil
    }

    /// Ends one lock; answers how many are left, nil where there was none.
    @discardableResult
    func unlock() -> Int? {
        let left = queue.withLock { queue -> Int? in
            guard queue.locks > 0 else { return nil }
            queue.locks -= 1
            if queue.locks == 0 { queue.isAtRest = false }
            return queue.locks
        }
        queue.wake()
        return left
    }

    /// Comes to rest where there is a lock; whether there is one. On the writer's thread.
    func rest() -> Bool {
        let isDone = queue.withLock { queue -> Bool? in
            queue.locks > 0 && !queue.isClosing ? queue.isAtRest : nil
        }
        guard let isDone else { return false }
        if !isDone {
            settle()
            queue.withLock { $0.isAtRest = $0.locks > 0 }
            queue.wake()
        }
        return true
    }
}

extension LMDBStore {
    /// How many have locked writes out.
    package var writeLocks: Int { writer?.queue.withLock { $0.locks } ?? 0 }

    /// Has writes wait from now on, until `unlockWrites` was called as often. Answers how many locks
    /// there are once no file of the folder changes any more; nil, and not locked, where that took
    /// longer than `timeoutMillis`. Waits, so never from an event loop.
    package func lockWrites(timeoutMillis: UInt64) throws(StorageError) -> Int? {
        guard let writer else { throw .closed }
        guard writer.lock(timeoutMillis: timeoutMillis) else { return nil }
        return writer.queue.withLock { $0.locks }
    }

    /// Ends one lock; answers how many are left, nil where there was none.
    package func unlockWrites() -> Int? { writer?.unlock() }
}
