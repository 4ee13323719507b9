// What a connection does for its live query: the one batch that waits, its time, and clients that
// do not take their replies.
//
// A client that follows a live query may stop reading at any time. Its connection then holds what
// was written to the socket and not taken (below `writeMarks`), and the batch rests; the matcher
// keeps little for it. When nothing at all is taken for `ServerCore.unreadSecondsMax` the connection
// is closed, for exhaust cursors of any kind and for replies of live queries; the client goes on
// from its last token.

import BSON
import Logging
import NIOCore
import Synchronization
import Wire

/// What a connection holds for its live query.
struct LiveState {
    /// Bytes written and not taken by the socket at which the connection's replies wait, and go on.
    static let writeMarks = 16 * 1_024..<64 * 1_024

    /// What the kernel may hold for the connection. Its own bound is megabytes, and a socket that
    /// full tells for seconds nothing of a client that reads, if slowly.
    fileprivate static let socketBytesMax = 128 * 1024

    /// The batch that waits for events, or rests.
    fileprivate var batch: LiveBatch?
    /// Whether it rests, since the client does not take what was written.
    fileprivate(set) var isResting = false
    /// Whether the transport holds little.
    fileprivate var holdsLittle = false
    /// The task that ends waiting, and when: one for batch after batch.
    fileprivate var timer: (end: NIODeadline, task: Scheduled<Void>)?
    /// Since when the client takes nothing, and how much waited then.
    fileprivate var unread: (since: NIODeadline, bytes: Int)?
    fileprivate var unreadTimer: Scheduled<Void>?
}

extension ConnectionHandler {
    /// Whether a live query's batch waits for events.
    var isFollowing: Bool { live.batch != nil }

    // MARK: Waiting

    /// Has `batch` wait for events, or first for the client to take what was written.
    func follow(_ batch: LiveBatch) {
        guard transport != nil else { return batch.abandon() }
        live.batch = batch
        if isWritable {
            batch.wait()
            setTimer(batch.end)
        } else {
            live.isResting = true
            noteUnread()
        }
    }

    /// There may be events for `batch`, or its time is over.
    func wake(_ batch: LiveBatch) {
        // It may have been answered since.
        guard live.batch === batch, !live.isResting else { return }
        live.batch = nil
        batch.advance(self)
    }

    /// One task serves many batches, since most end before their time.
    private func setTimer(_ end: NIODeadline) {
        if let timer = live.timer, timer.end <= end { return }
        guard transport != nil else { return }
        let handler = NIOLoopBound(self, eventLoop: eventLoop)
        live.timer?.task.cancel()
        live.timer = (
            end,
            eventLoop.scheduleTask(deadline: end) { handler.value.timeIsOver() }
        )
    }

    private func timeIsOver() {
        live.timer = nil
        guard let batch = live.batch, !live.isResting else { return }
        if batch.end > .now() { return setTimer(batch.end) }
        batch.expire(self)
    }

    /// The last reply of a batch lies in `out`; with `request` it is run again for the next.
    func endLive(repeating request: Request?) {
        if let request {
            flush()
            repeatLater(request)
        } else {
            finishDeferred(nil, replyID: 0, exhausting: nil)
        }
        if !isWritable { noteUnread() }
    }

    /// The connection ends.
    func abandonLive() {
        live.timer?.task.cancel()
        live.unreadTimer?.cancel()
        let batch = live.batch
        live = LiveState()
        batch?.abandon()
    }

    // MARK: Clients that don't read

    /// From now on the transport stops taking replies early.
    func holdLittle() {
        guard !live.holdsLittle else { return }
        live.holdsLittle = true
        transport?.holdLittle(LiveState.writeMarks, socketBytesMax: LiveState.socketBytesMax)
    }

    /// The client has taken enough for the next reply.
    func goOnFollowing() {
        live.unread = nil
        guard live.isResting, let batch = live.batch else { return }
        live.isResting = false
        wake(batch)
    }

    /// The client does not take what was written; it has some time to begin.
    func noteUnread() {
        guard live.unread == nil else { return }
        live.unread = (.now(), unreadBytes)
        setUnreadTimer(core.unreadMillisMax)
    }

    private func setUnreadTimer(_ millis: Int64) {
        guard live.unreadTimer == nil, transport != nil else { return }
        let handler = NIOLoopBound(self, eventLoop: eventLoop)
        live.unreadTimer = eventLoop.scheduleTask(in: .milliseconds(millis)) {
            handler.value.checkUnread()
        }
    }

    private func checkUnread() {
        live.unreadTimer = nil
        guard let unread = live.unread else { return }
        let now = NIODeadline.now()
        let bytes = unreadBytes
        let allowed = TimeAmount.milliseconds(core.unreadMillisMax)
        if bytes < unread.bytes {
            // It reads, if slowly.
            live.unread = (now, bytes)
            return setUnreadTimer(core.unreadMillisMax)
        }
        let left = unread.since + allowed - now
        if left > .milliseconds(0) { return setUnreadTimer(left.nanoseconds / 1_000_000 + 1) }
        core.logger.info(
            "connection closed: it did not read the replies of its cursor",
            metadata: ["connection": "\(id)", "remote": "\(client.remoteAddress)"])
        abort()
    }

    /// Bytes that the socket has not taken.
    private var unreadBytes: Int {
        transport?.unsentBytes ?? 0
    }
}
