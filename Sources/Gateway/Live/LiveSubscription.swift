// One live query that a client follows: the server's cursor over a link of its own, its batches as
// messages.
//
// The link becomes unwritable with the client's connection: then the cursor rests, and the matcher
// merges or drops what waits for it (Roost/Live/Events.md), as for clients of the TCP door.

import BSON
import NIOCore
import Roost
import Wire

/// A subscription. Confined to the event loop.
final class LiveSubscription {
    private enum Phase {
        /// Rows come that are not yet a result: the first, or with `resumes` what differs.
        case arriving(resumes: Bool)
        case following
    }

    private static let lossesMax = 3

    private let visitor: Visitor
    private var query: LiveQuery
    private let receiver: (LiveMessage) -> Void
    private var link: CommandLink?
    private var phase = Phase.arriving(resumes: false)
    private var guest = DoorGuest.anonymous
    /// How often the link was lost since the client was told something.
    private var losses = 0

    /// A subscription that has not begun; `receiver` gets its messages.
    init(
        _ visitor: Visitor, _ query: LiveQuery, _ receiver: @escaping (LiveMessage) -> Void
    ) {
        self.visitor = visitor
        self.query = query
        self.receiver = receiver
    }

    /// Whether it has not ended.
    var isOpen: Bool { link != nil }

    /// Begins, or begins again as another user or with another token: from the last state that the
    /// client was told.
    /// - Throws: as `CommandDoor.serve`; then it goes on as before.
    func begin(as guest: DoorGuest) throws(DBError) {
        let new = try visitor.openLink(for: guest)
        let old = link
        link = new
        if let old { visitor.close(old) }
        self.guest = guest
        phase = .arriving(resumes: query.resume != nil)
        new.run(query.command) { [weak self] reply in self?.received(reply, over: new) }
    }

    /// Ends it.
    func end() {
        let old = link
        link = nil
        if let old { visitor.close(old) }
    }

    private func fail(_ error: DBError) {
        end()
        // What may no longer be seen is to be forgotten.
        let refusals: [DBError.Code] = [
            .unauthorized, .authenticationFailed, .reauthenticationRequired,
        ]
        if refusals.contains(error.code) { receiver(.reset(error.message)) }
        receiver(.failure(error))
    }

    /// The server ended the link: where the user's rights were withdrawn, a new one is refused with
    /// the reason; else it goes on.
    private func linkEnded() {
        losses += 1
        guard !visitor.core.isStopping, losses <= Self.lossesMax else {
            return fail(Exchange.ended)
        }
        do throws(DBError) {
            try begin(as: guest)
        } catch {
            fail(error)
        }
    }

    private func received(_ reply: CommandReply?, over link: CommandLink) {
        guard self.link === link else { return }
        guard let reply else { return linkEnded() }
        if let failure = reply.failure { return fail(failure) }
        guard let cursor = reply.document.value("cursor")?.document,
            let batch = CommandReply.batch(of: cursor)
        else { return fail(Exchange.ended) }
        let token = cursor.value("postBatchResumeToken")?.document?.value("_data")?.string
        tell(batch, token)
        guard self.link === link, !reply.goesOn else { return }
        guard let id = cursor.value("id")?.int64, id != 0,
            let namespace = QueryRoutes.namespace(of: cursor)
        else {
            return fail(DBError(.cursorKilled, "the live query was ended by the server"))
        }
        let command: Document = [
            "getMore": .int64(id), "collection": .string(namespace.collection),
            "maxTimeMS": .int64(GatewayLimits.heartbeatMillis),
            "$db": .string(namespace.database),
        ]
        link.run(command, exhausts: true) { [weak self] reply in
            self?.received(reply, over: link)
        }
    }

    // MARK: Messages

    private func tell(_ batch: DocumentView, _ token: String?) {
        if batch.isEmpty {
            if case .following = phase, let token { send(.token(token)) }
            return
        }
        guard case .following = phase else { return translate(batch, token) }
        let cache = visitor.core.cache(of: visitor.channel.eventLoop)
        if let cache, let message = cache.message(of: batch.bytes) { return send(message) }
        translate(batch, token, cache)
    }

    private func send(_ message: LiveMessage) {
        if let token = message.token { query.resume = token }
        losses = 0
        receiver(message)
    }

    private func translate(
        _ batch: DocumentView, _ batchToken: String?, _ cache: LiveMessageCache? = nil
    ) {
        var writer = HTTPAnswer.jsonWriter()
        var token: String?
        var messages = 0
        func flush(isComplete: Bool) {
            let kind: LiveMessage.Kind =
                if case .arriving(resumes: false) = phase { .initial } else { .delta }
            let message = LiveMessage.events(
                kind, writer.bytes, isComplete: isComplete, token: isComplete ? token : nil)
            writer = HTTPAnswer.jsonWriter()
            messages += 1
            if messages == 1, case .following = phase { cache?.keep(message, of: batch.bytes) }
            send(message)
        }
        var events = batch.makeIterator()
        while let event = events.next() {
            guard let view = event.value.document, let operation = view.value("op") else {
                continue
            }
            if operation.hasText("reset") {
                if !writer.bytes.isEmpty { flush(isComplete: false) }
                query.resume = nil
                messages += 1
                send(.reset(view.value("reason")?.string ?? "the result is read anew"))
                phase = .arriving(resumes: false)
            } else if operation.hasText("ready") {
                token = view.value("token")?.string
                flush(isComplete: true)
                phase = .following
            } else {
                if let own = view.value("token")?.string { token = own }
                Self.append(view, to: &writer)
            }
        }
        guard !writer.bytes.isEmpty else { return }
        if case .following = phase {
            token = batchToken ?? token
            flush(isComplete: true)
        } else {
            flush(isComplete: false)
        }
    }

    /// An event but for its token, which the message has.
    private static func append(_ event: DocumentView, to writer: inout ExtendedJSONWriter) {
        writer.raw(writer.bytes.isEmpty ? "{" : ",{")
        var fields = event.makeIterator()
        var isFirst = true
        while let field = fields.next() {
            let name = field.nameString
            if name == "token" { continue }
            if !isFirst { writer.raw(",") }
            isFirst = false
            writer.quote(name)
            writer.raw(":")
            writer.append(field.value)
        }
        writer.raw("}")
    }
}
