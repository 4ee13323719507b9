// A cursor over a snapshot and a draft: the entries of both in key order, the draft's in front.
//
// Both sides stand at their next entry in the direction of the walk; `settle` picks the nearer one
// and steps over what the draft replaces or has removed. A change of direction seeks anew.

extension LMDBStore.Cursor {
    @_lifetime(self: copy self)
    mutating func first(_ walk: DraftWalk) throws(StorageError) -> Bool {
        _ = try storedFirst()
        walk.place = walk.table.first
        return try settle(walk, isForward: true)
    }

    @_lifetime(self: copy self)
    mutating func last(_ walk: DraftWalk) throws(StorageError) -> Bool {
        _ = try storedLast()
        walk.place = walk.table.last
        return try settle(walk, isForward: false)
    }

    @_lifetime(self: copy self)
    mutating func seek(to key: RawSpan, _ walk: DraftWalk) throws(StorageError) -> Bool {
        _ = try find(key, inside: true)
        walk.place = walk.table.lowerBound(key)
        return try settle(walk, isForward: true)
    }

    @_lifetime(self: copy self)
    mutating func seek(before key: RawSpan, _ walk: DraftWalk) throws(StorageError) -> Bool {
        _ = try storedSeek(before: key)
        walk.place = walk.table.last(below: key)
        return try settle(walk, isForward: false)
    }

    /// Moves one entry on or back.
    @_lifetime(self: copy self)
    mutating func step(_ walk: DraftWalk, isForward: Bool) throws(StorageError) -> Bool {
        if walk.side == .nowhere { return isForward ? try first(walk) : try last(walk) }
        if walk.isForward == isForward {
            if walk.side == .draft {
                walk.advance()
            } else {
                try storedStep(isForward: isForward)
            }
            return try settle(walk, isForward: isForward)
        }
        let current = [UInt8](copying: key)
        guard isForward else { return try seek(before: current.span.bytes, walk) }
        // The shortest key above.
        let above = current + [0]
        return try seek(to: above.span.bytes, walk)
    }

    /// Picks the nearer of both sides' entries.
    @_lifetime(self: copy self)
    private mutating func settle(
        _ walk: DraftWalk, isForward: Bool
    ) throws(StorageError) -> Bool {
        walk.isForward = isForward
        while let entry = walk.entry {
            if isPlaced {
                let order = DraftTable.order(entry.key, RawSpan(_unsafeBytes: storedKeyBytes))
                if order == 0 {
                    try storedStep(isForward: isForward)
                } else if (order > 0) == isForward {
                    walk.side = .below
                    return true
                }
            }
            if entry.value != nil {
                walk.side = .draft
                return true
            }
            walk.advance()
        }
        walk.side = isPlaced ? .below : .nowhere
        return isPlaced
    }
}
