import BSON
import Foundation
import Query
import Synchronization
import Testing

@testable import Roost

/// What a check says of a folder that others change, or that was left in the middle of something.
@Suite struct VerificationTests {
    private static let names = Namespace("test", "checked")

    private final class Progress: Sendable {
        let isDone = Atomic<Bool>(false)
    }

    /// A sound collection is found sound while an index of it comes and goes.
    @Test func indexesThatComeAndGo() async throws {
        let fixture = try ReadFixture()
        try await fixture.insert(Self.names, (0..<200).map { ["_id": .int32($0), "b": [1, 2]] })
        let (engine, progress) = (fixture.engine, Progress())
        // A thread of its own: tasks that never wait would keep the tests' few threads.
        let threads = BackgroundThreads()
        threads.start {
            while !progress.isDone.load(ordering: .relaxed) {
                do {
                    let report = try engine.verify(Self.names)
                    #expect(report.faults.isEmpty, "\(report.faults)")
                } catch {
                    // It never stood still.
                    #expect((error as? DBError)?.code == .queryPlanKilled)
                }
            }
        }
        defer {
            progress.isDone.store(true, ordering: .relaxed)
            threads.join()
        }
        for round in 0..<40 {
            try await fixture.createIndex(Self.names, ["key": ["b": 1], "name": "b"])
            _ = try await withCheckedThrowingContinuation { continuation in
                engine.dropIndexes(Self.names, .names(["b"])) { continuation.resume(with: $0) }
            }
            try await fixture.insert(Self.names, [["_id": .int32(1_000 + Int32(round)), "b": 3]])
        }
    }

    /// A check writes nothing: what a killed process left unfinished stays as it is.
    @Test func unfinishedWorkStays() async throws {
        let path = NSTemporaryDirectory() + "roost-verify-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let left = Namespace("test", "tmp.agg_out.1")
        var options = EngineOptions()
        options.tidiesUp = false
        for _ in 0..<2 {
            let engine = try RoostEngine(path: path, options: options)
            if engine.collection(left) == nil {
                try await withCheckedThrowingContinuation { continuation in
                    engine.createCollection(left, options: ["temp": true]) {
                        continuation.resume(with: $0)
                    }
                }
            }
            #expect(try engine.verify().faults.isEmpty)
            #expect(engine.collection(left) != nil)
            engine.close()
        }
        let engine = try RoostEngine(path: path)
        engine.close()
        let after = try RoostEngine(path: path, options: options)
        #expect(after.collection(left) == nil)
        after.close()
    }
}
