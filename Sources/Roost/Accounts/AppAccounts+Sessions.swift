// Tokens: giving them out, refreshing them, ending them, checking them.

public import BSON

extension AppAccounts {
    /// Most sessions of one user; the ones used longest ago end.
    private static let sessionsMax = 50

    // MARK: Giving out

    /// Stores what `body` changes and a new family of tokens for the user it returns, in one commit.
    func issue(
        _ id: String, from address: String?,
        _ body: @escaping @Sendable (borrowing AccountChange) throws -> AppUserRecord
    ) throws(DBError) -> IssuedTokens {
        let token = RefreshToken(userID: id)
        let now = now
        let (user, ended) = try engine.changeAccountsAndWait { change in
            let user = try body(change)
            let ended = try Self.makeRoom(for: id, change, now)
            try change.put(.tokenFamily, token.recordName, token.record(now, from: address))
            return (user, ended)
        }
        engine.appSessions.end(ended, nowMillis: now)
        return try keys.tokens(of: id, user, token, nowMillis: now)
    }

    /// Ends the sessions of a user that are too many or whose time is over.
    private static func makeRoom(
        for id: String, _ change: borrowing AccountChange, _ now: Int64
    ) throws -> [String] {
        var alive: [(name: String, session: String, usedAt: Int64)] = []
        for (name, record) in try change.records(.tokenFamily, prefix: id + "/") {
            guard case .date(let end)? = record["expiresAt"], end > now,
                case .date(let usedAt)? = record["usedAt"],
                case .string(let session)? = record["sid"]
            else {
                try change.remove(.tokenFamily, name)
                continue
            }
            alive.append((name, session, usedAt))
        }
        guard alive.count >= sessionsMax else { return [] }
        alive.sort { $0.usedAt < $1.usedAt }
        let oldest = alive.prefix(alive.count - sessionsMax + 1)
        for session in oldest { try change.remove(.tokenFamily, session.name) }
        return oldest.map(\.session)
    }

    // MARK: Refreshing

    /// Gives the next tokens for a refresh token.
    /// - Throws: 18 AuthenticationFailed; where the token was used before, its family has ended.
    public func refresh(
        _ token: String, from address: String? = nil
    ) throws(DBError) -> IssuedTokens {
        guard let given = RefreshToken(token) else { throw Self.failure }
        let next = RefreshToken(after: given)
        let now = now
        let user: AppUserRecord? = try engine.changeAccountsAndWait { change in
            guard let family = try change.record(.tokenFamily, given.recordName),
                case .binary(_, let current)? = family["current"],
                case .date(let end)? = family["expiresAt"]
            else { return nil }
            guard ConstantTime.areEqual(current, given.hash), end > now,
                let user = try change.appUser(given.userID), !user.isDisabled
            else {
                try change.remove(.tokenFamily, given.recordName)
                return nil
            }
            try change.put(.tokenFamily, next.recordName, next.record(now, from: address))
            return user
        }
        guard let user else {
            engine.appSessions.end([given.sessionID], nowMillis: now)
            throw Self.failure
        }
        return try keys.tokens(of: given.userID, user, next, nowMillis: now)
    }

    // MARK: Ending

    /// Ends the session of a refresh token, with the access tokens given out for it. Nothing
    /// happens for a token that is none or was used.
    public func signOut(_ token: String) throws(DBError) {
        guard let given = RefreshToken(token) else { return }
        let hasEnded = try engine.changeAccountsAndWait { change in
            let record = try change.record(.tokenFamily, given.recordName)
            guard case .binary(_, let current)? = record?["current"],
                ConstantTime.areEqual(current, given.hash)
            else { return false }
            return try change.remove(.tokenFamily, given.recordName)
        }
        if hasEnded { engine.appSessions.end([given.sessionID], nowMillis: now) }
    }

    /// Ends all sessions of a user: signed out everywhere.
    /// - Returns: how many there were.
    @discardableResult
    public func signOutEverywhere(userID: String) throws(DBError) -> Int {
        let ended = try engine.changeAccountsAndWait { change in
            try Self.endSessions(of: userID, change)
        }
        engine.appSessions.end(ended, nowMillis: now)
        return ended.count
    }

    /// Removes the families of a user; their sessions are to be told of after the commit.
    static func endSessions(
        of id: String, _ change: borrowing AccountChange
    ) throws -> [String] {
        var ended: [String] = []
        for (name, record) in try change.records(.tokenFamily, prefix: id + "/") {
            try change.remove(.tokenFamily, name)
            if case .string(let session)? = record["sid"] { ended.append(session) }
        }
        return ended
    }

    // MARK: Checking

    /// The user that an access token speaks for, if it is good and its session lasts.
    /// - Throws: why it is refused; for the log, not for whoever presented it.
    package func user(ofToken token: String) throws(TokenFailure) -> AppUser {
        let user: AppUser
        do throws(TokenFailure) {
            user = try keys.verifier.verify(token, nowMillis: now)
        } catch {
            // Another opener of the folder may have made a key.
            guard error == .unknownKey, keys.reload() else { throw error }
            user = try keys.verifier.verify(token, nowMillis: now)
        }
        guard let auth = user.auth, let id = auth.view.value("uid")?.string,
            let claims = auth.view.value("token")?.document,
            let session = claims.value("sid")?.string,
            let version = claims.value("ver")?.exactInteger
        else { throw .malformed }
        let family = try? engine.accountRecord(
            .tokenFamily, RefreshToken.recordName(id, session))
        guard family != nil, let record = try? record(of: id), !record.isDisabled,
            version >= record.claimsVersion
        else { throw .sessionEnded }
        return AppUser(
            auth: user.auth, expiresAtMillis: user.expiresAtMillis,
            session: AppSession(id: session, claimsVersion: version))
    }

    /// The id of the user that an access token speaks for.
    /// - Throws: 18 AuthenticationFailed.
    public func userID(ofToken token: String) throws(DBError) -> String {
        do throws(TokenFailure) {
            let user = try user(ofToken: token)
            if let id = user.auth?.view.value("uid")?.string { return id }
        } catch {}
        throw Self.failure
    }
}
