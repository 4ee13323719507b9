// Threads for work that lasts: index builds, expiry. Not for requests.

import Glibc
import Synchronization

/// Starts OS threads and waits for them at the end. A thread keeps some memory until it is joined,
/// so those that have ended are joined when the next one starts.
final class BackgroundThreads: Sendable {
    private struct Threads {
        var running: Set<pthread_t> = []
        var ended: [pthread_t] = []
    }

    private let threads = Mutex(Threads())

    /// How many threads are not joined yet.
    var count: Int { threads.withLock { $0.running.count + $0.ended.count } }

    /// Runs `body` on a new thread. Where no thread can be had, runs it in place.
    func start(_ body: @escaping @Sendable () -> Void) {
        joinEnded()
        let box = Unmanaged.passRetained(Body(run: body, threads: self))
        var thread = pthread_t()
        let status = threads.withLock { threads in
            // SAFETY: the box is retained for the new thread, which releases it.
            let status = pthread_create(
                &thread, nil,
                { argument in
                    guard let argument else { return nil }
                    let body = Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
                    body.run()
                    body.threads.noteEnd()
                    return nil
                }, box.toOpaque())
            if status == 0 { threads.running.insert(thread) }
            return status
        }
        if status != 0 { box.takeRetainedValue().run() }
    }

    /// Waits until every thread has ended.
    func join() {
        joinEnded()
        while let thread = threads.withLock({ $0.running.popFirst() }) {
            pthread_join(thread, nil)
        }
        joinEnded()
    }

    /// The calling thread has only its return before it.
    private func noteEnd() {
        threads.withLock { threads in
            let thread = pthread_self()
            // Whoever took it out of `running` joins it.
            if threads.running.remove(thread) != nil { threads.ended.append(thread) }
        }
    }

    private func joinEnded() {
        let ended = threads.withLock { threads in
            defer { threads.ended = [] }
            return threads.ended
        }
        for thread in ended { pthread_join(thread, nil) }
    }

    private final class Body: Sendable {
        let run: @Sendable () -> Void
        let threads: BackgroundThreads

        init(run: @escaping @Sendable () -> Void, threads: BackgroundThreads) {
            self.run = run
            self.threads = threads
        }
    }
}
