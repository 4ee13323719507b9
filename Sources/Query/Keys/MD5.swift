// MD5 (RFC 1321), which hashed indexes are defined by. Not for secrets.

internal import BSON
import Glibc

/// The digest of bytes that come piece by piece.
package struct MD5: Sendable {
    private var state: (UInt32, UInt32, UInt32, UInt32) = (
        0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476
    )
    private var block: [UInt8] = []
    private var count: UInt64 = 0

    /// The digest of nothing yet.
    package init() { block.reserveCapacity(64) }

    /// Takes more bytes.
    package mutating func append(_ bytes: RawSpan) {
        for offset in 0..<bytes.byteCount {
            append(bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self))
        }
    }

    /// Takes a number, little-endian.
    mutating func append<T: FixedWidthInteger>(_ number: T) {
        var rest = number
        for _ in 0..<T.bitWidth / 8 {
            append(UInt8(truncatingIfNeeded: rest))
            rest >>= 8
        }
    }

    /// Takes a byte.
    package mutating func append(_ byte: UInt8) {
        block.append(byte)
        count += 1
        if block.count == 64 {
            mix()
            block.removeAll(keepingCapacity: true)
        }
    }

    /// The first eight bytes of the digest as a little-endian number. Ends the input.
    mutating func finish() -> Int64 {
        end()
        return Int64(bitPattern: UInt64(state.1) << 32 | UInt64(state.0))
    }

    /// The digest in 32 hexadecimal digits. Ends the input.
    package mutating func finishHexadecimal() -> String {
        finishBytes().map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// The 16 bytes of the digest. Ends the input.
    package mutating func finishBytes() -> [UInt8] {
        end()
        return [state.0, state.1, state.2, state.3].flatMap { word in
            stride(from: 0 as UInt32, to: 32, by: 8).map {
                UInt8(truncatingIfNeeded: word >> $0)
            }
        }
    }

    /// Pads the input.
    private mutating func end() {
        let bits = count &* 8
        append(0x80 as UInt8)
        while block.count != 56 { append(0 as UInt8) }
        append(bits)
    }

    private mutating func mix() {
        var (a, b, c, d) = state
        for round in 0..<64 {
            let mixed: UInt32
            let word: Int
            switch round / 16 {
            case 0: (mixed, word) = (b & c | ~b & d, round)
            case 1: (mixed, word) = (d & b | ~d & c, (5 * round + 1) % 16)
            case 2: (mixed, word) = (b ^ c ^ d, (3 * round + 5) % 16)
            default: (mixed, word) = (c ^ (b | ~d), 7 * round % 16)
            }
            let sum = a &+ mixed &+ Self.sines[round] &+ self.word(word)
            let shift = Self.shifts[round / 16 * 4 + round % 4]
            (a, d, c) = (d, c, b)
            b = b &+ (sum << shift | sum >> (32 - shift))
        }
        state = (state.0 &+ a, state.1 &+ b, state.2 &+ c, state.3 &+ d)
    }

    private func word(_ index: Int) -> UInt32 {
        (0..<4).reduce(0) { $0 | UInt32(block[4 * index + $1]) << UInt32(8 * $1) }
    }

    private static let shifts: [UInt32] = [
        7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21,
    ]

    /// The whole part of 2^32 times |sin(i + 1)|.
    private static let sines: [UInt32] = (1...64).map {
        UInt32(4_294_967_296 * abs(sin(Double($0))))
    }
}
