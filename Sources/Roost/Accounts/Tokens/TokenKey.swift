// Public keys that tokens are checked with, from a JSON Web Key Set (RFC 7517, RFC 8037).
//
// The key says which algorithms it is for; what the token's header says only has to agree. So no
// token can have a public key used as the secret of an HMAC, or ask for no signature at all.

package import BSON
import Crypto
import CryptoExtras
import FoundationEssentials

/// A public key.
package struct TokenKey: Sendable {
    /// Smallest RSA modulus, in bits.
    private static let rsaBitsMin = 2_048
    /// Largest RSA modulus, in bits: larger ones only cost time.
    private static let rsaBitsMax = 8_192

    private enum Key: Sendable {
        case ed25519(Curve25519.Signing.PublicKey)
        case p256(P256.Signing.PublicKey)
        case p384(P384.Signing.PublicKey)
        case rsa(_RSA.Signing.PublicKey)
    }

    /// The `kid`; empty where the set gives none.
    package let id: String
    /// The one algorithm that the set allows; nil where it doesn't say.
    private let algorithm: String?
    private let key: Key

    /// An Ed25519 key.
    init(id: String, ed25519: Curve25519.Signing.PublicKey) {
        self.id = id
        algorithm = "EdDSA"
        key = .ed25519(ed25519)
    }

    /// Reads a JSON Web Key. Nil for one that no token may be signed with: of another kind or use,
    /// symmetric, too short.
    init?(_ key: DocumentView) {
        guard key.value("use")?.string ?? "sig" == "sig" else { return nil }
        id = key.value("kid")?.string ?? ""
        algorithm = key.value("alg")?.string
        let kind = key.value("kty")?.string
        let curve = key.value("crv")?.string
        switch (kind, curve) {
        case ("OKP"?, "Ed25519"?):
            guard let x = Self.bytes("x", key),
                let made = try? Curve25519.Signing.PublicKey(rawRepresentation: x)
            else { return nil }
            self.key = .ed25519(made)
        case ("EC"?, "P-256"?):
            guard let x = Self.bytes("x", key), let y = Self.bytes("y", key), x.count == 32,
                y.count == 32,
                let made = try? P256.Signing.PublicKey(rawRepresentation: x + y)
            else { return nil }
            self.key = .p256(made)
        case ("EC"?, "P-384"?):
            guard let x = Self.bytes("x", key), let y = Self.bytes("y", key), x.count == 48,
                y.count == 48,
                let made = try? P384.Signing.PublicKey(rawRepresentation: x + y)
            else { return nil }
            self.key = .p384(made)
        case ("RSA"?, _):
            guard let n = Self.bytes("n", key), let e = Self.bytes("e", key),
                n.count <= Self.rsaBitsMax / 8,
                let made = try? _RSA.Signing.PublicKey(n: n, e: e),
                made.keySizeInBits >= Self.rsaBitsMin
            else { return nil }
            self.key = .rsa(made)
        default: return nil
        }
    }

    private static func bytes(_ name: StaticString, _ key: DocumentView) -> [UInt8]? {
        key.value(name)?.string.flatMap { Base64URL.decode($0) }
    }

    /// Whether `signature` is this key's over `content`, by the algorithm that a token's header
    /// names.
    func verifies(
        _ signature: [UInt8], over content: [UInt8], algorithm named: String
    ) -> Bool {
        guard algorithm == nil || algorithm == named else { return false }
        switch (key, named) {
        case (.ed25519(let key), "EdDSA"), (.ed25519(let key), "Ed25519"):
            return key.isValidSignature(signature, for: content)
        case (.p256(let key), "ES256"):
            guard let read = try? P256.Signing.ECDSASignature(rawRepresentation: signature)
            else { return false }
            return key.isValidSignature(read, for: content)
        case (.p384(let key), "ES384"):
            guard let read = try? P384.Signing.ECDSASignature(rawRepresentation: signature)
            else { return false }
            return key.isValidSignature(read, for: content)
        case (.rsa(let key), _):
            let read = _RSA.Signing.RSASignature(rawRepresentation: signature)
            switch named {
            case "RS256":
                return key.isValidSignature(
                    read, for: SHA256.hash(data: content), padding: .insecurePKCS1v1_5)
            case "RS384":
                return key.isValidSignature(
                    read, for: SHA384.hash(data: content), padding: .insecurePKCS1v1_5)
            case "RS512":
                return key.isValidSignature(
                    read, for: SHA512.hash(data: content), padding: .insecurePKCS1v1_5)
            case "PS256":
                return key.isValidSignature(
                    read, for: SHA256.hash(data: content), padding: .PSS)
            default: return false
            }
        default: return false
        }
    }
}

/// The keys of an issuer.
package struct TokenKeySet: Sendable {
    /// Most keys of a set.
    private static let keysMax = 100

    /// In the set's order; keys that no token may be signed with are left out.
    package let keys: [TokenKey]

    /// Keys that are known.
    package init(_ keys: [TokenKey]) { self.keys = keys }

    /// Reads a JSON Web Key Set.
    /// - Throws: 9 FailedToParse where it is none or holds no key that can be used.
    package init(jwks text: [UInt8]) throws(DBError) {
        try self.init(PlainJSON.object(text) ?? Document())
    }

    /// Takes a JSON Web Key Set.
    /// - Throws: 9 FailedToParse where it is none or holds no key that can be used.
    package init(_ set: Document) throws(DBError) {
        guard let list = set.view.value("keys")?.array else {
            throw DBError(.failedToParse, "this is no JSON Web Key Set, {\"keys\": [...]}")
        }
        var keys: [TokenKey] = []
        var elements = list.makeIterator()
        while let element = elements.next(), keys.count < Self.keysMax {
            if let document = element.value.document, let key = TokenKey(document) {
                keys.append(key)
            }
        }
        guard !keys.isEmpty else {
            throw DBError(
                .failedToParse,
                "the key set holds no key that can be used: RSA of 2048 bits or more, P-256, P-384 "
                    + "or Ed25519, for signatures")
        }
        self.keys = keys
    }

    /// The keys that a token with that `kid` may be signed with: those of that id. Without one, the
    /// only key there is.
    func candidates(_ id: String?) -> [TokenKey] {
        if let id { return keys.filter { $0.id == id } }
        return keys.count == 1 ? keys : []
    }
}
