// Threads for work that lasts: index builds, expiry. Not for requests.

import Glibc
import Synchronization

/// Starts OS threads and waits for them at the end.
final class BackgroundThreads: Sendable {
    private let running = Mutex<Set<pthread_t>>([])

    /// Runs `body` on a new thread. Where no thread can be had, runs it in place.
    func start(_ body: @escaping @Sendable () -> Void) {
        let box = Unmanaged.passRetained(Body(run: body))
        var thread = pthread_t()
        let status = running.withLock { running in
            // SAFETY: the box is retained for the new thread, which releases it.
            let status = pthread_create(
                &thread, nil,
                { argument in
                    guard let argument else { return nil }
                    let body = Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
                    body.run()
                    return nil
                }, box.toOpaque())
            if status == 0 { running.insert(thread) }
            return status
        }
        if status != 0 { box.takeRetainedValue().run() }
    }

    /// Waits until every thread has ended.
    func join() {
        while let thread = running.withLock({ $0.popFirst() }) { pthread_join(thread, nil) }
    }

    private final class Body: Sendable {
        let run: @Sendable () -> Void

        init(run: @escaping @Sendable () -> Void) {
            self.run = run
        }
    }
}
