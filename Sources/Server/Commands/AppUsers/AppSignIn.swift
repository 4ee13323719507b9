// signUp, signIn, signInAnonymously, refreshTokens, signOut, signOutEverywhere: users of apps, for
// an app's back end. Access tokens sign in over MONGODB-OIDC.

import BSON
import Roost
import Wire

enum AppSignIn {
    static let options: CommandDefinition.Options = [.holdsSecrets]
    static let address = FieldSpec("address", .string)
    static let accessToken = FieldSpec("accessToken", .string)

    static let commands = [signUp, signIn, anonymous, refresh, signOut, everywhere]

    private static let signUp = CommandDefinition(
        "signUp", options,
        fields: [
            FieldSpec("email", .string), FieldSpec("password", .string), accessToken, address,
        ], access: .cluster([.signInAppUsers]),
        help: "makes an app user; with an anonymous user's accessToken gives that one an address"
    ) { call, _ throws(DBError) in
        let email = try call.required("email")
        let password = try call.required("password")
        let address = call.userAddress
        let token = call.string("accessToken")
        return try call.answer { accounts throws(DBError) in
            var anonymous: String?
            if let token { anonymous = try accounts.userID(ofToken: token) }
            switch try accounts.signUp(
                email: email, password: password, from: address, upgrading: anonymous)
            {
            case .signedIn(let tokens): return tokens.document
            case .messageSent: return ["messageSent": true]
            }
        }
    }

    private static let signIn = CommandDefinition(
        "signIn", options,
        fields: [
            FieldSpec("email", .string), FieldSpec("password", .string),
            FieldSpec("code", .string), address,
        ], access: .cluster([.signInAppUsers]), help: "signs an app user in"
    ) { call, _ throws(DBError) in
        let email = try call.required("email")
        let password = try call.required("password")
        let code = call.string("code")
        let address = call.userAddress
        return try call.answer { accounts throws(DBError) in
            switch try accounts.signIn(
                email: email, password: password, code: code, from: address)
            {
            case .signedIn(let tokens): return tokens.document
            case .needsCode: return ["codeRequired": true]
            }
        }
    }

    private static let anonymous = CommandDefinition(
        "signInAnonymously", options, fields: [address], access: .cluster([.signInAppUsers]),
        help: "makes an app user without an address, who ends with the tokens"
    ) { call, _ throws(DBError) in
        let address = call.userAddress
        return try call.answer { accounts throws(DBError) in
            try accounts.signUpAnonymously(from: address).document
        }
    }

    private static let refresh = CommandDefinition(
        "refreshTokens", options, fields: [FieldSpec("refreshToken", .string), address],
        access: .cluster([.signInAppUsers]), help: "gives the next tokens for a refresh token"
    ) { call, _ throws(DBError) in
        let token = try call.required("refreshToken")
        let address = call.userAddress
        return try call.answer { accounts throws(DBError) in
            try accounts.refresh(token, from: address).document
        }
    }

    private static let signOut = CommandDefinition(
        "signOut", options, fields: [FieldSpec("refreshToken", .string)],
        access: .cluster([.signInAppUsers]), help: "ends the session of a refresh token"
    ) { call, _ throws(DBError) in
        let token = try call.required("refreshToken")
        return try call.answer { accounts throws(DBError) in
            try accounts.signOut(token)
            return Document()
        }
    }

    private static let everywhere = CommandDefinition(
        "signOutEverywhere", options, fields: [accessToken],
        access: .cluster([.signInAppUsers]), help: "ends all sessions of an app user"
    ) { call, _ throws(DBError) in
        let proof = try call.appUserProof()
        return try call.answer { accounts throws(DBError) in
            let count = try accounts.signOutEverywhere(userID: try proof.userID(accounts))
            return ["sessions": .int32(Int32(clamping: count))]
        }
    }
}
