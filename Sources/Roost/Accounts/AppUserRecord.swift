// An app user as the folder keeps it, under its id.

import BSON

/// What is known of an app user.
struct AppUserRecord: Sendable {
    /// A second factor by an authenticator app.
    struct Factor: Sendable {
        var secret: [UInt8]
        /// The step of the last code that served.
        var lastStep: Int64 = 0
        /// Whether a first code was given, from which on codes are asked for.
        var isConfirmed = false
        /// Hashes of the recovery codes that are left.
        var recovery: [[UInt8]] = []
    }

    var createdAtMillis: Int64
    var email: String?
    var isEmailVerified = false
    var password: PasswordHash?
    var isAnonymous = false
    var isDisabled = false
    /// The app's own claims.
    var claims: Document?
    /// Grows when they change.
    var claimsVersion: Int64 = 0
    var factor: Factor?
    /// Names of the sign-ins by other providers (`AccountKind.appLogin`).
    var identities: [String] = []
    /// The password reset that is under way, by the name of its token.
    var reset: String?
    /// When somebody last tried to sign up under the address.
    var signUpTriedAtMillis: Int64?

    init(createdAtMillis: Int64) {
        self.createdAtMillis = createdAtMillis
    }

    init(_ record: Document) {
        let view = record.view
        createdAtMillis = view.value("createdAt")?.dateMillis ?? 0
        email = view.value("email")?.string
        isEmailVerified = view.value("emailVerified")?.isTruthy == true
        if let stored = view.value("password")?.document { password = PasswordHash(stored) }
        isAnonymous = view.value("anonymous")?.isTruthy == true
        isDisabled = view.value("disabled")?.isTruthy == true
        if let stored = view.value("claims")?.document { claims = Document(copying: stored) }
        claimsVersion = view.value("claimsVersion")?.exactInteger ?? 0
        reset = view.value("reset")?.string
        signUpTriedAtMillis = view.value("signUpTriedAt")?.dateMillis
        if let totp = view.value("totp")?.document, let secret = totp.value("secret")?.binary {
            var factor = Factor(secret: [UInt8](copying: secret.content))
            factor.lastStep = totp.value("last")?.exactInteger ?? 0
            factor.isConfirmed = totp.value("confirmed")?.isTruthy == true
            if let list = totp.value("recovery")?.array {
                var elements = list.makeIterator()
                while let element = elements.next() {
                    guard let hash = element.value.binary else { continue }
                    factor.recovery.append([UInt8](copying: hash.content))
                }
            }
            self.factor = factor
        }
        guard let list = view.value("identities")?.array else { return }
        var elements = list.makeIterator()
        while let element = elements.next() {
            if let name = element.value.string { identities.append(name) }
        }
    }

    /// As it is stored.
    var record: Document {
        Document { writer in
            writer.append("createdAt", dateMillis: createdAtMillis)
            if let email { writer.append("email", email) }
            writer.append("emailVerified", isEmailVerified)
            if let password { writer.append("password", password.record) }
            if isAnonymous { writer.append("anonymous", true) }
            if isDisabled { writer.append("disabled", true) }
            if let claims { writer.append("claims", claims) }
            writer.append("claimsVersion", claimsVersion)
            if let reset { writer.append("reset", reset) }
            if let signUpTriedAtMillis {
                writer.append("signUpTriedAt", dateMillis: signUpTriedAtMillis)
            }
            if let factor {
                let totp: Document = [
                    "secret": .binary(subtype: 0, factor.secret), "last": .int64(factor.lastStep),
                    "confirmed": .bool(factor.isConfirmed),
                    "recovery": .array(factor.recovery.map { .binary(subtype: 0, $0) }),
                ]
                writer.append("totp", totp)
            }
            writer.append("identities", .array(identities.map { .string($0) }))
        }
    }

    /// Whether signing in by the password asks for a code too.
    var needsCode: Bool { factor?.isConfirmed == true }

    /// What access tokens say of the user beside the app's own claims.
    var tokenClaims: Document {
        Document { writer in
            if let email {
                writer.append("email", email)
                writer.append("email_verified", isEmailVerified)
            }
            if isAnonymous { writer.append("anonymous", true) }
            guard let claims else { return }
            var fields = claims.view.makeIterator()
            while let field = fields.next() { writer.append(field) }
        }
    }
}

extension AccountChange {
    /// The app user of that id.
    func appUser(_ id: String) throws -> AppUserRecord? {
        try record(.appUser, id).map { AppUserRecord($0) }
    }

    /// Stores an app user.
    func put(_ user: AppUserRecord, _ id: String) throws { try put(.appUser, id, user.record) }

    /// The id of the user that signs in under that name.
    func appUserID(ofLogin name: String) throws -> String? {
        guard case .string(let id)? = try record(.appLogin, name)?["uid"] else { return nil }
        return id
    }
}
