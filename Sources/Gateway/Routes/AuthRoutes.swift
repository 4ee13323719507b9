// /api/v1/auth: an app's own users sign up, in and out. Each address is a command of the server's
// (Server/Authentication/Authentication.md), run by the door on the user's behalf: it adds the
// address that failed attempts are counted for, and for those who are signed in their token.

import BSON
import NIOCore
import NIOHTTP1
import Wire

enum AuthRoutes {
    /// One command as an address.
    private struct Operation: Sendable {
        let path: String
        let command: String
        let summary: String
        var required: [String] = []
        var optional: [String] = []
        /// Whether the bearer token is the command's `accessToken`; optional where false.
        var needsToken = false
        var takesToken = false
        var takesAddress = true
        var status = 200
    }

    private static let operations = [
        Operation(
            path: "sign-up", command: "signUp",
            summary: "Makes a user; with an anonymous user's token gives that one an address",
            required: ["email", "password"], takesToken: true),
        Operation(
            path: "verify-email", command: "verifyEmail",
            summary: "Makes the account of a sign-up, by the token of its message",
            required: ["token"]),
        Operation(
            path: "sign-in", command: "signIn", summary: "Signs a user in",
            required: ["email", "password"], optional: ["code"]),
        Operation(
            path: "anonymous", command: "signInAnonymously",
            summary: "Makes a user without an address, and signs in"),
        Operation(
            path: "refresh", command: "refreshTokens",
            summary: "Gives the next tokens; a refresh token serves once",
            required: ["refreshToken"]),
        Operation(
            path: "sign-out", command: "signOut", summary: "Ends a session",
            required: ["refreshToken"], takesAddress: false),
        Operation(
            path: "sign-out-everywhere", command: "signOutEverywhere",
            summary: "Ends all sessions of the user", needsToken: true, takesAddress: false),
        Operation(
            path: "request-password-reset", command: "requestPasswordReset",
            summary: "Sends a message with a token, where the address has an account",
            required: ["email"], takesAddress: false),
        Operation(
            path: "reset-password", command: "resetPassword",
            summary: "Sets a new password, by the token of a message",
            required: ["token", "newPassword"], takesAddress: false),
        Operation(
            path: "change-password", command: "changePassword",
            summary: "Changes the password; ends all sessions and begins one",
            required: ["password", "newPassword"], needsToken: true),
        Operation(
            path: "totp/enrol", command: "enrolTotp",
            summary: "Makes a secret for an authenticator app", optional: ["password", "issuer"],
            needsToken: true),
        Operation(
            path: "totp/confirm", command: "confirmTotp",
            summary: "Takes the first code, from which on signing in asks for one",
            required: ["code"], needsToken: true),
        Operation(
            path: "totp/recovery-codes", command: "renewRecoveryCodes",
            summary: "Replaces the recovery codes", required: ["code"], needsToken: true),
        Operation(
            path: "totp/disable", command: "disableTotp",
            summary: "Ends the second factor, by a last code", required: ["code"],
            needsToken: true),
        Operation(
            path: "providers/begin", command: "beginProviderSignIn",
            summary: "Gives the address to send a user to, of a configured provider",
            required: ["provider"], optional: ["redirectURI"], takesToken: true,
            takesAddress: false),
        Operation(
            path: "providers/finish", command: "finishProviderSignIn",
            summary: "Signs in the user who came back from a provider",
            required: ["state", "code"]),
    ]

    static let all = operations.map { operation in
        Route(
            .POST, "/api/v1/auth/\(operation.path)", operation.summary, tag: "auth",
            body: schema(operation), data: #"{"type":"object"}"#
        ) { exchange throws(DBError) in try run(operation, exchange) }
    }

    private static func schema(_ operation: Operation) -> String {
        let fields = (operation.required + operation.optional).map {
            #""\#($0)":{"type":"string"}"#
        }
        let required = operation.required.map { "\"\($0)\"" }.joined(separator: ",")
        return #"{"type":"object","properties":{\#(fields.joined(separator: ","))},"#
            + #""required":[\#(required)],"additionalProperties":false}"#
    }

    private static func run(_ operation: Operation, _ exchange: Exchange) throws(DBError) {
        let known = operation.required + operation.optional
        var body = Document()
        if exchange.request.body.readableBytes > 0 || !operation.required.isEmpty {
            body = try exchange.bodyDocument(known)
        }
        for name in operation.required where body[name] == nil {
            throw DBError(.badValue, "the body needs the field '\(name)', a string")
        }
        for name in known {
            switch body[name] {
            case nil, .string?: break
            default: throw DBError(.badValue, "'\(name)' must be a string")
            }
        }
        var token: String?
        if operation.needsToken || operation.takesToken {
            if case .token(let given) = exchange.guest { token = given }
            guard token != nil || !operation.needsToken else {
                throw DBError(
                    .authenticationFailed, "this needs the access token of a signed-in user")
            }
        }
        let (fields, accessToken) = (body, token)
        let command = Document { writer in
            writer.append(operation.command, Int32(1))
            writer.appendFields(of: fields.view)
            if let accessToken { writer.append("accessToken", accessToken) }
            if operation.takesAddress { writer.append("address", exchange.visitor.address) }
        }
        try exchange.run(command, database: "admin", as: .doorkeeper) { reply in
            .success(.ok, reply.answer)
        }
    }
}
