// Checks the tokens that app users present: JSON Web Tokens (RFC 7519) in compact form, signed by an
// issuer whose keys are known. The rules are those of RFC 8725: the algorithm is the key's, issuer
// and audience must be the configured ones, and an end is required.

import BSON
import Crypto
import FoundationEssentials
import Query
import Synchronization

/// Why a token was refused; for the log, not for whoever presented it.
package enum TokenFailure: Error, Sendable, Equatable {
    case malformed
    case unknownKey
    case wrongSignature
    case wrongIssuer
    case wrongAudience
    case expired
    case notYetValid
    case withoutEnd
    case withoutSubject
    case sessionEnded
}

/// Whose tokens are accepted. Safe from any thread.
package final class TokenVerifier: Sendable {
    /// Longest token, in bytes.
    private static let bytesMax = 16 * 1_024
    /// How far an issuer's clock may differ, in seconds, where nothing else is said.
    package static let usualSkewSeconds: Int64 = 5

    /// The `iss` that tokens must have.
    package let issuer: String
    /// The `aud` that tokens must have.
    package let audience: String
    /// How far the issuer's clock may differ: a token serves so much longer than it says.
    private let skewSeconds: Int64
    private let keys: Mutex<TokenKeySet>
    private let whenKeyIsMissing = Mutex<(@Sendable () -> Void)?>(nil)

    /// Accepts tokens of an issuer for an audience, signed with one of `keys`.
    package init(
        issuer: String, audience: String, keys: TokenKeySet,
        skewSeconds: Int64 = usualSkewSeconds
    ) {
        self.skewSeconds = skewSeconds
        self.issuer = issuer
        self.audience = audience
        self.keys = Mutex(keys)
    }

    /// Replaces the keys: the issuer has rotated them.
    package func replaceKeys(_ new: TokenKeySet) { keys.withLock { $0 = new } }

    /// Has `body` run when a token names a key that isn't known; it should fetch, not too often.
    package func whenKeyIsMissing(_ body: @escaping @Sendable () -> Void) {
        whenKeyIsMissing.withLock { $0 = body }
    }

    /// The user that a token speaks for.
    /// - Throws: why it is refused.
    package func verify(
        _ token: String, nowMillis: Int64
    ) throws(TokenFailure) -> AppUser {
        let claims = try claims(token)
        let view = claims.view
        guard view.value("iss")?.string == issuer else { throw .wrongIssuer }
        guard let given = view.value("aud"), Self.isMeant(audience, given) else {
            throw .wrongAudience
        }
        let now = nowMillis / 1_000
        guard let end = Self.seconds(view.value("exp")) else { throw .withoutEnd }
        guard end > now - skewSeconds else { throw .expired }
        for name: StaticString in ["nbf", "iat"] {
            guard let value = view.value(name) else { continue }
            guard let start = Self.seconds(value) else { throw .malformed }
            guard start <= now + skewSeconds else { throw .notYetValid }
        }
        guard let subject = view.value("sub")?.string, !subject.isEmpty else {
            throw .withoutSubject
        }
        return AppUser(
            auth: ["uid": .string(subject), "token": .document(claims)],
            expiresAtMillis: (end + skewSeconds) * 1_000)
    }

    /// The `iss` that a token claims to have, which nothing may be granted for; nil for what is no
    /// token.
    package static func unverifiedIssuer(_ token: String) -> String? {
        guard token.utf8.count <= bytesMax else { return nil }
        let parts = token.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, let bytes = Base64URL.decode(parts[1]),
            let claims = PlainJSON.object(bytes)
        else { return nil }
        return claims.view.value("iss")?.string
    }

    /// The claims of a token whose signature is right.
    private func claims(_ token: String) throws(TokenFailure) -> Document {
        guard token.utf8.count <= Self.bytesMax else { throw .malformed }
        let parts = token.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, let headerBytes = Base64URL.decode(parts[0]),
            let claimBytes = Base64URL.decode(parts[1]),
            let signature = Base64URL.decode(parts[2]), !signature.isEmpty,
            let header = PlainJSON.object(headerBytes)
        else { throw .malformed }
        // What must be understood is not; encrypted tokens have five parts.
        guard header.view.value("crit") == nil, header.view.value("b64") == nil,
            let algorithm = header.view.value("alg")?.string
        else { throw .malformed }
        let id = header.view.value("kid")
        if let id, id.string == nil { throw .malformed }
        let candidates = keys.withLock { $0.candidates(id?.string) }
        guard !candidates.isEmpty else {
            whenKeyIsMissing.withLock { $0 }?()
            throw .unknownKey
        }
        let content = Array(parts[0].utf8) + [UInt8(ascii: ".")] + Array(parts[1].utf8)
        guard
            candidates.contains(where: {
                $0.verifies(signature, over: content, algorithm: algorithm)
            })
        else { throw .wrongSignature }
        guard let claims = PlainJSON.object(claimBytes) else { throw .malformed }
        return claims
    }

    /// Whether `aud`, one name or a list of them, holds the audience.
    private static func isMeant(_ audience: String, _ given: ValueView) -> Bool {
        if let one = given.string { return one == audience }
        guard let list = given.array else { return false }
        var elements = list.makeIterator()
        while let element = elements.next() {
            if element.value.string == audience { return true }
        }
        return false
    }

    /// A NumericDate in whole seconds; nil for what is none, or beyond the year 9999.
    private static func seconds(_ value: ValueView?) -> Int64? {
        guard let number = value?.anyDouble, number >= 0, number < 253_402_300_800 else {
            return nil
        }
        return Int64(number)
    }
}
