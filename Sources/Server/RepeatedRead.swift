// Finds that follow each other on a connection mostly differ in a value or two. The second and all
// further ones are answered from what the first was found to mean, like the executions of a prepared
// statement: one document by `_id`, or a range of an index. What may have changed since is asked each
// time: the catalog, the session, fail points, the profiler.

import BSON
import NIOCore
import Roost
import Synchronization
import Wire

/// A find that a connection has sent, for those that differ from it in its open values only.
final class RepeatedRead {
    private enum Kind {
        case point
        case range(PreparedRange)
    }

    let pattern: RequestPattern
    let namespace: Namespace
    let session: SessionID?
    /// Where the loop counts what the collection's operations take.
    var usagePlace = NamespaceUsage.Place.none
    private let kind: Kind
    /// What follows the batch in the reply's cursor.
    private let end: Document
    private var collection: CollectionEntry?
    private var catalogVersion: Int

    /// A find of one `_id`. Nil where the call is not one that others can repeat.
    init?(_ call: borrowing CommandCall, id: ValueView, _ namespace: Namespace) {
        guard let pattern = RequestPattern(call.request, open: id) else { return nil }
        self.pattern = pattern
        self.namespace = namespace
        kind = .point
        end = Self.end(of: namespace)
        session = call.special.session
        catalogVersion = call.core.engine.catalogVersion
        collection = call.core.engine.collection(namespace)
    }

    /// A find that `cursor` has read to its end, where its filter is about one field and an index
    /// gives just what it asks for. Nil for others.
    init?(_ call: borrowing CommandCall, _ cursor: QueryCursor, _ namespace: Namespace) {
        guard let filter = call.document("filter"), let field = filter.first, filter.count == 1
        else { return nil }
        var first = field.value
        var second: ValueView?
        var comparison = PreparedRange.Comparison.equality
        if let operators = field.value.document {
            var elements = operators.makeIterator()
            guard let one = elements.next() else { return nil }
            first = one.value
            if !one.name.equals("$eq") {
                guard Self.isInequality(one.name) else { return nil }
                comparison = .oneSided
            }
            if let other = elements.next() {
                guard comparison == .oneSided, Self.isInequality(other.name) else { return nil }
                second = other.value
                comparison = .twoSided
            }
            if elements.next() != nil { return nil }
        }
        guard let pattern = RequestPattern(call.request, open: first, second),
            let range = PreparedRange(cursor, comparison, first, second)
        else { return nil }
        self.pattern = pattern
        self.namespace = namespace
        kind = .range(range)
        end = Self.end(of: namespace)
        session = call.special.session
        catalogVersion = call.core.engine.catalogVersion
        collection = cursor.readCollection
    }

    private static func end(of namespace: Namespace) -> Document {
        ["id": .int64(0), "ns": .string(namespace.description)]
    }

    private static func isInequality(_ name: RawSpan) -> Bool {
        name.equals("$lt") || name.equals("$lte") || name.equals("$gt") || name.equals("$gte")
    }

    /// The collection as it is now; nil where there is none.
    private func collection(in engine: RoostEngine) -> CollectionEntry? {
        let version = engine.catalogVersion
        if version != catalogVersion {
            catalogVersion = version
            collection = engine.collection(namespace)
        }
        return collection
    }

    /// Whether what it stands for still means the same.
    func isValid(in engine: RoostEngine) -> Bool {
        switch kind {
        case .point: collection(in: engine)?.hasKeysOfIDs ?? true
        case .range: engine.catalogVersion == catalogVersion
        }
    }

    /// Writes the batch; false where it takes a cursor, or the collection has just been replaced.
    func answer(
        _ message: borrowing ByteBuffer, _ core: ServerCore, _ loop: LoopState,
        _ reply: inout ReplyWriter
    ) throws(DBError) -> Bool {
        guard let first = pattern.value(in: message) else { return false }
        loop.shareSnapshot()
        let document = reply.openDocument("cursor")
        let batch = reply.openArray("firstBatch")
        switch kind {
        case .point:
            if let collection = collection(in: core.engine) {
                let outcome = try loop.pointRead.read(
                    first, of: collection, loop.reader, into: &reply)
                if outcome == .stale { return false }
            }
        case .range(let range):
            guard
                try range.read(
                    first, pattern.value(1, in: message), &loop.rangeBuffers, loop.reader,
                    into: &reply)
            else { return false }
        }
        reply.close(batch)
        reply.appendFields(document: end)
        reply.close(document)
        return true
    }
}

extension ConnectionHandler {
    /// Answers the next request if it repeats the connection's last find.
    func answerRepetition() -> Bool {
        guard let read = repeatedRead, !core.failPoints.isActive, !core.profiler.isOn,
            access.repeatableVersion == core.accounts.version, read.isValid(in: core.engine),
            let (id, message) = state.nextRepetition(of: read.pattern)
        else { return false }
        core.counters.requests.wrappingAdd(1, ordering: .relaxed)
        let replyID = core.nextReplyID()
        var failure: DBError?
        out.begin(.message)
        do throws(DBError) {
            if let session = read.session { try touch(session) }
            guard try read.answer(message, core, loop, &out) else {
                out.abandon()
                repeatedRead = nil
                if let request = Self.parsedAgain(message) { run(request) }
                return true
            }
            out.append("ok", 1.0)
            core.appendClusterTime(&out)
            out.end(requestID: replyID, responseTo: id)
        } catch {
            failure = error
            out.abandon()
            refuse(error, requestID: id, .message)
        }
        core.counters.queries.wrappingAdd(1, ordering: .relaxed)
        let now = Clock.nanos
        let nanos = now &- min(now, commandStart)
        if !loop.meter.noteFind(at: read.usagePlace, nanos: nanos) {
            read.usagePlace = loop.meter.noteFind(of: read.namespace, nanos: nanos)
        }
        if core.profiler.mayWant(nanos: nanos),
            let request = Self.parsedAgain(message),
            profileSlowPath(request, failure, replyID, exhausts: false)
        {
            return true
        }
        commandStart = now
        state.finished()
        return true
    }

    /// The request as the slow-command log wants it.
    private static func parsedAgain(_ message: ByteBuffer) -> Request? {
        guard let header = MessageHeader(peeking: message) else { return nil }
        return try? Request(message: message, header: header)
    }
}
