// enrolTotp, confirmTotp, renewRecoveryCodes, disableTotp: an app user's second factor.

import BSON
import Roost
import Wire

enum AppFactors {
    static let commands = [enrol, confirm, renew, disable]

    private static let code = [
        AppSignIn.accessToken, FieldSpec("code", .string), AppSignIn.address,
    ]

    private static let enrol = CommandDefinition(
        "enrolTotp", AppSignIn.options,
        fields: [
            AppSignIn.accessToken, FieldSpec("password", .string), FieldSpec("issuer", .string),
            AppSignIn.address,
        ], access: .cluster([.signInAppUsers]),
        help: "makes a secret for an authenticator app; confirmTotp puts it to use"
    ) { call, _ throws(DBError) in
        let proof = try call.appUserProof()
        let password = call.string("password")
        let issuer = call.string("issuer") ?? "Roost"
        let address = call.userAddress
        return try call.answer { accounts throws(DBError) in
            let made = try accounts.enrolTotp(
                userID: try proof.userID(accounts), password: password, issuer: issuer,
                from: address)
            return ["secret": .string(made.secret), "uri": .string(made.uri)]
        }
    }

    private static let confirm = CommandDefinition(
        "confirmTotp", AppSignIn.options, fields: code, access: .cluster([.signInAppUsers]),
        help: "takes the first code, from which on signing in asks for one"
    ) { call, _ throws(DBError) in
        try answer(call) { accounts, id, code, address throws(DBError) in
            codes(try accounts.confirmTotp(userID: id, code: code, from: address))
        }
    }

    private static let renew = CommandDefinition(
        "renewRecoveryCodes", AppSignIn.options, fields: code,
        access: .cluster([.signInAppUsers]), help: "replaces the recovery codes"
    ) { call, _ throws(DBError) in
        try answer(call) { accounts, id, code, address throws(DBError) in
            codes(try accounts.renewRecoveryCodes(userID: id, code: code, from: address))
        }
    }

    private static let disable = CommandDefinition(
        "disableTotp", AppSignIn.options, fields: code, access: .cluster([.signInAppUsers]),
        help: "ends the second factor, by a last code"
    ) { call, _ throws(DBError) in
        try answer(call) { accounts, id, code, address throws(DBError) in
            try accounts.disableTotp(userID: id, code: code, from: address)
            return Document()
        }
    }

    private static func codes(_ codes: [String]) -> Document {
        ["recoveryCodes": .array(codes.map { .string($0) })]
    }

    /// Answers with what comes of a user's code.
    private static func answer(
        _ call: borrowing CommandCall,
        _ body:
            @escaping @Sendable (AppAccounts, String, String, String?) throws(DBError) -> Document
    ) throws(DBError) -> CommandOutcome {
        let proof = try call.appUserProof()
        let code = try call.required("code")
        let address = call.userAddress
        return try call.answer { accounts throws(DBError) in
            try body(accounts, try proof.userID(accounts), code, address)
        }
    }
}
