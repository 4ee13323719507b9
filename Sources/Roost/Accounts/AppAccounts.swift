// Accounts of an app's users, kept by Roost itself: sign-up, sign-in, refreshing, signing out. No
// sockets: doors call it, on threads that may wait.
//
//     signUp, signIn ──▶ access token (15 minutes, a JWT signed with the folder's own key)
//                        refresh token (30 days, used once: each use gives the next)
//
// A refresh token that is used a second time was stolen, by whoever used it first or second: the
// whole family ends, and both must sign in anew. Only hashes of refresh tokens are stored. Unknown
// addresses cost the same time and get the same answer as wrong passwords.

package import BSON
import Crypto
import FoundationEssentials

/// What a sign-in gives.
package struct IssuedTokens: Sendable {
    /// The user's id.
    package let userID: String
    /// A JWT for every door.
    package let accessToken: String
    /// For the next tokens; of one use.
    package let refreshToken: String
    /// When the access token ends, in milliseconds since 1970.
    package let expiresAtMillis: Int64
}

/// The accounts of a folder. Safe from any thread; every call may wait for a commit.
package final class AppAccounts: Sendable {
    /// What tokens say of their issuer, and whom they are for.
    package static let issuer = "roost"
    package static let audience = "roost"
    /// How long an access token serves, in milliseconds.
    static let accessMillis: Int64 = 15 * 60 * 1_000
    /// How long a refresh token serves, in milliseconds.
    static let refreshMillis: Int64 = 30 * 24 * 3_600 * 1_000
    /// The shortest password, in characters, and the longest, in bytes.
    private static let passwordCharactersMin = 8
    private static let passwordBytesMax = 1_024
    /// The longest address, in bytes (RFC 5321).
    private static let emailBytesMax = 254

    private let engine: RoostEngine
    private let attempts: AttemptLimiter
    private let keys: SigningKeys
    /// What unknown users' passwords are compared with.
    private let decoy: PasswordHash

    /// Opens the accounts, making the folder's first signing key.
    /// - Throws: `DBError` where the key can't be stored.
    package init(_ engine: RoostEngine, attempts: AttemptLimiter, nowMillis: Int64) throws(DBError)
    {
        self.engine = engine
        self.attempts = attempts
        keys = try SigningKeys(engine, nowMillis: nowMillis)
        decoy = try PasswordHash(Base64URL.encode(RandomBytes.make(16)))
    }

    /// Checks the tokens that are given out here.
    package var verifier: TokenVerifier { keys.verifier }

    /// The public keys, as a JSON Web Key Set.
    package var publicKeys: String { keys.jwks }

    // MARK: Signing up and in

    /// Makes an account.
    /// - Throws: 2 BadValue for an address or password that can't be used, 51003 where there is an
    ///   account of that address.
    package func signUp(
        email: String, password: String, nowMillis: Int64
    ) throws(DBError) -> IssuedTokens {
        let email = try Self.checked(email)
        try Self.check(password)
        let hash = try PasswordHash(password)
        let id = Base64URL.encode(RandomBytes.make(16))
        let record: Document = [
            "email": .string(email), "password": .document(hash.record),
            "createdAt": .date(nowMillis),
        ]
        return try issue(id, claims: nil, nowMillis) { change in
            guard try change.record(.appLogin, email) == nil else {
                throw DBError(
                    DBError.Code(rawValue: 51_003),
                    "there is an account with this e-mail address: sign in")
            }
            try change.put(.appLogin, email, ["uid": .string(id)])
            try change.put(.appUser, id, record)
        }
    }

    /// Makes an account without address and password, which ends with its tokens.
    package func signUpAnonymously(nowMillis: Int64) throws(DBError) -> IssuedTokens {
        let id = Base64URL.encode(RandomBytes.make(16))
        let record: Document = ["anonymous": true, "createdAt": .date(nowMillis)]
        return try issue(id, claims: ["anonymous": true], nowMillis) { change in
            try change.put(.appUser, id, record)
        }
    }

    /// Signs in; `code` is the authenticator app's where the account has one.
    /// - Throws: 18 AuthenticationFailed, the same for all that may be wrong.
    package func signIn(
        email: String, password: String, code: String? = nil, from address: String,
        nowMillis: Int64
    ) throws(DBError) -> IssuedTokens {
        let email = email.lowercased()
        guard email.utf8.count <= Self.emailBytesMax,
            password.utf8.count <= Self.passwordBytesMax
        else { throw Self.failure }
        if let wait = attempts.wait(account: email, address: address, nowMillis: nowMillis) {
            throw DBError(
                .authenticationFailed,
                "Authentication failed: too many failed attempts; try again in "
                    + "\((wait + 999) / 1_000) s")
        }
        do throws(DBError) {
            let tokens = try signIn(email, password, code, nowMillis)
            attempts.noteSuccess(account: email, address: address)
            return tokens
        } catch {
            if error.code == .authenticationFailed {
                attempts.noteFailure(account: email, address: address, nowMillis: nowMillis)
            }
            throw error
        }
    }

    private func signIn(
        _ email: String, _ password: String, _ code: String?, _ nowMillis: Int64
    ) throws(DBError) -> IssuedTokens {
        let login = try engine.accountRecord(.appLogin, email)
        guard case .string(let id)? = login?["uid"],
            let record = try engine.accountRecord(.appUser, id),
            let stored = record.view.value("password")?.document,
            let hash = PasswordHash(stored)
        else {
            _ = try decoy.matches(password)
            throw Self.failure
        }
        guard try hash.matches(password) else { throw Self.failure }
        let claims = Self.claims(of: record)
        return try issue(id, claims: claims, nowMillis) { change in
            guard let now = try change.record(.appUser, id) else { throw Self.failure }
            guard let factor = now.view.value("totp")?.document else { return }
            // Looked at where it is changed: a code serves once, also for two at the same time.
            let last = factor.value("last")?.exactInteger ?? 0
            guard let code, let secret = factor.value("secret")?.binary,
                let step = OneTimeCode.acceptedStep(
                    code, [UInt8](copying: secret.content), nowMillis: nowMillis, after: last)
            else { throw Self.failure }
            try change.put(.appUser, id, Self.setting("totp.last", step, in: now))
        }
    }

    /// A record with the step of the last code replaced.
    private static func setting(_ path: String, _ step: Int64, in record: Document) -> Document {
        Document { writer in
            var fields = record.view.makeIterator()
            while let field = fields.next() {
                guard field.name.equals("totp"), let factor = field.value.document else {
                    writer.append(field)
                    continue
                }
                let changed = Document { writer in
                    var fields = factor.makeIterator()
                    while let field = fields.next() {
                        if !field.name.equals("last") { writer.append(field) }
                    }
                    writer.append("last", step)
                }
                writer.append("totp", changed)
            }
        }
    }

    // MARK: Refreshing

    /// Gives the next tokens for a refresh token.
    /// - Throws: 18 AuthenticationFailed; where the token was used before, its family has ended.
    package func refresh(_ token: String, nowMillis: Int64) throws(DBError) -> IssuedTokens {
        guard let given = RefreshToken(token) else { throw Self.failure }
        let next = RefreshToken(family: given.family)
        let outcome: String? = try engine.changeAccountsAndWait { change in
            guard let family = try change.record(.tokenFamily, given.family),
                case .string(let id)? = family["uid"],
                case .binary(_, let current)? = family["current"],
                case .date(let end)? = family["expiresAt"]
            else { return nil }
            guard ConstantTime.areEqual(current, given.hash), end > nowMillis,
                try change.record(.appUser, id) != nil
            else {
                try change.remove(.tokenFamily, given.family)
                return nil
            }
            try change.put(.tokenFamily, next.family, next.record(of: id, nowMillis))
            return id
        }
        guard let id = outcome else { throw Self.failure }
        let record = try engine.accountRecord(.appUser, id)
        return try keys.tokens(of: id, record.flatMap(Self.claims(of:)), next, nowMillis: nowMillis)
    }

    /// Ends the family of a refresh token. An access token serves until its own end.
    package func signOut(_ token: String) throws(DBError) {
        guard let given = RefreshToken(token) else { return }
        try engine.changeAccountsAndWait { change in
            guard
                case .binary(_, let current)? = try change.record(.tokenFamily, given.family)?[
                    "current"],
                ConstantTime.areEqual(current, given.hash)
            else { return }
            try change.remove(.tokenFamily, given.family)
        }
    }

    /// Ends all families of a user: signed out everywhere. O(families of all users).
    package func signOutEverywhere(userID: String) throws(DBError) {
        try engine.changeAccountsAndWait { change in
            for (name, record) in try change.records(.tokenFamily)
            where record["uid"] == .string(userID) {
                try change.remove(.tokenFamily, name)
            }
        }
    }

    // MARK: Tokens

    /// Stores what `body` changes and a new family of tokens, in one commit.
    private func issue(
        _ id: String, claims: Document?, _ nowMillis: Int64,
        _ body: @escaping @Sendable (borrowing AccountChange) throws -> Void
    ) throws(DBError) -> IssuedTokens {
        let token = RefreshToken(family: Base64URL.encode(RandomBytes.make(16)))
        try engine.changeAccountsAndWait { change in
            try body(change)
            try change.put(.tokenFamily, token.family, token.record(of: id, nowMillis))
        }
        return try keys.tokens(of: id, claims, token, nowMillis: nowMillis)
    }

    private static let failure = DBError(.authenticationFailed, "Authentication failed.")

    /// The app's own claims of a user.
    private static func claims(of user: Document) -> Document? {
        guard case .document(let claims)? = user["claims"] else { return nil }
        return claims
    }

    /// The address as it is compared.
    private static func checked(_ email: String) throws(DBError) -> String {
        let parts = email.split(separator: "@", omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ !$0.isEmpty }),
            email.utf8.count <= emailBytesMax,
            email.unicodeScalars.allSatisfy({ $0.value > 0x20 && $0.value != 0x7F })
        else { throw DBError(.badValue, "this is no e-mail address") }
        return email.lowercased()
    }

    private static func check(_ password: String) throws(DBError) {
        guard password.count >= passwordCharactersMin, password.utf8.count <= passwordBytesMax
        else {
            throw DBError(
                .badValue,
                "a password has at least \(passwordCharactersMin) characters and at most "
                    + "\(passwordBytesMax) bytes")
        }
    }
}

/// `FAMILY.SECRET`: the family's name finds its record, which holds the secret's hash.
struct RefreshToken: Sendable {
    let family: String
    private let secret: [UInt8]

    /// The next token of a family.
    init(family: String) {
        self.family = family
        secret = RandomBytes.make(32)
    }

    /// Reads a token; nil for what is none.
    init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0].utf8.count == 22,
            let secret = Base64URL.decode(parts[1]), secret.count == 32
        else { return nil }
        family = String(parts[0])
        self.secret = secret
    }

    var text: String { family + "." + Base64URL.encode(secret) }

    var hash: [UInt8] { Array(SHA256.hash(data: secret)) }

    func record(of userID: String, _ nowMillis: Int64) -> Document {
        [
            "uid": .string(userID), "current": .binary(subtype: 0, hash),
            "expiresAt": .date(nowMillis + AppAccounts.refreshMillis),
        ]
    }
}

/// Random bytes from the system's generator.
enum RandomBytes {
    static func make(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }
}
