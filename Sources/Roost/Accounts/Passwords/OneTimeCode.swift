// Codes of authenticator apps as a second factor: TOTP (RFC 6238) over HOTP (RFC 4226), with HMAC-
// SHA-1 and six digits, which is what the apps know.

import BSON
import Crypto
import FoundationEssentials

/// One-time codes of a secret.
package enum OneTimeCode {
    /// Each code's time, in seconds.
    package static let stepSeconds: Int64 = 30
    /// The size of a secret, in bytes, as RFC 4226 advises.
    package static let secretBytes = 20
    /// How many steps before and after the present one are taken, for clocks that differ.
    private static let stepsAround: Int64 = 1

    /// The code of a step.
    static func code(_ secret: [UInt8], step: Int64, digits: Int = 6) -> String {
        let counter = withUnsafeBytes(of: UInt64(bitPattern: step).bigEndian) { Array($0) }
        let mac = Array(
            HMAC<Insecure.SHA1>.authenticationCode(
                for: counter, using: SymmetricKey(data: secret)))
        let offset = Int(mac[mac.count - 1] & 15)
        var number: UInt32 = 0
        for byte in mac[offset..<offset + 4] { number = number << 8 | UInt32(byte) }
        number &= 0x7FFF_FFFF
        var modulus: UInt32 = 1
        for _ in 0..<digits { modulus *= 10 }
        let text = String(number % modulus)
        return String(repeating: "0", count: digits - text.count) + text
    }

    /// The step whose code was given, if it is near and later than `last`: a code serves once. All
    /// near steps are compared, in constant time.
    package static func acceptedStep(
        _ given: String, _ secret: [UInt8], nowMillis: Int64, after last: Int64
    ) -> Int64? {
        let now = nowMillis / 1_000 / stepSeconds
        var accepted: Int64?
        for step in now - stepsAround...now + stepsAround {
            let isSame = ConstantTime.areEqual(
                Array(code(secret, step: step).utf8), Array(given.utf8))
            if isSame, step > last { accepted = step }
        }
        return accepted
    }
}
