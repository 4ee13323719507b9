// Second factors: codes of an authenticator app, and recovery codes for when it is lost.

public import BSON
import Crypto
import FoundationEssentials

/// A secret for an authenticator app.
public struct FactorSecret: Sendable {
    /// In base32, for typing it in.
    public let secret: String
    /// What a QR code holds.
    public let uri: String
}

extension AppAccounts {
    /// How many recovery codes there are, and their random bytes.
    private static let recoveryCount = 10
    private static let recoveryBytes = 10

    /// Makes a secret for a user's authenticator app. It counts once a first code is given.
    /// - Parameter issuer: what the app shows beside the account.
    /// - Throws: 18 AuthenticationFailed for a wrong password; 2 BadValue where there is a second
    ///   factor already.
    public func enrolTotp(
        userID id: String, password: String?, issuer: String = "Roost",
        from address: String? = nil
    ) throws(DBError) -> FactorSecret {
        guard let user = try record(of: id) else { throw Self.failure }
        if user.password != nil {
            try confirm(id, password: password ?? "", from: address)
        }
        let secret = RandomBytes.make(OneTimeCode.secretBytes)
        try engine.changeAccountsAndWait { change in
            guard var user = try change.appUser(id), !user.isDisabled else { throw Self.failure }
            guard !user.needsCode else {
                throw DBError(
                    .badValue, "there is a second factor already: end it with disableTotp first")
            }
            user.factor = AppUserRecord.Factor(secret: secret)
            try change.put(user, id)
        }
        let text = Base32.encode(secret)
        let label = Self.percentEncoded(user.email ?? id)
        let name = Self.percentEncoded(issuer)
        return FactorSecret(
            secret: text,
            uri: "otpauth://totp/\(name):\(label)?secret=\(text)&issuer=\(name)")
    }

    /// Takes the first code, from which on signing in asks for one.
    /// - Returns: the recovery codes, which are shown only now; each serves once.
    /// - Throws: 18 AuthenticationFailed.
    public func confirmTotp(
        userID id: String, code: String, from address: String? = nil
    ) throws(DBError) -> [String] {
        let (codes, hashes) = Self.recoveryCodes()
        try change(id, from: address) { user, now in
            guard user.factor?.isConfirmed == false, user.take(code: code, nowMillis: now) else {
                return false
            }
            user.factor?.isConfirmed = true
            user.factor?.recovery = hashes
            return true
        }
        return codes
    }

    /// Replaces the recovery codes.
    /// - Throws: 18 AuthenticationFailed.
    public func renewRecoveryCodes(
        userID id: String, code: String, from address: String? = nil
    ) throws(DBError) -> [String] {
        let (codes, hashes) = Self.recoveryCodes()
        try change(id, from: address) { user, now in
            guard user.needsCode, user.take(code: code, nowMillis: now) else { return false }
            user.factor?.recovery = hashes
            return true
        }
        return codes
    }

    /// Ends the second factor, by a last code.
    /// - Throws: 18 AuthenticationFailed.
    public func disableTotp(
        userID id: String, code: String, from address: String? = nil
    ) throws(DBError) {
        try change(id, from: address) { user, now in
            guard user.needsCode, user.take(code: code, nowMillis: now) else { return false }
            user.factor = nil
            return true
        }
    }

    /// Changes a user by a code; false: the code was wrong.
    private func change(
        _ id: String, from address: String?,
        _ body: @escaping @Sendable (inout AppUserRecord, Int64) -> Bool
    ) throws(DBError) {
        try limited(id, address) { [now] () throws(DBError) in
            try engine.changeAccountsAndWait { change in
                guard var user = try change.appUser(id), !user.isDisabled, body(&user, now) else {
                    throw Self.failure
                }
                try change.put(user, id)
            }
        }
    }

    private static func recoveryCodes() -> (codes: [String], hashes: [[UInt8]]) {
        let codes = (0..<recoveryCount).map { _ in Base32.encode(RandomBytes.make(recoveryBytes)) }
        return (codes, codes.map { AppUserRecord.recoveryHash($0) })
    }

    /// As a part of a URI (RFC 3986).
    package static func percentEncoded(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF")
        var encoded = ""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: "_"), UInt8(ascii: "~"):
                encoded.unicodeScalars.append(UnicodeScalar(byte))
            default:
                encoded.append("%")
                encoded.append(digits[Int(byte >> 4)])
                encoded.append(digits[Int(byte & 15)])
            }
        }
        return encoded
    }
}

extension AppUserRecord {
    /// Uses up a code of the authenticator app, or a recovery code. All are compared, in constant
    /// time.
    /// - Returns: whether it was good.
    mutating func take(code: String, nowMillis: Int64) -> Bool {
        guard let factor else { return false }
        if let step = OneTimeCode.acceptedStep(
            code, factor.secret, nowMillis: nowMillis, after: factor.lastStep)
        {
            self.factor?.lastStep = step
            return true
        }
        let hash = Self.recoveryHash(code)
        var place: Int?
        for (index, kept) in factor.recovery.enumerated() where ConstantTime.areEqual(kept, hash) {
            place = index
        }
        guard let place else { return false }
        self.factor?.recovery.remove(at: place)
        return true
    }

    static func recoveryHash(_ code: String) -> [UInt8] {
        let letters = code.uppercased().utf8.filter { $0 != UInt8(ascii: "-") && $0 != 0x20 }
        return Array(SHA256.hash(data: Array(letters)))
    }
}

/// Base32 without padding (RFC 4648, section 6).
enum Base32 {
    private static let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")

    static func encode(_ bytes: [UInt8]) -> String {
        var text = ""
        var bits: UInt32 = 0
        var count = 0
        for byte in bytes {
            bits = bits << 8 | UInt32(byte)
            count += 8
            while count >= 5 {
                count -= 5
                text.append(letters[Int(bits >> UInt32(count) & 31)])
            }
        }
        if count > 0 { text.append(letters[Int(bits << UInt32(5 - count) & 31)]) }
        return text
    }
}
