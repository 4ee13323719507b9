// Accounts of services and people who sign in by a password, and roles that were made, as they are
// stored (Roost/Accounts/AccountTable).

import BSON
import Roost
import Wire

/// The name of a user or role, with the database it belongs to.
struct QualifiedName: Hashable, Sendable, Comparable {
    let name: String
    let database: String

    /// `database.name`, which is the `_id` that MongoDB shows.
    var id: String { "\(database).\(name)" }

    static func < (left: QualifiedName, right: QualifiedName) -> Bool {
        (left.database, left.name) < (right.database, right.name)
    }

    /// `{role, db}`.
    var asRole: Value { ["role": .string(name), "db": .string(database)] }
}

extension [QualifiedName] {
    /// `[{role, db}, …]`.
    var asRoles: Value { .array(map(\.asRole)) }
}

/// A service account.
struct ServiceAccount: Sendable {
    let name: QualifiedName
    /// A UUID: another account under the same name is another account.
    let userID: [UInt8]
    var credential: ScramCredential
    var roles: [QualifiedName]
    var customData: Document?

    /// A new account.
    init(name: QualifiedName, credential: ScramCredential, roles: [QualifiedName]) {
        self.name = name
        self.credential = credential
        self.roles = roles
        var bytes = SecureRandom.bytes(16)
        // Version and variant of a random UUID (RFC 9562).
        bytes[6] = bytes[6] & 0x0F | 0x40
        bytes[8] = bytes[8] & 0x3F | 0x80
        userID = bytes
    }

    /// An account as it was stored; nil where the record can't be read.
    init?(_ record: Document) {
        let view = record.view
        guard let user = view.value("user")?.string, let database = view.value("db")?.string,
            let id = view.value("userId")?.binary, let scram = view.value("scram")?.document,
            let iterations = scram.value("iterationCount")?.exactInteger,
            let salt = scram.value("salt")?.binary,
            let storedKey = scram.value("storedKey")?.binary,
            let serverKey = scram.value("serverKey")?.binary
        else { return nil }
        name = QualifiedName(name: user, database: database)
        userID = [UInt8](copying: id.content)
        credential = ScramCredential(
            iterations: Int(clamping: iterations), salt: [UInt8](copying: salt.content),
            storedKey: [UInt8](copying: storedKey.content),
            serverKey: [UInt8](copying: serverKey.content))
        roles = StoredRoles.read(view)
        if let data = view.value("customData")?.document { customData = Document(copying: data) }
    }

    /// As it is stored, with its credential.
    var record: Document {
        Document { writer in
            writer.append("user", name.name)
            writer.append("db", name.database)
            writer.append("userId", .binary(subtype: 4, userID))
            writer.append("roles", roles.asRoles)
            if let customData { writer.append("customData", customData) }
            let scram: Document = [
                "iterationCount": .int32(Int32(clamping: credential.iterations)),
                "salt": .binary(subtype: 0, credential.salt),
                "storedKey": .binary(subtype: 0, credential.storedKey),
                "serverKey": .binary(subtype: 0, credential.serverKey),
            ]
            writer.append("scram", scram)
        }
    }
}

/// A role that was made by createRole.
struct CustomRole: Sendable {
    let name: QualifiedName
    var privileges: [Privilege]
    var roles: [QualifiedName]

    /// A new role.
    init(name: QualifiedName, privileges: [Privilege], roles: [QualifiedName]) {
        self.name = name
        self.privileges = Privilege.merged(privileges)
        self.roles = roles
    }

    /// A role as it was stored; nil where the record can't be read.
    init?(_ record: Document) {
        let view = record.view
        guard let role = view.value("role")?.string, let database = view.value("db")?.string else {
            return nil
        }
        name = QualifiedName(name: role, database: database)
        roles = StoredRoles.read(view)
        privileges = []
        guard let list = view.value("privileges")?.array else { return }
        var elements = list.makeIterator()
        while let element = elements.next() {
            guard let document = element.value.document,
                let privilege = try? Privilege(document)
            else { return nil }
            privileges.append(privilege)
        }
    }

    /// As it is stored.
    var record: Document {
        [
            "role": .string(name.name), "db": .string(name.database),
            "privileges": .array(privileges.map { .document($0.document) }),
            "roles": roles.asRoles,
        ]
    }
}

/// Lists of roles in records.
enum StoredRoles {
    static func read(_ record: DocumentView) -> [QualifiedName] {
        var roles: [QualifiedName] = []
        guard let list = record.value("roles")?.array else { return roles }
        var elements = list.makeIterator()
        while let element = elements.next() {
            guard let role = element.value.document, let name = role.value("role")?.string,
                let database = role.value("db")?.string
            else { continue }
            roles.append(QualifiedName(name: name, database: database))
        }
        return roles
    }
}
