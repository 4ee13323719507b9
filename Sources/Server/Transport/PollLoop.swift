// An event loop over epoll, for connections whose bytes nothing transforms.
//
//     turn:   epoll_wait ──▶ each ready socket ──▶ end of the turn ──▶ timers and tasks that are due
//
// Why not SwiftNIO's, which serves TLS and accepts: between epoll and the connection's handler its
// channel executes some 4,000 instructions and 70 atomic operations for a message, as much as all
// the rest of a read by `_id`. To everything but the sockets this is one more `EventLoop`: tasks,
// timers, promises and `NIOLoopBound` work alike on both.
//
// SAFETY: epoll lends its events as pointers to the transports that `watch` was given; see
// SocketTransport for how long they live. The mutable state below is touched on the loop's own
// thread only, except `inbox`, which has a lock; that is what makes the class Sendable.

import CPlatform
import Dispatch
import Glibc
import HeapModule
import NIOCore
import Synchronization

/// An event loop with a thread of its own.
final class PollLoop: EventLoop, @unchecked Sendable {
    /// Sockets looked at in one turn; the others stay ready for the next.
    private static let eventsMax = 256

    /// What other threads hand over.
    private struct Inbox {
        var tasks: [@Sendable () -> Void] = []
        /// Whether the loop waits for events and must be woken for a task.
        var isAsleep = false
        var isClosing = false
    }

    private struct Timer: Comparable {
        let deadline: NIODeadline
        let number: UInt64

        static func < (left: Timer, right: Timer) -> Bool {
            (left.deadline, left.number) < (right.deadline, right.number)
        }
    }

    private struct TimerTask {
        let run: @Sendable () -> Void
        let abandon: @Sendable () -> Void
    }

    private let poll: CInt
    /// An eventfd; each write to it ends a wait.
    private let alarm: CInt
    private let inbox = Mutex(Inbox())
    private let nextTimer = Atomic<UInt64>(0)
    /// How many sockets are on the loop, or on their way to it.
    let socketCount = Atomic<Int>(0)
    /// The loop's thread once it runs, 0 before.
    private let threadID = Atomic<UInt>(0)
    private let thread = Mutex<pthread_t?>(nil)

    // Confined to the loop's thread.

    /// Called when the sockets of a turn have been looked at, and again behind its tasks.
    var atTurnEnd: (() -> Void)?
    /// What `receive` brought.
    private(set) var received = ByteBuffer()
    /// The tasks of this turn.
    private var tasks: [@Sendable () -> Void] = []
    private var timers = Heap<Timer>()
    /// The timers' tasks by number; a cancelled timer has none.
    private var timerTasks: [UInt64: TimerTask] = [:]
    /// Closed transports that events of this turn may still name.
    private var closed: [SocketTransport] = []

    /// Starts the thread.
    ///
    /// - Throws: `IOError` where the system has no descriptors or threads left.
    init() throws(IOError) {
        poll = epoll_create1(CInt(EPOLL_CLOEXEC))
        guard poll >= 0 else { throw IOError(errnoCode: errno, reason: "epoll_create1") }
        alarm = eventfd(0, CInt(EFD_NONBLOCK | EFD_CLOEXEC))
        guard alarm >= 0 else { throw IOError(errnoCode: errno, reason: "eventfd") }
        // Edge-triggered: each write is an event, and nothing has to be read.
        var event = epoll_event()
        event.events = EPOLLIN.rawValue | EPOLLET.rawValue
        event.data.u64 = 0
        var code = epoll_ctl(poll, EPOLL_CTL_ADD, alarm, &event) == 0 ? 0 : errno
        if code == 0 { code = start() }
        guard code == 0 else { throw IOError(errnoCode: code, reason: "an event loop") }
    }

