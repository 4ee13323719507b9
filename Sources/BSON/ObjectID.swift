// ObjectIds as text, and new ones.

internal import Glibc
private import Synchronization

extension ObjectID: CustomStringConvertible, Comparable {
    /// From 24 hexadecimal digits of either case; nil for anything else.
    public init?(_ hex: String) {
        var hex = hex
        let parsed = hex.withUTF8 { ObjectID(hex: $0.span.bytes) }
        guard let parsed else { return nil }
        self = parsed
    }

    /// From the UTF-8 of 24 hexadecimal digits.
    package init?(hex: RawSpan) {
        guard hex.byteCount == 24 else { return nil }
        var head: UInt64 = 0
        var tail: UInt32 = 0
        for index in 0..<24 {
            // SAFETY: the span holds 24 bytes.
            let byte = hex.unsafeLoad(fromByteOffset: index, as: UInt8.self)
            guard let digit = hexDigitValue(byte) else { return nil }
            if index < 16 {
                head = head << 4 | UInt64(digit)
            } else {
                tail = tail << 4 | UInt32(digit)
            }
        }
        self.init(head: head, tail: tail)
    }

    /// 24 lower-case hexadecimal digits.
    public var hexString: String {
        String(unsafeUninitializedCapacity: 24) { buffer in
            for index in 0..<24 {
                let nibble =
                    index < 16
                    ? UInt8(truncatingIfNeeded: head >> (60 - 4 * index)) & 0xF
                    : UInt8(truncatingIfNeeded: tail >> (92 - 4 * index)) & 0xF
                buffer[index] = nibble < 10 ? nibble + 48 : nibble + 87
            }
            return 24
        }
    }

    /// 24 lower-case hexadecimal digits.
    public var description: String { hexString }

    /// Order of the 12 bytes, unsigned.
    public static func < (left: ObjectID, right: ObjectID) -> Bool {
        (left.head, left.tail) < (right.head, right.tail)
    }

    /// A new one: the seconds now, five bytes that this process drew at random, a counter that
    /// started at random. Unique within the process as long as it makes fewer than 2^24 a second.
    public static func generate() -> ObjectID {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return generate(seconds: UInt32(truncatingIfNeeded: now.tv_sec))
    }

    /// A new one that carries the given seconds since 1970.
    package static func generate(seconds: UInt32) -> ObjectID {
        let process = ObjectIDProcess.shared
        let count = process.counter.add(1, ordering: .relaxed).newValue & 0xFF_FFFF
        return ObjectID(
            head: UInt64(seconds) << 32 | process.unique >> 8,
            tail: UInt32(truncatingIfNeeded: process.unique & 0xFF) << 24 | count)
    }
}

/// What all ObjectIds of this process share.
private final class ObjectIDProcess: Sendable {
    static let shared = ObjectIDProcess()

    /// Forty random bits.
    let unique = UInt64.random(in: 0..<1 << 40)
    let counter = Atomic<UInt32>(UInt32.random(in: 0..<1 << 24))
}

/// The value of a hexadecimal digit.
func hexDigitValue(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 48...57: byte - 48
    case 65...70: byte - 55
    case 97...102: byte - 87
    default: nil
    }
}
