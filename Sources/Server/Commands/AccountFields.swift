// What commands about users and roles have in common: their fields, their rights, their answers.

import BSON
import Roost
import Wire

extension CommandCall {
    /// The user or role that the command's own field names, in the command's database.
    /// - Throws: 2 BadValue.
    func accountName() throws(DBError) -> QualifiedName {
        guard let name = commandValue.string, !name.isEmpty, !name.utf8.contains(0) else {
            throw DBError(
                .badValue, "\(command.name) needs a name, as a string that is not empty")
        }
        try Namespace.validate(database: database)
        guard database != "$external" else {
            throw DBError(
                .badValue,
                "Users of $external are not kept here: app users come with a token of an issuer")
        }
        return QualifiedName(name: name, database: database)
    }

    /// The roles in a field: `"name"` in the command's database, or `{role, db}`. Nil where the
    /// field was not sent.
    /// - Throws: 2 BadValue.
    func roles(_ field: StaticString) throws(DBError) -> [QualifiedName]? {
        guard let list = value(field)?.array else { return nil }
        var roles: [QualifiedName] = []
        var elements = list.makeIterator()
        while let element = elements.next() {
            if let name = element.value.string {
                roles.append(QualifiedName(name: name, database: database))
            } else if let role = element.value.document, let name = role.value("role")?.string,
                let database = role.value("db")?.string
            {
                roles.append(QualifiedName(name: name, database: database))
            } else {
                throw DBError(
                    .badValue, "Role names must be either strings or objects {role: …, db: …}")
            }
        }
        return roles
    }

    /// The privileges in a field; nil where it was not sent.
    /// - Throws: 2 BadValue, 9 FailedToParse.
    func privileges(_ field: StaticString) throws(DBError) -> [Privilege]? {
        guard let list = value(field)?.array else { return nil }
        var privileges: [Privilege] = []
        var elements = list.makeIterator()
        while let element = elements.next() {
            guard let document = element.value.document else {
                throw DBError(.badValue, "each privilege must be an object")
            }
            privileges.append(try Privilege(document))
        }
        return privileges
    }

    /// Refuses what would be taken for protection and is none.
    /// - Throws: 115 CommandNotSupported.
    func refuseRestrictions() throws(DBError) {
        guard value("authenticationRestrictions")?.array?.isEmpty != false else {
            throw DBError(
                .commandNotSupported,
                "authenticationRestrictions are not enforced by Roost; leave them out and restrict "
                    + "addresses by --listen or a firewall")
        }
    }

    /// Runs a change of accounts and answers when it is durable.
    func changeAccounts(
        _ body: @escaping @Sendable (borrowing AccountChange) throws -> [AccountEdit],
        answer: @escaping @Sendable ([AccountEdit], inout ReplyWriter) -> Void = { _, _ in }
    ) -> CommandOutcome {
        let ticket = ticket()
        let trail = AuditTrail(connection)
        let name = "\(command.name)"
        let parameters = accountParameters()
        core.accounts.change(body) { outcome in
            trail.note(name, parameters, outcome)
            ticket.answer { reply throws(DBError) in answer(try outcome.get(), &reply) }
        }
        return .deferred
    }
}

extension AccountChange {
    /// - Throws: 31 RoleNotFound.
    func checkExist(_ roles: [QualifiedName]) throws {
        for role in roles where try !roleExists(role) { throw AccountError.noRole(role) }
    }

    /// - Throws: 11 UserNotFound.
    func existingUser(_ name: QualifiedName) throws -> ServiceAccount {
        guard let user = try user(name) else { throw AccountError.noUser(name) }
        return user
    }

    /// - Throws: 31 RoleNotFound; 49 InvalidRoleModification for a built-in one.
    func existingRole(_ name: QualifiedName) throws -> CustomRole {
        guard BuiltinRoles.privileges(name.name, in: name.database) == nil else {
            throw DBError(
                .invalidRoleModification,
                "\(name.name)@\(name.database) is a built-in role and cannot be modified")
        }
        guard let role = try role(name) else { throw AccountError.noRole(name) }
        return role
    }
}

/// The errors of commands about accounts.
enum AccountError {
    static func noUser(_ name: QualifiedName) -> DBError {
        DBError(.userNotFound, "User '\(name.name)@\(name.database)' not found")
    }

    static func noRole(_ name: QualifiedName) -> DBError {
        DBError(.roleNotFound, "Could not find role: \(name.name)@\(name.database)")
    }
}

extension AccountRights {
    /// Granting needs the right in each role's database.
    func require(
        granting roles: [QualifiedName], _ call: borrowing CommandCall
    ) throws(DBError) {
        for role in roles { try require([.grantRole], onDatabase: role.database, call) }
    }

    /// Revoking needs the right in each role's database.
    func require(
        revoking roles: [QualifiedName], _ call: borrowing CommandCall
    ) throws(DBError) {
        for role in roles { try require([.revokeRole], onDatabase: role.database, call) }
    }

    /// Giving a privilege to a role needs the right to grant in the privilege's database; for what
    /// is about more than one, in any.
    func require(
        granting privileges: [Privilege], _ call: borrowing CommandCall
    ) throws(DBError) {
        for privilege in privileges {
            if let database = privilege.resource.database {
                try require([.grantRole], onDatabase: database, call)
            } else {
                try requireEverywhere([.grantRole], call)
            }
        }
    }

    /// - Throws: 13 Unauthorized where the actions are not allowed in every database.
    func requireEverywhere(
        _ actions: ActionSet, _ call: borrowing CommandCall
    ) throws(DBError) {
        // No database may have this name, so only what holds for all of them allows it.
        try require(actions, onDatabase: "\u{1}", call)
    }
}
