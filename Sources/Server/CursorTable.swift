// The cursors that clients may ask for more.
//
// A cursor belongs to the session that opened it, or, without one, to its connection, and ends with
// it. While a getMore runs the cursor is taken out, so that two can't read at once; killing it then
// marks it, and it isn't put back.

import BSON
import Roost
import Synchronization

/// What is left to hand out.
enum CursorContent: Sendable {
    /// A query under way.
    case query(QueryCursor)
    /// Documents that are all there already (listCollections, listIndexes), one after another in
    /// `bytes` from `offset` on.
    case list(bytes: [UInt8], offset: Int)
    /// A live query.
    case live(LiveCursor)

    /// Whether a principal may ask for more: app users only of what they opened themselves.
    func mayBeUsed(by principal: Principal) -> Bool {
        guard case .app(let user) = principal else { return true }
        return switch self {
        case .query(let cursor): cursor.user == user
        case .live(let cursor): cursor.user == user
        case .list: false
        }
    }

    /// Memory held, in bytes; roughly.
    var memoryBytes: Int {
        switch self {
        case .query(let cursor): cursor.memoryBytes
        case .list(let bytes, _): bytes.count
        case .live(let cursor): cursor.memoryBytes
        }
    }
}

/// Who may use a cursor, and with whom it ends.
enum CursorOwner: Hashable, Sendable {
    case session(SessionID)
    case connection(Int32)
}

/// A cursor with what getMore needs to know about it.
struct OpenCursor: Sendable {
    let id: Int64
    let namespace: Namespace
    let owner: CursorOwner
    var content: CursorContent
    /// Documents of a batch where getMore names no size; nil for what fits.
    var batchSize: Int?
    /// Whether it outlives the idle time-out.
    var isKeptWhenIdle: Bool
    /// When it was last asked, in nanoseconds of the coarse monotonic clock.
    var lastUse: UInt64
}

/// All cursors of the server.
final class CursorTable: Sendable {
    /// Most cursors open at once. Their memory is bounded apart, so this only bounds what the table
    /// itself holds; live queries that wait are many and small.
    static let cursorsMax = 200_000
    /// Most memory that idle cursors may hold together, in bytes.
    static let memoryBytesMax = 256 << 20

    private struct Slot {
        var cursor: OpenCursor
        var isBusy = false
        /// Killed while busy: gone when it comes back.
        var isKilled = false
        var memoryBytes = 0
    }

    private struct State {
        private(set) var slots: [Int64: Slot] = [:]
        private(set) var memoryBytes = 0
        /// The cursors of each owner that has any: ten thousand connections may end at once.
        private var numbers: [CursorOwner: Set<Int64>] = [:]

        mutating func insert(_ slot: Slot) {
            slots[slot.cursor.id] = slot
            memoryBytes += slot.memoryBytes
            numbers[slot.cursor.owner, default: []].insert(slot.cursor.id)
        }

        mutating func remove(_ id: Int64) {
            guard let slot = slots.removeValue(forKey: id) else { return }
            memoryBytes -= slot.memoryBytes
            numbers[slot.cursor.owner]?.remove(id)
            if numbers[slot.cursor.owner]?.isEmpty == true { numbers[slot.cursor.owner] = nil }
        }

        mutating func update(_ id: Int64, _ body: (inout Slot) -> Void) {
            guard var slot = slots[id] else { return }
            memoryBytes -= slot.memoryBytes
            body(&slot)
            memoryBytes += slot.memoryBytes
            slots[id] = slot
        }

        /// The cursors that `owner` has.
        func cursors(of owner: CursorOwner) -> Set<Int64> { numbers[owner] ?? [] }
    }

    private let state = Mutex(State())

    /// A number that no open cursor has; never 0, never negative.
    func newID() -> Int64 {
        var random = SystemRandomNumberGenerator()
        while true {
            let id = Int64(random.next() >> 1)
            if id != 0, state.withLock({ $0.slots[id] == nil }) { return id }
        }
    }

    /// Keeps a cursor for later getMores.
    ///
    /// - Throws: 146 where there are too many, or they hold too much.
    func add(_ cursor: OpenCursor) throws(DBError) {
        let bytes = cursor.content.memoryBytes
        let fits = state.withLock { state in
            guard state.slots.count < Self.cursorsMax,
                state.memoryBytes + bytes <= Self.memoryBytesMax
            else { return false }
            state.insert(Slot(cursor: cursor, memoryBytes: bytes))
            return true
        }
        guard fits else {
            throw DBError(
                .exceededMemoryLimit,
                "too many open cursors, or they hold too much memory; close those that are not "
                    + "needed, or read with larger batches")
        }
    }

