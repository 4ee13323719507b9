// Commands by which MongoDB's files, logs and outgoing connections are looked after. Roost has
// little of each: the commands check what they are asked and say what there is.

import BSON
import Wire

/// autoCompact: the store takes freed pages for new data by itself, and its file never shrinks; so
/// there is nothing to run in the background, and nothing to switch off.
enum AutoCompact {
    static let definition = CommandDefinition(
        "autoCompact", .adminOnly,
        fields: [FieldSpec("freeSpaceTargetMB", .number), FieldSpec("runOnce", .truth)],
        help: "does nothing: freed space is used again by itself"
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

/// logRotate: the log goes to standard error, and who reads that rotates it.
enum LogRotate {
    static let definition = CommandDefinition(
        "logRotate", .adminOnly, help: "does nothing: the log goes to standard error"
    ) { call, _ throws(DBError) in
        if let target = call.commandValue.string, target != "server" {
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
        "connPoolStats", .takesAnyField, help: "shows connections to other servers; there are none"
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

/// fsyncUnlock: the end of a lock that `fsync` refuses to take.
enum FsyncUnlock {
    static let definition = CommandDefinition(
        "fsyncUnlock", .adminOnly, help: "says that nothing is locked"
    ) { _, _ throws(DBError) in
        throw DBError(.illegalOperation, "fsyncUnlock called when not locked")
    }
}

/// getClusterParameter: the settings that MongoDB keeps for a whole cluster, with what holds here.
enum GetClusterParameter {
    private static let parameters: [(name: String, fields: Document)] = [
        ("changeStreamOptions", ["preAndPostImages": ["expireAfterSeconds": "off"]]),
        ("defaultMaxTimeMS", ["readOperations": .int64(0)]),
        ("pauseMigrationsDuringMultiUpdates", ["enabled": false]),
    ]

    static let definition = CommandDefinition(
        "getClusterParameter", [.adminOnly, .takesAnyField],
        help: "shows settings of a whole cluster"
    ) { call, reply throws(DBError) in
        let names = try names(call.commandValue)
        var found: [Value] = []
        for name in names {
            guard let parameter = parameters.first(where: { $0.name == name }) else {
                throw DBError(.noSuchKey, "Unknown server parameter: \(name)")
            }
            let document = Document { writer in
                writer.append("_id", name)
                writer.appendFields(of: parameter.fields.view)
            }
            found.append(.document(document))
        }
        reply.append("clusterParameters", .array(found))
        return .done
    }

    private static func names(_ value: ValueView) throws(DBError) -> [String] {
        if let name = value.string { return name == "*" ? parameters.map(\.name) : [name] }
        guard let list = value.array else {
            throw DBError(
                .typeMismatch,
                "getClusterParameter takes a name, a list of names or '*', not a value of type "
                    + value.type.alias)
        }
        var names: [String] = []
        var elements = list.makeIterator()
        while let element = elements.next() {
            guard let name = element.value.string else {
                throw DBError(
                    .typeMismatch,
                    "getClusterParameter takes names, not a value of type "
                        + element.value.type.alias)
            }
            if !names.contains(name) { names.append(name) }
        }
        guard !names.isEmpty else {
            throw DBError(.badValue, "Must supply at least one cluster parameter's name")
        }
        return names
    }
}
