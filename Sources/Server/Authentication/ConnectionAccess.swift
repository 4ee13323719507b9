// Who speaks over a connection, and what that allows. Worked out when the client signs in, and again
// when accounts have changed, which costs each request one comparison.

import BSON
import Logging
import NIOCore
import Roost
import Wire

/// When a server asks its clients to sign in.
package enum AuthenticationPolicy: String, Sendable, CaseIterable {
    /// Always.
    case required
    /// Never: whoever reaches it may do anything.
    case off
    /// Once there is an account. Before, this machine is served without, and others are refused.
    case onceThereIsAnAccount = "default"
}

/// The rights of one connection.
struct ConnectionAccess {
    /// Who signed in.
    enum Identity: Sendable {
        case service(QualifiedName, userID: [UInt8])
        case app(AppUser)

        /// A number for the sessions of this account, the same in each process; never 0.
        var sessionOwner: UInt64 {
            let name: [UInt8] =
                switch self {
                case .service(_, let userID): userID
                case .app(let user): Self.nameBytes(user)
                }
            var number: UInt64 = 0
            for byte in SecureRandom.digest(name).prefix(8) { number = number << 8 | UInt64(byte) }
            return number | 1
        }

        /// An app user of one issuer is another one than of another.
        private static func nameBytes(_ user: AppUser) -> [UInt8] {
            guard let auth = user.auth else { return [] }
            let issuer = auth.view.value("token")?.document?.value("iss")?.string ?? ""
            let id = auth.view.value("uid")?.string ?? ""
            return Array("\(issuer)\n\(id)".utf8)
        }
    }

    /// What may be done.
    enum Grant: Sendable {
        /// Anything: nobody is asked to sign in.
        case everything
        /// What a service account's roles allow.
        case account(QualifiedName, Authority)
        /// What the rules allow an app user.
        case appUser(AppUser)
        /// Only what comes before signing in; the error says why.
        case nothing(DBError)
    }

    /// Who signed in; nil for nobody.
    private(set) var identity: Identity?
    private(set) var grant = Grant.nothing(
        DBError(.unauthorized, "Command requires authentication"))
    /// The version of the accounts that `grant` belongs to.
    private(set) var version: UInt64 = 0
    /// The version of the accounts for which a read may be repeated without asking; 0 for none.
    private(set) var repeatableVersion: UInt64 = 0
    /// Tells the sessions of one account from another's; 0 where nobody signed in.
    private(set) var sessionOwner: UInt64 = 0
    /// Whether all is allowed, which spares the question.
    private(set) var allowsEverything = false

    /// Who asks, for rules.
    private(set) var principal = Principal.app(.anonymous)
    /// Whether an app user asks, about whom the rules decide.
    private(set) var isAppUser = false

    /// Takes a sign-in, or with nil a sign-out.
    mutating func set(_ identity: Identity?, _ core: ServerCore, isLocal: Bool) {
        self.identity = identity
        sessionOwner = identity?.sessionOwner ?? 0
        refresh(core, isLocal: isLocal)
    }

    /// Works the rights out anew.
    mutating func refresh(_ core: ServerCore, isLocal: Bool) {
        version = core.accounts.version
        grant = Self.grant(identity, core, isLocal: isLocal)
        allowsEverything = false
        repeatableVersion = 0
        isAppUser = false
        switch grant {
        case .everything:
            // Where each access is noted, none takes a short way.
            allowsEverything = core.engine.audit.level != .accesses
            repeatableVersion = allowsEverything ? version : 0
            principal = .trusted
        case .account(let name, _):
            repeatableVersion = core.engine.audit.level != .accesses ? version : 0
            principal = .service(name: name.name, database: name.database)
        case .appUser(let user):
            isAppUser = true
            principal = .app(user)
        case .nothing: principal = .app(.anonymous)
        }
    }

