// Signing in over one connection: SASL's steps, from saslStart or the first hello to the end.

import BSON
import Logging
import NIOCore
import Roost
import Wire

/// An exchange that is under way.
struct SignInExchange {
    var scram: ScramServer
    let user: QualifiedName
    let account: ServiceAccount?
    let skipsEmptyExchange: Bool
    let conversation: Int32
    /// Whether only the empty last exchange is missing.
    var isProven = false
}

/// What the client is told after a step.
struct SignInStep {
    let conversation: Int32
    let isDone: Bool
    let payload: [UInt8]

    func write(_ reply: inout ReplyWriter) {
        reply.append("conversationId", conversation)
        reply.append("done", isDone)
        reply.append("payload", .binary(subtype: 0, payload))
    }

    /// As hello shows it.
    var document: Document {
        [
            "conversationId": .int32(conversation), "done": .bool(isDone),
            "payload": .binary(subtype: 0, payload),
        ]
    }
}

extension ConnectionHandler {
    /// The mechanisms that are offered.
    private static let scram = "SCRAM-SHA-256"
    private static let oidc = "MONGODB-OIDC"

    /// What every failed sign-in is told, so that it tells nothing.
    static var signInFailure: DBError { DBError(.authenticationFailed, "Authentication failed.") }

    /// The first step, with the fields of saslStart.
    /// - Throws: 18 AuthenticationFailed, 334 MechanismUnavailable, 2 BadValue.
    func beginSignIn(
        _ fields: DocumentView, database: String
    ) throws(DBError) -> SignInStep {
        exchange = nil
        let mechanism = fields.value("mechanism")?.string ?? ""
        guard let payload = Self.payload(of: fields) else {
            throw DBError(.badValue, "saslStart needs a binary payload")
        }
        switch mechanism {
        case Self.scram: return try beginScram(fields, payload, database)
        case Self.oidc: return try signIn(withToken: payload)
        case "SCRAM-SHA-1":
            throw DBError(
                .mechanismUnavailable,
                "SCRAM-SHA-1 is not offered, since SHA-1 is broken: set "
                    + "authMechanism=SCRAM-SHA-256, or use a driver that knows it")
        default:
            throw DBError(
                .mechanismUnavailable,
                "Received authentication for mechanism '\(mechanism.prefix(40))' which is not "
                    + "enabled")
        }
    }

    /// What a step carries: bytes, or their base64.
    private static func payload(of fields: DocumentView) -> [UInt8]? {
        guard let value = fields.value("payload") else { return nil }
        if let binary = value.binary { return [UInt8](copying: binary.content) }
        return value.string.flatMap { Base64.decode($0) }
    }

    private func beginScram(
        _ fields: DocumentView, _ payload: [UInt8], _ database: String
    ) throws(DBError) -> SignInStep {
        var scram: ScramServer
        do throws(ScramServer.Failure) {
            scram = try ScramServer(clientFirst: payload)
        } catch {
            throw Self.protocolFailure(error)
        }
        let name = QualifiedName(name: scram.user, database: database)
        try checkMayTry(name.id)
        let account = core.accounts.user(name)
        let answer = scram.challenge(account?.credential, secret: core.accounts.secret)
        let skips = fields.value("options")?.document?.value("skipEmptyExchange")?.isTruthy == true
        lastConversation &+= 1
        exchange = SignInExchange(
            scram: scram, user: name, account: account, skipsEmptyExchange: skips,
            conversation: lastConversation)
        return SignInStep(conversation: lastConversation, isDone: false, payload: answer)
    }

