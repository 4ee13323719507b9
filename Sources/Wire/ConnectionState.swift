// A connection's protocol as a value: bytes go in, actions come out, nothing is awaited and no
// socket is known. The channel's handler only performs what this says.
//
//              receive(bytes)                    next() → .request
//     ┌─────────────┐      whole frame there      ┌──────┐
//     │  awaiting   │ ───────────────────────────▶│ busy │  further frames wait: the
//     │             │ ◀───────────────────────────│      │  answers keep their order
//     └─────────────┘         finished()          └──────┘
//            │ a frame that can't be one
//            ▼
//         closed
//
// A frame whose header lies ends the connection, since nobody knows where the next one begins. A
// frame that is sound but holds nonsense is refused with an error, and the connection goes on.

package import BSON
package import NIOCore

/// The state of one connection.
package struct ConnectionState {
    /// What the owner has to do next.
    package enum Action {
        /// Nothing before more bytes come or the running request is finished.
        case wait
        /// Run this request; the state is busy until `finished()`.
        case request(Request)
        /// Answer `requestID` with this error; the connection goes on.
        case refuse(requestID: Int32, kind: Request.Kind, error: DBError, wantsReply: Bool)
        /// Close the connection; the reason is for the log.
        case close(reason: String)
    }

    private enum Phase {
        case awaiting, busy, closed
    }

    /// Received bytes that are not yet requests.
    private(set) var pending = ByteBuffer()
    private var phase = Phase.awaiting

    /// A connection that has sent nothing yet.
    package init() {}

    /// Whether a request is running.
    package var isBusy: Bool { phase == .busy }

    /// Whether a frame has begun and not ended.
    package var isInsideFrame: Bool { pending.readableBytes > 0 }

    /// How many received bytes are not yet requests.
    package var pendingBytes: Int { pending.readableBytes }

    /// Whether more bytes are wanted now. They are not while a request runs and enough wait behind
    /// it: a client that sends faster than it is answered is held back by TCP.
    package var wantsBytes: Bool {
        switch phase {
        case .awaiting: true
        case .busy: pending.readableBytes < WireLimits.readAheadBytesMax
        case .closed: false
        }
    }

    /// Takes bytes from the socket. They are shared, not copied, when nothing waits.
    package mutating func receive(_ bytes: ByteBuffer) {
        if phase == .closed { return }
        if pending.readableBytes == 0 {
            pending = bytes
        } else {
            var bytes = bytes
            pending.writeBuffer(&bytes)
        }
    }

    /// The next thing to do; call it until it says `wait` or `close`.
    package mutating func next() -> Action {
        guard phase == .awaiting else { return .wait }
        guard let header = MessageHeader(peeking: pending) else { return .wait }
        if let other = header.otherProtocol { return close(other) }
        guard header.length >= MessageHeader.byteCount else {
            return close("a message's length is \(header.length), less than a header")
        }
        guard header.length <= Limits.messageBytesMax else {
            return close(
                "a message's length is \(header.length); the limit is \(Limits.messageBytesMax)")
        }
        guard let opCode = OpCode(rawValue: header.opCode), opCode != .reply else {
            return close("unknown opcode \(header.opCode)")
        }
        let length = Int(header.length)
        guard let frame = cutFrame(length: length) else { return .wait }
        return parse(frame, header, opCode)
    }

    /// Whether the next frame may be looked at.
    var isAwaiting: Bool { phase == .awaiting }

    /// Cuts off a frame that is known to be a request; the state is busy then.
    mutating func takeFrame(length: Int) -> ByteBuffer? {
        guard let frame = cutFrame(length: length) else { return nil }
        phase = .busy
        return frame
    }

    private mutating func cutFrame(length: Int) -> ByteBuffer? {
        let frame = pending.readSlice(length: length)
        if pending.readableBytes == 0 { pending = ByteBuffer() }
        return frame
    }

    /// The running request is answered (or needs no answer).
    package mutating func finished() {
        if phase == .busy { phase = .awaiting }
    }

    private mutating func close(_ reason: String) -> Action {
        phase = .closed
        pending = ByteBuffer()
        return .close(reason: reason)
    }

    private mutating func parse(
        _ frame: ByteBuffer, _ header: MessageHeader, _ opCode: OpCode
    ) -> Action {
        do throws(DBError) {
            let request =
                switch opCode {
                case .message: try Request(message: frame, header: header)
                case .query: try Request(legacyQuery: frame, header: header)
                case .compressed: try Self.decompressed(frame, header)
                case .reply:
                    throw DBError(.protocolError, "a client sent a reply")
                }
            phase = .busy
            return .request(request)
        } catch {
            switch opCode {
            case .message:
                // What asks for no answer must get none, or the client's next reply is the wrong one.
                let flags = MessageFlags(
                    rawValue: frame.getInteger(
                        at: frame.readerIndex + MessageHeader.byteCount, endianness: .little)
                        ?? 0)
                return .refuse(
                    requestID: header.requestID, kind: .message, error: error,
                    wantsReply: !flags.contains(.moreToCome))
            case .query:
                return .refuse(
                    requestID: header.requestID, kind: .legacyQuery, error: error,
                    wantsReply: true)
            case .compressed, .reply:
                return close(error.message)
            }
        }
    }

    private static func decompressed(
        _ frame: ByteBuffer, _ header: MessageHeader
    ) throws(DBError) -> Request {
        let (message, inner) = try Compression.decompress(frame, header)
        switch OpCode(rawValue: inner.opCode) {
        case .message:
            return try Request(message: message, header: inner, isCompressed: true)
        case .query:
            return try Request(legacyQuery: message, header: inner, isCompressed: true)
        default:
            throw DBError(.protocolError, "OP_COMPRESSED holds opcode \(inner.opCode)")
        }
    }
}
