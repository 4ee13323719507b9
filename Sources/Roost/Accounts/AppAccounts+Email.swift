// What goes out by e-mail and comes back as a token of one use: confirming an address, setting a new
// password.

public import BSON

/// A sign-up that waits for its message's token. No account exists before, so that nobody can make
/// one under an address that isn't theirs.
struct PendingSignUp: Sendable {
    let email: String
    let password: PasswordHash
    /// The anonymous user who gets the address.
    let userID: String?

    init(email: String, password: PasswordHash, userID: String?) {
        self.email = email
        self.password = password
        self.userID = userID
    }

    init?(_ record: Document) {
        guard case .string(let email)? = record["email"],
            let stored = record.view.value("password")?.document,
            let password = PasswordHash(stored)
        else { return nil }
        self.email = email
        self.password = password
        userID = record.view.value("uid")?.string
    }

    func record(expiresAtMillis: Int64) -> Document {
        Document { writer in
            writer.append("kind", "signUp")
            writer.append("email", email)
            writer.append("password", password.record)
            if let userID { writer.append("uid", userID) }
            writer.append("expiresAt", dateMillis: expiresAtMillis)
        }
    }
}

extension AppAccounts {
    /// How long a message's token confirms an address, in milliseconds.
    private static let signUpMillis: Int64 = 24 * 3_600 * 1_000
    /// How long a message's token sets a new password, in milliseconds.
    private static let resetMillis: Int64 = 3_600 * 1_000

    // MARK: Confirming an address

    /// Keeps a sign-up and sends its token; where the address has an account, says so there.
    func offer(
        _ pending: PendingSignUp, _ mail: @Sendable (AccountMail) -> Void
    ) throws(DBError) {
        let token = OneTimeToken()
        let now = now
        let isTaken = try engine.changeAccountsAndWait { change in
            if let id = try change.appUserID(ofLogin: pending.email),
                var user = try change.appUser(id)
            {
                // Written too, so that both ways take a commit's time.
                user.signUpTriedAtMillis = now
                try change.put(user, id)
                return true
            }
            try change.put(
                .oneTimeToken, token.name,
                pending.record(expiresAtMillis: now + Self.signUpMillis))
            return false
        }
        mail(
            AccountMail(
                kind: isTaken ? .addressInUse : .verifyEmail, to: pending.email,
                token: isTaken ? nil : token.text))
    }

    /// Finishes a sign-up by the token of its message, and signs in.
    /// - Throws: 18 AuthenticationFailed for a token that is none, was used or is too old; 51003
    ///   where the address was taken meanwhile.
    public func verifyEmail(
        token: String, from address: String? = nil
    ) throws(DBError) -> IssuedTokens {
        guard let token = OneTimeToken(token) else { throw Self.failure }
        let now = now
        let pending: PendingSignUp? = try engine.changeAccountsAndWait { change in
            guard let record = try change.record(.oneTimeToken, token.name),
                record["kind"] == "signUp"
            else { return nil }
            try change.remove(.oneTimeToken, token.name)
            guard case .date(let end)? = record["expiresAt"], end > now else { return nil }
            return PendingSignUp(record)
        }
        guard let pending else { throw Self.failure }
        return try finish(pending, isVerified: true, from: address)
    }

    /// Makes the account of a sign-up, or gives an anonymous user its address.
    func finish(
        _ pending: PendingSignUp, isVerified: Bool, from address: String?
    ) throws(DBError) -> IssuedTokens {
        let now = now
        let id = pending.userID ?? Self.newID()
        return try issue(id, from: address) { change in
            guard try change.appUserID(ofLogin: pending.email) == nil else {
                throw DBError(
                    DBError.Code(rawValue: 51_003),
                    "there is an account with this e-mail address: sign in")
            }
            var user = AppUserRecord(createdAtMillis: now)
            if pending.userID != nil {
                guard let known = try change.appUser(id), known.isAnonymous, !known.isDisabled
                else {
                    throw DBError(.badValue, "only an anonymous user can be given an address")
                }
                user = known
                user.isAnonymous = false
                user.claimsVersion += 1
            }
            user.email = pending.email
            user.isEmailVerified = isVerified
            user.password = pending.password
            try change.put(.appLogin, pending.email, ["uid": .string(id)])
            try change.put(user, id)
            return user
        }
    }

