// Reading OP_MSG: flag bits, then sections (kind 0: the body; kind 1: a document sequence), then
// perhaps a CRC-32C. Everything is checked here once, BSON included; behind it nobody checks again.

package import BSON
import CChecksum
package import NIOCore

extension Request {
    /// Parses the `OP_MSG` at the buffer's reader index; `buffer` holds just that message.
    ///
    /// - Throws: `DBError` saying what is wrong with it; the frame itself was sound, so the
    ///   connection can go on.
    package init(
        message buffer: ByteBuffer, header: MessageHeader, isCompressed: Bool = false
    ) throws(DBError) {
        let span = buffer.readableBytesSpan
        var end = span.byteCount
        guard end >= MessageHeader.byteCount + 4 + 1 else {
            throw DBError(.invalidBSON, "OP_MSG of \(end) bytes is too short to hold a body")
        }
        let flags = MessageFlags(rawValue: span.littleEndianUInt32(at: MessageHeader.byteCount))
        if flags.unknownRequiredBits != 0 {
            throw DBError(
                .illegalOpMsgFlag,
                "Message contains illegal flags value: Ob"
                    + String(flags.rawValue, radix: 2))
        }
        if flags.contains(.checksumPresent) {
            guard end >= MessageHeader.byteCount + 4 + 1 + 4 else {
                throw DBError(.invalidBSON, "OP_MSG is too short to hold its checksum")
            }
            end -= 4
            guard span.littleEndianUInt32(at: end) == span.extracting(0..<end).crc32c else {
                throw DBError(
                    .checksumMismatch, "OP_MSG checksum does not match contents")
            }
        }
        var sections = SectionParser(start: MessageHeader.byteCount + 4, end: end)
        while sections.offset < end { try sections.parse(span) }
        guard let body = sections.body else {
            throw DBError(.opMsgMissingBody, "OP_MSG messages must have a body")
        }
        try sections.checkAgainstBody(span, body)
        self.init(
            id: header.requestID, kind: .message, flags: flags, isCompressed: isCompressed,
            buffer: buffer, bodyRange: body, sequences: sections.sequences)
    }
}

/// Walks the sections of one message.
private struct SectionParser {
    /// Where the next section begins.
    var offset: Int
    let end: Int
    var body: Range<Int>?
    var sequences: [Request.Sequence] = []

    init(start: Int, end: Int) {
        offset = start
        self.end = end
    }

    mutating func parse(_ span: RawSpan) throws(DBError) {
        // SAFETY: `offset < end <= span.byteCount` is the caller's loop condition.
        let kind = span.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
        offset += 1
        switch kind {
        case 0:
            guard body == nil else {
                throw DBError(
                    .opMsgSeveralBodies, "Multiple body sections in message")
            }
            let range = try documentRange(span, at: offset, end: end)
            guard range.count <= WireLimits.commandBytesMax else {
                throw DBError(
                    .bsonObjectTooLarge,
                    "the command's document has \(range.count) bytes, "
                        + "above the limit of \(WireLimits.commandBytesMax)")
            }
            try validate(document: span.extracting(range))
            body = range
            offset = range.upperBound
        case 1:
            try parseSequence(span)
        default:
            throw DBError(.opMsgUnknownSection, "Unknown section kind \(kind)")
        }
    }

