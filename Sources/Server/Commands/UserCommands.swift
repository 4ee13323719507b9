// createUser, updateUser, dropUser, dropAllUsersFromDatabase, grantRolesToUser, revokeRolesFromUser:
// the accounts of services and people. Passwords become SCRAM credentials on a thread of the reader
// pool, since that takes milliseconds.

import BSON
import Roost
import Wire

enum UserCommands {
    private static let options: CommandDefinition.Options = [.isWrite, .holdsSecrets]

    private static let fields = [
        FieldSpec("pwd", .string), FieldSpec("customData", .document), FieldSpec("roles", .array),
        FieldSpec("digestPassword", .truth), FieldSpec("mechanisms", .array),
        FieldSpec("authenticationRestrictions", .array),
    ]

    static let create = CommandDefinition(
        "createUser", options, fields: fields,
        access: .fields { call, rights throws(DBError) in
            try rights.require([.createUser], onDatabase: call.database, call)
            try rights.require(granting: try call.roles("roles") ?? [], call)
        }, help: "makes an account"
    ) { call, _ throws(DBError) in
        let name = try call.accountName()
        guard let roles = try call.roles("roles") else {
            throw DBError(.badValue, "\"createUser\" command requires a \"roles\" array")
        }
        guard let password = try password(call) else {
            throw DBError(
                .badValue,
                "Must provide a 'pwd' field for all user documents, except those with "
                    + "'$external' as the user's source db")
        }
        let customData = call.ownedDocument("customData")
        return change(call, password: password) { credential, change in
            guard let credential else { throw AccountError.noUser(name) }
            if try change.user(name) != nil {
                throw DBError(
                    DBError.Code(rawValue: 51_003),
                    "User \"\(name.name)@\(name.database)\" already exists")
            }
            try change.checkExist(roles)
            var user = ServiceAccount(name: name, credential: credential, roles: roles)
            user.customData = customData
            return [.user(name, user)]
        }
    }

    static let update = CommandDefinition(
        "updateUser", options, fields: fields,
        access: .fields { call, rights throws(DBError) in
            let isOwn =
                rights.account.name == call.commandValue.string
                && rights.account.database == call.database
            let allowed = rights.authority.actions(onDatabase: call.database)
            let mayPassword =
                allowed.contains(.changePassword)
                || isOwn && allowed.contains(.changeOwnPassword)
            let mayData =
                allowed.contains(.changeCustomData)
                || isOwn && allowed.contains(.changeOwnCustomData)
            guard call.value("pwd") == nil || mayPassword,
                call.value("customData") == nil || mayData,
                call.value("pwd") != nil || call.value("customData") != nil
                    || call.value("roles") != nil
            else { throw AccountRights.refusal(call) }
            if let roles = try call.roles("roles") {
                // What the account has now is taken away.
                try rights.requireEverywhere([.revokeRole], call)
                try rights.require(granting: roles, call)
            }
        }, help: "changes an account's password, roles or data"
    ) { call, _ throws(DBError) in
        let name = try call.accountName()
        let roles = try call.roles("roles")
        let customData = call.ownedDocument("customData")
        let password = try password(call)
        guard roles != nil || customData != nil || password != nil else {
            throw DBError(
                .badValue, "Must specify at least one field to update in updateUser")
        }
        return change(call, password: password) { credential, change in
            var user = try change.existingUser(name)
            if let credential { user.credential = credential }
            if let roles {
                try change.checkExist(roles)
                user.roles = roles
            }
            if let customData { user.customData = customData }
            return [.user(name, user)]
        }
    }

    static let drop = CommandDefinition(
        "dropUser", .isWrite, access: .database([.dropUser]), help: "removes an account"
    ) { call, _ throws(DBError) in
        let name = try call.accountName()
        return call.changeAccounts { change in
            _ = try change.existingUser(name)
            return [.user(name, nil)]
        }
    }

