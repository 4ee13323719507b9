// The app users that the folder keeps, as the TCP door serves them: on threads of their own, since
// hashing a password takes 20 ms and each change waits for its commit. Readers and event loops are
// never held up, and a flood of sign-ins is refused when too many wait.

import BSON
import Logging
import NIOPosix
import Roost
import Synchronization
import Wire

/// Runs what is done about app users. Safe from any thread.
final class AppUserDesk: Sendable {
    /// Threads: password hashes fill a core each.
    private static let threads = 2
    /// Most calls that wait.
    private static let waitingMax = 500

    let accounts: AppAccounts
    private let engine: RoostEngine
    private let logger: Logger
    private let pool = NIOThreadPool(numberOfThreads: threads)
    private let mail: MailQueue?
    /// Asks other issuers and providers; nil where none is configured by a URL.
    private let fetcher: HTTPFetcher?
    /// The keys of the configured issuer; nil where they are given.
    private let issuerKeys: IssuerKeys?
    /// Sign-ins with other providers; nil where none is configured.
    let providers: ProviderSignIns?
    private let waiting = Atomic<Int>(0)
    private let observer = Mutex<Int?>(nil)

    init(_ engine: RoostEngine, _ options: ServerOptions, _ logger: Logger) throws(DBError) {
        self.engine = engine
        self.logger = logger
        var settings = AccountOptions()
        settings.attempts = options.attempts
        if let server = options.mailServer {
            mail = MailQueue(
                try SMTPTransport(server, authorityFile: options.httpAuthorityFile), logger)
        } else {
            mail = options.mailCommand.map { MailQueue(MailCommand($0), logger) }
        }
        if let mail { settings.mail = { mail.send($0) } }
        accounts = try AppAccounts(engine, settings)
        guard options.tokenKeys != nil || !options.providers.isEmpty else {
            fetcher = nil
            issuerKeys = nil
            providers = nil
            return
        }
        let fetcher = try HTTPFetcher(authorityFile: options.httpAuthorityFile)
        self.fetcher = fetcher
        if let verifier = options.tokens, let source = options.tokenKeys {
            issuerKeys = IssuerKeys(verifier, source, fetcher, logger)
        } else {
            issuerKeys = nil
        }
        providers = ProviderSignIns(options.providers, fetcher) { verifier, url in
            IssuerKeys(verifier, .keySet(url), fetcher, logger)
        }
        options.tokens?.whenKeyIsMissing { [weak self] in self?.fetchKeys(isMissing: true) }
    }

    /// Fetches the issuer's keys, soon.
    private func fetchKeys(isMissing: Bool) {
        guard let issuerKeys, !isMissing || issuerKeys.mayFetchForMissing() else { return }
        try? submit { issuerKeys.fetch() }
    }

    /// Begins to serve; `book` is told of sessions that end.
    func start(_ book: AccountBook) {
        pool.start()
        mail?.start()
        fetchKeys(isMissing: false)
        observer.withLock {
            $0 = engine.appSessions.observe { [weak book] in book?.noteEndedSessions() }
        }
    }

    /// Finishes what runs.
    func stop() async {
        if let number = observer.withLock({ $0 }) { engine.appSessions.stopObserving(number) }
        try? await pool.shutdownGracefully()
        await mail?.stop()
        await fetcher?.stop()
    }

    /// Runs `body` on a thread that may wait.
    /// - Throws: 365 TemporarilyUnavailable where too many wait.
    func submit(_ body: @escaping @Sendable () -> Void) throws(DBError) {
        guard waiting.wrappingAdd(1, ordering: .relaxed).newValue <= Self.waitingMax else {
            waiting.wrappingSubtract(1, ordering: .relaxed)
            throw DBError(
                .temporarilyUnavailable, "too many sign-ins wait: try again in a moment")
        }
        pool.submit { [self] _ in
            body()
            waiting.wrappingSubtract(1, ordering: .relaxed)
        }
    }

