// Small commands that tools ask and that have little to say here: each answers in the shape that
// its caller expects, or with the error that tells the caller to do without.

import BSON
import Roost
import Wire

/// replSetGetStatus: the state of the replica set of one, or that there is none.
enum ReplSetGetStatus {
    static let definition = CommandDefinition(
        "replSetGetStatus", [.adminOnly], access: .cluster([.replSetGetStatus]),
        help: "shows the state of the replica set"
    ) { call, reply throws(DBError) in
        let topology = call.core.topology
        guard let name = topology.setName else {
            throw DBError(.noReplicationEnabled, "not running with --replSet")
        }
        reply.append("set", name)
        reply.append("date", dateMillis: Clock.wallMillis)
        reply.append("myState", Int32(1))
        reply.append("term", Int64(1))
        reply.append("heartbeatIntervalMillis", Int64(2_000))
        reply.append("majorityVoteCount", Int32(1))
        reply.append("writeMajorityCount", Int32(1))
        reply.append(
            "members",
            [
                [
                    "_id": 0, "name": .string(topology.address), "health": 1.0, "state": 1,
                    "stateStr": "PRIMARY", "self": true,
                ]
            ])
        return .done
    }
}

/// getFreeMonitoringStatus: nothing is sent anywhere.
enum GetFreeMonitoringStatus {
    static let definition = CommandDefinition(
        "getFreeMonitoringStatus", .adminOnly, access: .cluster([.checkFreeMonitoringStatus]),
        help: "says that nothing is sent anywhere"
    ) { _, reply throws(DBError) in
        reply.append("state", "disabled")
        return .done
    }
}

/// features: what old shells ask.
enum Features {
    static let definition = CommandDefinition(
        "features", .takesAnyField, access: .open, help: "answers what old shells ask"
    ) { _, reply throws(DBError) in
        reply.append("js", ["utf8": true])
        reply.append("oidMachine", Int32(0))
        return .done
    }
}

/// configureFailPoint: with --test-commands, for drivers' own tests.
enum ConfigureFailPoint {
    static let definition = CommandDefinition(
        "configureFailPoint", [.adminOnly, .testOnly],
        fields: [
            FieldSpec("mode", [.string, .document], required: true), FieldSpec("data", .document),
        ],
        access: .cluster([.setParameter]), help: "makes commands fail, for tests"
    ) { call, _ throws(DBError) in
        guard let name = call.commandValue.string else {
            throw DBError(.typeMismatch, "the fail point's name must be a string")
        }
        let mode = call.ownedValue("mode") ?? "off"
        switch name {
        case "failCommand":
            try call.core.failPoints.configure(mode: mode, data: call.ownedDocument("data"))
        case "onPrimaryTransactionalWrite":
            try call.core.failPoints.write.configure(
                mode: mode, data: call.ownedDocument("data"))
        case "failGetMoreAfterCursorCheckout":
            call.core.failPoints.configureGetMore(mode: mode, data: call.ownedDocument("data"))
        case "maxTimeAlwaysTimeOut":
            call.core.failPoints.setExpiresAllDeadlines(mode != "off")
        case "killAtMigrationCommit":
            // The process ends: {mode: {skip: n}} lets n points pass first.
            call.core.engine.migrationKillPoint.arm(skipping: try FailPointMode(mode)?.skip)
        default:
            // Drivers' clean-up switches off what isn't there; only switching on is an error.
            guard mode == "off" else {
                throw DBError(
                    DBError.Code(rawValue: 249), "\(name) is not a fail point of this server")
            }
        }
        return .done
    }
}

/// testVersion2: with --test-commands, a command outside the stable API, for drivers' own tests.
enum TestVersion2 {
    static let definition = CommandDefinition(
        "testVersion2", .testOnly, access: .account, help: "does nothing, outside the stable API"
    ) { _, _ throws(DBError) in .done }
}

/// lockInfo: readers hold no locks, and the one writer is a thread.
enum LockInfo {
    static let definition = CommandDefinition(
        "lockInfo", .adminOnly, access: .cluster([.serverStatus]),
        help: "lists locks; there are none"
    ) { _, reply throws(DBError) in
        reply.append("lockInfo", .array([]))
        return .done
    }
}