    /// A further step, with the fields of saslContinue.
    /// - Throws: 17 ProtocolError, 18 AuthenticationFailed.
    func continueSignIn(_ fields: DocumentView) throws(DBError) -> SignInStep {
        guard var running = exchange else {
            throw DBError(.protocolError, "No SASL session state found")
        }
        exchange = nil
        guard fields.value("conversationId")?.exactInteger == Int64(running.conversation) else {
            throw DBError(.protocolError, "sasl: Mismatched conversation id")
        }
        guard let payload = fields.value("payload")?.binary else {
            throw DBError(.badValue, "saslContinue needs a binary payload")
        }
        if running.isProven {
            guard payload.content.byteCount == 0 else { throw Self.signInFailure }
            finish(running)
            return SignInStep(conversation: running.conversation, isDone: true, payload: [])
        }
        try checkMayTry(running.user.id)
        let answer: [UInt8]
        do throws(ScramServer.Failure) {
            answer = try running.scram.finish(clientFinal: [UInt8](copying: payload.content))
        } catch {
            noteFailure(running.user.id, "SCRAM-SHA-256")
            throw Self.protocolFailure(error)
        }
        if running.skipsEmptyExchange {
            finish(running)
        } else {
            running.isProven = true
            exchange = running
        }
        return SignInStep(
            conversation: running.conversation, isDone: running.skipsEmptyExchange,
            payload: answer)
    }

    private func finish(_ exchange: SignInExchange) {
        guard let account = exchange.account else { return }
        core.attempts.noteSuccess(account: exchange.user.id, address: clientIP)
        signIn(as: .service(account.name, userID: account.userID))
        noteSignIn(account.name.name, account.name.database, Self.scram, fails: false)
        core.logger.debug(
            "signed in",
            metadata: ["connection": "\(id)", "user": "\(account.name.id)"])
    }

    /// MONGODB-OIDC in one step: `{jwt: …}`. Without a token the client asks where to get one.
    private func signIn(withToken payload: [UInt8]) throws(DBError) -> SignInStep {
        guard (try? validate(document: payload.span.bytes)) != nil else { throw Self.signInFailure }
        lastConversation &+= 1
        guard let token = DocumentView(payload.span.bytes).value("jwt")?.string else {
            let information: Document = [
                "issuer": .string(core.tokens?.issuer ?? AppAccounts.issuer)
            ]
            return SignInStep(
                conversation: lastConversation, isDone: false, payload: information.bytes)
        }
        let user: AppUser
        do throws(TokenFailure) {
            user = try core.appUser(ofToken: token)
        } catch {
            // Signatures can't be guessed, and many users may come from one address: not counted.
            logFailure("token", "MONGODB-OIDC: \(error)")
            throw Self.signInFailure
        }
        signIn(as: .app(user))
        noteSignIn(
            user.auth?.view.value("uid")?.string ?? "", "$external", Self.oidc, fails: false)
        return SignInStep(conversation: lastConversation, isDone: true, payload: [])
    }

    // MARK: Guessing

    /// - Throws: 18 AuthenticationFailed after too many failures.
    func checkMayTry(_ account: String) throws(DBError) {
        guard
            let wait = core.attempts.wait(
                account: account, address: clientIP, nowMillis: Clock.wallMillis)
        else { return }
        throw DBError(
            .authenticationFailed,
            "Authentication failed: too many failed attempts; try again in "
                + "\((wait + 999) / 1_000) s")
    }

    /// Counts and logs a failed sign-in; never what was sent.
    func noteFailure(_ account: String, _ mechanism: String) {
        core.attempts.noteFailure(
            account: account, address: clientIP, nowMillis: Clock.wallMillis)
        logFailure(account, mechanism)
    }

    /// Logs a failed sign-in that isn't counted; never what was sent.
    func logFailure(_ account: String, _ mechanism: String) {
        noteSignIn(account, "", String(mechanism.prefix(60)), fails: true)
        core.logger.info(
            "sign-in failed",
            metadata: [
                "account": "\(account.prefix(200))", "mechanism": "\(mechanism)",
                "remote": "\(client.remoteAddress)",
            ])
    }

    private static func protocolFailure(_ failure: ScramServer.Failure) -> DBError {
        switch failure {
        case .malformed(let reason):
            DBError(.authenticationFailed, "Authentication failed: \(reason)")
        case .wrongProof: signInFailure
        }
    }
}
