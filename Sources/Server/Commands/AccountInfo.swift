// usersInfo and rolesInfo: accounts and roles without their secrets.

import BSON
import Query
import Roost
import Wire

/// Which users or roles are asked about.
private enum AskedNames {
    case everywhere
    case inDatabase
    case these([QualifiedName])

    /// Reads `1`, `"name"`, `{user, db}`, a list of those, or `{forAllDBs: true}`.
    init(
        _ value: ValueView, _ field: StaticString, database: String
    ) throws(DBError) {
        if let fields = value.document, fields.value("forAllDBs")?.isTruthy == true {
            self = .everywhere
        } else if value.isNumeric {
            self = .inDatabase
        } else if let list = value.array {
            var names: [QualifiedName] = []
            var elements = list.makeIterator()
            while let element = elements.next() {
                names.append(try Self.name(element.value, field, database))
            }
            self = .these(names)
        } else {
            self = .these([try Self.name(value, field, database)])
        }
    }

    private static func name(
        _ value: ValueView, _ field: StaticString, _ database: String
    ) throws(DBError) -> QualifiedName {
        if let name = value.string { return QualifiedName(name: name, database: database) }
        guard let fields = value.document, let name = fields.value(field)?.string,
            let database = fields.value("db")?.string
        else {
            throw DBError(
                .badValue, "names must be strings or objects {\(field): …, db: …}")
        }
        return QualifiedName(name: name, database: database)
    }
}

enum UsersInfo {
    static let definition = CommandDefinition(
        "usersInfo", [],
        fields: [
            FieldSpec("showCredentials", .truth), FieldSpec("showPrivileges", .truth),
            FieldSpec("showCustomData", .truth),
            FieldSpec("showAuthenticationRestrictions", .truth), FieldSpec("filter", .document),
        ],
        access: .fields { call, rights throws(DBError) in
            let asked = try AskedNames(call.commandValue, "user", database: call.database)
            switch asked {
            case .everywhere: try rights.requireEverywhere([.viewUser], call)
            case .inDatabase: try rights.require([.viewUser], onDatabase: call.database, call)
            case .these(let names):
                for name in names where name != rights.account {
                    try rights.require([.viewUser], onDatabase: name.database, call)
                }
            }
        }, help: "lists accounts"
    ) { call, reply throws(DBError) in
        let book = call.core.accounts
        let asked = try AskedNames(call.commandValue, "user", database: call.database)
        let database = call.database
        let users: [ServiceAccount] =
            switch asked {
            case .everywhere: book.users
            case .inDatabase: book.users.filter { $0.name.database == database }
            case .these(let names): names.compactMap { book.user($0) }
            }
        let condition = call.ownedDocument("filter") ?? Document()
        let filter = try Filter.parse(condition.view)
        var scratch = MatchScratch()
        let showsPrivileges = call.truth("showPrivileges") == true
        let showsData = call.truth("showCustomData") ?? true
        let list = reply.openArray("users")
        for user in users {
            let shown = document(
                user, book, showsPrivileges: showsPrivileges, showsData: showsData)
            guard try filter.matches(shown.view, &scratch) else { continue }
            reply.append(element: shown.view)
        }
        reply.close(list)
        return .done
    }

    /// A user as MongoDB shows it; the credential is shown to nobody.
    static func document(
        _ user: ServiceAccount, _ book: AccountBook, showsPrivileges: Bool, showsData: Bool = true
    ) -> Document {
        Document { writer in
            writer.append("_id", user.name.id)
            writer.append("userId", .binary(subtype: 4, user.userID))
            writer.append("user", user.name.name)
            writer.append("db", user.name.database)
            writer.append("mechanisms", ["SCRAM-SHA-256"])
            if showsData, let data = user.customData { writer.append("customData", data) }
            writer.append("roles", user.roles.asRoles)
            guard showsPrivileges else { return }
            writer.append("inheritedRoles", book.closure(of: user.roles).asRoles)
            writer.append(
                "inheritedPrivileges",
                .array(book.privileges(of: user.roles).map { .document($0.document) }))
        }
    }
}

enum RolesInfo {
    static let definition = CommandDefinition(
        "rolesInfo", [],
        fields: [
            FieldSpec("showPrivileges", [.truth, .string]), FieldSpec("showBuiltinRoles", .truth),
            FieldSpec("showAuthenticationRestrictions", .truth),
        ],
        access: .fields { call, rights throws(DBError) in
            switch try AskedNames(call.commandValue, "role", database: call.database) {
            case .everywhere: try rights.requireEverywhere([.viewRole], call)
            case .inDatabase: try rights.require([.viewRole], onDatabase: call.database, call)
            case .these(let names):
                let own = Set(
                    call.core.accounts.user(rights.account)
                        .map { call.core.accounts.closure(of: $0.roles) } ?? [])
                for name in names where !own.contains(name) {
                    try rights.require([.viewRole], onDatabase: name.database, call)
                }
            }
        }, help: "lists roles"
    ) { call, reply throws(DBError) in
        let book = call.core.accounts
        let database = call.database
        var names: [QualifiedName]
        switch try AskedNames(call.commandValue, "role", database: database) {
        case .these(let asked): names = asked.filter { book.roleExists($0) }
        case .inDatabase, .everywhere:
            names = book.roles(in: database).map(\.name)
            if call.truth("showBuiltinRoles") == true {
                names += BuiltinRoles.names(in: database).map {
                    QualifiedName(name: $0, database: database)
                }
            }
        }
        let showsPrivileges =
            call.string("showPrivileges") != nil || call.truth("showPrivileges") == true
        let list = reply.openArray("roles")
        for name in names {
            reply.append(element: document(name, book, showsPrivileges).view)
        }
        reply.close(list)
        return .done
    }

    private static func document(
        _ name: QualifiedName, _ book: AccountBook, _ showsPrivileges: Bool
    ) -> Document {
        let made = book.role(name)
        return Document { writer in
            if made != nil { writer.append("_id", name.id) }
            writer.append("role", name.name)
            writer.append("db", name.database)
            writer.append("isBuiltin", made == nil)
            writer.append("roles", (made?.roles ?? []).asRoles)
            let inherited = book.closure(of: made?.roles ?? [])
            writer.append("inheritedRoles", inherited.asRoles)
            guard showsPrivileges else { return }
            let own =
                made?.privileges
                ?? BuiltinRoles.privileges(name.name, in: name.database) ?? []
            writer.append(
                "privileges",
                .array(Privilege.merged(own).map { .document($0.document) }))
            writer.append(
                "inheritedPrivileges",
                .array(book.privileges(of: [name]).map { .document($0.document) }))
        }
    }
}
