// Accounts of an app's users, kept by Roost itself. No sockets: doors call it, on threads that may
// wait. Each call says whom it is about by what the user proved with: a password, a refresh token,
// the id in an access token that the door has checked (`user(ofToken:)`).
//
//     signUp, signIn ──▶ access token (15 minutes, a JWT signed with the folder's own key)
//                        refresh token (30 days, used once: each use gives the next)
//
// A refresh token that is used a second time was stolen, by whoever used it first or second: the
// whole family ends, with the access tokens given out for it, and both must sign in anew. Only
// hashes of passwords and tokens are stored.
//
// What tells whether an address has an account: nothing, where messages can be sent. Signing up then
// answers the same for each address and the account is made by the token in the message; asking for
// a new password answers before it looks. Without messages a sign-up has to say that the address is
// taken. Signing in costs the same time for unknown addresses and answers as for a wrong password.
//
// Files: this one signs up and in; +Sessions has what happens to tokens, +Email what goes out by
// e-mail, +Factors second factors, +Providers other issuers' users, +Administration the rest.

public import BSON
import Query
import Synchronization

/// How the accounts of a folder are run.
public struct AccountOptions: Sendable {
    /// How many failed sign-ins are free.
    public var attempts = AttemptLimiter.Limits()
    /// Most accounts made from one address in an hour.
    public var signUpsPerHour = 100
    /// Most messages to one address in an hour.
    public var messagesPerHour = 5
    /// Sends messages; must not wait. Without it addresses are not confirmed.
    public var mail: (@Sendable (AccountMail) -> Void)?
    /// The time, in milliseconds since 1970.
    package var clock: @Sendable () -> Int64 = { LogicalClock.wallMillis }

    /// The usual ones, without messages.
    public init() {}
}

/// The accounts of a folder. Safe from any thread; every call may wait for a commit.
public final class AppAccounts: Sendable {
    /// What became of a sign-up.
    public enum SignUp: Sendable {
        /// The account is made.
        case signedIn(IssuedTokens)
        /// A message is on its way, whatever there is under the address.
        case messageSent
    }

    /// What became of a sign-in.
    public enum SignIn: Sendable {
        /// Signed in.
        case signedIn(IssuedTokens)
        /// The password is right; the same again with a code of the second factor signs in.
        case needsCode
    }

    /// What tokens say of their issuer, and whom they are for.
    package static let issuer = "roost"
    package static let audience = "roost"
    /// How long an access token serves, in milliseconds.
    static let accessMillis: Int64 = 15 * 60 * 1_000
    /// How long a refresh token serves, in milliseconds.
    static let refreshMillis: Int64 = 30 * 24 * 3_600 * 1_000
    /// The shortest password, in characters, and the longest, in bytes.
    private static let passwordCharactersMin = 8
    static let passwordBytesMax = 1_024
    /// The longest address, in bytes (RFC 5321).
    static let emailBytesMax = 254
    private static let hourMillis: Int64 = 3_600_000

    let engine: RoostEngine
    let options: AccountOptions
    let attempts: AttemptLimiter
    let keys: SigningKeys
    let signUps = EventLimiter(windowMillis: hourMillis)
    let messages = EventLimiter(windowMillis: hourMillis)
    /// What unknown users' passwords are compared with.
    private let decoy = Mutex<PasswordHash?>(nil)

    /// Opens the accounts of an engine's folder. Writes nothing.
    /// - Parameter attempts: counts failures; by default a limiter of its own.
    /// - Throws: `DBError` where the keys can't be read.
    package init(
        _ engine: RoostEngine, _ options: AccountOptions = AccountOptions(),
        attempts: AttemptLimiter? = nil
    ) throws(DBError) {
        self.engine = engine
        self.options = options
        self.attempts = attempts ?? AttemptLimiter(options.attempts)
        keys = try SigningKeys(engine)
    }

    /// The public keys, as a JSON Web Key Set.
    public var publicKeys: String { keys.jwks }

    var now: Int64 { options.clock() }

    // MARK: Signing up

    /// Makes an account, or has a message sent that does.
    /// - Parameters:
    ///   - address: where the user's request came from, for bounding how often.
    ///   - anonymous: the id of a user without an address, who gets one and keeps the id.
    /// - Throws: 2 BadValue for an address or password that can't be used, 462 for too many sign-ups;
    ///   without messages 51003 where there is an account of that address.
    public func signUp(
        email: String, password: String, from address: String? = nil,
        upgrading anonymous: String? = nil
    ) throws(DBError) -> SignUp {
        let email = try Self.checked(email)
        try Self.check(password)
        try countSignUp(from: address)
        let hash = try PasswordHash(password)
        let pending = PendingSignUp(email: email, password: hash, userID: anonymous)
        guard let mail = options.mail else {
            return .signedIn(try finish(pending, isVerified: false, from: address))
        }
        if messages.allow(email, limit: options.messagesPerHour, nowMillis: now) {
            try offer(pending, mail)
        }
        return .messageSent
    }

