// admin.system.users and admin.system.roles, as reads show them: accounts and roles aren't kept in
// collections, so finds, counts, values and pipelines over these names read a list of what there is.
// Who may is a matter of roles, as of any collection. Credentials are shown to nobody.

import BSON
import Query
import Roost

enum AccountCollections {
    private static let users = Namespace("admin", "system.users")
    private static let roles = Namespace("admin", "system.roles")

    /// Whether a name is one of theirs.
    static func contains(_ namespace: Namespace) -> Bool {
        namespace == users || namespace == roles
    }

    /// The documents as a view; nil for another name.
    static func view(_ namespace: Namespace, _ book: AccountBook) -> ResolvedView? {
        guard contains(namespace) else { return nil }
        let documents =
            namespace == users
            ? book.users.map { UsersInfo.document($0, book, showsPrivileges: false) }
            : book.allRoles.map(document)
        return ResolvedView(
            namespace: Namespace("admin", ForeignCollection.ofDatabase),
            stages: [
                ["$documents": ["$literal": .array(documents.map { .document($0) })]]
            ])
    }

    private static func document(_ role: CustomRole) -> Document {
        [
            "_id": .string(role.name.id), "role": .string(role.name.name),
            "db": .string(role.name.database),
            "privileges": .array(role.privileges.map { .document($0.document) }),
            "roles": role.roles.asRoles,
        ]
    }
}

extension CommandCall {
    /// What is behind a view, or behind a name that accounts or roles are shown under.
    func resolveView(_ namespace: Namespace) throws(DBError) -> ResolvedView? {
        if let view = try core.engine.resolveView(namespace) { return view }
        guard namespace.database == "admin", !principal.isUnderRules else { return nil }
        return AccountCollections.view(namespace, core.accounts)
    }
}
