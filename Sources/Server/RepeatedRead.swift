// Finds by `_id` that follow each other on a connection mostly differ in the `_id` alone. The second
// and all further ones are answered from what the first was found to mean, like the executions of
// a prepared statement. What may have changed since is asked each time: the catalog, the session,
// fail points, the profiler.

import BSON
import NIOCore
import Roost
import Synchronization
import Wire

/// A find by `_id` that a connection has sent, for those that differ from it in the `_id` only.
final class RepeatedRead {
    let pattern: RequestPattern
    let namespace: Namespace
    let session: SessionID?
    private var collection: CollectionEntry?
    private var catalogVersion: Int

    /// Nil where the call is not one that others can repeat.
    init?(_ call: borrowing CommandCall, _ id: ValueView, _ namespace: Namespace) {
        guard let pattern = RequestPattern(call.request, open: id) else { return nil }
        self.pattern = pattern
        self.namespace = namespace
        session = call.special.session
        catalogVersion = call.core.engine.catalogVersion
        collection = call.core.engine.collection(namespace)
    }

    /// The collection as it is now; nil where there is none.
    func collection(in engine: RoostEngine) -> CollectionEntry? {
        let version = engine.catalogVersion
        if version != catalogVersion {
            catalogVersion = version
            collection = engine.collection(namespace)
        }
        return collection
    }
}

extension ConnectionHandler {
    /// Answers the next request if it repeats the connection's last find by `_id`.
    func answerRepetition() -> Bool {
        guard let read = repeatedRead, !core.failPoints.isActive, !core.profiler.isOn else {
            return false
        }
        let collection = read.collection(in: core.engine)
        guard collection?.view == nil, let (id, message) = state.nextRepetition(of: read.pattern)
        else { return false }
        core.counters.requests.wrappingAdd(1, ordering: .relaxed)
        core.counters.queries.wrappingAdd(1, ordering: .relaxed)
        let replyID = core.nextReplyID()
        var failure: DBError?
        out.begin(.message)
        do throws(DBError) {
            if let session = read.session { try touch(session) }
            try Find.answerPoint(
                read.pattern.value(in: message), of: collection, read.namespace, loop, &out)
            out.append("ok", 1.0)
            core.appendClusterTime(&out)
            out.end(requestID: replyID, responseTo: id)
        } catch {
            failure = error
            out.abandon()
            refuse(error, requestID: id, .message)
        }
        let now = Clock.coarseNanos
        if core.profiler.mayWant(nanos: now &- min(now, commandStart)),
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
