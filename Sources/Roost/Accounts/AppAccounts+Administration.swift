// What an app's administration does to users, and tidying up.

public import BSON

/// What is told of an app user; never a secret.
public struct AppUserInfo: Sendable {
    /// The user's id.
    public let userID: String
    /// The address, as it is compared.
    public let email: String?
    /// Whether a message's token confirmed it.
    public let isEmailVerified: Bool
    /// Whether the user has neither address nor password.
    public let isAnonymous: Bool
    /// Whether the user may not sign in.
    public let isDisabled: Bool
    /// Whether signing in asks for a code.
    public let hasSecondFactor: Bool
    /// The app's own claims.
    public let claims: Document?
    /// When the account was made, in milliseconds since 1970.
    public let createdAtMillis: Int64

    init(_ id: String, _ user: AppUserRecord) {
        userID = id
        email = user.email
        isEmailVerified = user.isEmailVerified
        isAnonymous = user.isAnonymous
        isDisabled = user.isDisabled
        hasSecondFactor = user.needsCode
        claims = user.claims
        createdAtMillis = user.createdAtMillis
    }
}

extension AppAccounts {
    /// The largest claims of an app, in bytes as BSON: they are part of each request's token.
    private static let claimsBytesMax = 4_096
    /// Records removed in one commit when tidying up.
    private static let sweepMax = 500

    /// What the folder knows of a user; nil where there is none.
    public func info(userID id: String) throws(DBError) -> AppUserInfo? {
        try record(of: id).map { AppUserInfo(id, $0) }
    }

    /// The user of an address; nil where there is none.
    public func info(email: String) throws(DBError) -> AppUserInfo? {
        try user(ofLogin: Self.normalized(email)).map { AppUserInfo($0.id, $0.user) }
    }

    /// All users, by their ids.
    public func allUsers() throws(DBError) -> [AppUserInfo] {
        try engine.accountRecords(.appUser).map { AppUserInfo($0.name, AppUserRecord($0.record)) }
    }

    /// Replaces the app's own claims of a user. Access tokens that hold earlier ones serve no more;
    /// refreshing gives new ones.
    /// - Throws: 2 BadValue for claims that are too large or have a name that tokens use themselves;
    ///   11 UserNotFound.
    public func setClaims(userID id: String, _ claims: Document) throws(DBError) {
        if let name = claims.keys.first(where: { SigningKeys.reservedClaims.contains($0) }) {
            throw DBError(
                .badValue, "'\(name)' is a claim of the token itself: choose another name")
        }
        guard claims.bytes.count <= Self.claimsBytesMax else {
            throw DBError(
                .badValue,
                "claims have at most \(Self.claimsBytesMax) bytes, since each request "
                    + "carries them: keep larger data in a collection that the rules get()")
        }
        try change(id) { user, sessions in
            user.claims = claims.isEmpty ? nil : claims
            user.claimsVersion += 1
            return (sessions(), user.claimsVersion)
        }
    }

    /// Lets a user sign in no more, ending all sessions, or again.
    /// - Throws: 11 UserNotFound.
    public func setDisabled(userID id: String, _ isDisabled: Bool) throws(DBError) {
        try change(id) { user, sessions in
            user.isDisabled = isDisabled
            return (isDisabled ? sessions() : [], .max)
        }
    }

    private func change(
        _ id: String,
        _ body:
            @escaping @Sendable (inout AppUserRecord, () -> [String]) -> (
                ended: [String], claimsVersion: Int64
            )
    ) throws(DBError) {
        let outcome = try engine.changeAccountsAndWait { change in
            guard var user = try change.appUser(id) else { throw Self.noUser(id) }
            let families = try change.records(.tokenFamily, prefix: id + "/")
            let outcome = body(&user) {
                families.compactMap { $0.record.view.value("sid")?.string }
            }
            if outcome.claimsVersion == .max, !outcome.ended.isEmpty {
                for family in families { try change.remove(.tokenFamily, family.name) }
            }
            try change.put(user, id)
            return outcome
        }
        engine.appSessions.end(
            outcome.ended, claimsBefore: outcome.claimsVersion, nowMillis: now)
    }

    /// Removes a user with all sessions. What documents say of the user stays.
    /// - Throws: 11 UserNotFound.
    public func deleteUser(userID id: String) throws(DBError) {
        let ended = try engine.changeAccountsAndWait { change in
            guard let user = try change.appUser(id) else { throw Self.noUser(id) }
            if let email = user.email { try change.remove(.appLogin, email) }
            for name in user.identities { try change.remove(.appLogin, name) }
            if let reset = user.reset { try change.remove(.oneTimeToken, reset) }
            try change.remove(.appUser, id)
            return try Self.endSessions(of: id, change)
        }
        engine.appSessions.end(ended, nowMillis: now)
    }

    private static func noUser(_ id: String) -> DBError {
        DBError(.userNotFound, "there is no app user of the id '\(id)'")
    }

    // MARK: Tidying up

    /// Removes tokens whose time is over, and anonymous users who have none left. O(tokens and
    /// users); for a timer.
    public func sweep() throws(DBError) {
        let now = now
        var old: [(kind: AccountKind, name: String)] = []
        var signedIn: Set<String> = []
        for kind in [AccountKind.oneTimeToken, .tokenFamily] {
            for (name, record) in try engine.accountRecords(kind) {
                if case .date(let end)? = record["expiresAt"], end <= now {
                    old.append((kind, name))
                } else if kind == .tokenFamily, case .string(let id)? = record["uid"] {
                    signedIn.insert(id)
                }
            }
        }
        // A family is written with its user, so one that is made meanwhile is not of these.
        for (id, record) in try engine.accountRecords(.appUser)
        where record["anonymous"] == true && !signedIn.contains(id) {
            if case .date(let made)? = record["createdAt"], made + Self.refreshMillis < now {
                old.append((.appUser, id))
            }
        }
        for start in stride(from: 0, to: old.count, by: Self.sweepMax) {
            let part = old[start..<min(old.count, start + Self.sweepMax)]
            try engine.changeAccountsAndWait { change in
                for (kind, name) in part {
                    if kind != .appUser {
                        // It may have been used since.
                        guard case .date(let end)? = try change.record(kind, name)?["expiresAt"],
                            end <= now
                        else { continue }
                    } else if try !change.records(.tokenFamily, prefix: name + "/").isEmpty {
                        continue
                    }
                    try change.remove(kind, name)
                }
            }
        }
    }
}
