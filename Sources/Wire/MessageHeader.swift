// The frame that every message begins with (MongoDB wire protocol): four little-endian int32s.
//
//     0        4          8            12       16
//     | length | requestID | responseTo | opCode | body …
//
// `length` counts the header too.

import BSON
package import NIOCore

/// What a message is.
package enum OpCode: Int32, Sendable {
    /// The answer to an `OP_QUERY`.
    case reply = 1
    /// The legacy query: still how drivers send their first hello.
    case query = 2004
    /// Another message, compressed.
    case compressed = 2012
    /// Everything else.
    case message = 2013
}

/// A message's first 16 bytes.
package struct MessageHeader: Sendable, Equatable {
    /// Size of every header.
    package static let byteCount = 16

    /// The whole message's size in bytes, header included.
    package var length: Int32
    /// The sender's number for this message.
    package var requestID: Int32
    /// The `requestID` that this answers; 0 in requests.
    package var responseTo: Int32
    /// The raw opcode; see `OpCode`.
    package var opCode: Int32

    /// From its parts.
    package init(length: Int32, requestID: Int32, responseTo: Int32, opCode: Int32) {
        self.length = length
        self.requestID = requestID
        self.responseTo = responseTo
        self.opCode = opCode
    }

    /// Reads the header at the buffer's reader index without moving it; nil when fewer than 16
    /// bytes are there.
    package init?(peeking buffer: ByteBuffer) {
        guard
            let (length, requestID, responseTo, opCode) = buffer.peekMultipleIntegers(
                endianness: .little, as: (Int32, Int32, Int32, Int32).self)
        else { return nil }
        self.init(
            length: length, requestID: requestID, responseTo: responseTo, opCode: opCode)
    }
}

extension MessageHeader {
    /// What the client speaks instead, where the first bytes tell; no opcode of ours is among them.
    var otherProtocol: String? {
        guard OpCode(rawValue: opCode) == nil else { return nil }
        let first = UInt32(bitPattern: length)
        // A record of TLS: a handshake, version 3.x.
        if first & 0xFFFF == 0x0316 {
            return
                "it begins TLS, which this address doesn't speak: connect without, or serve with "
                + "--tls-cert and --tls-key"
        }
        // "GET ", "POST", "PUT ", "HEAD", read as a little-endian number.
        if [0x2054_4547, 0x5453_4F50, 0x2054_5550, 0x4441_4548].contains(first) {
            return "it speaks HTTP; this address speaks the MongoDB wire protocol"
        }
        return nil
    }
}

/// The flag bits of an `OP_MSG`. Bits 0 to 15 must be understood; the others may be ignored.
package struct MessageFlags: OptionSet, Sendable {
    /// The 32 bits.
    package let rawValue: UInt32

    /// From the 32 bits.
    package init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    /// A CRC-32C of the message follows it.
    package static let checksumPresent = MessageFlags(rawValue: 1 << 0)
    /// Another message follows without a request (replies), or no reply is wanted (requests).
    package static let moreToCome = MessageFlags(rawValue: 1 << 1)
    /// The client can take several replies to this request.
    package static let exhaustAllowed = MessageFlags(rawValue: 1 << 16)

    /// The flags of a reply.
    package init(moreToCome: Bool, checksumPresent: Bool) {
        rawValue =
            (moreToCome ? Self.moreToCome.rawValue : 0)
            | (checksumPresent ? Self.checksumPresent.rawValue : 0)
    }

    /// Whether all bits of `other` are set; the standard library's own is not inlined here.
    package func contains(_ other: MessageFlags) -> Bool {
        rawValue & other.rawValue == other.rawValue
    }

    /// The bits among the required 16 that nobody knows.
    package var unknownRequiredBits: UInt32 {
        rawValue & 0xFFFF & ~(Self.checksumPresent.rawValue | Self.moreToCome.rawValue)
    }
}
