// The event loop over epoll: tasks, timers and their order, from its own thread and from others.

import NIOCore
import Synchronization
import Testing

@testable import Server

@Suite struct PollLoopTests {
    /// What tasks have noted, in order.
    private final class Notes: Sendable {
        private let notes = Mutex<[String]>([])
        var all: [String] { notes.withLock { $0 } }
        func add(_ note: String) { notes.withLock { $0.append(note) } }
    }

    private func withLoop<Result>(_ body: (PollLoop) async throws -> Result) async throws -> Result
    {
        let loop = try PollLoop()
        do {
            let result = try await body(loop)
            try await loop.shutdownGracefully()
            return result
        } catch {
            try await loop.shutdownGracefully()
            throw error
        }
    }

    @Test func tasksOfManyThreadsRunOnceEachAndInTheirThreadsOrder() async throws {
        let seen = Notes()
        try await withLoop { loop in
            await withTaskGroup(of: Void.self) { group in
                for thread in 0..<8 {
                    group.addTask {
                        for number in 0..<2_000 {
                            loop.execute {
                                #expect(loop.inEventLoop)
                                seen.add("\(thread) \(number)")
                            }
                        }
                    }
                }
            }
            try await loop.submit {}.get()
        }
        for thread in 0..<8 {
            let own = seen.all.filter { $0.hasPrefix("\(thread) ") }
            #expect(own == (0..<2_000).map { "\(thread) \($0)" })
        }
    }

    @Test func aTaskThatAddsTasksLetsThemRunInTheNextTurn() async throws {
        let notes = Notes()
        try await withLoop { loop in
            try await loop.submit {
                loop.execute { notes.add("second") }
                notes.add("first")
            }.get()
            try await loop.submit {}.get()
        }
        #expect(notes.all == ["first", "second"])
    }

    @Test func timersRunByTheirDeadlinesAndTiesByTheirOrder() async throws {
        let notes = Notes()
        try await withLoop { loop in
            let start = NIODeadline.now()
            let later = start + .milliseconds(40)
            loop.scheduleTask(deadline: later + .milliseconds(20)) { notes.add("last") }
            loop.scheduleTask(deadline: later) { notes.add("a") }
            loop.scheduleTask(deadline: later) { notes.add("b") }
            let first = loop.scheduleTask(in: .milliseconds(1)) { notes.add("first") }
            try await first.futureResult.get()
            let end = loop.scheduleTask(deadline: later + .milliseconds(20)) { NIODeadline.now() }
            #expect(try await end.futureResult.get() >= later + .milliseconds(20))
        }
        #expect(notes.all == ["first", "a", "b", "last"])
    }

    @Test(arguments: [1, 5_000]) func cancelledTimersDoNotRun(count: Int) async throws {
        let notes = Notes()
        try await withLoop { loop in
            let timers = (0..<count).map { _ in
                loop.scheduleTask(in: .seconds(20)) { notes.add("cancelled") }
            }
            let kept = loop.scheduleTask(in: .milliseconds(60)) { notes.add("kept") }
            for timer in timers { timer.cancel() }
            try await kept.futureResult.get()
            for timer in timers {
                await #expect(throws: EventLoopError.self) { try await timer.futureResult.get() }
            }
        }
        #expect(notes.all == ["kept"])
    }

    @Test func aTimersErrorIsItsFutures() async throws {
        struct Failure: Error {}
        try await withLoop { loop in
            let timer = loop.scheduleTask(in: .milliseconds(1)) { throw Failure() }
            await #expect(throws: Failure.self) { try await timer.futureResult.get() }
        }
    }

    @Test func shutdownRunsWhatWaitsAndFailsTimers() async throws {
        let notes = Notes()
        let loop = try PollLoop()
        let timer = loop.scheduleTask(in: .hours(1)) { notes.add("never") }
        timer.futureResult.whenFailure { _ in notes.add("failed") }
        for _ in 0..<100 { loop.execute { notes.add("task") } }
        try await loop.shutdownGracefully()
        #expect(notes.all == Array(repeating: "task", count: 100) + ["failed"])
    }

    @Test func repeatedTasksRepeatUntilCancelled() async throws {
        let notes = Notes()
        try await withLoop { loop in
            let done = loop.makePromise(of: Void.self)
            loop.scheduleRepeatedTask(initialDelay: .milliseconds(1), delay: .milliseconds(1)) {
                notes.add("tick")
                if notes.all.count == 5 {
                    $0.cancel()
                    done.succeed()
                }
            }
            try await done.futureResult.get()
            try await loop.scheduleTask(in: .milliseconds(10)) {}.futureResult.get()
        }
        #expect(notes.all.count == 5)
    }
}
