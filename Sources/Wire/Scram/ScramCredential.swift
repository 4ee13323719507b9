// What a server keeps of a password (RFC 5802, RFC 7677): enough to check a proof, not enough to
// make one. Stealing it gives no sign-in, but allows guessing at 15,000 rounds of HMAC a guess.

import BSON
import Crypto
import CryptoExtras

/// The stored form of one password.
package struct ScramCredential: Sendable, Equatable {
    /// As MongoDB's for SCRAM-SHA-256.
    package static let iterationsDefault = 15_000
    /// As MongoDB's for SCRAM-SHA-256, in bytes.
    package static let saltBytes = 28
    /// The size of SHA-256's digests.
    package static let keyBytes = 32

    package let iterations: Int
    package let salt: [UInt8]
    package let storedKey: [UInt8]
    package let serverKey: [UInt8]

    /// A credential as it was stored.
    package init(iterations: Int, salt: [UInt8], storedKey: [UInt8], serverKey: [UInt8]) {
        self.iterations = iterations
        self.salt = salt
        self.storedKey = storedKey
        self.serverKey = serverKey
    }

    /// The credential of a password; takes about 10 ms at 15,000 iterations. Nil where the password
    /// can't be prepared by SASLprep.
    package init?(
        password: String, salt: [UInt8] = SecureRandom.bytes(saltBytes),
        iterations: Int = iterationsDefault
    ) {
        guard let keys = ScramKeys(password: password, salt: salt, iterations: iterations)
        else { return nil }
        self.init(
            iterations: iterations, salt: salt, storedKey: keys.storedKey,
            serverKey: keys.serverKey)
    }
}

/// The keys that a password gives.
struct ScramKeys {
    let clientKey: [UInt8]
    let storedKey: [UInt8]
    let serverKey: [UInt8]

    init?(password: String, salt: [UInt8], iterations: Int) {
        guard let prepared = SASLprep.prepare(password),
            let salted = try? KDF.Insecure.PBKDF2.deriveKey(
                from: Array(prepared.utf8), salt: salt, using: .sha256,
                outputByteCount: ScramCredential.keyBytes, unsafeUncheckedRounds: iterations)
        else { return nil }
        clientKey = Scram.hmac(salted, Array("Client Key".utf8))
        storedKey = Scram.hash(clientKey)
        serverKey = Scram.hmac(salted, Array("Server Key".utf8))
    }
}

/// The functions that SCRAM-SHA-256 is made of.
enum Scram {
    static func hmac(_ key: SymmetricKey, _ message: [UInt8]) -> [UInt8] {
        Array(HMAC<SHA256>.authenticationCode(for: message, using: key))
    }

    static func hash(_ message: [UInt8]) -> [UInt8] {
        Array(SHA256.hash(data: message))
    }

    static func xor(_ left: [UInt8], _ right: [UInt8]) -> [UInt8] {
        zip(left, right).map { $0 ^ $1 }
    }

    /// The attributes `k=v,…` of a message; nil where one is not of that form.
    static func attributes(_ message: String) -> [Character: String]? {
        var attributes: [Character: String] = [:]
        for part in message.split(separator: ",", omittingEmptySubsequences: false) {
            guard let name = part.first, part.dropFirst().first == "=",
                attributes.updateValue(String(part.dropFirst(2)), forKey: name) == nil
            else { return nil }
        }
        return attributes
    }

    /// The bytes in Base64.
    static func base64(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        Base64.append(bytes.span.bytes, to: &text)
        return String(decoding: text, as: UTF8.self)
    }
}

/// Random bytes for keys, salts and tokens, from the system's generator.
package enum SecureRandom {
    /// The SHA-256 of bytes.
    package static func digest(_ bytes: [UInt8]) -> [UInt8] { Array(SHA256.hash(data: bytes)) }

    /// So many bytes.
    package static func bytes(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }
}
