// What subscribers of a live query are told: events, encoded once for all who asked the same.
// Events.md beside this file says what each one means.

import BSON

/// What an event says of a row.
enum LiveOperation: String, Sendable {
    case added
    case changed
    case moved
    case removed
    /// The result is whole: what came so far is the query's result at the token.
    case ready
    /// Forget all rows; the result follows anew.
    case reset
}

/// Encoded events that belong together: all of one commit, or of several.
final class LiveFrame: Sendable {
    /// Documents, one behind the other.
    let bytes: [UInt8]
    /// How many.
    let count: Int
    /// The newest command whose changes they show.
    let end: Timestamp
    /// What a client that has all of them resumes with.
    let token: String
    /// Whether rows have places: such events depend on those before them.
    let isOrdered: Bool

    init(bytes: [UInt8], count: Int, end: Timestamp, token: String, isOrdered: Bool) {
        self.bytes = bytes
        self.count = count
        self.end = end
        self.token = token
        self.isOrdered = isOrdered
    }

    /// Lends each event to `body`.
    func forEach(_ body: (DocumentView) -> Void) {
        let owned = bytes
        let bytes = owned.span.bytes
        var offset = 0
        while offset < bytes.byteCount {
            // SAFETY: LiveEventWriter wrote whole documents one after another.
            let size = Int(
                UInt32(
                    littleEndian: bytes.unsafeLoadUnaligned(
                        fromByteOffset: offset, as: UInt32.self)))
            body(DocumentView(bytes.extracting(offset..<offset + size)))
            offset += size
        }
    }

    /// One frame with what several say in the end, a row at most once; nil where rows have places.
    /// O(events).
    static func merged(_ frames: [LiveFrame]) -> LiveFrame? {
        guard let last = frames.last, !last.isOrdered else { return nil }
        var rows: [OwnedValue: MergedRow] = [:]
        var order: [OwnedValue] = []
        for frame in frames {
            frame.forEach { event in
                guard let id = event.value("id") else { return }
                let key = OwnedValue(copying: id)
                if rows[key] == nil {
                    order.append(key)
                    rows[key] = MergedRow(wasThere: event.value("op")?.hasText("added") != true)
                }
                rows[key]?.document = nil
                if let document = event.value("doc")?.document {
                    rows[key]?.document = Document(copying: document)
                }
                rows[key]?.token = event.value("token")?.string
            }
        }
        var events = LiveEventWriter()
        for key in order {
            guard let row = rows[key] else { continue }
            if let document = row.document {
                events.append(
                    row.wasThere ? .changed : .added, id: key.view, document.view,
                    token: row.token)
            } else if row.wasThere {
                events.append(.removed, id: key.view, nil, token: row.token)
            }
        }
        return events.take(end: last.end, token: last.token, isOrdered: false)
    }

    /// A row's events in one.
    private struct MergedRow {
        /// Whether the client has the row before.
        let wasThere: Bool
        /// The row in the end; nil where it went.
        var document: Document?
        var token: String?
    }
}

/// Frames that one subscriber took together. Who follows the same query mostly takes the same.
package struct LiveBundle: Sendable {
    let frames: [LiveFrame]

    /// What a client that has all of them resumes with.
    package var token: String { frames.last?.token ?? "" }

    /// Whether the other holds the very same frames.
    package func isSame(as other: LiveBundle) -> Bool {
        // Frames of one query follow each other, so their ends tell.
        frames.count == other.frames.count && frames.first === other.frames.first
            && frames.last === other.frames.last
    }

    /// Appends all events.
    package func append<Sink: DocumentSink>(to sink: inout Sink) {
        for frame in frames {
            _ = LiveFrame.append(
                frame.bytes, from: 0, documentsMax: .max, bytesMax: .max, to: &sink)
        }
    }
}

/// Encodes events into one buffer.
struct LiveEventWriter {
    /// Documents, one behind the other.
    private(set) var writer = DocumentWriter()
    /// How many.
    private(set) var count = 0

    /// Bytes so far.
    var byteCount: Int { writer.count }

    /// Appends an event about a row; `document` is copied as it is.
    mutating func append(
        _ operation: LiveOperation, id: ValueView, _ document: DocumentView?, index: Int? = nil,
        from: Int? = nil, token: String?
    ) {
        let start = open(operation, id: id)
        if let document { writer.append("doc", document) }
        if let index { writer.append("index", Int32(truncatingIfNeeded: index)) }
        if let from { writer.append("from", Int32(truncatingIfNeeded: from)) }
        close(start, token)
    }

    /// Begins an event about a row; its document may be written under the name `doc` before
    /// `close`.
    mutating func open(_ operation: LiveOperation, id: ValueView) -> Int {
        let start = writer.openDocument()
        writer.append("op", operation.rawValue)
        writer.append("id", id)
        return start
    }

    /// Writes the projected document of an event that was opened.
    mutating func project(
        _ document: DocumentView, _ projection: LiveProjection
    ) throws(DBError) {
        writer.appendHeader(.document, "doc")
        try projection.write(document, into: &writer)
    }

    /// Ends an event.
    mutating func close(_ start: Int, _ token: String?) {
        if let token { writer.append("token", token) }
        writer.close(start)
        count += 1
    }

    /// Forgets an event that was opened.
    mutating func abandon(_ start: Int) {
        writer.truncate(to: start)
    }

    /// Appends `ready` or `reset`, whose reason tells why the result comes anew.
    mutating func append(_ operation: LiveOperation, reason: String? = nil, token: String?) {
        let start = writer.openDocument()
        writer.append("op", operation.rawValue)
        if let reason { writer.append("reason", reason) }
        close(start, token)
    }

    /// Appends the events of another writer.
    mutating func append(contentsOf other: LiveEventWriter) {
        let bytes = other.writer.bytes
        writer.appendRaw(copying: bytes.span.bytes)
        count += other.count
    }

    /// Hands the events out.
    mutating func take(end: Timestamp, token: String, isOrdered: Bool) -> LiveFrame {
        var bytes = writer.take()
        // It may wait for long; small ones have little room to spare.
        if bytes.count > 4_096, bytes.capacity > bytes.count + bytes.count / 4 {
            bytes = [UInt8](copying: bytes.span.bytes)
        }
        let frame = LiveFrame(
            bytes: bytes, count: count, end: end, token: token, isOrdered: isOrdered)
        count = 0
        return frame
    }

    /// Forgets all events.
    mutating func removeAll() {
        writer.removeAll()
        count = 0
    }
}
