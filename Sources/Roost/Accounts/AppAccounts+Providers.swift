// Users who sign in elsewhere (OAuth 2.0, OpenID Connect) and have their account here. The door has
// checked what the other provider says.

package import BSON
import Crypto
import FoundationEssentials

/// Who a user is at another provider.
package struct ProviderIdentity: Sendable {
    /// The provider's `iss`.
    package let issuer: String
    /// The user's `sub` there.
    package let subject: String
    /// The address, where the provider has one and vouches for it.
    package let verifiedEmail: String?

    /// An identity.
    package init(issuer: String, subject: String, verifiedEmail: String?) {
        self.issuer = issuer
        self.subject = subject
        self.verifiedEmail = verifiedEmail
    }

    /// The name of its record; no e-mail address looks like it.
    var loginName: String {
        let hash = SHA256.hash(data: Array("\(issuer)\n\(subject)".utf8))
        return "provider:" + Base64URL.encode(Array(hash))
    }
}

extension AppAccounts {
    /// Signs in a user of another provider. The first time an account is made, or the one that has
    /// the same confirmed address is taken; one that asks for a second factor is not, but has to be
    /// linked by whoever is signed in to it.
    /// - Parameter user: links the identity to this user instead.
    /// - Throws: 18 AuthenticationFailed; 51003 where the identity belongs to another user.
    package func signIn(
        _ identity: ProviderIdentity, linkingTo user: String? = nil, from address: String?
    ) throws(DBError) -> IssuedTokens {
        let name = identity.loginName
        let now = now
        let email = try? identity.verifiedEmail.map { email throws(DBError) in
            try Self.checked(email)
        }
        let login = try engine.accountRecord(.appLogin, name)
        let known: String? = if case .string(let id)? = login?["uid"] { id } else { nil }
        let sameAddress = try email.flatMap { email throws(DBError) in
            try self.user(ofLogin: email)
        }
        if let user, let known, known != user {
            throw DBError(
                DBError.Code(rawValue: 51_003), "this sign-in belongs to another account")
        }
        var linked: String?
        if let sameAddress, sameAddress.user.isEmailVerified, !sameAddress.user.needsCode {
            linked = sameAddress.id
        }
        let id = user ?? known ?? linked ?? Self.newID()
        return try issue(id, from: address) { change in
            // What was looked at before may have changed: then it is tried again.
            if let owner = try change.appUserID(ofLogin: name), owner != id { throw Self.failure }
            var record = try change.appUser(id)
            if record == nil {
                guard user == nil, known == nil else { throw Self.failure }
                record = AppUserRecord(createdAtMillis: now)
            }
            guard var record, !record.isDisabled else { throw Self.failure }
            if record.email == nil, let email, try change.appUserID(ofLogin: email) == nil {
                record.email = email
                record.isEmailVerified = true
                try change.put(.appLogin, email, ["uid": .string(id)])
            }
            if !record.identities.contains(name) { record.identities.append(name) }
            if record.isAnonymous {
                record.isAnonymous = false
                record.claimsVersion += 1
            }
            try change.put(.appLogin, name, ["uid": .string(id)])
            try change.put(record, id)
            return record
        }
    }
}
