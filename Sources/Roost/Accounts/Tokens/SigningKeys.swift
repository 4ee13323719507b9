// The keys that Roost's own tokens are signed with: Ed25519, made by the folder, replaced every 30
// days. Earlier ones check tokens until those have ended.

import BSON
import Crypto
import FoundationEssentials
import Synchronization

/// The signing keys of a folder. Safe from any thread.
final class SigningKeys: Sendable {
    /// How long a key signs, in milliseconds.
    private static let signingMillis: Int64 = 30 * 24 * 3_600 * 1_000

    private struct Key: Sendable {
        let id: String
        let key: Curve25519.Signing.PrivateKey
        let createdAt: Int64
    }

    private let engine: RoostEngine
    /// Oldest first; empty until something is signed.
    private let keys: Mutex<[Key]>
    let verifier: TokenVerifier

    /// Names that the app's own claims can't have.
    static let reservedClaims: Set<String> = [
        "iss", "aud", "sub", "iat", "exp", "nbf", "jti", "sid", "ver", "email", "email_verified",
        "anonymous", "auth_time", "amr", "azp", "nonce",
    ]

    /// Reads the keys.
    /// - Throws: `DBError` where they can't be read.
    init(_ engine: RoostEngine) throws(DBError) {
        self.engine = engine
        let found = try Self.read(engine)
        keys = Mutex(found)
        // Tokens made here are checked by the same clock.
        verifier = TokenVerifier(
            issuer: AppAccounts.issuer, audience: AppAccounts.audience, keys: Self.set(found),
            skewSeconds: 0)
    }

    private static func read(_ engine: RoostEngine) throws(DBError) -> [Key] {
        var found: [Key] = []
        for (name, record) in try engine.accountRecords(.signingKey) {
            guard case .binary(_, let bytes)? = record["private"],
                case .date(let createdAt)? = record["createdAt"],
                let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: bytes)
            else { continue }
            found.append(Key(id: name, key: key, createdAt: createdAt))
        }
        return found.sorted { $0.createdAt < $1.createdAt }
    }

    /// Reads the keys again; whether there were new ones.
    func reload() -> Bool {
        guard let found = try? Self.read(engine) else { return false }
        let isNew = keys.withLock { keys in
            guard found.count > keys.count else { return false }
            keys = found
            return true
        }
        if isNew { verifier.replaceKeys(Self.set(found)) }
        return isNew
    }

    private static func make(
        _ engine: RoostEngine, _ nowMillis: Int64
    ) throws(DBError) -> Key {
        let key = Key(
            id: Base64URL.encode(RandomBytes.make(12)), key: Curve25519.Signing.PrivateKey(),
            createdAt: nowMillis)
        let record: Document = [
            "private": .binary(subtype: 0, Array(key.key.rawRepresentation)),
            "createdAt": .date(nowMillis),
        ]
        try engine.changeAccountsAndWait { change in
            try change.put(.signingKey, key.id, record)
        }
        return key
    }

    private static func set(_ keys: [Key]) -> TokenKeySet {
        TokenKeySet(keys.map { TokenKey(id: $0.id, ed25519: $0.key.publicKey) })
    }

    /// The key that signs now; a new one where the last has served its time.
    private func current(_ nowMillis: Int64) throws(DBError) -> Key {
        if let last = keys.withLock({ $0.last }),
            nowMillis - last.createdAt <= Self.signingMillis
        {
            return last
        }
        let new = try Self.make(engine, nowMillis)
        let all = keys.withLock { keys in
            keys.append(new)
            return keys
        }
        verifier.replaceKeys(Self.set(all))
        return new
    }

    /// The public keys as a JSON Web Key Set.
    var jwks: String {
        let list = keys.withLock { $0 }.map { key -> Value in
            [
                "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA",
                "kid": .string(key.id),
                "x": .string(Base64URL.encode(Array(key.key.publicKey.rawRepresentation))),
            ]
        }
        return ExtendedJSON.string(of: (["keys": .array(list)] as Document).view)
    }

    /// An access token of a user, with `refresh` beside it.
    func tokens(
        of userID: String, _ user: AppUserRecord, _ refresh: RefreshToken, nowMillis: Int64
    ) throws(DBError) -> IssuedTokens {
        let key = try current(nowMillis)
        let end = nowMillis / 1_000 + AppAccounts.accessMillis / 1_000
        let body = Document { writer in
            writer.append("iss", AppAccounts.issuer)
            writer.append("aud", AppAccounts.audience)
            writer.append("sub", userID)
            writer.append("iat", nowMillis / 1_000)
            writer.append("exp", end)
            writer.append("jti", Base64URL.encode(RandomBytes.make(12)))
            writer.append("sid", refresh.sessionID)
            writer.append("ver", user.claimsVersion)
            writer.appendFields(of: user.tokenClaims.view)
        }
        let header = #"{"alg":"EdDSA","typ":"JWT","kid":"\#(key.id)"}"#
        let text =
            Base64URL.encode(Array(header.utf8)) + "."
            + Base64URL.encode(Array(ExtendedJSON.string(of: body.view).utf8))
        guard let signature = try? key.key.signature(for: Array(text.utf8)) else {
            throw DBError(.internalError, "the token could not be signed")
        }
        return IssuedTokens(
            userID: userID, accessToken: text + "." + Base64URL.encode(Array(signature)),
            refreshToken: refresh.text, expiresAtMillis: end * 1_000)
    }
}
