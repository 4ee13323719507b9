// OP_COMPRESSED with zlib, the one compressor that is offered.
//
//     header (opCode 2012) | int32 original opcode | int32 uncompressed size | uint8 compressor | …
//
// Sizes are bounded before a byte is inflated: a message that inflates to more than it said, or to
// more than a message may have, is refused.

package import BSON
import CZlib
package import NIOCore

/// Compressor ids of `OP_COMPRESSED`.
package enum Compressor: UInt8, Sendable {
    /// Not compressed after all.
    case noop = 0
    /// zlib (RFC 1950).
    case zlib = 2
}

/// Turns messages into compressed ones and back.
package enum Compression {
    /// Bytes of `OP_COMPRESSED`'s own fields.
    static let prefixByteCount = 9
    /// Replies smaller than this are sent as they are: deflating them costs more than it saves.
    package static let replyBytesMin = 192

    /// The message inside `buffer`, which holds just one `OP_COMPRESSED` message.
    package static func decompress(
        _ buffer: ByteBuffer, _ header: MessageHeader
    ) throws(DBError) -> (message: ByteBuffer, header: MessageHeader) {
        var input = buffer
        input.moveReaderIndex(forwardBy: MessageHeader.byteCount)
        guard
            let (opCode, size) = input.readMultipleIntegers(
                endianness: .little, as: (Int32, Int32).self),
            let compressorID = input.readInteger(as: UInt8.self)
        else {
            throw DBError(.protocolError, "OP_COMPRESSED is too short")
        }
        guard opCode != OpCode.compressed.rawValue else {
            throw DBError(.protocolError, "OP_COMPRESSED inside OP_COMPRESSED")
        }
        guard size >= 0, Int(size) <= Limits.messageBytesMax - MessageHeader.byteCount else {
            throw DBError(
                .protocolError,
                "OP_COMPRESSED says it inflates to \(size) bytes; the limit is "
                    + "\(Limits.messageBytesMax)")
        }
        guard let compressor = Compressor(rawValue: compressorID) else {
            throw DBError(
                .protocolError,
                "compressor \(compressorID) was not negotiated; zlib (2) is the one offered")
        }
        let length = MessageHeader.byteCount + Int(size)
        let inner = MessageHeader(
            length: Int32(truncatingIfNeeded: length), requestID: header.requestID,
            responseTo: header.responseTo, opCode: opCode)
        var message: ByteBuffer
        switch compressor {
        case .noop:
            guard input.readableBytes == Int(size) else {
                throw DBError(.protocolError, "OP_COMPRESSED holds another size than it says")
            }
            message = ByteBuffer()
            message.reserveCapacity(length)
            message.writeHeader(inner)
            message.writeBuffer(&input)
        case .zlib:
            message = try inflate(input, inner, size: Int(size))
        }
        return (message, inner)
    }

    private static func inflate(
        _ input: ByteBuffer, _ header: MessageHeader, size: Int
    ) throws(DBError) -> ByteBuffer {
        // A claim alone must not take the memory: deflate can't shrink below 1:1032.
        guard size <= max(64, input.readableBytes) * 1_032 else {
            throw DBError(.protocolError, "OP_COMPRESSED can't hold as much as it says")
        }
        var message = ByteBuffer()
        message.reserveCapacity(MessageHeader.byteCount + size)
        message.writeHeader(header)
        var written = 0
        var status = Z_OK
        message.writeWithUnsafeMutableBytes(minimumWritableBytes: size + 1) { target in
            input.withUnsafeReadableBytes { source in
                // SAFETY: zlib writes at most `length` bytes to `target` and reads `source` within
                // the closures that lend them. One byte more than said is offered so that a
                // longer stream shows.
                var length = uLongf(size + 1)
                status = uncompress(
                    target.baseAddress?.assumingMemoryBound(to: Bytef.self), &length,
                    source.baseAddress?.assumingMemoryBound(to: Bytef.self),
                    uLong(source.count))
                written = status == Z_OK ? Int(length) : 0
                return min(written, size)
            }
        }
        guard status == Z_OK, written == size else {
            throw DBError(
                .protocolError, "OP_COMPRESSED does not inflate to the \(size) bytes it says")
        }
        return message
    }

    /// Compresses the messages at and after `start` of `buffer` in place, where that makes them
    /// smaller.
    package static func compress(_ buffer: inout ByteBuffer, from start: Int) {
        let length = buffer.writerIndex - start
        guard length >= replyBytesMin,
            let header = MessageHeader(
                peeking: buffer.getSlice(at: start, length: length) ?? ByteBuffer()),
            var content = buffer.getSlice(
                at: start + MessageHeader.byteCount, length: length - MessageHeader.byteCount)
        else { return }
        let bound = Int(compressBound(uLong(content.readableBytes)))
        var compressed = ByteBuffer()
        compressed.writeHeader(
            MessageHeader(
                length: 0, requestID: header.requestID, responseTo: header.responseTo,
                opCode: OpCode.compressed.rawValue))
        compressed.writeInteger(header.opCode, endianness: .little)
        compressed.writeInteger(Int32(content.readableBytes), endianness: .little)
        compressed.writeInteger(Compressor.zlib.rawValue)
        var status = Z_OK
        compressed.writeWithUnsafeMutableBytes(minimumWritableBytes: bound) { target in
            content.readWithUnsafeReadableBytes { source in
                // SAFETY: zlib stays within the two buffers that the closures lend.
                var length = uLongf(target.count)
                status = compress2(
                    target.baseAddress?.assumingMemoryBound(to: Bytef.self), &length,
                    source.baseAddress?.assumingMemoryBound(to: Bytef.self),
                    uLong(source.count), 1)
                return (source.count, status == Z_OK ? Int(length) : 0)
            }
        }
        guard status == Z_OK, compressed.readableBytes < length else { return }
        compressed.setInteger(
            Int32(compressed.readableBytes), at: compressed.readerIndex, endianness: .little)
        buffer.moveWriterIndex(to: start)
        buffer.writeBuffer(&compressed)
    }
}

extension ByteBuffer {
    /// Appends a message's header.
    package mutating func writeHeader(_ header: MessageHeader) {
        writeMultipleIntegers(
            header.length, header.requestID, header.responseTo, header.opCode,
            endianness: .little)
    }
}
