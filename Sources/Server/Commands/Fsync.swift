// fsync and fsyncUnlock: files at rest, for those who copy the folder with tools of their own.
//
// Every acknowledged write is on disk already. With `lock`, writes wait: what was committed is
// brought into a checkpoint, and no file of the folder changes until the lock is taken back. Locks
// are counted.

import BSON
import Roost
import Wire

enum Fsync {
    /// How long the files may take to come to rest, in milliseconds, where the command says nothing.
    private static let timeoutMillis: Int64 = 90_000

    static let lock = CommandDefinition(
        "fsync", .adminOnly,
        fields: [
            FieldSpec("lock", .truth), FieldSpec("async", .truth),
            FieldSpec("fsyncLockAcquisitionTimeoutMillis", .number),
        ],
        access: .cluster([.fsync]), help: "brings everything to disk, and may lock writes out"
    ) { call, reply throws(DBError) in
        guard call.truth("lock") == true else {
            reply.append("numFiles", Int32(1))
            return .done
        }
        let timeout = call.integer("fsyncLockAcquisitionTimeoutMillis") ?? timeoutMillis
        guard timeout >= 0 else {
            throw DBError(
                .badValue,
                "BSON field 'fsyncLockAcquisitionTimeoutMillis' value must be >= 0, actual value "
                    + "'\(timeout)'")
        }
        let ticket = call.ticket()
        let millis = UInt64(min(timeout, 1 << 40))
        call.core.engine.lockWrites(timeoutMillis: millis) { outcome in
            ticket.answer { reply throws(DBError) in
                guard let locks = try outcome.get() else {
                    throw DBError(
                        .lockTimeout, "Fsync lock timed out: what is written took too long")
                }
                reply.append("info", "now locked against writes, use db.fsyncUnlock() to unlock")
                reply.append("lockCount", Int64(locks))
                reply.append("seeAlso", "roost backup, which needs no lock")
            }
        }
        return .deferred
    }

    static let unlock = CommandDefinition(
        "fsyncUnlock", .adminOnly, access: .cluster([.unlock]), help: "ends a lock of fsync"
    ) { call, reply throws(DBError) in
        guard let left = call.core.engine.unlockWrites() else {
            throw DBError(.illegalOperation, "fsyncUnlock called when not locked")
        }
        reply.append("info", "fsyncUnlock completed")
        reply.append("lockCount", Int64(left))
        return .done
    }
}
