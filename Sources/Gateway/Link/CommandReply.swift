// What a command answered.

import BSON
import NIOCore

/// One reply: a whole OP_MSG of the server's own, so it is known to be well formed.
struct CommandReply {
    /// Header, flags and the kind of the one section.
    static let prefixByteCount = 21

    private let message: ByteBuffer
    /// Whether another reply follows without a request.
    let goesOn: Bool

    init(message: ByteBuffer, goesOn: Bool) {
        self.message = message
        self.goesOn = goesOn
    }

    /// The reply's document.
    var document: DocumentView {
        @_lifetime(borrow self)
        get {
            let span = message.readableBytesSpan
            return DocumentView(span.extracting(Self.prefixByteCount..<span.byteCount))
        }
    }

    /// The batch of a reply's cursor, the first or a further one.
    @_lifetime(copy cursor)
    static func batch(of cursor: DocumentView) -> DocumentView? {
        if let first = cursor.value("firstBatch")?.array { return first }
        return cursor.value("nextBatch")?.array
    }

    /// Fields that say how the command went, and when.
    private static let bookkeeping: Set<String> = [
        "ok", "code", "codeName", "errmsg", "$clusterTime", "operationTime", "n", "writeErrors",
        "writeConcernError", "nModified", "opTime", "electionId", "connectionId", "index",
    ]

    /// Why the command failed, or the first of its writes; nil where it didn't.
    var failure: DBError? {
        let view = document
        if view.value("ok")?.isTruthy != true { return Self.error(view) }
        if let first = view.value("writeErrors")?.array?.first?.value.document {
            return Self.error(first)
        }
        return nil
    }

    /// Whether the server says that the whole may be tried again.
    static func isTransient(_ error: DBError) -> Bool {
        guard case .array(let labels)? = error.details["errorLabels"] else { return false }
        return labels.contains("TransientTransactionError")
            || labels.contains("RetryableWriteError")
    }

    private static func error(_ view: DocumentView) -> DBError {
        let code = view.value("code")?.exactInteger ?? 8
        var fields = view.makeIterator()
        let details = Document { writer in
            while let field = fields.next() {
                if !bookkeeping.contains(field.nameString) { writer.append(field) }
            }
        }
        return DBError(
            DBError.Code(rawValue: Int32(truncatingIfNeeded: code)),
            view.value("errmsg")?.string ?? "the command failed", details: details)
    }

    /// The fields of the reply that are its answer.
    var answer: Document {
        var fields = document.makeIterator()
        return Document { writer in
            while let field = fields.next() {
                if !Self.bookkeeping.contains(field.nameString) { writer.append(field) }
            }
        }
    }
}
