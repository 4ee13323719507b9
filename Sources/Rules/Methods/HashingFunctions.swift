// hashing.md5, sha256, crc32 and crc32c: of a string's UTF-8 or of bytes.

internal import BSON
internal import Query

extension RuleEvaluator {
    /// The digest; those of CRCs are little-endian, as production gives them.
    func hash(
        _ function: BuiltinFunction, _ arguments: [RuleValue]
    ) throws(RuleFailure) -> [UInt8] {
        let bytes: [UInt8]
        switch arguments[0] {
        case .string(let text): bytes = Array(text.utf8)
        case .bytes(let content): bytes = content
        default: throw wrongArguments(function, arguments, "string")
        }
        switch function {
        case .hashingMD5:
            var digest = MD5()
            for byte in bytes { digest.append(byte) }
            return digest.finishBytes()
        case .hashingSHA256: return SHA256.digest(of: bytes)
        case .hashingCRC32: return Self.crc(bytes, polynomial: 0xEDB8_8320)
        default: return Self.crc(bytes, polynomial: 0x82F6_3B78)
        }
    }

    /// A reflected CRC-32.
    private static func crc(_ bytes: [UInt8], polynomial: UInt32) -> [UInt8] {
        let table = (0..<256).map { index in
            (0..<8).reduce(UInt32(index)) { rest, _ in
                rest >> 1 ^ (rest & 1 == 0 ? 0 : polynomial)
            }
        }
        let sum = ~bytes.reduce(~0 as UInt32) { sum, byte in
            sum >> 8 ^ table[Int((sum ^ UInt32(byte)) & 0xFF)]
        }
        return (0..<4).map { UInt8(truncatingIfNeeded: sum >> UInt32(8 * $0)) }
    }
}

/// SHA-256 (FIPS 180-4) of public data. Its constants are the fractions of roots of primes.
enum SHA256 {
    /// The 32 bytes of the digest. O(n).
    static func digest(of content: [UInt8]) -> [UInt8] {
        var state = initial
        var message = content
        message.append(0x80)
        while message.count % 64 != 56 { message.append(0) }
        let bits = UInt64(content.count) &* 8
        for shift in stride(from: 56 as UInt64, through: 0, by: -8) {
            message.append(UInt8(truncatingIfNeeded: bits >> shift))
        }
        for start in stride(from: 0, to: message.count, by: 64) {
            mix(message[start..<start + 64], into: &state)
        }
        return state.flatMap { word in
            [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: word >> UInt32($0)) }
        }
    }

    private static func mix(_ block: ArraySlice<UInt8>, into state: inout [UInt32]) {
        var words = [UInt32](repeating: 0, count: 64)
        for (index, byte) in block.enumerated() {
            words[index / 4] = words[index / 4] << 8 | UInt32(byte)
        }
        for index in 16..<64 {
            let early = words[index - 15]
            let late = words[index - 2]
            let first = rotated(early, 7) ^ rotated(early, 18) ^ early >> 3
            let second = rotated(late, 17) ^ rotated(late, 19) ^ late >> 10
            words[index] = words[index - 16] &+ first &+ words[index - 7] &+ second
        }
        var (a, b, c, d) = (state[0], state[1], state[2], state[3])
        var (e, f, g, h) = (state[4], state[5], state[6], state[7])
        for index in 0..<64 {
            let choice = e & f ^ ~e & g
            let sumE = rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)
            let first = h &+ sumE &+ choice &+ rounds[index] &+ words[index]
            let sumA = rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)
            let majority = a & b ^ a & c ^ b & c
            (h, g, f, e) = (g, f, e, d &+ first)
            (d, c, b, a) = (c, b, a, first &+ sumA &+ majority)
        }
        for (index, word) in [a, b, c, d, e, f, g, h].enumerated() { state[index] &+= word }
    }

    private static func rotated(_ word: UInt32, _ count: UInt32) -> UInt32 {
        word >> count | word << (32 - count)
    }

    /// The first 64 primes.
    private static let primes: [Int] = (2...311).filter { number in
        !(2..<number).contains { number % $0 == 0 }
    }

    private static let initial: [UInt32] = primes.prefix(8).map {
        fraction(of: Double($0).squareRoot())
    }

    private static let rounds: [UInt32] = primes.map { prime in
        // The cube root by bits, exactly: doubles have too few behind the point for some.
        let scaled = Int128(prime) << 96
        var root: Int128 = 0
        for bit in stride(from: 35, through: 0, by: -1) {
            let next = root | 1 << Int128(bit)
            if next * next * next <= scaled { root = next }
        }
        return UInt32(truncatingIfNeeded: root)
    }

    private static func fraction(of root: Double) -> UInt32 {
        UInt32((root - root.rounded(.down)) * 0x1p32)
    }
}
