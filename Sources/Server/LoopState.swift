// What the connections of one event loop share; touched on that loop only.

import NIOCore
import Roost

/// The state of one event loop.
final class LoopState {
    /// The first of so many replies waits for the last at most: enough to share one waking of the
    /// client, few enough that it works beside the server (2 to 5 measured alike, 32 slower).
    private static let unflushedMax = 4

    let mailbox: LoopMailbox
    /// The loop's number, from 0.
    let number: Int
    /// The loop's own snapshot for short reads.
    let reader: Reader
    /// What operations take.
    let meter = LoopMeter()
    /// Buffers of reads by `_id`.
    var pointRead = PointRead()
    /// The last events that were told, for the next subscriber of the same query.
    var liveReply: SharedLiveReply?
    /// Buffers of reads of a range.
    var rangeBuffers = RangeBuffers()
    /// The loop's connections by their numbers.
    private(set) var connections: [Int32: ConnectionHandler] = [:]
    /// Connections with replies to be written at the end of the loop's turn.
    private var unflushed: [ConnectionHandler] = []
    private var isTurnEndDue = false
    /// Whether the loop itself tells the end of its turns.
    private let isToldTurnEnds: Bool
    private var isStopping = false
    private var whenEmpty: EventLoopPromise<Void>?

    init(_ eventLoop: any EventLoop, number: Int, reader: Reader) {
        self.number = number
        mailbox = LoopMailbox(eventLoop)
        self.reader = reader
        let pollLoop = eventLoop as? PollLoop
        isToldTurnEnds = pollLoop != nil
        pollLoop?.atTurnEnd = { [unowned self] in if isTurnEndDue { endTurn() } }
    }

    func add(_ connection: ConnectionHandler) {
        connections[connection.id] = connection
        if isStopping { connection.stop() }
    }

    func remove(_ connection: ConnectionHandler) {
        connections[connection.id] = nil
        finishIfEmpty()
    }

    /// Writes the replies of `connection` once every connection with bytes in this turn of the loop
    /// has had its request run.
    ///
    /// A write wakes its client, which costs more than the write when the client's processor
    /// sleeps. Writes that follow each other find it awake (Redis does the same). A loop with one
    /// connection has nothing to wait for.
    func flushAfterTurn(_ connection: ConnectionHandler) {
        guard connections.count > 1 else { return connection.flush() }
        unflushed.append(connection)
        if unflushed.count == Self.unflushedMax { flushAll() }
        endTurnLater()
    }

    /// Lets the short reads of this turn of the loop share a snapshot while nothing is committed.
    func shareSnapshot() {
        guard connections.count > 1 else { return }
        reader.beginSharing()
        endTurnLater()
    }

    private func endTurnLater() {
        guard !isTurnEndDue else { return }
        isTurnEndDue = true
        if isToldTurnEnds { return }
        let loop = NIOLoopBound(self, eventLoop: mailbox.eventLoop)
        mailbox.eventLoop.execute { loop.value.endTurn() }
    }

    private func endTurn() {
        isTurnEndDue = false
        reader.endSharing()
        flushAll()
    }

    private func flushAll() {
        var next = 0
        while next < unflushed.count {
            unflushed[next].flush()
            next += 1
        }
        unflushed.removeAll(keepingCapacity: true)
    }

    /// Has each connection look at its rights again.
    func accountsChanged() {
        for connection in connections.values { connection.accountsChanged() }
    }

    /// Closes connections that keep the server waiting for bytes.
    func sweep(now: UInt64) {
        for connection in connections.values { connection.closeIfStalled(now: now) }
    }

    /// Ends each connection after what it runs; `promise` is fulfilled when none is left.
    func stop(_ promise: EventLoopPromise<Void>) {
        isStopping = true
        whenEmpty = promise
        for connection in connections.values { connection.stop() }
        finishIfEmpty()
    }

    /// Ends each connection now.
    func abort() {
        for connection in connections.values { connection.abort() }
    }

    private func finishIfEmpty() {
        if isStopping, connections.isEmpty, let promise = whenEmpty {
            whenEmpty = nil
            promise.succeed()
        }
    }
}
