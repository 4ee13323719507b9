// saslStart, saslContinue, authenticate: signing in. There are no users, so each sign-in fails, by
// the error that drivers take for a wrong name or password.

import BSON
import Wire

enum SignIn {
    static let start = CommandDefinition(
        "saslStart", [.beforeAuthentication, .neverCompressed, .takesAnyField],
        help: "begins to sign in; there are no users"
    ) { call, _ throws(DBError) in
        let mechanism = call.body.value("mechanism")?.string ?? ""
        guard ["SCRAM-SHA-1", "SCRAM-SHA-256"].contains(mechanism) else {
            throw DBError(
                DBError.Code(rawValue: 334),
                "Received authentication for mechanism '\(mechanism)' which is not enabled")
        }
        throw failure
    }

    static let goOn = CommandDefinition(
        "saslContinue", [.beforeAuthentication, .neverCompressed, .takesAnyField],
        help: "goes on signing in; there are no users"
    ) { _, _ throws(DBError) in
        throw DBError(.protocolError, "No SASL session state found")
    }

    static let authenticate = CommandDefinition(
        "authenticate", [.beforeAuthentication, .neverCompressed, .takesAnyField],
        help: "signs in by a certificate; there are no users"
    ) { _, _ throws(DBError) in throw failure }

    private static let failure = DBError(.authenticationFailed, "Authentication failed.")
}
