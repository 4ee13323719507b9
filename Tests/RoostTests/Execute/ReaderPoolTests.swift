import Foundation
import Synchronization
import Testing

@testable import Roost

/// The threads of long reads.
@Suite struct ReaderPoolTests {
    private final class Meeting: Sendable {
        let arrived = Atomic<Int>(0)
    }

    /// Jobs that hold their threads until others have run are no dead end.
    @Test func stuckThreadsAreRelieved() async throws {
        let fixture = try ReadFixture { $0.readerThreads = 2 }
        let pool = fixture.engine.readerPool
        let (meeting, count) = (Meeting(), 5)
        let met = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<count {
                group.addTask {
                    await withCheckedContinuation { continuation in
                        pool.submit { _ in
                            meeting.arrived.wrappingAdd(1, ordering: .relaxed)
                            // Far longer than needed, so that a fault fails instead of hanging.
                            let end = Date(timeIntervalSinceNow: 60)
                            while meeting.arrived.load(ordering: .relaxed) < count, Date() < end {
                                Thread.sleep(forTimeInterval: 0.001)
                            }
                            continuation.resume(
                                returning: meeting.arrived.load(ordering: .relaxed) == count)
                        }
                    }
                }
            }
            return await group.reduce(true) { $0 && $1 }
        }
        #expect(met)
    }

    /// Many short jobs, on however many threads.
    @Test func everyJobIsRunOnce() async throws {
        let fixture = try ReadFixture { $0.readerThreads = 1 }
        let pool = fixture.engine.readerPool
        let meeting = Meeting()
        await withTaskGroup { group in
            for _ in 0..<500 {
                group.addTask {
                    await withCheckedContinuation { continuation in
                        pool.submit { _ in
                            meeting.arrived.wrappingAdd(1, ordering: .relaxed)
                            continuation.resume()
                        }
                    }
                }
            }
        }
        #expect(meeting.arrived.load(ordering: .relaxed) == 500)
    }
}
