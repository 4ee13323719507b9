// What a follower of a live query is told. Gateway.md says what each message means.

import BSON
import NIOCore

/// A message, without the name of its subscription.
struct LiveMessage {
    enum Kind: String {
        /// Rows of the first result.
        case initial
        /// What became of the result.
        case delta
        /// The rows so far are to be forgotten; `initial` follows.
        case reset
        /// Nothing changed; the newest token.
        case token
        /// The subscription has ended.
        case error
    }

    let kind: Kind
    /// The message's further fields, as JSON without braces.
    let fields: [UInt8]
    /// What resumes from here on.
    let token: String?

    /// Whole JSON, with `head` (fields and a comma) before the others.
    func json(_ head: String) -> [UInt8] {
        Array("{\(head)".utf8) + fields + [UInt8(ascii: "}")]
    }

    /// `{"type":…,"id":…` of a message to one of several subscriptions.
    func head(id: String) -> String {
        var writer = HTTPAnswer.jsonWriter()
        writer.raw("\"type\":\"\(kind.rawValue)\",\"id\":")
        writer.quote(id)
        writer.raw(",")
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    static func failure(_ error: DBError) -> LiveMessage {
        var writer = HTTPAnswer.jsonWriter()
        writer.raw("\"error\":")
        HTTPAnswer.append(error, to: &writer)
        return LiveMessage(kind: .error, fields: writer.bytes, token: nil)
    }

    static func token(_ token: String) -> LiveMessage {
        LiveMessage(kind: .token, fields: Array("\"token\":\"\(token)\"".utf8), token: token)
    }

    static func reset(_ reason: String) -> LiveMessage {
        var writer = HTTPAnswer.jsonWriter()
        writer.raw("\"reason\":")
        writer.quote(reason)
        return LiveMessage(kind: .reset, fields: writer.bytes, token: nil)
    }

    /// Events.
    /// - Parameter isComplete: whether the rows are a result now.
    static func events(
        _ kind: Kind, _ events: [UInt8], isComplete: Bool, token: String?
    ) -> LiveMessage {
        var fields = Array("\"events\":[".utf8)
        fields += events
        fields += "],\"complete\":\(isComplete)".utf8
        if let token { fields += ",\"token\":\"\(token)\"".utf8 }
        return LiveMessage(kind: kind, fields: fields, token: token)
    }
}

/// The last message of deltas on an event loop: many who follow the same query are told the same, one
/// after another. Confined to that loop.
final class LiveMessageCache {
    private var batch: [UInt8] = []
    private var message: LiveMessage?

    /// The message of a batch that was made into one just before.
    func message(of batch: RawSpan) -> LiveMessage? {
        let known = self.batch
        guard let message, batch.byteCount == known.count, batch.equals(known.span.bytes)
        else { return nil }
        return message
    }

    /// Keeps a message, where it is of a size that many may get.
    func keep(_ message: LiveMessage, of batch: RawSpan) {
        guard batch.byteCount <= 64 * 1024 else { return }
        self.batch = [UInt8](copying: batch)
        self.message = message
    }
}