    private func start() -> CInt {
        var id = pthread_t()
        let argument = Unmanaged.passRetained(self)
        let code = pthread_create(
            &id, nil,
            { argument in
                guard let argument else { return nil }
                // SAFETY: retained by `start` for the thread, which takes over that reference here.
                Unmanaged<PollLoop>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, argument.toOpaque())
        if code == 0 { thread.withLock { $0 = id } } else { argument.release() }
        return code
    }

    // MARK: Sockets

    /// Has epoll watch `descriptor` for `events`, or cease to (`EPOLL_CTL_DEL`); false where it
    /// refuses.
    func watch(
        _ descriptor: CInt, _ transport: SocketTransport, _ events: UInt32, _ operation: CInt
    ) -> Bool {
        var event = epoll_event()
        event.events = events
        event.data.ptr = Unmanaged.passUnretained(transport).toOpaque()
        return epoll_ctl(poll, operation, descriptor, &event) == 0
    }

    /// Receives into `received`, whose memory is used again if nobody holds it; `recv`'s result.
    func receive(from descriptor: CInt, atMost count: Int) -> Int {
        received.clear(minimumCapacity: count)
        var result = 0
        received.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { room in
            result = recv(descriptor, room.baseAddress, min(room.count, count), 0)
            return max(0, result)
        }
        return result
    }

    /// Keeps a closed transport until no event of this turn can name it.
    func keepUntilTurnEnds(_ transport: SocketTransport) {
        closed.append(transport)
    }

    // MARK: Turns

    private func run() {
        threadID.store(UInt(pthread_self()), ordering: .relaxed)
        withUnsafeTemporaryAllocation(of: epoll_event.self, capacity: Self.eventsMax) { events in
            guard let events = events.baseAddress else { return }
            while let wait = millisToWait() {
                let count = epoll_wait(poll, events, CInt(Self.eventsMax), wait)
                takeTasks()
                for index in 0..<Int(max(0, count)) { dispatch(events[index]) }
                atTurnEnd?()
                runTimers()
                for task in tasks { task() }
                tasks.removeAll(keepingCapacity: true)
                atTurnEnd?()
                closed.removeAll(keepingCapacity: true)
            }
        }
        end()
    }

    private func dispatch(_ event: epoll_event) {
        guard let pointer = event.data.ptr else { return }
        Unmanaged<SocketTransport>.fromOpaque(pointer)._withUnsafeGuaranteedRef {
            $0.ready(event.events)
        }
    }

    /// How long nothing is due: 0 with tasks waiting, -1 for ever; nil at the loop's end.
    private func millisToWait() -> CInt? {
        while let first = timers.min, timerTasks[first.number] == nil { timers.removeMin() }
        let next = timers.min.map { first in
            let nanos = max(0, (first.deadline - .now()).nanoseconds)
            return CInt(min(nanos / 1_000_000 + (nanos % 1_000_000 > 0 ? 1 : 0), 3_600_000))
        }
        return inbox.withLock { inbox in
            guard inbox.tasks.isEmpty else { return 0 }
            if inbox.isClosing { return nil }
            inbox.isAsleep = true
            return next ?? -1
        }
    }

    private func takeTasks() {
        inbox.withLock { inbox in
            inbox.isAsleep = false
            swap(&inbox.tasks, &tasks)
        }
    }

    private func runTimers() {
        guard !timers.isEmpty else { return }
        // Those that come due while these run have the next turn.
        let now = NIODeadline.now()
        while let timer = timers.min, timer.deadline <= now {
            timers.removeMin()
            timerTasks.removeValue(forKey: timer.number)?.run()
        }
    }

    private func end() {
        for task in timerTasks.values { task.abandon() }
        timerTasks = [:]
        atTurnEnd = nil
    }

    // Not at the loop's end: another thread may be about to wake it.
    deinit {
        Glibc.close(alarm)
        Glibc.close(poll)
    }

    // MARK: EventLoop

    var inEventLoop: Bool {
        threadID.load(ordering: .relaxed) == UInt(pthread_self())
    }

    func execute(_ task: @escaping @Sendable () -> Void) {
        let mustWake = inbox.withLock { inbox in
            inbox.tasks.append(task)
            defer { inbox.isAsleep = false }
            return inbox.isAsleep
        }
        if mustWake { wake() }
    }

    private func wake() {
        var one: UInt64 = 1
        // It fails only when the counter is full, and then the loop is woken already.
        _ = write(alarm, &one, MemoryLayout<UInt64>.size)
    }

    @discardableResult
    func scheduleTask<T>(
        deadline: NIODeadline, _ task: @escaping @Sendable () throws -> T
    ) -> Scheduled<T> {
        let promise = makePromise(of: T.self)
        let number = nextTimer.wrappingAdd(1, ordering: .relaxed).newValue
        let timed = TimerTask(
            run: {
                do {
                    promise.assumeIsolated().succeed(try task())
                } catch {
                    promise.fail(error)
                }
            }, abandon: { promise.fail(EventLoopError.shutdown) })
        runHere {
            self.timerTasks[number] = timed
            self.timers.insert(Timer(deadline: deadline, number: number))
        }
        return Scheduled(promise: promise) { self.runHere { self.cancel(number) } }
    }

    @discardableResult
    func scheduleTask<T>(
        in delay: TimeAmount, _ task: @escaping @Sendable () throws -> T
    ) -> Scheduled<T> {
        scheduleTask(deadline: .now() + delay, task)
    }

    /// Its place among the timers goes with its time, or when most are such.
    private func cancel(_ number: UInt64) {
        timerTasks[number] = nil
        guard timers.count > 2 * timerTasks.count + 1_024 else { return }
        timers = Heap(timers.unordered.filter { timerTasks[$0.number] != nil })
    }

    private func runHere(_ body: @escaping @Sendable () -> Void) {
        if inEventLoop { body() } else { execute(body) }
    }

    /// Ends the loop after the tasks that wait, and tells so on `queue`.
    func shutdownGracefully(
        queue: DispatchQueue, _ callback: @escaping @Sendable ((any Error)?) -> Void
    ) {
        let mustWake = inbox.withLock { inbox in
            inbox.isClosing = true
            defer { inbox.isAsleep = false }
            return inbox.isAsleep
        }
        if mustWake { wake() }
        let id = thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        queue.async {
            if let id { pthread_join(id, nil) }
            callback(nil)
        }
    }
}
