// The first account: made at the first start that asks for signing in, or by `roost admin create`.

package import BSON
package import Roost
import Wire

/// Makes administrators in a folder that is open in this process, before a server runs on it.
package enum Administrator {
    /// Whether the folder has an account.
    package static func hasAccounts(_ engine: RoostEngine) throws(DBError) -> Bool {
        try !engine.accountRecords(.user).isEmpty
    }

    /// A password of 128 random bits.
    package static func newPassword() -> String { Base64URL.encode(SecureRandom.bytes(16)) }

    /// The command that makes an administrator of a running server.
    package static func command(_ name: String, password: String) -> Document {
        [
            "createUser": .string(name), "pwd": .string(password),
            "roles": [["role": "root", "db": "admin"]],
        ]
    }

    /// Makes an account with the role root in database admin, durably.
    /// - Throws: 51003 where there is one of that name; 2 BadValue for a password that can't be
    ///   used.
    package static func create(
        _ name: String, password: String, _ engine: RoostEngine
    ) throws(DBError) {
        guard !name.isEmpty, !name.utf8.contains(0), !password.isEmpty,
            let credential = ScramCredential(password: password)
        else {
            throw DBError(
                .badValue,
                "the name or the password is empty or holds characters that SASLprep (RFC 4013) "
                    + "forbids")
        }
        let full = QualifiedName(name: name, database: "admin")
        let account = ServiceAccount(
            name: full, credential: credential,
            roles: [QualifiedName(name: "root", database: "admin")])
        try engine.changeAccountsAndWait { change in
            guard try change.user(full) == nil else {
                throw DBError(
                    DBError.Code(rawValue: 51_003),
                    "User \"\(name)@admin\" already exists")
            }
            try change.put(.user, full.id, account.record)
        }
        engine.note(AuditEvent("createUser", ["name": .string(name), "db": "admin"]))
    }
}