    /// Takes a cursor out to read from it; `putBack` or `remove` must follow.
    func take(
        _ id: Int64, _ namespace: Namespace, session: SessionID?, for principal: Principal
    ) throws(DBError) -> OpenCursor {
        let taken: Result<OpenCursor, DBError> = state.withLock { state in
            guard let slot = state.slots[id], !slot.isKilled,
                slot.cursor.content.mayBeUsed(by: principal)
            else {
                return .failure(DBError(.cursorNotFound, "cursor id \(id) not found"))
            }
            guard slot.cursor.namespace == namespace else {
                return .failure(
                    DBError(
                        .unauthorized,
                        "Requested getMore on namespace '\(namespace)', but cursor belongs to a "
                            + "different namespace \(slot.cursor.namespace)"))
            }
            if let error = Self.sessionError(slot.cursor, session) { return .failure(error) }
            guard !slot.isBusy else {
                return .failure(DBError(.cursorInUse, "cursor id \(id) is already in use"))
            }
            state.update(id) { $0.isBusy = true }
            return .success(slot.cursor)
        }
        return try taken.get()
    }

    private static func sessionError(_ cursor: OpenCursor, _ session: SessionID?) -> DBError? {
        switch (cursor.owner, session) {
        case (.session(let owner), let session?):
            guard owner != session else { return nil }
            return DBError(
                DBError.Code(rawValue: 50_738),
                "Cannot run getMore on cursor \(cursor.id), which was created in another session")
        case (.session, nil):
            return DBError(
                DBError.Code(rawValue: 50_737),
                "Cannot run getMore on cursor \(cursor.id), which was created in a session, "
                    + "without an lsid")
        case (.connection, _?):
            return DBError(
                DBError.Code(rawValue: 50_736),
                "Cannot run getMore on cursor \(cursor.id), which was not created in a session, "
                    + "in a session")
        case (.connection, nil): return nil
        }
    }

    /// Puts a cursor back after a batch. False: it was killed meanwhile and is gone.
    func putBack(_ cursor: OpenCursor) -> Bool {
        let bytes = cursor.content.memoryBytes
        return state.withLock { state in
            guard let slot = state.slots[cursor.id], !slot.isKilled else {
                state.remove(cursor.id)
                return false
            }
            state.update(cursor.id) { slot in
                slot.memoryBytes = bytes
                slot.cursor = cursor
                slot.isBusy = false
            }
            return true
        }
    }

    /// Forgets a cursor that is at its end.
    func remove(_ id: Int64) {
        state.withLock { state in state.remove(id) }
    }

    /// Ends a cursor; false where there is none of that number and namespace.
    func kill(_ id: Int64, _ namespace: Namespace, for principal: Principal) -> Bool {
        state.withLock { state in
            guard let cursor = state.slots[id]?.cursor, cursor.namespace == namespace,
                cursor.content.mayBeUsed(by: principal)
            else { return false }
            return Self.kill(id, &state)
        }
    }

    /// Ends the cursors of sessions or connections.
    func killAll(of owners: Set<CursorOwner>) {
        if owners.isEmpty { return }
        state.withLock { state in
            for owner in owners {
                for id in state.cursors(of: owner) { _ = Self.kill(id, &state) }
            }
        }
    }

    /// Ends the cursors in sessions of those accounts (`ConnectionAccess.sessionOwner`).
    func killAll(ofOwners accounts: Set<UInt64>) {
        if accounts.isEmpty { return }
        state.withLock { state in
            let ids = state.slots.values.filter { slot in
                guard case .session(let session) = slot.cursor.owner else { return false }
                return accounts.contains(session.owner)
            }.map(\.cursor.id)
            for id in ids { _ = Self.kill(id, &state) }
        }
    }

    /// Ends every cursor: the server stops.
    func killAll() {
        state.withLock { state in
            for id in Array(state.slots.keys) { _ = Self.kill(id, &state) }
        }
    }

    /// Ends cursors that nobody has asked since `limit` nanoseconds.
    func expire(now: UInt64, after limit: UInt64) {
        state.withLock { state in
            for (id, slot) in state.slots
            where !slot.isBusy && !slot.cursor.isKeptWhenIdle && now > slot.cursor.lastUse
                && now - slot.cursor.lastUse > limit
            {
                _ = Self.kill(id, &state)
            }
        }
    }

    private static func kill(_ id: Int64, _ state: inout State) -> Bool {
        guard let slot = state.slots[id], !slot.isKilled else { return false }
        switch slot.cursor.content {
        case .query(let cursor): cursor.kill()
        case .live(let cursor): cursor.kill()
        case .list: break
        }
        if slot.isBusy {
            state.update(id) { $0.isKilled = true }
        } else {
            state.remove(id)
        }
        return true
    }

    /// How many cursors are open.
    var count: Int { state.withLock { $0.slots.count } }
}
