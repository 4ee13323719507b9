// verifyEmail, requestPasswordReset, resetPassword, changePassword.

import BSON
import Roost
import Wire

enum AppEmail {
    static let commands = [verify, request, reset, change]

    private static let verify = CommandDefinition(
        "verifyEmail", AppSignIn.options,
        fields: [FieldSpec("token", .string), AppSignIn.address],
        access: .cluster([.signInAppUsers]),
        help: "finishes a sign-up by the token of its message"
    ) { call, _ throws(DBError) in
        let token = try call.required("token")
        let address = call.userAddress
        return try call.answer { accounts throws(DBError) in
            try accounts.verifyEmail(token: token, from: address).document
        }
    }

    private static let request = CommandDefinition(
        "requestPasswordReset", AppSignIn.options, fields: [FieldSpec("email", .string)],
        access: .cluster([.signInAppUsers]),
        help: "sends a token that sets a new password, where the address has an account"
    ) { call, _ throws(DBError) in
        let email = try call.required("email")
        return try call.answer { accounts throws(DBError) in
            try accounts.requestPasswordReset(email: email)
            return Document()
        }
    }

    private static let reset = CommandDefinition(
        "resetPassword", AppSignIn.options,
        fields: [FieldSpec("token", .string), FieldSpec("newPassword", .string)],
        access: .cluster([.signInAppUsers]),
        help: "sets a new password by the token of a message; ends all sessions"
    ) { call, _ throws(DBError) in
        let token = try call.required("token")
        let password = try call.required("newPassword")
        return try call.answer { accounts throws(DBError) in
            try accounts.resetPassword(token: token, newPassword: password)
            return Document()
        }
    }

    private static let change = CommandDefinition(
        "changePassword", AppSignIn.options,
        fields: [
            AppSignIn.accessToken, FieldSpec("password", .string),
            FieldSpec("newPassword", .string), AppSignIn.address,
        ], access: .cluster([.signInAppUsers]),
        help: "changes an app user's password; ends all sessions and begins one"
    ) { call, _ throws(DBError) in
        let proof = try call.appUserProof()
        let password = try call.required("password")
        let newPassword = try call.required("newPassword")
        let address = call.userAddress
        return try call.answer { accounts throws(DBError) in
            try accounts.changePassword(
                userID: try proof.userID(accounts), password: password,
                newPassword: newPassword, from: address
            ).document
        }
    }
}
