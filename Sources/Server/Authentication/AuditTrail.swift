// What the TCP door notes in the audit log, and who did it.

import BSON
import Roost
import Wire

/// Notes events of one connection. Safe from any thread.
struct AuditTrail: Sendable {
    private let engine: RoostEngine
    private let remote: String
    private let users: [(user: String, database: String)]

    init(_ connection: ConnectionHandler) {
        engine = connection.core.engine
        remote = connection.clientIP
        switch connection.access.grant {
        case .account(let name, _): users = [(name.name, name.database)]
        case .appUser(let user):
            users = [(user.auth?.view.value("uid")?.string ?? "", "$external")]
        case .everything, .nothing: users = []
        }
    }

    /// Notes an event.
    func note(_ type: String, _ parameters: Document = Document(), _ error: DBError? = nil) {
        guard engine.audit.level != .off else { return }
        engine.note(
            AuditEvent(
                type, remote: remote, users: users, parameters,
                result: error.map { $0.code.rawValue } ?? 0))
    }

    /// Notes how something ended.
    func note<R>(_ type: String, _ parameters: Document, _ outcome: Result<R, DBError>) {
        if case .failure(let error) = outcome {
            note(type, parameters, error)
        } else {
            note(type, parameters)
        }
    }
}

extension ConnectionHandler {
    /// Notes a sign-in that succeeded or failed.
    func noteSignIn(_ name: String, _ database: String, _ mechanism: String, fails: Bool) {
        AuditTrail(self).note(
            "authenticate",
            [
                "user": .string(String(name.prefix(200))), "db": .string(database),
                "mechanism": .string(mechanism),
            ], fails ? Self.signInFailure : nil)
    }
}

extension CommandCall {
    /// Notes that the command was refused, or where each access is noted that it was allowed.
    func noteAccess(_ error: DBError?) {
        guard error != nil || core.engine.audit.level == .accesses else { return }
        var parameters: Document = ["command": .string("\(command.name)"), "db": .string(database)]
        if let collection = commandValue.string, !command.options.contains(.holdsSecrets) {
            parameters = [
                "command": .string("\(command.name)"),
                "ns": .string("\(database).\(collection)"),
            ]
        }
        AuditTrail(connection).note("authCheck", parameters, error)
    }

    /// What a change of users and roles is noted as; never a password.
    func accountParameters() -> Document {
        let name = commandValue.string
        let database = database
        let hasRoles = command.fields.place(of: RawSpan("roles")) != nil
        let roles = hasRoles ? ownedValue("roles") : nil
        return Document { writer in
            if let name { writer.append("name", name) }
            writer.append("db", database)
            if let roles { writer.append("roles", roles) }
        }
    }
}