    private static func grant(
        _ identity: Identity?, _ core: ServerCore, isLocal: Bool
    ) -> Grant {
        switch identity {
        case .service(let name, let userID)?:
            if let authority = core.accounts.authority(of: name, userID: userID) {
                return .account(name, authority)
            }
            return .nothing(
                DBError(.unauthorized, "The account that signed in is no longer there"))
        case .app(let user)?:
            if core.engine.appSessions.hasEnded(user) {
                return .nothing(
                    DBError(
                        .reauthenticationRequired,
                        "The session has ended: sign in with a new token"))
            }
            return .appUser(user)
        case nil: break
        }
        switch core.options.authentication {
        case .off: return .everything
        case .required: return .nothing(signInFirst)
        case .onceThereIsAnAccount:
            if core.accounts.hasAccounts { return .nothing(signInFirst) }
            return isLocal ? .everything : .nothing(noAccounts)
        }
    }

    private static let signInFirst = DBError(
        .unauthorized, "Command requires authentication: sign in first")

    private static let noAccounts = DBError(
        .unauthorized,
        "This server has no accounts yet and so serves only its own machine. Make one there with "
            + "`roost admin create`, or start it with `--auth off` to serve everyone")
}

extension ConnectionHandler {
    /// Checks that whoever is connected may run the command.
    /// - Throws: 13 Unauthorized; 391 ReauthenticationRequired where a token has ended.
    @inline(__always)
    func authorize(
        _ command: CommandDefinition, _ request: Request, _ arguments: Arguments
    ) throws(DBError) {
        if access.version != core.accounts.version { refreshAccess() }
        if access.allowsEverything { return }
        try authorizeSlowPath(command, request, arguments)
    }

    @inline(never)
    private func authorizeSlowPath(
        _ command: CommandDefinition, _ request: Request, _ arguments: Arguments
    ) throws(DBError) {
        let call = CommandCall(
            command: command, request: request, arguments: arguments, special: SpecialFields(),
            connection: self)
        do throws(DBError) {
            try call.authorize(access.grant)
        } catch {
            call.noteAccess(error)
            throw error
        }
        if case .appUser = access.grant { return }
        call.noteAccess(nil)
    }

    /// Takes note that accounts have changed.
    func refreshAccess() {
        repeatedRead = nil
        access.refresh(core, isLocal: isLocal)
    }

    /// Takes a sign-in, or with nil a sign-out.
    func signIn(as identity: ConnectionAccess.Identity?) {
        repeatedRead = nil
        access.set(identity, core, isLocal: isLocal)
        if case .service(let name, _)? = identity {
            operation.client.user = name
        } else {
            operation.client.user = nil
        }
        if hasOwnCursors { core.cursors.killAll(of: [.connection(id)]) }
        scheduleEndOfAuthority()
    }

    /// Accounts have changed: what runs for rights that are gone ends with its connection.
    func accountsChanged() {
        guard access.version != core.accounts.version else { return }
        let before = access.grant
        refreshAccess()
        guard hasRunningWork else { return }
        switch (before, access.grant) {
        case (.account(_, let old), .account(_, let new)) where new.includes(old): return
        case (.everything, .everything), (.appUser, .appUser), (.nothing, _): return
        default: break
        }
        core.logger.info(
            "connection closed: the rights it worked with were withdrawn",
            metadata: ["connection": "\(id)"])
        abort()
    }

    /// Ends what an app user follows when the token ends.
    private func scheduleEndOfAuthority() {
        endOfAuthority?.cancel()
        endOfAuthority = nil
        guard case .appUser(let user) = access.grant, let end = user.expiresAtMillis,
            transport != nil
        else { return }
        let handler = NIOLoopBound(self, eventLoop: eventLoop)
        let wait = max(0, min(end - Clock.wallMillis, 1 << 40))
        endOfAuthority = eventLoop.scheduleTask(in: .milliseconds(wait)) {
            handler.value.endAuthority()
        }
    }

    private func endAuthority() {
        // A live query ends by itself, when it has told that its rows went.
        guard case .appUser = access.grant, hasRunningWork, !isFollowing else { return }
        core.logger.debug(
            "connection closed: its token has ended", metadata: ["connection": "\(id)"])
        abort()
    }
}