    /// Makes an account without address and password, which ends with its tokens.
    /// - Throws: 462 for too many sign-ups.
    public func signUpAnonymously(from address: String? = nil) throws(DBError) -> IssuedTokens {
        try countSignUp(from: address)
        let id = Self.newID()
        var user = AppUserRecord(createdAtMillis: now)
        user.isAnonymous = true
        return try issue(id, from: address) { [user] change in
            try change.put(user, id)
            return user
        }
    }

    private func countSignUp(from address: String?) throws(DBError) {
        guard let address else { return }
        guard signUps.allow(address, limit: options.signUpsPerHour, nowMillis: now) else {
            throw DBError(
                DBError.Code(rawValue: 462),
                "too many accounts were made from this address lately: try again in an hour")
        }
    }

    static func newID() -> String { Base64URL.encode(RandomBytes.make(16)) }

    // MARK: Signing in

    /// Signs in; `code` is the authenticator app's, or a recovery code, where the account asks for
    /// one.
    /// - Throws: 18 AuthenticationFailed, the same for all that may be wrong.
    public func signIn(
        email: String, password: String, code: String? = nil, from address: String? = nil
    ) throws(DBError) -> SignIn {
        let email = Self.normalized(email)
        guard email.utf8.count <= Self.emailBytesMax,
            password.utf8.count <= Self.passwordBytesMax
        else { throw Self.failure }
        return try limited(email, address) { () throws(DBError) in
            guard let (id, user) = try self.user(ofLogin: email) else {
                _ = try matchesNobody(password)
                throw Self.failure
            }
            try check(password, of: user)
            guard !user.isDisabled else { throw Self.failure }
            if user.needsCode, code == nil { return .needsCode }
            let tokens = try issue(id, from: address) { [now] change in
                guard var user = try change.appUser(id), !user.isDisabled else {
                    throw Self.failure
                }
                guard user.needsCode else { return user }
                // Looked at where it is changed: a code serves once, also for two at a time.
                guard let code, user.take(code: code, nowMillis: now) else { throw Self.failure }
                try change.put(user, id)
                return user
            }
            attempts.noteSuccess(account: email, address: address)
            return .signedIn(tokens)
        }
    }

    /// Runs what may be guessed at: not at all after too many failures, which it counts.
    func limited<R>(
        _ account: String, _ address: String?, _ body: () throws(DBError) -> R
    ) throws(DBError) -> R {
        if let wait = attempts.wait(account: account, address: address, nowMillis: now) {
            throw DBError(
                .authenticationFailed,
                "Authentication failed: too many failed attempts; try again in "
                    + "\((wait + 999) / 1_000) s")
        }
        do throws(DBError) {
            return try body()
        } catch {
            if error.code == .authenticationFailed {
                attempts.noteFailure(account: account, address: address, nowMillis: now)
            }
            throw error
        }
    }

    /// - Throws: 18 AuthenticationFailed for a wrong password, and for users that have none.
    func check(_ password: String, of user: AppUserRecord) throws(DBError) {
        guard let hash = user.password else {
            _ = try matchesNobody(password)
            throw Self.failure
        }
        guard try hash.matches(password) else { throw Self.failure }
    }

    /// Takes as long as comparing with somebody's password.
    private func matchesNobody(_ password: String) throws(DBError) -> Bool {
        let hash: PasswordHash
        if let known = decoy.withLock({ $0 }) {
            hash = known
        } else {
            hash = try PasswordHash(Self.newID())
            decoy.withLock { $0 = hash }
        }
        return try hash.matches(password)
    }

    /// The user that signs in under that name.
    func user(
        ofLogin name: String
    ) throws(DBError) -> (id: String, user: AppUserRecord)? {
        guard case .string(let id)? = try engine.accountRecord(.appLogin, name)?["uid"],
            let user = try record(of: id)
        else { return nil }
        return (id, user)
    }

    /// The user of that id; nil where there is none.
    func record(of id: String) throws(DBError) -> AppUserRecord? {
        try engine.accountRecord(.appUser, id).map { AppUserRecord($0) }
    }

    static let failure = DBError(.authenticationFailed, "Authentication failed.")

    // MARK: Addresses and passwords

    /// The address as it is compared.
    static func normalized(_ email: String) -> String { email.lowercased() }

    /// The address as it is compared, checked.
    static func checked(_ email: String) throws(DBError) -> String {
        let parts = email.split(separator: "@", omittingEmptySubsequences: false)
        // Quoted local parts are left out: what they may hold means something in headers.
        let excluded = Set(",;:<>()[]\\\"".unicodeScalars)
        guard parts.count == 2, parts.allSatisfy({ !$0.isEmpty }),
            email.utf8.count <= emailBytesMax, !email.hasPrefix("-"),
            email.unicodeScalars.allSatisfy({
                $0.value > 0x20 && $0.value != 0x7F && !excluded.contains($0)
            })
        else { throw DBError(.badValue, "this is no e-mail address") }
        return normalized(email)
    }

    static func check(_ password: String) throws(DBError) {
        guard password.count >= passwordCharactersMin, password.utf8.count <= passwordBytesMax
        else {
            throw DBError(
                .badValue,
                "a password has at least \(passwordCharactersMin) characters and at most "
                    + "\(passwordBytesMax) bytes")
        }
    }
}
