// What a live query tells, and how a client makes the result of it.

public import BSON

/// One event of a live query.
public struct LiveEvent: Sendable, Equatable {
    /// What happened to the result.
    public enum Kind: String, Sendable {
        /// A document is in the result that was not before.
        case added
        /// It is another one, at the same place.
        case changed
        /// It is at another place, and may be another one.
        case moved
        /// It is no longer in the result.
        case removed
        /// The result is whole: the first one, or that behind a `reset`.
        case ready
        /// Forget what you hold; the result follows anew, up to the next `ready`.
        case reset
    }

    /// What happened.
    public let kind: Kind
    /// The document's `_id`, or the group's; nil for `ready` and `reset`.
    public let id: Value?
    /// The whole projected document, where the event has one.
    public let document: Document?
    /// Its place in the result, where that has an order: that which it has after the event, or, if
    /// it was removed, had before.
    public let index: Int?
    /// Where it was before, if it moved.
    public let previousIndex: Int?
    /// What the query goes on behind.
    public let token: Value?

    /// Reads an event as the server tells it.
    /// - Throws: `protocolError` for what is none.
    public init(_ event: Document) throws(DBError) {
        guard let name = event.view.value("op")?.string, let kind = Kind(rawValue: name) else {
            throw DBError(
                .protocolError,
                "the server told an event of a live query that this client doesn't know: "
                    + ExtendedJSON.string(of: event.view))
        }
        self.kind = kind
        id = event["id"]
        if case .document(let document)? = event["doc"] {
            self.document = document
        } else {
            document = nil
        }
        index = event.view.value("index")?.int32.map { Int($0) }
        previousIndex = event.view.value("from")?.int32.map { Int($0) }
        token = event["token"]
    }

    /// An event of the client's own.
    init(_ kind: Kind) {
        self.kind = kind
        id = nil
        document = nil
        index = nil
        previousIndex = nil
        token = nil
    }
}

/// The result of a live query, made by applying its events in order.
public struct LiveResult: Sendable {
    /// A document with its identity.
    public struct Row: Sendable, Equatable {
        /// The document's `_id`, or the group's.
        public let id: Value
        /// The whole projected document.
        public let document: Document
    }

    /// The rows: in the query's order; in no certain one where it has none.
    public private(set) var rows: [Row] = []
    /// Whether the result is whole.
    public private(set) var isReady = false
    /// Whether the query gives the rows an order.
    public private(set) var isOrdered = false
    /// Where each row is, in a result without an order.
    private var places: [Value: Int] = [:]

    /// An empty result.
    public init() {}

    /// The documents, in the order of `rows`.
    public var documents: [Document] { rows.map(\.document) }

    /// Applies an event. O(1), but O(n) in the rows where places shift.
    /// - Throws: `protocolError` for an event that can't follow what came before.
    public mutating func apply(_ event: LiveEvent) throws(DBError) {
        switch event.kind {
        case .reset: self = LiveResult()
        case .ready: isReady = true
        case .added: try add(event)
        case .changed: rows[try place(of: event)] = try Self.row(event)
        case .removed: try remove(event)
        case .moved:
            let old = rows.remove(at: try place(of: event))
            guard let place = event.index, 0...rows.count ~= place else {
                throw Self.misplaced(event)
            }
            let row = event.document.map { Row(id: old.id, document: $0) } ?? old
            rows.insert(row, at: place)
        }
    }

    private mutating func add(_ event: LiveEvent) throws(DBError) {
        let row = try Self.row(event)
        if let place = event.index {
            guard 0...rows.count ~= place else { throw Self.misplaced(event) }
            isOrdered = true
            return rows.insert(row, at: place)
        }
        guard places.updateValue(rows.count, forKey: row.id) == nil else {
            throw Self.misplaced(event)
        }
        rows.append(row)
    }

    private mutating func remove(_ event: LiveEvent) throws(DBError) {
        let place = try place(of: event)
        guard let id = event.id, places.removeValue(forKey: id) != nil else {
            rows.remove(at: place)
            return
        }
        // The last row takes its place.
        let last = rows.removeLast()
        guard place < rows.count else { return }
        rows[place] = last
        places[last.id] = place
    }

    /// Where the row is that an event is about, before the event.
    private func place(of event: LiveEvent) throws(DBError) -> Int {
        let told = event.kind == .moved ? event.previousIndex : event.index
        guard let place = told ?? event.id.flatMap({ places[$0] }), rows.indices.contains(place),
            rows[place].id == event.id
        else { throw Self.misplaced(event) }
        return place
    }

    private static func row(_ event: LiveEvent) throws(DBError) -> Row {
        guard let id = event.id, let document = event.document else { throw misplaced(event) }
        return Row(id: id, document: document)
    }

    private static func misplaced(_ event: LiveEvent) -> DBError {
        DBError(
            .protocolError,
            "an event of a live query doesn't fit the result so far: \(event.kind) of "
                + "\(event.id.map { "\($0)" } ?? "nothing") at \(event.index ?? -1)")
    }
}
