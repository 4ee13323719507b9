// The secrets that are handed out: refresh tokens, and tokens of one use that go out by e-mail. The
// folder keeps their hashes only; they hold 256 random bits, so a plain hash is enough.

import BSON
import Crypto
import FoundationEssentials

/// What a sign-in gives.
public struct IssuedTokens: Sendable {
    /// The user's id.
    public let userID: String
    /// A JWT for every door.
    public let accessToken: String
    /// For the next tokens; of one use.
    public let refreshToken: String
    /// When the access token ends, in milliseconds since 1970.
    public let expiresAtMillis: Int64
}

/// `USER.FAMILY.SECRET`: the family's record holds the hash of the secret that is to be used next.
/// The record's name is made of a hash of FAMILY, so that an access token, which tells that name,
/// is of no use for making a refresh token look stolen.
struct RefreshToken: Sendable {
    let userID: String
    private let family: [UInt8]
    private let secret: [UInt8]

    /// The first token of a new family.
    init(userID: String) {
        self.userID = userID
        family = RandomBytes.make(16)
        secret = RandomBytes.make(32)
    }

    /// The token after another.
    init(after earlier: RefreshToken) {
        userID = earlier.userID
        family = earlier.family
        secret = RandomBytes.make(32)
    }

    /// Reads a token; nil for what is none.
    init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0].utf8.count == 22,
            let family = Base64URL.decode(parts[1]), family.count == 16,
            let secret = Base64URL.decode(parts[2]), secret.count == 32
        else { return nil }
        userID = String(parts[0])
        self.family = family
        self.secret = secret
    }

    var text: String {
        "\(userID).\(Base64URL.encode(family)).\(Base64URL.encode(secret))"
    }

    var hash: [UInt8] { Array(SHA256.hash(data: secret)) }

    /// The session's id, the claim `sid`.
    var sessionID: String {
        Base64URL.encode(Array(SHA256.hash(data: family).prefix(16)))
    }

    /// The name of the family's record.
    var recordName: String { Self.recordName(userID, sessionID) }

    static func recordName(_ userID: String, _ sessionID: String) -> String {
        "\(userID)/\(sessionID)"
    }

    func record(_ nowMillis: Int64, from address: String?) -> Document {
        Document { writer in
            writer.append("uid", userID)
            writer.append("sid", sessionID)
            writer.append("current", .binary(subtype: 0, hash))
            writer.append("usedAt", dateMillis: nowMillis)
            writer.append("expiresAt", dateMillis: nowMillis + AppAccounts.refreshMillis)
            if let address { writer.append("address", address) }
        }
    }
}

/// A token of one use.
struct OneTimeToken: Sendable {
    private let secret: [UInt8]

    init() { secret = RandomBytes.make(32) }

    /// Reads a token; nil for what is none.
    init?(_ text: String) {
        guard let secret = Base64URL.decode(text), secret.count == 32 else { return nil }
        self.secret = secret
    }

    var text: String { Base64URL.encode(secret) }

    /// The name of its record.
    var name: String { Base64URL.encode(Array(SHA256.hash(data: secret))) }
}

/// Random bytes from the system's generator.
enum RandomBytes {
    static func make(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }
}