    static let dropAll = CommandDefinition(
        "dropAllUsersFromDatabase", .isWrite, access: .database([.dropUser]),
        help: "removes the accounts of a database"
    ) { call, _ throws(DBError) in
        let database = call.database
        return call.changeAccounts { change in
            try change.users().filter { $0.name.database == database }.map { .user($0.name, nil) }
        } answer: { edits, reply in
            reply.append("n", Int32(clamping: edits.count))
        }
    }

    static let grant = CommandDefinition(
        "grantRolesToUser", .isWrite, fields: [FieldSpec("roles", .array, required: true)],
        access: .fields { call, rights throws(DBError) in
            try rights.require(granting: try call.roles("roles") ?? [], call)
        }, help: "gives an account roles"
    ) { call, _ throws(DBError) in
        let name = try call.accountName()
        let roles = try call.roles("roles") ?? []
        return call.changeAccounts { change in
            var user = try change.existingUser(name)
            try change.checkExist(roles)
            user.roles += roles.filter { !user.roles.contains($0) }
            return [.user(name, user)]
        }
    }

    static let revoke = CommandDefinition(
        "revokeRolesFromUser", .isWrite, fields: [FieldSpec("roles", .array, required: true)],
        access: .fields { call, rights throws(DBError) in
            try rights.require(revoking: try call.roles("roles") ?? [], call)
        }, help: "takes roles from an account"
    ) { call, _ throws(DBError) in
        let name = try call.accountName()
        let roles = try call.roles("roles") ?? []
        return call.changeAccounts { change in
            var user = try change.existingUser(name)
            try change.checkExist(roles)
            user.roles.removeAll { roles.contains($0) }
            return [.user(name, user)]
        }
    }

    static let invalidate = CommandDefinition(
        "invalidateUserCache", .adminOnly, access: .cluster([.invalidateUserCache]),
        help: "does nothing: what is known of accounts is always new"
    ) { _, _ throws(DBError) in .done }

    // MARK: Passwords

    /// The password that was sent; nil where there is none.
    /// - Throws: 2 BadValue for one that can't be used, and for SCRAM-SHA-1.
    private static func password(_ call: borrowing CommandCall) throws(DBError) -> String? {
        try call.refuseRestrictions()
        if let mechanisms = call.value("mechanisms")?.array {
            var elements = mechanisms.makeIterator()
            while let element = elements.next() {
                guard element.value.string == "SCRAM-SHA-256" else {
                    throw DBError(
                        .badValue,
                        "Unknown or refused mechanism '\(element.value.string ?? "?")': passwords "
                            + "are kept for SCRAM-SHA-256 only, since SHA-1 is broken")
                }
            }
            guard !mechanisms.isEmpty else {
                throw DBError(.badValue, "mechanisms field must not be empty")
            }
        }
        guard let password = call.string("pwd") else { return nil }
        guard !password.isEmpty else {
            throw DBError(.badValue, "User passwords must not be empty")
        }
        guard call.truth("digestPassword") != false else {
            throw DBError(
                .badValue,
                "Use of SCRAM-SHA-256 requires undigested passwords: leave out digestPassword")
        }
        guard SASLprep.prepare(password)?.isEmpty == false else {
            throw DBError(
                .badValue, "The password holds characters that SASLprep (RFC 4013) forbids")
        }
        return password
    }

    /// Makes a credential of the password, where there is one, and runs the change with it.
    private static func change(
        _ call: borrowing CommandCall, password: String?,
        _ body:
            @escaping @Sendable (ScramCredential?, borrowing AccountChange) throws ->
            [AccountEdit]
    ) -> CommandOutcome {
        let ticket = call.ticket()
        let accounts = call.core.accounts
        let trail = AuditTrail(call.connection)
        let name = "\(call.command.name)"
        let parameters = call.accountParameters()
        call.core.engine.readerPool.submit(.whole) { _ in
            let credential = password.flatMap { ScramCredential(password: $0) }
            accounts.change { change in
                try body(credential, change)
            } completion: { outcome in
                trail.note(name, parameters, outcome)
                ticket.answer { _ throws(DBError) in _ = try outcome.get() }
            }
        }
        return .deferred
    }
}
