// Drivers send the same command again and again with another value in it. A request that was
// parsed and checked once leaves its bytes as a pattern with a hole where the value lies; a message
// that differs only there needs neither parsing nor checking: what fills the hole has the type and
// the size that stood there, and text in it is checked.

package import BSON
package import NIOCore

/// The bytes of a checked request, with one value in it left open.
package struct RequestPattern {
    /// Longer requests are not worth comparing.
    private static let byteCountMax = 1_024

    /// The message behind its header.
    private let bytes: [UInt8]
    /// Where in `bytes` others may differ.
    private let hole: Range<Int>
    /// Where in `bytes` the whole value lies, with the sizes that its type begins with.
    private let value: Range<Int>
    private let type: BSONType

    /// The pattern of `request` whose `value` is open; nil where the request is out of the ordinary
    /// (flags, compression, document sequences, size) or the value's type says too little.
    package init?(_ request: borrowing Request, open value: ValueView) {
        let message = request.buffer.readableBytesSpan
        guard request.kind == .message, request.flags.rawValue == 0, !request.isCompressed,
            request.sequences.isEmpty, message.byteCount <= Self.byteCountMax,
            let place = message.byteOffsets(of: value.bytes)
        else { return nil }
        let start = MessageHeader.byteCount
        let range = place.lowerBound - start..<place.upperBound - start
        switch value.type {
        case .int32, .int64, .double, .date, .objectID: hole = range
        // Between the length and the zero byte.
        case .string: hole = range.lowerBound + 4..<range.upperBound - 1
        // Behind length and subtype; subtype 2 has another length inside.
        case .binary where value.binary?.subtype != 2:
            hole = range.lowerBound + 5..<range.upperBound
        default: return nil
        }
        self.value = range
        type = value.type
        bytes = [UInt8](copying: message.extracting(start...))
    }

    /// Size of a message that matches, header included.
    var messageByteCount: Int { MessageHeader.byteCount + bytes.count }

    /// Whether `message`, of `messageByteCount` bytes, has this pattern.
    func matches(_ message: RawSpan) -> Bool {
        let content = message.extracting(MessageHeader.byteCount...)
        let pattern = bytes.span.bytes
        guard
            content.extracting(..<hole.lowerBound).equals(pattern.extracting(..<hole.lowerBound)),
            content.extracting(hole.upperBound...).equals(pattern.extracting(hole.upperBound...))
        else { return false }
        return type != .string || content.firstInvalidUTF8(in: hole) == nil
    }

    /// The value in a message that matches.
    @_lifetime(borrow message)
    package func value(in message: borrowing ByteBuffer) -> ValueView {
        let start = MessageHeader.byteCount
        return ValueView(
            type: type,
            bytes: message.readableBytesSpan.extracting(
                start + value.lowerBound..<start + value.upperBound))
    }
}

extension ConnectionState {
    /// The next request, if all of it is there and has `pattern`; the state is busy then. Nil
    /// leaves it to `next()`.
    package mutating func nextRepetition(
        of pattern: borrowing RequestPattern
    ) -> (id: Int32, message: ByteBuffer)? {
        let length = pattern.messageByteCount
        guard isAwaiting, let header = MessageHeader(peeking: pending),
            header.length == length, header.opCode == OpCode.message.rawValue,
            pending.readableBytes >= length,
            pattern.matches(pending.readableBytesSpan.extracting(..<length)),
            let message = takeFrame(length: length)
        else { return nil }
        return (header.requestID, message)
    }
}