    /// Removes tokens whose time is over, and asks for the issuer's newest keys.
    func sweep() {
        fetchKeys(isMissing: false)
        try? submit { [accounts, logger] in
            do throws(DBError) {
                try accounts.sweep()
            } catch {
                logger.warning(
                    "old tokens of app users were not removed", metadata: ["error": "\(error)"])
            }
        }
    }
}

extension ServerCore {
    /// The user that a token speaks for: of the accounts kept here, or of the issuer that is
    /// configured.
    /// - Throws: why it is refused; for the log, not for whoever presented it.
    func appUser(ofToken token: String) throws(TokenFailure) -> AppUser {
        if TokenVerifier.unverifiedIssuer(token) == AppAccounts.issuer {
            return try appUsers.accounts.user(ofToken: token)
        }
        guard let tokens else { throw .wrongIssuer }
        return try tokens.verify(token, nowMillis: Clock.wallMillis)
    }
}

extension CommandCall {
    /// Who a command about a signed-in user is about.
    enum AppUserProof: Sendable {
        /// The user who is connected.
        case connected(String)
        /// Whoever the access token speaks for.
        case token(String)

        /// - Throws: 18 AuthenticationFailed.
        func userID(_ accounts: AppAccounts) throws(DBError) -> String {
            switch self {
            case .connected(let id): id
            case .token(let token): try accounts.userID(ofToken: token)
            }
        }
    }

    /// The signed-in user that the command is about: the one who is connected, or the one of the
    /// field `accessToken`.
    /// - Throws: 2 BadValue where there is neither; 13 for users of another issuer.
    func appUserProof() throws(DBError) -> AppUserProof {
        if case .app(let user) = principal, connection.access.isAppUser {
            guard user.session != nil, let id = user.auth?.view.value("uid")?.string else {
                throw DBError(
                    .unauthorized, "your account is kept by the issuer of your token, not here")
            }
            return .connected(id)
        }
        return .token(try required("accessToken"))
    }

    /// A field that must be there.
    /// - Throws: 2 BadValue.
    func required(_ name: StaticString) throws(DBError) -> String {
        guard let text = string(name) else {
            throw DBError(.badValue, "\(command.name) needs the field '\(name)', a string")
        }
        return text
    }

    /// Where the user's request came from: what the field `address` says, or for an app user's own
    /// connection its address. A back end that doesn't say it has only accounts counted.
    var userAddress: String? {
        if connection.access.isAppUser { return connection.clientIP }
        return string("address").map { String($0.prefix(100)) }
    }

    /// What a command about an app user is noted as; never a password or token.
    private func appUserParameters() -> Document {
        var known: [(name: String, text: String)] = []
        if let id = commandValue.string { known.append(("user", id)) }
        for name: StaticString in ["email", "address", "provider"] {
            guard command.fields.place(of: RawSpan(name)) != nil, let text = string(name) else {
                continue
            }
            known.append(("\(name)", String(text.prefix(254))))
        }
        return Document { writer in
            for field in known { writer.append(field.name, field.text) }
        }
    }

    /// Answers with what `body` gives, on a thread that may wait.
    /// - Throws: 365 TemporarilyUnavailable where too many wait.
    func answer(
        _ body: @escaping @Sendable (AppAccounts) throws(DBError) -> Document
    ) throws(DBError) -> CommandOutcome {
        let desk = core.appUsers
        let ticket = ticket()
        let trail = AuditTrail(connection)
        let name = "\(command.name)"
        let parameters = appUserParameters()
        do throws(DBError) {
            try desk.submit {
                ticket.answer { reply throws(DBError) in
                    do throws(DBError) {
                        let answer = try body(desk.accounts)
                        // Refreshing is what everyone does all the time; only failures tell.
                        if name != "refreshTokens" { trail.note(name, parameters) }
                        reply.appendFields(document: answer)
                    } catch {
                        trail.note(name, parameters, error)
                        throw error
                    }
                }
            }
        } catch {
            ticket.fail(error)
        }
        return .deferred
    }
}

extension IssuedTokens {
    /// As commands answer.
    var document: Document {
        [
            "userID": .string(userID), "accessToken": .string(accessToken),
            "refreshToken": .string(refreshToken), "expiresAt": .date(expiresAtMillis),
        ]
    }
}
