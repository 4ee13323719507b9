// Who asks: what every door hands to the engine beside a request.

public import BSON

/// Who a request comes from. Service accounts and embedding programs bypass the security rules; app
/// users are always under them.
public enum Principal: Sendable, Hashable {
    /// The program that embeds the engine, or a client of a server that asks nobody to sign in.
    case trusted
    /// A service account that signed in; what it may do is said by its roles.
    case service(name: String, database: String)
    /// A user of an app, or nobody in particular: rules decide about each document.
    case app(AppUser)

    /// Whether security rules decide about this request.
    public var isUnderRules: Bool {
        if case .app = self { true } else { false }
    }
}

/// A user of an app as the token that was presented says.
public struct AppUser: Sendable, Hashable {
    /// `{uid: …, token: {claims}}`, which rules see as `request.auth`; nil for a client that isn't
    /// signed in.
    public let auth: Document?
    /// When the token ends, in milliseconds since 1970; nil if it doesn't.
    public let expiresAtMillis: Int64?
    /// The session of Roost's own accounts that the token belongs to, which may end before the token
    /// does: `RoostEngine.appSessions.hasEnded(user)` says so. Nil for tokens of other issuers.
    package let session: AppSession?

    /// A user.
    public init(auth: Document?, expiresAtMillis: Int64? = nil) {
        self.init(auth: auth, expiresAtMillis: expiresAtMillis, session: nil)
    }

    /// A user whose token belongs to a session.
    package init(auth: Document?, expiresAtMillis: Int64?, session: AppSession?) {
        self.auth = auth
        self.expiresAtMillis = expiresAtMillis
        self.session = session
    }

    /// Nobody: a client that isn't signed in.
    public static let anonymous = AppUser(auth: nil)
}
