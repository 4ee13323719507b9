// The client's part of SCRAM-SHA-256; see ScramServer for the messages.

import BSON
import Crypto

/// One exchange.
package struct ScramClient: Sendable {
    /// The fewest iterations that a server may ask for: fewer would help a false one to guess.
    private static let iterationsMin = 4_096
    /// The most: each costs time.
    private static let iterationsMax = 10_000_000

    private let password: String
    private let clientFirstBare: String
    private let nonce: String
    private var verifier: [UInt8] = []

    /// An exchange that is to sign in.
    package init(user: String, password: String, nonce: [UInt8] = SecureRandom.bytes(24)) {
        self.init(user: user, password: password, nonceText: Scram.base64(nonce))
    }

    /// An exchange with a known nonce.
    init(user: String, password: String, nonceText: String) {
        self.password = password
        nonce = nonceText
        let name = user.split(separator: "=", omittingEmptySubsequences: false)
            .joined(separator: "=3D")
            .split(separator: ",", omittingEmptySubsequences: false).joined(separator: "=2C")
        clientFirstBare = "n=\(name),r=\(nonceText)"
    }

    /// The first message.
    package var first: [UInt8] { Array("n,,\(clientFirstBare)".utf8) }

    /// The final message for the server's first one; nil where that is wrong.
    package mutating func final(serverFirst payload: [UInt8]) -> [UInt8]? {
        guard let serverFirst = String(validating: payload, as: UTF8.self),
            let attributes = Scram.attributes(serverFirst),
            let full = attributes["r"], full.hasPrefix(nonce), full != nonce,
            let salt = attributes["s"].flatMap(Base64.decode),
            let iterations = attributes["i"].flatMap({ Int($0) }),
            (Self.iterationsMin...Self.iterationsMax).contains(iterations),
            let keys = ScramKeys(password: password, salt: salt, iterations: iterations)
        else { return nil }
        let withoutProof = "c=biws,r=\(full)"
        let signed = Array("\(clientFirstBare),\(serverFirst),\(withoutProof)".utf8)
        let signature = Scram.hmac(SymmetricKey(data: keys.storedKey), signed)
        verifier = Scram.hmac(SymmetricKey(data: keys.serverKey), signed)
        let proof = Scram.xor(keys.clientKey, signature)
        return Array("\(withoutProof),p=\(Scram.base64(proof))".utf8)
    }

    /// Whether the server's final message shows that it knows the password too.
    package func isProven(by serverFinal: [UInt8]) -> Bool {
        !verifier.isEmpty && serverFinal == Array("v=\(Scram.base64(verifier))".utf8)
    }
}
