import Glibc
import Synchronization
import Testing

@testable import Roost

@Suite struct BackgroundThreadsTests {
    /// Threads that have ended are not kept until the engine closes.
    @Test func endedThreadsAreJoined() {
        let threads = BackgroundThreads()
        let runs = Count()
        for number in 1...50 {
            threads.start { runs.value.add(1, ordering: .sequentiallyConsistent) }
            while runs.value.load(ordering: .sequentiallyConsistent) < number { usleep(100) }
            usleep(1_000)
            #expect(threads.count < 10)
        }
        threads.join()
        #expect(runs.value.load(ordering: .sequentiallyConsistent) == 50)
        #expect(threads.count == 0)
    }

    private final class Count: Sendable {
        let value = Atomic<Int>(0)
    }
}
