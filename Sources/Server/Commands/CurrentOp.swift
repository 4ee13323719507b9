// currentOp and killOp: what the server is doing, and how to end it.

import BSON
import Query
import Roost
import Wire

enum CurrentOp {
    static let definition = CommandDefinition(
        "currentOp", [.adminOnly, .takesAnyField], access: .cluster([.inprog]),
        help: "shows operations under way"
    ) { call, reply throws(DBError) in
        let filter = try Filter.parse(conditions(call).view)
        var scratch = MatchScratch()
        var found: [Value] = []
        for value in documents(call) {
            guard case .document(let document) = value,
                try filter.matches(document.view, &scratch)
            else { continue }
            found.append(value)
        }
        reply.append("inprog", .array(found))
        if call.core.engine.writeLocks > 0 { reply.append("fsyncLock", true) }
        return .done
    }

    /// The command's other fields, which are conditions on what is listed.
    private static func conditions(_ call: borrowing CommandCall) -> Document {
        let own: Set<String> = [
            "$all", "$ownOps", "$db", "$readPreference", "$clusterTime", "lsid",
        ]
        let body = call.body
        return Document { writer in
            var fields = body.makeIterator()
            _ = fields.next()
            while let field = fields.next() {
                if own.contains(field.nameString) { continue }
                writer.append(field.nameString, field.value)
            }
        }
    }

    /// Operations off the event loops, this one, and index builds; $currentOp lists them too.
    static func documents(_ call: borrowing CommandCall) -> [Value] {
        let core = call.core
        var list = core.operations.all.map { describe($0.client, $0.operation) }
        let own = RunningOperation(
            number: core.operations.nextNumber(), startedAt: Clock.coarseNanos,
            request: call.request)
        list.append(describe(call.connection.operation.client, own))
        return list + builds(core)
    }

    private static func describe(
        _ client: OperationSlot.Client, _ operation: RunningOperation
    ) -> Value {
        let now = max(Clock.nanos, operation.startedAt)
        let micros = Int64((now - operation.startedAt) / 1_000)
        let ended = EndedOperation(
            request: operation.request, client: client, nanos: 0, report: nil, error: nil,
            replyBytes: 0)
        return .document(
            Document { writer in
                writer.append("type", "op")
                writer.append("host", HostInfo.hostName)
                writer.append("desc", "conn\(client.connection)")
                writer.append("connectionId", client.connection)
                writer.append("client", client.address)
                if let appName = client.appName { writer.append("appName", appName) }
                writer.append("active", true)
                writer.append("currentOpTime", ISODate.string(millis: Clock.wallMillis) ?? "")
                writer.append("opid", operation.number)
                writer.append("secs_running", micros / 1_000_000)
                writer.append("microsecs_running", micros)
                let name = operation.request.body.first?.nameString ?? ""
                writer.append("op", EndedOperation.kind(name))
                writer.append("ns", ended.namespace.description)
                writer.append("command", ended.commandDocument)
                if let session = operation.request.body.value("lsid") {
                    writer.append("lsid", session)
                }
                writer.append("waitingForLock", false)
                if operation.interrupt?.isKilled == true { writer.append("killPending", true) }
            })
    }

    private static func builds(_ core: ServerCore) -> [Value] {
        core.engine.builds.all.map { build in
            let total = max(build.progress.total, 1)
            let percent = min(100, build.progress.scanned * 100 / total)
            return [
                "type": "op", "op": "command", "active": true,
                "ns": .string(build.namespace.description),
                "msg": .string(
                    "Index Build: \(build.indexes.joined(separator: ", ")): "
                        + "\(build.progress.scanned)/\(total) \(percent)%"),
                "progress": [
                    "done": .int64(Int64(build.progress.scanned)), "total": .int64(Int64(total)),
                ],
            ]
        }
    }
}

/// killOp: what may last ends at its next check; a plain write is about to be committed.
enum KillOp {
    static let definition = CommandDefinition(
        "killOp", [.adminOnly, .takesAnyField], access: .cluster([.killop]),
        help: "asks an operation to end"
    ) { call, reply throws(DBError) in
        guard let op = call.body.value("op") else {
            throw DBError(.noSuchKey, "Did not provide 'op' field")
        }
        guard op.isNumeric else {
            throw DBError(
                .typeMismatch, "Expected field 'op' to have a number, but found \(op.type.alias)")
        }
        guard let number = op.exactInteger else {
            throw DBError(.badValue, "Expected field 'op' to be an integer that fits 64 bits")
        }
        guard let operation = Int32(exactly: number) else {
            throw DBError(
                DBError.Code(rawValue: 26823),
                "Attempted to kill an operation with an out-of-range opid: \(number)")
        }
        call.core.operations.kill(operation)
        reply.append("info", "attempting to kill op")
        return .done
    }
}
