// Drivers send the same command again and again with other values in it. A request that was parsed
// and checked once leaves its bytes as a pattern with holes where the values lie; a message that
// differs only there needs neither parsing nor checking: what fills a hole has the type and the
// size that stood there, and text in it is checked.

package import BSON
package import NIOCore

/// The bytes of a checked request, with one or two values in it left open.
package struct RequestPattern {
    /// A value that may be another.
    private struct Hole {
        /// Where in the pattern other bytes may lie.
        let bytes: Range<Int>
        /// Where the whole value lies, with the sizes that its type begins with.
        let value: Range<Int>
        let type: BSONType
    }

    /// Longer requests are not worth comparing.
    private static let byteCountMax = 1_024

    /// The message behind its header.
    private let bytes: [UInt8]
    /// In their order.
    private let holes: [Hole]

    /// The pattern of `request` whose `first` and `second`, which follows it, are open; nil where
    /// the request is out of the ordinary (flags, compression, document sequences, size) or a
    /// value's type says too little.
    package init?(
        _ request: borrowing Request, open first: ValueView, _ second: ValueView? = nil
    ) {
        let message = request.buffer.readableBytesSpan
        guard request.kind == .message, request.flags.rawValue == 0, !request.isCompressed,
            request.sequences.isEmpty, message.byteCount <= Self.byteCountMax,
            let hole = Self.hole(first, in: message)
        else { return nil }
        var holes = [hole]
        if let second {
            guard let hole = Self.hole(second, in: message),
                hole.value.lowerBound >= holes[0].value.upperBound
            else { return nil }
            holes.append(hole)
        }
        self.holes = holes
        bytes = [UInt8](copying: message.extracting(MessageHeader.byteCount...))
    }

    private static func hole(_ value: ValueView, in message: RawSpan) -> Hole? {
        guard let place = message.byteOffsets(of: value.bytes) else { return nil }
        let start = MessageHeader.byteCount
        let range = place.lowerBound - start..<place.upperBound - start
        let open: Range<Int>
        switch value.type {
        case .int32, .int64, .double, .date, .objectID: open = range
        // Between the length and the zero byte.
        case .string: open = range.lowerBound + 4..<range.upperBound - 1
        // Behind length and subtype; subtype 2 has another length inside.
        case .binary where value.binary?.subtype != 2:
            open = range.lowerBound + 5..<range.upperBound
        default: return nil
        }
        return Hole(bytes: open, value: range, type: value.type)
    }

    /// Size of a message that matches, header included.
    var messageByteCount: Int { MessageHeader.byteCount + bytes.count }

    /// Whether `message`, of `messageByteCount` bytes, has this pattern.
    func matches(_ message: RawSpan) -> Bool {
        let content = message.extracting(MessageHeader.byteCount...)
        let pattern = bytes.span.bytes
        var start = 0
        for hole in holes {
            let range = start..<hole.bytes.lowerBound
            guard content.extracting(range).equals(pattern.extracting(range)) else { return false }
            if hole.type == .string, content.firstInvalidUTF8(in: hole.bytes) != nil {
                return false
            }
            start = hole.bytes.upperBound
        }
        return content.extracting(start...).equals(pattern.extracting(start...))
    }

    /// The first or second value in a message that matches; nil where no second is open.
    @_lifetime(borrow message)
    package func value(_ index: Int = 0, in message: borrowing ByteBuffer) -> ValueView? {
        guard index < holes.count else { return nil }
        let hole = holes[index]
        let start = MessageHeader.byteCount
        return ValueView(
            type: hole.type,
            bytes: message.readableBytesSpan.extracting(
                start + hole.value.lowerBound..<start + hole.value.upperBound))
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
