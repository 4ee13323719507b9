// Logical sessions: which there are and when each was used last. Clients make them up (`lsid`); the
// server only remembers them, and ends what belongs to one that was not used for 30 minutes.

import BSON
import Synchronization
import Wire

/// A session's identity: the UUID in `lsid.id`.
struct SessionID: Hashable, Sendable {
    let high: UInt64
    let low: UInt64
    /// Whose session it is: the same UUID from another account is another session. 0 where nobody
    /// signs in.
    var owner: UInt64 = 0

    /// Reads an `lsid`.
    init(_ lsid: DocumentView) throws(DBError) {
        guard let id = lsid.value("id") else {
            throw DBError(.idlMissingField, "BSON field 'lsid.id' is missing but a required field")
        }
        guard let binary = id.binary, binary.content.byteCount == 16,
            binary.subtype == 4 || binary.subtype == 3
        else {
            throw DBError(
                .typeMismatch, "BSON field 'lsid.id' is the wrong type, expected a UUID")
        }
        // SAFETY: the content has 16 bytes.
        high = UInt64(bigEndian: binary.content.unsafeLoadUnaligned(as: UInt64.self))
        low = UInt64(
            bigEndian: binary.content.unsafeLoadUnaligned(fromByteOffset: 8, as: UInt64.self))
    }

    /// The sixteen bytes of the UUID.
    var bytes: [UInt8] {
        withUnsafeBytes(of: high.bigEndian) { Array($0) }
            + withUnsafeBytes(of: low.bigEndian) { Array($0) }
    }

    /// The 16 bytes that outcomes of retryable writes are kept under: the UUID, where someone signed
    /// in mixed with the account, so that nobody is given what came of another's write.
    var outcomeName: [UInt8] {
        guard owner != 0 else { return bytes }
        let owned = bytes + withUnsafeBytes(of: owner.bigEndian) { Array($0) }
        return Array(SecureRandom.digest(owned).prefix(16))
    }

    /// The `id` as BSON has it.
    var value: Value {
        var writer = DocumentWriter()
        writer.appendRaw(high.byteSwapped)
        writer.appendRaw(low.byteSwapped)
        return .binary(subtype: 4, writer.bytes)
    }
}

/// All sessions of the server.
final class SessionTable: Sendable {
    /// How long a session lives after its last use, in minutes: told to drivers in hello.
    static let timeoutMinutes: Int32 = 30
    /// Most sessions remembered. MongoDB's own bound is a million.
    static let sessionsMax = 200_000

    private let lastUses = Mutex<[SessionID: UInt64]>([:])

    /// How often sessions were ended; a touch before the last time may have been undone.
    private let endings = Atomic<Int>(0)

    /// A connection's last noted use.
    struct Touch {
        fileprivate let id: SessionID
        fileprivate let at: UInt64
        fileprivate let endings: Int
    }

    /// Nanoseconds in which a connection's uses of one session count as one.
    private static let touchNanos: UInt64 = 1_000_000_000

    /// Notes a use as below, unless the connection's `last` was of the same session and recent.
    func touch(_ id: SessionID, now: UInt64, _ last: inout Touch?) throws(DBError) {
        let endings = endings.load(ordering: .acquiring)
        if let last, last.id == id, last.endings == endings, now &- last.at < Self.touchNanos {
            return
        }
        last = Touch(id: id, at: now, endings: endings)
        try touch(id, now: now)
    }

    /// Notes a use at `now` (nanoseconds of the monotonic clock).
    ///
    /// - Throws: 261 TooManyLogicalSessions.
    func touch(_ id: SessionID, now: UInt64) throws(DBError) {
        let fits = lastUses.withLock { sessions in
            if sessions[id] == nil, sessions.count >= Self.sessionsMax { return false }
            sessions[id] = now
            return true
        }
        if !fits {
            throw DBError(
                DBError.Code(rawValue: 261),
                "Unable to add session; there are \(Self.sessionsMax) already. "
                    + "End sessions that are no longer used")
        }
    }

    /// Forgets sessions, known or not.
    func end(_ ids: [SessionID]) {
        lastUses.withLock { sessions in
            for id in ids { sessions[id] = nil }
        }
        endings.wrappingAdd(1, ordering: .releasing)
    }

    /// Forgets all and says which there were.
    func endAll() -> [SessionID] {
        let ids = lastUses.withLock { sessions in
            defer { sessions.removeAll() }
            return Array(sessions.keys)
        }
        endings.wrappingAdd(1, ordering: .releasing)
        return ids
    }

    /// Forgets those not used for 30 minutes and says which.
    func expire(now: UInt64) -> [SessionID] {
        let age = UInt64(Self.timeoutMinutes) * 60 * 1_000_000_000
        let expired = lastUses.withLock { sessions in
            let expired = sessions.filter { now > $0.value && now - $0.value > age }.map(\.key)
            for id in expired { sessions[id] = nil }
            return expired
        }
        if !expired.isEmpty { endings.wrappingAdd(1, ordering: .releasing) }
        return expired
    }

    /// All of them with their last uses (nanoseconds of the monotonic clock), in no order.
    var all: [(id: SessionID, lastUse: UInt64)] {
        lastUses.withLock { sessions in sessions.map { ($0.key, $0.value) } }
    }

    /// How many there are.
    var count: Int { lastUses.withLock { $0.count } }
}
