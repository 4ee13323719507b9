// One subscriber's outbox: what the matcher has for it and it has not read yet.
//
// The matcher puts frames in and never waits; they are shared with the other subscribers of the
// group, so an outbox holds references. One that holds too much is given up: the subscriber is told
// to start again from its last token (`Content.behind`), and gets no more until it does.

import BSON
import Synchronization

/// Who waits for events of a live query.
package protocol LiveWaiter: AnyObject, Sendable {
    /// There may be events; called once for each wait, on the matcher's thread or the killer's.
    /// Must not last.
    func wake()
}

/// A subscriber, as the matcher sees it.
final class LiveSubscription: Sendable {
    /// Bounds of what waits for one subscriber.
    enum Bounds {
        static let eventsMax = 256
        static let bytesMax = 256 * 1024
        /// The same where one commit alone is larger.
        static let frameBytesMax = 512 * 1024
        /// Bytes taken at once, but for one commit that is larger: what is taken can't be merged
        /// with what comes later.
        static let takenBytesMax = 64 * 1024
    }

    /// What the reader finds.
    enum Content: Sendable {
        /// Nothing yet; `isCurrent` where the matcher has told all up to its position.
        case nothing(isCurrent: Bool)
        case frames([LiveFrame])
        /// Frames were dropped since the last one read.
        case behind(reason: String)
        case failed(DBError)
    }

    private struct Outbox {
        var frames: [LiveFrame] = []
        var events = 0
        var bytes = 0
        var behind: String?
        var error: DBError?
        var isClosed = false
        var isCurrent = false
        var waiter: (any LiveWaiter)?
        var waitNumber: UInt64 = 0

        var isEmpty: Bool { frames.isEmpty && behind == nil && error == nil }

        /// Takes the oldest frames out.
        mutating func takeSome() -> [LiveFrame] {
            if bytes <= Bounds.takenBytesMax || frames.count == 1 {
                defer {
                    frames = []
                    events = 0
                    bytes = 0
                }
                return frames
            }
            var count = 0
            var taken = 0
            while count == 0 || taken + frames[count].bytes.count <= Bounds.takenBytesMax {
                taken += frames[count].bytes.count
                events -= frames[count].count
                count += 1
            }
            defer { frames.removeFirst(count) }
            bytes -= taken
            return Array(frames[..<count])
        }

        /// Merges what waits, where that helps; else gives it up. A single frame stays, as long as
        /// somebody waits for it.
        mutating func shorten() {
            if frames.count == 1, waiter != nil || bytes <= Bounds.frameBytesMax { return }
            if frames.count > 1, let merged = LiveFrame.merged(frames),
                merged.count <= Bounds.eventsMax / 2, merged.bytes.count <= Bounds.bytesMax / 2
            {
                frames = [merged]
                events = merged.count
                bytes = merged.bytes.count
                return
            }
            frames = []
            behind = "more changed than is kept for a client that does not read"
        }
    }

    private let outbox = Mutex(Outbox())
    /// The app user whose rows these are; nil for those who bypass the rules.
    let user: AppUser?

    init(_ user: AppUser? = nil) {
        self.user = user
    }

    // MARK: The matcher's side

    /// Puts a frame in; false: the subscriber is to be given no more.
    func push(_ frame: LiveFrame) -> Bool {
        let (isTaken, waiter) = outbox.withLock { outbox in
            guard !outbox.isClosed, outbox.behind == nil, outbox.error == nil else {
                return (false, nil as (any LiveWaiter)?)
            }
            outbox.frames.append(frame)
            outbox.events += frame.count
            outbox.bytes += frame.bytes.count
            let isOver = outbox.events > Bounds.eventsMax || outbox.bytes > Bounds.bytesMax
            if isOver { outbox.shorten() }
            return (outbox.behind == nil, outbox.waiter.take())
        }
        waiter?.wake()
        return isTaken
    }

    /// From now on whatever the matcher's position says was told.
    func noteCurrent() { outbox.withLock { $0.isCurrent = true } }

    /// From now on there may be what was not told.
    func noteStale() { outbox.withLock { $0.isCurrent = false } }

    /// Tells the subscriber that what it holds can't be brought up to date by events.
    func giveUp(_ reason: String) {
        end { outbox in outbox.behind = reason }
    }

    /// Ends the subscription with an error.
    func fail(_ error: DBError) {
        end { outbox in outbox.error = error }
    }

    private func end(_ change: (inout Outbox) -> Void) {
        let waiter = outbox.withLock { outbox in
            outbox.frames = []
            if outbox.error == nil { change(&outbox) }
            return outbox.waiter.take()
        }
        waiter?.wake()
    }

    /// Whether the reader has gone.
    var isClosed: Bool { outbox.withLock { $0.isClosed } }

    // MARK: The reader's side

    /// Takes what waits.
    func take() -> Content {
        outbox.withLock { outbox in
            if let error = outbox.error { return .failed(error) }
            if let reason = outbox.behind { return .behind(reason: reason) }
            guard !outbox.frames.isEmpty else {
                return .nothing(isCurrent: outbox.isCurrent)
            }
            return .frames(outbox.takeSome())
        }
    }

    /// Wakes `waiter` once when there is something to take; false where there is already, and it
    /// will not be woken. `number` is to cancel by.
    func wait(_ number: UInt64, _ waiter: any LiveWaiter) -> Bool {
        outbox.withLock { outbox in
            guard outbox.isEmpty, !outbox.isClosed else { return false }
            outbox.waitNumber = number
            outbox.waiter = waiter
            return true
        }
    }

    /// Gives up waiting; false where the call was made or is being made.
    func cancelWait(_ number: UInt64) -> Bool {
        outbox.withLock { outbox in
            guard outbox.waitNumber == number, outbox.waiter != nil else { return false }
            outbox.waiter = nil
            return true
        }
    }

    /// The reader goes: nothing is kept for it any more, and who waits is woken.
    func close() {
        end { _ in }
        outbox.withLock { $0.isClosed = true }
    }
}