    // MARK: Passwords

    /// Sends a token that sets a new password, where the address has an account. Answers before it
    /// looks, so that neither the answer nor its time tell.
    /// - Throws: 2 BadValue for what is no address; 115 where no messages can be sent.
    public func requestPasswordReset(email: String) throws(DBError) {
        let email = try Self.checked(email)
        guard let mail = options.mail else {
            throw DBError(
                .commandNotSupported,
                "no messages can be sent: start the server with --mail-command")
        }
        let now = now
        guard messages.allow(email, limit: options.messagesPerHour, nowMillis: now) else { return }
        let token = OneTimeToken()
        engine.changeAccounts { change in
            guard let id = try change.appUserID(ofLogin: email),
                var user = try change.appUser(id), !user.isDisabled
            else { return false }
            // Only the newest message counts.
            if let earlier = user.reset { try change.remove(.oneTimeToken, earlier) }
            user.reset = token.name
            try change.put(user, id)
            try change.put(
                .oneTimeToken, token.name,
                [
                    "kind": "reset", "uid": .string(id), "expiresAt": .date(now + Self.resetMillis),
                ])
            return true
        } completion: { outcome in
            guard case .success(true) = outcome else { return }
            mail(AccountMail(kind: .resetPassword, to: email, token: token.text))
        }
    }

    /// Sets a new password by the token of a message, and ends all sessions.
    /// - Throws: 18 AuthenticationFailed for a token that is none, was used or is too old; 2 BadValue
    ///   for a password that can't be used.
    public func resetPassword(token: String, newPassword: String) throws(DBError) {
        try Self.check(newPassword)
        guard let token = OneTimeToken(token) else { throw Self.failure }
        let hash = try PasswordHash(newPassword)
        let now = now
        let ended: [String]? = try engine.changeAccountsAndWait { change in
            guard let record = try change.record(.oneTimeToken, token.name),
                record["kind"] == "reset"
            else { return nil }
            try change.remove(.oneTimeToken, token.name)
            guard case .date(let end)? = record["expiresAt"], end > now,
                case .string(let id)? = record["uid"], var user = try change.appUser(id)
            else { return nil }
            user.password = hash
            // Whoever has the token reads the address's messages.
            user.isEmailVerified = true
            user.reset = nil
            try change.put(user, id)
            return try Self.endSessions(of: id, change)
        }
        guard let ended else { throw Self.failure }
        engine.appSessions.end(ended, nowMillis: now)
    }

    /// Changes the password of a user who knows the present one; ends all sessions and begins one.
    /// - Throws: 18 AuthenticationFailed, 2 BadValue for a password that can't be used.
    public func changePassword(
        userID id: String, password: String, newPassword: String, from address: String? = nil
    ) throws(DBError) -> IssuedTokens {
        try Self.check(newPassword)
        try confirm(id, password: password, from: address)
        let hash = try PasswordHash(newPassword)
        try signOutEverywhere(userID: id)
        return try issue(id, from: address) { change in
            guard var user = try change.appUser(id), !user.isDisabled else { throw Self.failure }
            user.password = hash
            try change.put(user, id)
            return user
        }
    }

    /// Asks a user who is signed in for the password once more.
    /// - Throws: 18 AuthenticationFailed.
    func confirm(_ id: String, password: String, from address: String?) throws(DBError) {
        guard password.utf8.count <= Self.passwordBytesMax else { throw Self.failure }
        try limited(id, address) { () throws(DBError) in
            guard let user = try record(of: id) else { throw Self.failure }
            try check(password, of: user)
        }
    }
}
