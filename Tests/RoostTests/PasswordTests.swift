// Passwords and one-time codes against the vectors of their RFCs.

import BSON
import Testing

@testable import Roost

@Suite struct PasswordTests {
    /// RFC 6238, appendix B (SHA-1).
    @Test(
        arguments: [
            (59, "94287082"), (1_111_111_109, "07081804"), (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"), (2_000_000_000, "69279037"), (20_000_000_000, "65353130"),
        ] as [(Int64, String)])
    func codesAreThoseOfTheRFC(_ seconds: Int64, _ code: String) {
        let secret = Array("12345678901234567890".utf8)
        #expect(OneTimeCode.code(secret, step: seconds / 30, digits: 8) == code)
        let six = String(code.suffix(6))
        func accepted(_ nowSeconds: Int64, after last: Int64) -> Int64? {
            OneTimeCode.acceptedStep(six, secret, nowMillis: nowSeconds * 1_000, after: last)
        }
        #expect(accepted(seconds, after: 0) == seconds / 30)
        #expect(accepted(seconds + 30, after: 0) == seconds / 30)
        #expect(accepted(seconds + 90, after: 0) == nil)
        // A code serves once.
        #expect(accepted(seconds, after: seconds / 30) == nil)
    }

    /// Made by the reference implementation's own test: version 1.3, one lane.
    @Test func argon2idIsTheReference() throws {
        let hash = try PasswordHash.argon2id(
            "password", Array("somesalt".utf8), memoryKiB: 65_536, passes: 2)
        let text = hash.map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }.joined()
        #expect(text == "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7")
    }

    @Test func aPasswordMatchesItsHashOnly() throws {
        let hash = try PasswordHash("correct horse")
        #expect(try hash.matches("correct horse"))
        #expect(try !hash.matches("correct horsf"))
        #expect(try !hash.matches(""))
        let record = hash.record
        let read = PasswordHash(record.view)
        let stored = try #require(read)
        #expect(stored == hash)
        #expect(try PasswordHash("correct horse") != hash)
    }

    @Test func comparisonsCompare() {
        #expect(ConstantTime.areEqual([], []))
        #expect(ConstantTime.areEqual([1, 2], [1, 2]))
        #expect(!ConstantTime.areEqual([1, 2], [1, 3]))
        #expect(!ConstantTime.areEqual([1], [1, 0]))
    }
}
