// migrate: runs a part of migrations. `roost migrate` sends the folder's files with `begin`, and
// `step` after `step`; see Migrations.md in Roost.
//
//     {migrate: "begin", owner: "me", files: [{name, text, attachments: [{name, text}]}],
//      action: "up", to: 3, leaseMillis: 10000}                        -> the group's progress
//     {migrate: "step", owner: "me", batchSize: 100}                   -> its progress
//     {migrate: "status", files: […]}, {migrate: "plan", files: […], action: "down"}

import BSON
import Roost
import Wire

enum Migrate {
    static let definition = CommandDefinition(
        "migrate", [.isWrite],
        fields: [
            FieldSpec("owner", .string), FieldSpec("files", .array), FieldSpec("action", .string),
            FieldSpec("to", .number), FieldSpec("batchSize", .number),
            FieldSpec("leaseMillis", .number),
        ], access: .cluster([.setParameter]), help: "runs a part of migrations"
    ) { call, _ throws(DBError) in
        let request = try request(call)
        let ticket = call.ticket()
        call.core.engine.migrate(request) { outcome in
            ticket.answer { reply throws(DBError) in
                let answer = try outcome.get()
                reply.appendFields(of: answer.view)
            }
        }
        return .deferred
    }

    private static func request(
        _ call: borrowing CommandCall
    ) throws(DBError) -> MigrationRequest {
        guard let name = call.commandValue.string,
            let action = MigrationRequest.Action(rawValue: name)
        else {
            throw DBError(.badValue, "'migrate' is 'status', 'plan', 'begin' or 'step'")
        }
        var request = MigrationRequest(action, database: call.database)
        if let owner = call.string("owner") { request.owner = owner }
        if let wish = call.string("action") { request.wish = wish }
        request.target = call.integer("to").map { Int(clamping: $0) }
        if let size = call.integer("batchSize") { request.batchMax = Int(clamping: size) }
        request.leaseMillis = call.integer("leaseMillis")
        if let files = call.value("files")?.array {
            for value in ViewRead.values(files) { request.files.append(try file(value)) }
        }
        return request
    }

    private static func file(_ value: Value) throws(DBError) -> MigrationFile {
        guard case .document(let file) = value, case .string(let name)? = file["name"],
            case .string(let text)? = file["text"]
        else {
            throw DBError(
                .badValue,
                "'files' holds documents {name: string, text: string, attachments: [{name, text}]}")
        }
        var attachments: [String: String] = [:]
        if case .array(let list)? = file["attachments"] {
            for case .document(let attachment) in list {
                if case .string(let name)? = attachment["name"],
                    case .string(let text)? = attachment["text"]
                {
                    attachments[name] = text
                }
            }
        }
        return try MigrationFile(name: name, text: text, attachments: attachments)
    }
}
