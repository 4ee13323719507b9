// setClaims, appUsersInfo, disableAppUser, enableAppUser, dropAppUser, signOutAppUser: what an app's
// administration does to its users.

import BSON
import Roost
import Wire

enum AppUserAdministration {
    static let commands = [
        setClaims, show,
        change("disableAppUser", help: "lets an app user sign in no more; ends all sessions") {
            accounts, id throws(DBError) in try accounts.setDisabled(userID: id, true)
        },
        change("enableAppUser", help: "lets an app user sign in again") {
            accounts, id throws(DBError) in try accounts.setDisabled(userID: id, false)
        },
        change("dropAppUser", help: "removes an app user with all sessions") {
            accounts, id throws(DBError) in try accounts.deleteUser(userID: id)
        },
        change("signOutAppUser", help: "ends all sessions of an app user") {
            accounts, id throws(DBError) in try accounts.signOutEverywhere(userID: id)
        },
    ]

    /// A command whose own field is a user's id.
    private static func change(
        _ name: StaticString, help: StaticString,
        _ body: @escaping @Sendable (AppAccounts, String) throws(DBError) -> Void
    ) -> CommandDefinition {
        CommandDefinition(name, [], access: .cluster([.administerAppUsers]), help: help) {
            call, _ throws(DBError) in
            let id = try userID(call)
            return try call.answer { accounts throws(DBError) in
                try body(accounts, id)
                return Document()
            }
        }
    }

    private static let setClaims = CommandDefinition(
        "setClaims", [], fields: [FieldSpec("claims", .document, required: true)],
        access: .cluster([.administerAppUsers]),
        help: "replaces an app user's own claims, which rules see in request.auth.token"
    ) { call, _ throws(DBError) in
        let id = try userID(call)
        let claims = call.ownedDocument("claims") ?? Document()
        return try call.answer { accounts throws(DBError) in
            try accounts.setClaims(userID: id, claims)
            return Document()
        }
    }

    private static let show = CommandDefinition(
        "appUsersInfo", [], fields: [FieldSpec("email", .string)],
        access: .cluster([.administerAppUsers]),
        help: "shows app users: all, the one of an id, or the one of an e-mail address"
    ) { call, _ throws(DBError) in
        let id = call.commandValue.string
        let email = call.string("email")
        return try call.answer { accounts throws(DBError) in
            var found: [AppUserInfo] = []
            if let id {
                if let user = try accounts.info(userID: id) { found = [user] }
            } else if let email {
                if let user = try accounts.info(email: email) { found = [user] }
            } else {
                found = try accounts.allUsers()
            }
            return ["users": .array(found.map { .document(document($0)) })]
        }
    }

    private static func document(_ user: AppUserInfo) -> Document {
        Document { writer in
            writer.append("userID", user.userID)
            if let email = user.email {
                writer.append("email", email)
                writer.append("emailVerified", user.isEmailVerified)
            }
            writer.append("anonymous", user.isAnonymous)
            writer.append("disabled", user.isDisabled)
            writer.append("secondFactor", user.hasSecondFactor)
            if let claims = user.claims { writer.append("claims", claims) }
            writer.append("createdAt", dateMillis: user.createdAtMillis)
        }
    }

    private static func userID(_ call: borrowing CommandCall) throws(DBError) -> String {
        guard let id = call.commandValue.string, !id.isEmpty else {
            throw DBError(.badValue, "\(call.command.name) needs an app user's id, a string")
        }
        return id
    }
}
