// beginProviderSignIn, finishProviderSignIn: app users who sign in with another provider.

import BSON
import Roost
import Wire

enum AppProviders {
    static let commands = [begin, finish]

    private static let begin = CommandDefinition(
        "beginProviderSignIn", AppSignIn.options,
        fields: [
            FieldSpec("provider", .string), FieldSpec("redirectURI", .string),
            AppSignIn.accessToken,
        ], access: .cluster([.signInAppUsers]),
        help: "gives the URL to send a user to; with an accessToken links that user"
    ) { call, _ throws(DBError) in
        let provider = try call.required("provider")
        let redirectURI = call.string("redirectURI")
        let token = call.string("accessToken")
        let signIns = try signIns(call)
        return try call.answer { accounts throws(DBError) in
            var user: String?
            if let token { user = try accounts.userID(ofToken: token) }
            let (url, state) = try signIns.begin(provider, redirectURI: redirectURI, user: user)
            return ["url": .string(url), "state": .string(state)]
        }
    }

    private static let finish = CommandDefinition(
        "finishProviderSignIn", AppSignIn.options,
        fields: [FieldSpec("state", .string), FieldSpec("code", .string), AppSignIn.address],
        access: .cluster([.signInAppUsers]),
        help: "signs in the user who came back from a provider with a code"
    ) { call, _ throws(DBError) in
        let state = try call.required("state")
        let code = try call.required("code")
        let address = call.userAddress
        let signIns = try signIns(call)
        return try call.answer { accounts throws(DBError) in
            let (identity, user) = try signIns.finish(state: state, code: code)
            return try accounts.signIn(identity, linkingTo: user, from: address).document
        }
    }

    private static func signIns(
        _ call: borrowing CommandCall
    ) throws(DBError) -> ProviderSignIns {
        guard let signIns = call.core.appUsers.providers else {
            throw DBError(
                .commandNotSupported,
                "no providers are configured: start the server with --sign-in-providers")
        }
        return signIns
    }
}
