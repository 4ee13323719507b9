// Who may run a command, declared beside its definition, and the check before it runs. Nothing is
// read or written for a command that is refused.

import BSON
import Roost
import Wire

/// What a command asks of whoever runs it.
enum CommandAccess: Sendable {
    typealias Check = @Sendable (borrowing CommandCall, AccountRights) throws(DBError) -> Void

    /// Nothing; it comes before signing in.
    case open
    /// To have signed in, as an account or an app user.
    case everyone
    /// To have signed in as an account.
    case account
    /// These actions on the server as a whole.
    case cluster(ActionSet)
    /// These actions on the command's database.
    case database(ActionSet)
    /// These actions on the collection that the command's own field names.
    case collection(ActionSet)
    /// What depends on the command's fields.
    case fields(Check)

    /// Whether the command wants the client to have signed in, where the server asks for that.
    var requiresSignIn: Bool {
        if case .open = self { false } else { true }
    }
}

/// The rights of the account that runs a command.
struct AccountRights: Sendable {
    let account: QualifiedName
    let authority: Authority

    /// - Throws: 13 Unauthorized.
    func require(
        onCluster actions: ActionSet, _ call: borrowing CommandCall
    ) throws(DBError) {
        guard authority.allowsOnCluster(actions) else { throw Self.refusal(call) }
    }

    /// - Throws: 13 Unauthorized.
    func require(
        _ actions: ActionSet, onDatabase name: String, _ call: borrowing CommandCall
    ) throws(DBError) {
        guard authority.actions(onDatabase: name).contains(actions) else {
            throw Self.refusal(call)
        }
    }

    /// - Throws: 13 Unauthorized.
    func require(
        _ actions: ActionSet, on namespace: Namespace, _ call: borrowing CommandCall
    ) throws(DBError) {
        guard authority.actions(on: namespace).contains(actions) else { throw Self.refusal(call) }
    }

    /// What whoever may not is told; the command's fields may be secret and are not repeated.
    static func refusal(_ call: borrowing CommandCall) -> DBError {
        DBError(
            .unauthorized,
            "not authorized on \(call.database) to execute command \(call.command.name)")
    }
}

extension CommandCall {
    /// Checks a command that is part of this one, such as the explained one.
    /// - Throws: 13 Unauthorized.
    func authorizeAsPart() throws(DBError) {
        if connection.access.allowsEverything { return }
        try authorize(connection.access.grant)
    }

    /// Checks that the connection's rights are enough.
    /// - Throws: 13 Unauthorized; 391 ReauthenticationRequired where a token has ended.
    func authorize(_ grant: ConnectionAccess.Grant) throws(DBError) {
        if case .open = command.access { return }
        switch grant {
        case .everything: return
        case .nothing(let reason):
            throw DBError(reason.code, "\(command.name): \(reason.message)")
        case .appUser(let user):
            if let end = user.expiresAtMillis, end <= Clock.wallMillis {
                throw DBError(
                    .reauthenticationRequired, "The token has ended: sign in with a new one")
            }
        // AppUserCommands and the rules decide about the rest.
        case .account(let name, let authority):
            try authorize(AccountRights(account: name, authority: authority))
        }
    }

    private func authorize(_ rights: AccountRights) throws(DBError) {
        switch command.access {
        case .open, .everyone, .account: return
        case .cluster(let actions): try rights.require(onCluster: actions, self)
        case .database(let actions):
            try rights.require(actions, onDatabase: database, self)
        case .collection(let actions):
            // A command on a name that is none fails by itself.
            guard let name = commandValue.string, !name.isEmpty else {
                return try rights.require(actions, onDatabase: database, self)
            }
            try rights.require(actions, on: Namespace(database, name), self)
        case .fields(let check): try check(self, rights)
        }
    }

    /// Whether listDatabases shows a database.
    func mayList(database name: String) -> Bool {
        guard case .account(_, let authority) = connection.access.grant else { return true }
        let onlyAuthorized = value("authorizedDatabases")?.bool == true
        if authority.allowsOnCluster([.listDatabases]), !onlyAuthorized { return true }
        return authority.allowsAnything(inDatabase: name)
    }

    /// Whether listCollections shows a collection.
    func mayList(_ namespace: Namespace) -> Bool {
        guard case .account(_, let authority) = connection.access.grant else { return true }
        let onlyAuthorized = truth("authorizedCollections") == true
        if !onlyAuthorized,
            authority.actions(onDatabase: namespace.database).contains(
                [.listCollections] as ActionSet)
        {
            return true
        }
        return !authority.actions(on: namespace).isEmpty
    }

    /// The actions that a write needs beside its own.
    func withBypass(_ actions: ActionSet) -> ActionSet {
        truth("bypassDocumentValidation") == true
            ? actions.union([.bypassDocumentValidation]) : actions
    }
}
