// WebSocket messages from frames, and frames from messages: fragments, compression, and what breaks
// the protocol.

import CZlib
import NIOCore
import NIOWebSocket

/// What breaks the protocol, with the code that the connection is closed with.
struct WebSocketViolation: Error {
    let code: WebSocketErrorCode
    let reason: String
}

/// Puts the fragments of messages together. Confined to the event loop.
struct MessageAssembler {
    /// Fragments of one message: more, tiny ones, would only cost.
    private static let fragmentsMax = 1_000

    private let compresses: Bool
    private var bytes = ByteBuffer()
    private var fragments = 0
    private var isCompressed = false

    init(compresses: Bool) {
        self.compresses = compresses
    }

    /// Takes a frame of data; the message that it ends, nil where more follow.
    mutating func take(_ frame: WebSocketFrame) throws(WebSocketViolation) -> ByteBuffer? {
        guard frame.maskKey != nil else {
            throw WebSocketViolation(code: .protocolError, reason: "a frame is not masked")
        }
        guard !frame.rsv2, !frame.rsv3, !frame.rsv1 || compresses && frame.opcode == .text else {
            throw WebSocketViolation(code: .protocolError, reason: "reserved bits are set")
        }
        switch frame.opcode {
        case .text where fragments == 0: isCompressed = frame.rsv1
        case .continuation where fragments > 0: break
        case .binary:
            throw WebSocketViolation(
                code: .unacceptableData, reason: "messages are text (JSON)")
        default:
            throw WebSocketViolation(
                code: .protocolError, reason: "fragments are out of order")
        }
        var data = frame.unmaskedData
        fragments += 1
        guard bytes.readableBytes + data.readableBytes <= GatewayLimits.messageBytesMax,
            fragments <= Self.fragmentsMax
        else {
            throw WebSocketViolation(
                code: .messageTooLarge,
                reason: "a message has at most \(GatewayLimits.messageBytesMax) bytes")
        }
        bytes.writeBuffer(&data)
        guard frame.fin else { return nil }
        let message = bytes
        bytes = ByteBuffer()
        fragments = 0
        return isCompressed ? try inflate(message) : message
    }

    private func inflate(_ message: ByteBuffer) throws(WebSocketViolation) -> ByteBuffer {
        // The last four bytes of an empty block are left out of each message.
        let input = Array(message.readableBytesView) + [0, 0, 0xFF, 0xFF]
        guard
            let bytes = Inflater.inflate(input, bytesMax: GatewayLimits.messageBytesMax)
        else {
            throw WebSocketViolation(
                code: .dataInconsistentWithMessage,
                reason: "a message does not inflate, or to too much")
        }
        return ByteBuffer(bytes: bytes)
    }
}

/// Inflates raw deflate.
enum Inflater {
    /// The bytes behind `input`; nil for what is broken or inflates to more than `bytesMax`.
    static func inflate(_ input: [UInt8], bytesMax: Int) -> [UInt8]? {
        var stream = z_stream()
        guard
            inflateInit2_(&stream, -15, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK
        else { return nil }
        defer { inflateEnd(&stream) }
        var input = input
        var capacity = min(bytesMax + 1, max(1_024, input.count * 4))
        var output: [UInt8] = []
        // SAFETY: zlib reads and writes within the buffers that are lent for the calls.
        return input.withUnsafeMutableBufferPointer { source -> [UInt8]? in
            stream.next_in = source.baseAddress
            stream.avail_in = UInt32(source.count)
            while true {
                var status = Z_OK
                let part = [UInt8](unsafeUninitializedCapacity: capacity) { target, count in
                    stream.next_out = target.baseAddress
                    stream.avail_out = UInt32(capacity)
                    status = CZlib.inflate(&stream, Z_SYNC_FLUSH)
                    count = capacity - Int(stream.avail_out)
                }
                output += part
                guard status == Z_OK || status == Z_BUF_ERROR || status == Z_STREAM_END,
                    output.count <= bytesMax
                else { return nil }
                if stream.avail_in == 0, stream.avail_out > 0 { return output }
                if part.isEmpty || status == Z_STREAM_END {
                    return stream.avail_in == 0 ? output : nil
                }
                capacity = min(bytesMax + 1, capacity * 2)
            }
        }
    }
}

extension WebSocketFrame {
    /// A text message in one frame, compressed where that was agreed on and is worth it.
    static func text(_ json: [UInt8], compresses: Bool) -> WebSocketFrame {
        if compresses, json.count >= Gzip.bytesMin,
            let bytes = Deflater(windowBits: -15)?.compress(json, ends: false)
        {
            return WebSocketFrame(
                fin: true, rsv1: true, opcode: .text, data: ByteBuffer(bytes: bytes.dropLast(4)))
        }
        return WebSocketFrame(fin: true, opcode: .text, data: ByteBuffer(bytes: json))
    }
}
