// Commands by which MongoDB's files, logs and outgoing connections are looked after. Roost has
// little of each: the commands check what they are asked and say what there is.

import BSON
import Roost
import Wire

/// autoCompact: the store takes freed pages for new data by itself, and its file never shrinks; so
/// there is nothing to run in the background, and nothing to switch off.
enum AutoCompact {
    static let definition = CommandDefinition(
        "autoCompact", .adminOnly,
        fields: [FieldSpec("freeSpaceTargetMB", .number), FieldSpec("runOnce", .truth)],
        access: .cluster([.setParameter]), help: "does nothing: freed space is used again by itself"
    ) { call, _ throws(DBError) in
        let value = call.commandValue
        guard value.type == .bool || value.isNumeric else {
            throw DBError(
                .typeMismatch,
                "BSON field 'autoCompact.autoCompact' is the wrong type '\(value.type.alias)', "
                    + "expected types '[bool, long, int, decimal, double]'")
        }
        guard let target = call.integer("freeSpaceTargetMB") else { return .done }
        guard target >= 1 else {
            throw DBError(
                .badValue,
                "BSON field 'freeSpaceTargetMB' value must be >= 1, actual value '\(target)'")
        }
        guard !value.isTruthy || target <= Int64.max >> 20 else {
            throw DBError(.badValue, "freeSpaceTargetMB is more bytes than 64 bits hold")
        }
        return .done
    }
}

/// compact: freed pages are used again for new data by themselves, and a running server's file never
/// shrinks; `dryRun` says what compacting the stopped folder would give back.
enum Compact {
    static let definition = CommandDefinition(
        "compact", [],
        fields: [
            FieldSpec("dryRun", .truth), FieldSpec("force", .truth),
            FieldSpec("freeSpaceTargetMB", .number),
        ],
        access: .collection([.compact]), help: "frees nothing: freed space is used again by itself"
    ) { call, reply throws(DBError) in
        let namespace = Namespace(call.database, try call.collectionName())
        guard let entry = call.core.engine.collection(namespace) else {
            throw DBError(
                .namespaceNotFound, "Collection \(namespace) does not exist: nothing to compact")
        }
        guard entry.view == nil else {
            throw DBError(
                .commandNotSupportedOnView, "\(namespace) is a view, which holds no data to compact"
            )
        }
        if let target = call.integer("freeSpaceTargetMB"), target < 1 {
            throw DBError(
                .badValue,
                "BSON field 'freeSpaceTargetMB' value must be >= 1, actual value '\(target)'")
        }
        if call.truth("dryRun") == true {
            reply.append(
                "estimatedBytesFreed", Int64(clamping: call.core.engine.freeBytes))
        } else {
            reply.append("bytesFreed", Int64(0))
        }
        return .done
    }
}

/// logRotate: the log goes to standard error, and who reads that rotates it.
enum LogRotate {
    static let definition = CommandDefinition(
        "logRotate", .adminOnly, access: .cluster([.logRotate]),
        help: "does nothing: the log goes to standard error"
    ) { call, _ throws(DBError) in
        let value = call.commandValue
        guard value.type == .string || value.type == .bool || value.isNumeric else {
            throw DBError(
                .typeMismatch,
                "logRotate takes a number or the name of a log, not a value of type "
                    + value.type.alias)
        }
        if let target = value.string, target != "server" {
            throw DBError(
                .noSuchKey, "Unknown log type '\(target)': there is 'server' alone")
        }
        return .done
    }
}

/// dropConnections: the server opens no connections to others.
enum DropConnections {
    static let definition = CommandDefinition(
        "dropConnections", .adminOnly, fields: [FieldSpec("hostAndPort", .array, required: true)],
        access: .cluster([.dropConnections]),
        help: "does nothing: the server opens no connections to others"
    ) { call, _ throws(DBError) in
        guard let list = call.value("hostAndPort")?.array else { return .done }
        var addresses = list.makeIterator()
        while let address = addresses.next() {
            guard address.value.string != nil else {
                throw DBError(
                    .typeMismatch,
                    "BSON field 'dropConnections.hostAndPort.\(address.nameString)' is the wrong "
                        + "type '\(address.value.type.alias)', expected type 'string'")
            }
        }
        return .done
    }
}

/// connPoolStats: the pools of connections to other servers, of which there are none.
enum ConnPoolStats {
    static let definition = CommandDefinition(
        "connPoolStats", .takesAnyField, access: .cluster([.connPoolStats]),
        help: "shows connections to other servers; there are none"
    ) { _, reply throws(DBError) in
        for name: StaticString in [
            "numClientConnections", "numAScopedConnections", "totalInUse", "totalAvailable",
            "totalLeased", "totalCreated", "totalRefreshing", "totalRefreshed",
        ] {
            reply.append(name, Int32(0))
        }
        for name: StaticString in ["pools", "hosts", "replicaSets"] { reply.append(name, [:]) }
        return .done
    }
}
