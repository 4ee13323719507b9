// The server's part of SCRAM-SHA-256 (RFC 5802, RFC 7677, without channel binding).
//
//     client-first   n,,n=USER,r=NONCE              ──▶  begin
//     server-first   r=NONCE+MORE,s=SALT,i=COUNT    ◀──
//     client-final   c=biws,r=…,p=PROOF             ──▶  finish
//     server-final   v=SIGNATURE                    ◀──
//
// An unknown user gets the same first answer, made of a secret, and fails at the proof, as a wrong
// password does: nobody learns who has an account.

import BSON
import Crypto

/// One exchange, up to its end. A failed one is not gone on with.
package struct ScramServer: Sendable {
    /// Longest name and nonce that are looked at, in bytes.
    private static let textBytesMax = 1_024

    /// Why an exchange ended.
    package enum Failure: Error, Sendable {
        /// The message is none of the protocol's.
        case malformed(String)
        /// The proof is wrong, or there is no such user.
        case wrongProof
    }

    /// The name in the first message, with its escapes undone.
    package let user: String
    private let clientFirstBare: String
    private let nonce: String
    private var serverFirst = ""
    private var credential: ScramCredential?

    /// Reads the client's first message.
    package init(
        clientFirst payload: [UInt8], serverNonce: [UInt8] = SecureRandom.bytes(24)
    ) throws(Failure) {
        guard payload.count <= Self.textBytesMax * 4,
            let message = String(validating: payload, as: UTF8.self)
        else { throw .malformed("the client's first message is no text") }
        guard message.hasPrefix("n,") else {
            throw .malformed("channel binding is not supported: begin with 'n,,'")
        }
        guard message.hasPrefix("n,,") else {
            throw .malformed("acting for another user is not supported")
        }
        clientFirstBare = String(message.dropFirst(3))
        guard let attributes = Scram.attributes(clientFirstBare), attributes["m"] == nil,
            let name = attributes["n"].flatMap(Self.unescaped), !name.isEmpty,
            let clientNonce = attributes["r"], !clientNonce.isEmpty,
            name.utf8.count <= Self.textBytesMax, clientNonce.utf8.count <= Self.textBytesMax
        else { throw .malformed("the client's first message lacks a name or a nonce") }
        user = name
        nonce = clientNonce + Scram.base64(serverNonce)
    }

    /// The server's first message. `credential` is nil for an unknown user; then the salt is made
    /// of `secret` and the name, so that it stays the same.
    package mutating func challenge(
        _ credential: ScramCredential?, secret: [UInt8]
    ) -> [UInt8] {
        self.credential = credential
        let iterations = credential?.iterations ?? ScramCredential.iterationsDefault
        let salt =
            credential?.salt
            ?? Array(
                Scram.hmac(SymmetricKey(data: secret), Array(user.utf8))
                    .prefix(ScramCredential.saltBytes))
        serverFirst = "r=\(nonce),s=\(Scram.base64(salt)),i=\(iterations)"
        return Array(serverFirst.utf8)
    }

    /// Checks the client's proof and gives the server's signature.
    package func finish(clientFinal payload: [UInt8]) throws(Failure) -> [UInt8] {
        guard payload.count <= Self.textBytesMax * 4,
            let message = String(validating: payload, as: UTF8.self),
            let attributes = Scram.attributes(message), attributes["c"] == "biws",
            attributes["r"] == nonce, let proofText = attributes["p"],
            let proof = Base64.decode(proofText), proof.count == ScramCredential.keyBytes,
            message.hasSuffix(",p=\(proofText)")
        else { throw .malformed("the client's final message is not as it should be") }
        let withoutProof = message.dropLast(proofText.utf8.count + 3)
        let signed = Array("\(clientFirstBare),\(serverFirst),\(withoutProof)".utf8)
        // An unknown user's proof is worked through alike.
        let known =
            credential
            ?? ScramCredential(
                iterations: 1, salt: [], storedKey: SecureRandom.bytes(ScramCredential.keyBytes),
                serverKey: SecureRandom.bytes(ScramCredential.keyBytes))
        let signature = Scram.hmac(SymmetricKey(data: known.storedKey), signed)
        let clientKey = Scram.xor(proof, signature)
        // Digests are compared in constant time.
        guard SHA256.hash(data: clientKey) == known.storedKey, credential != nil else {
            throw .wrongProof
        }
        let verifier = Scram.hmac(SymmetricKey(data: known.serverKey), signed)
        return Array("v=\(Scram.base64(verifier))".utf8)
    }

    /// A name with `=2C` and `=3D` undone; nil for any other use of `=`.
    private static func unescaped(_ name: String) -> String? {
        var result = ""
        var rest = Substring(name)
        while let escape = rest.firstIndex(of: "=") {
            result += rest[..<escape]
            switch rest[escape...].prefix(3) {
            case "=2C": result += ","
            case "=3D": result += "="
            default: return nil
            }
            rest = rest[escape...].dropFirst(3)
        }
        return result + rest
    }
}
