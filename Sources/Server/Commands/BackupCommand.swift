// roostBackup: what `roost backup` asks a running server. See Roost's Backup.md.
//
//     {roostBackup: "begin", name: N}            ->  {identity, sequence, trees, newest, now}
//     {roostBackup: "copy", tree, after}         ->  {entries, last}     no `last` at the tree's end
//     {roostBackup: "log", name: N, sequence, offset}
//                                                ->  {log, sequence, offset, end, newest, now}
//     {roostBackup: "release", name: N, sequence}     the log before isn't needed any more;
//                                                     without a sequence the backup is over
//
// Each is short and keeps nothing but the note which part of the log is still needed.

import BSON
import Roost
import Wire

enum BackupCommand {
    static let definition = CommandDefinition(
        "roostBackup", .adminOnly,
        fields: [
            FieldSpec("name", .string), FieldSpec("tree", .number), FieldSpec("after", .binary),
            FieldSpec("sequence", .number), FieldSpec("offset", .number),
        ],
        access: .fields { call, rights throws(DBError) in
            // What the role `backup` may: it reads everything, the accounts too.
            try rights.require(onCluster: [.appendOplogNote], call)
            try rights.require([.find], on: Namespace("admin", "system.users"), call)
        },
        help: "gives out data and log for a backup", run: run)

    /// What one answer holds, about.
    private static let batchBytes = 1 << 20

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let engine = call.core.engine
        let name = call.string("name") ?? ""
        switch call.commandValue.string {
        case "begin":
            return later(call) { reply throws(DBError) in
                let start = try engine.beginBackup(name)
                reply.append("identity", .binary(subtype: 0, start.identity))
                reply.append("sequence", Int64(bitPattern: start.place.sequence))
                reply.append(
                    "trees", .array(start.trees.map { .int64(Int64(bitPattern: $0)) }))
                reply.append("newest", .timestamp(start.newest))
                reply.append("now", dateMillis: Clock.wallMillis)
            }
        case "copy":
            let tree = UInt64(bitPattern: call.integer("tree") ?? 0)
            var key: [UInt8]?
            if case .binary(_, let bytes)? = call.ownedValue("after") { key = bytes }
            let after = key
            return later(call) { reply throws(DBError) in
                let copied = try engine.copyEntries(
                    of: tree, after: after, bytesMax: batchBytes)
                reply.append("entries", .binary(subtype: 0, copied.bytes))
                if let last = copied.last { reply.append("last", .binary(subtype: 0, last)) }
            }
        case "log":
            let place = place(call)
            return later(call) { reply throws(DBError) in
                // Before the log is looked at: all that was acknowledged by now is in it.
                let now = Clock.wallMillis
                let part = try engine.backupLog(name, from: place, bytesMax: batchBytes)
                reply.append("log", .binary(subtype: 0, part.bytes))
                reply.append("sequence", Int64(bitPattern: part.next.sequence))
                reply.append("offset", Int64(part.next.offset))
                reply.append("end", Int64(bitPattern: part.end))
                if let newest = part.newest { reply.append("newest", .timestamp(newest)) }
                reply.append("now", dateMillis: now)
            }
        case "release":
            let sequence = call.integer("sequence").map { UInt64(bitPattern: $0) }
            return later(call) { _ throws(DBError) in
                try engine.releaseBackupLog(name, before: sequence)
            }
        default:
            throw DBError(
                .badValue, "roostBackup takes 'begin', 'copy', 'log' or 'release'")
        }
    }

    private static func place(_ call: borrowing CommandCall) -> BackupPlace {
        BackupPlace(
            sequence: UInt64(bitPattern: call.integer("sequence") ?? 0),
            offset: Int(clamping: max(0, call.integer("offset") ?? 0)))
    }

    private static func later(
        _ call: borrowing CommandCall,
        _ body: @escaping @Sendable (inout ReplyWriter) throws(DBError) -> Void
    ) -> CommandOutcome {
        let ticket = call.ticket()
        call.core.engine.readerPool.submit { _ in
            ticket.answer { reply throws(DBError) in try body(&reply) }
        }
        return .deferred
    }
}
