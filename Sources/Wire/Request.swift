// A request as it lies in the received bytes: where its body is and where its document sequences
// are. Nothing is decoded; the bytes are shared with the connection's buffer, not copied.

package import BSON
package import NIOCore

/// One whole, checked request.
package struct Request: Sendable {
    /// How it came, which decides how it is answered.
    package enum Kind: Sendable {
        /// `OP_MSG`.
        case message
        /// `OP_QUERY` on a `$cmd` namespace.
        case legacyQuery
    }

    /// Documents sent beside the body, as `documents`, `updates`, `deletes`, `ops` …
    package struct Sequence: Sendable, Equatable {
        /// Where the identifier lies in the message, without its zero byte.
        package let identifier: Range<Int>
        /// Where the documents lie, one after another.
        package let documents: Range<Int>
        /// How many documents there are.
        package let count: Int
    }

    /// The client's number for this request.
    package let id: Int32
    /// How it came.
    package let kind: Kind
    /// The flag bits; empty for `OP_QUERY`.
    package let flags: MessageFlags
    /// Whether it came compressed by zlib, so that the reply may be too.
    package let isCompressed: Bool
    /// The message without compression: its reader index is at the header.
    package let buffer: ByteBuffer
    /// Where the command's document lies in `buffer`'s readable bytes.
    package let bodyRange: Range<Int>
    /// The document sequences, with distinct identifiers.
    package let sequences: [Sequence]
    /// The database of a legacy query; for messages `$db` in the body says it.
    package let legacyDatabase: String?

    /// From its parts, which the parsers have checked.
    package init(
        id: Int32, kind: Kind, flags: MessageFlags, isCompressed: Bool, buffer: ByteBuffer,
        bodyRange: Range<Int>, sequences: [Sequence] = [], legacyDatabase: String? = nil
    ) {
        self.id = id
        self.kind = kind
        self.flags = flags
        self.isCompressed = isCompressed
        self.buffer = buffer
        self.bodyRange = bodyRange
        self.sequences = sequences
        self.legacyDatabase = legacyDatabase
    }

    /// A request for `body` that is otherwise like another: what `explain` explains.
    package init(body: Document, like other: Request) {
        self.init(
            id: other.id, kind: other.kind, flags: other.flags, isCompressed: other.isCompressed,
            buffer: ByteBuffer(bytes: body.bytes), bodyRange: 0..<body.bytes.count,
            legacyDatabase: other.legacyDatabase)
    }

    /// The same request, answering whose next reply refers to the reply `replyID` (exhaust).
    package func repeated(after replyID: Int32) -> Request {
        Request(
            id: replyID, kind: kind, flags: flags, isCompressed: isCompressed, buffer: buffer,
            bodyRange: bodyRange, sequences: sequences, legacyDatabase: legacyDatabase)
    }

    /// Whether the client waits for an answer.
    package var wantsReply: Bool { !flags.contains(.moreToCome) }

    /// The command's document.
    package var body: DocumentView {
        @_lifetime(borrow self)
        get { DocumentView(buffer.readableBytesSpan.extracting(bodyRange)) }
    }

    /// The bytes of `range` in the message.
    @_lifetime(borrow self)
    package func bytes(_ range: Range<Int>) -> RawSpan {
        buffer.readableBytesSpan.extracting(range)
    }

    /// The sequence named `identifier`, if it was sent.
    package func sequence(named identifier: StaticString) -> Sequence? {
        for sequence in sequences
        where buffer.readableBytesSpan.extracting(sequence.identifier).equals(identifier) {
            return sequence
        }
        return nil
    }
}
