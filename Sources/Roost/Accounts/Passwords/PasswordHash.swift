// Passwords of app users as they are kept: Argon2id (RFC 9106) with a salt of each password's own.
// One hash takes about 20 ms and 19 MiB, so it runs on a pool thread, never on an event loop.

package import BSON
import CArgon2
import Crypto
import FoundationEssentials

/// A hashed password with its parameters, so that later releases may choose others.
package struct PasswordHash: Sendable, Equatable {
    /// What OWASP advises at least: 19 MiB, two passes, one lane.
    private static let memoryKiB: UInt32 = 19 * 1_024
    private static let passes: UInt32 = 2
    private static let saltBytes = 16
    private static let hashBytes = 32

    private let memoryKiB: UInt32
    private let passes: UInt32
    private let salt: [UInt8]
    private let hash: [UInt8]

    /// Hashes a password.
    /// - Throws: 146 ExceededMemoryLimit where memory is short.
    package init(_ password: String) throws(DBError) {
        memoryKiB = Self.memoryKiB
        passes = Self.passes
        var generator = SystemRandomNumberGenerator()
        salt = (0..<Self.saltBytes).map { _ in UInt8.random(in: 0...255, using: &generator) }
        hash = try Self.argon2id(password, salt, memoryKiB: memoryKiB, passes: passes)
    }

    /// A hash as it was stored; nil where the record can't be read.
    init?(_ record: DocumentView) {
        guard let memory = record.value("m")?.exactInteger,
            let passes = record.value("t")?.exactInteger,
            let salt = record.value("salt")?.binary, let hash = record.value("hash")?.binary,
            (8...1 << 22).contains(memory), (1...100).contains(passes),
            salt.content.byteCount >= 8, hash.content.byteCount == Self.hashBytes
        else { return nil }
        memoryKiB = UInt32(clamping: memory)
        self.passes = UInt32(clamping: passes)
        self.salt = [UInt8](copying: salt.content)
        self.hash = [UInt8](copying: hash.content)
    }

    /// As it is stored.
    var record: Document {
        [
            "m": .int64(Int64(memoryKiB)), "t": .int64(Int64(passes)),
            "salt": .binary(subtype: 0, salt), "hash": .binary(subtype: 0, hash),
        ]
    }

    /// Whether this is the password; compared in constant time.
    /// - Throws: 146 ExceededMemoryLimit where memory is short.
    package func matches(_ password: String) throws(DBError) -> Bool {
        let given = try Self.argon2id(password, salt, memoryKiB: memoryKiB, passes: passes)
        return ConstantTime.areEqual(given, hash)
    }

    /// RFC 9106 with one lane and version 1.3.
    static func argon2id(
        _ password: String, _ salt: [UInt8], memoryKiB: UInt32, passes: UInt32
    ) throws(DBError) -> [UInt8] {
        var hash = [UInt8](repeating: 0, count: hashBytes)
        let text = Array(password.utf8)
        // SAFETY: each buffer is as large as its count says and lives for the call.
        let status = argon2id_hash_raw(
            passes, memoryKiB, 1, text, text.count, salt, salt.count, &hash, hash.count)
        guard status == ARGON2_OK.rawValue else {
            throw DBError(
                .exceededMemoryLimit,
                "the password could not be hashed: \(String(cString: argon2_error_message(status)))"
            )
        }
        return hash
    }
}

/// Comparisons whose time doesn't tell where the first difference is.
package enum ConstantTime {
    /// Whether both hold the same bytes. Compares MACs under a key of its own, so that nothing about
    /// the values shows.
    package static func areEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        let key = SymmetricKey(size: .bits256)
        let code = HMAC<SHA256>.authenticationCode(for: left, using: key)
        return HMAC<SHA256>.isValidAuthenticationCode(code, authenticating: right, using: key)
    }
}