    private mutating func parseSequence(_ span: RawSpan) throws(DBError) {
        guard end - offset >= 4 else { throw Self.truncatedSequence }
        let size = Int(Int32(bitPattern: span.littleEndianUInt32(at: offset)))
        // The least is the size itself, an empty identifier's zero byte and no document.
        guard size >= 5, size <= end - offset else { throw Self.truncatedSequence }
        let sequenceEnd = offset + size
        let nameStart = offset + 4
        guard let nameEnd = span.offsetOfZero(from: nameStart, to: sequenceEnd),
            nameEnd - nameStart <= WireLimits.identifierBytesMax
        else {
            throw DBError(.invalidBSON, "document sequence without a proper identifier")
        }
        var position = nameEnd + 1
        var count = 0
        while position < sequenceEnd {
            let range = try documentRange(span, at: position, end: sequenceEnd)
            guard range.count <= WireLimits.commandBytesMax else {
                throw DBError(
                    .bsonObjectTooLarge,
                    "a document of \(range.count) bytes is above the limit of "
                        + "\(Limits.documentBytesMax)")
            }
            try validate(
                document: span.extracting(range),
                depthMax: Limits.nestingDepthMax + WireLimits.commandNestingExtra)
            position = range.upperBound
            count += 1
        }
        let name = nameStart..<nameEnd
        for other in sequences
        where span.extracting(other.identifier).equals(span.extracting(name)) {
            throw DBError(
                .opMsgDuplicateSequence,
                "Duplicate document sequence: \(String(utf8: span.extracting(name)))")
        }
        guard sequences.count < WireLimits.sequencesMax else {
            throw DBError(
                .opMsgTooManySequences,
                "more than \(WireLimits.sequencesMax) document sequences in one message")
        }
        sequences.append(
            Request.Sequence(
                identifier: name, documents: nameEnd + 1..<sequenceEnd, count: count))
        offset = sequenceEnd
    }

    /// A field of the body and a sequence must not both say the same thing.
    func checkAgainstBody(_ span: RawSpan, _ body: Range<Int>) throws(DBError) {
        if sequences.isEmpty { return }
        let document = DocumentView(span.extracting(body))
        for sequence in sequences {
            let name = span.extracting(sequence.identifier)
            if document.value(name) != nil {
                throw DBError(
                    .opMsgDuplicateSequence,
                    "Duplicate field between body and document sequence \(String(utf8: name))")
            }
        }
    }

    private static var truncatedSequence: DBError {
        DBError(.invalidBSON, "a document sequence's size lies outside the message")
    }
}

/// The range of the document that begins at `offset` and must end by `end`.
func documentRange(_ span: RawSpan, at offset: Int, end: Int) throws(DBError) -> Range<Int> {
    guard end - offset >= 5 else {
        throw DBError(.invalidBSON, "the message ends inside a document")
    }
    let size = Int(Int32(bitPattern: span.littleEndianUInt32(at: offset)))
    guard size >= 5, size <= end - offset else {
        throw DBError(
            .invalidBSON, "a document says it has \(size) bytes where \(end - offset) are left")
    }
    return offset..<offset + size
}

extension DBError.Code {
    /// A required flag bit that nobody knows.
    package static let illegalOpMsgFlag = DBError.Code(rawValue: 40429)
    /// A second body.
    static let opMsgSeveralBodies = DBError.Code(rawValue: 40430)
    /// A sequence that the body or another sequence names too.
    static let opMsgDuplicateSequence = DBError.Code(rawValue: 40431)
    /// Neither 0 nor 1.
    static let opMsgUnknownSection = DBError.Code(rawValue: 40432)
    /// More sequences than any command has.
    static let opMsgTooManySequences = DBError.Code(rawValue: 40433)
    /// No body at all.
    static let opMsgMissingBody = DBError.Code(rawValue: 40587)
    /// The bytes are not those that were sent.
    static let checksumMismatch = DBError.Code(rawValue: 365)
}

extension RawSpan {
    /// The little-endian number at `offset`, which the caller has checked.
    @inline(__always)
    func littleEndianUInt32(at offset: Int) -> UInt32 {
        // SAFETY: callers compare `offset + 4` with the span's size first.
        UInt32(littleEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    /// The first zero byte in `start..<end`; nil where there is none.
    func offsetOfZero(from start: Int, to end: Int) -> Int? {
        var index = start
        while index < end {
            // SAFETY: `end` is at most the span's size.
            if unsafeLoad(fromByteOffset: index, as: UInt8.self) == 0 { return index }
            index += 1
        }
        return nil
    }

    /// CRC-32C of all bytes.
    var crc32c: UInt32 {
        // SAFETY: the pointer is read within the closure that lends it.
        withUnsafeBytes { roost_crc32c(0, $0.baseAddress, $0.count) }
    }
}
