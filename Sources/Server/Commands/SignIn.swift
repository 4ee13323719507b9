// saslStart, saslContinue, authenticate: signing in; see Authentication/SignInExchange.swift.

import BSON
import Wire

enum SignIn {
    private static let options: CommandDefinition.Options = [
        .neverCompressed, .takesAnyField, .holdsSecrets,
    ]

    static let start = CommandDefinition(
        "saslStart", options, access: .open, help: "begins to sign in"
    ) { call, reply throws(DBError) in
        try call.connection.beginSignIn(call.body, database: call.database).write(&reply)
        return .done
    }

    static let goOn = CommandDefinition(
        "saslContinue", options, access: .open, help: "goes on signing in"
    ) { call, reply throws(DBError) in
        try call.connection.continueSignIn(call.body).write(&reply)
        return .done
    }

    static let authenticate = CommandDefinition(
        "authenticate", options, access: .open, help: "signs in by a certificate; not offered"
    ) { _, _ throws(DBError) in
        throw DBError(
            .mechanismUnavailable,
            "authenticate is for mechanisms that are not offered; use SCRAM-SHA-256")
    }
}
