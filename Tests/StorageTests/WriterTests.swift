import Glibc
import Synchronization
import Testing

@testable import Storage

/// Groups, failures inside them, quota and closing.
@Suite struct WriterTests {
    let folder = TemporaryFolder()

    private func open(_ change: (inout LMDBStore.Options) -> Void = { _ in }) throws -> LMDBStore {
        var options = LMDBStore.Options()
        options.durability = .relaxed
        options.quotaBytes = 1 << 30
        change(&options)
        return try LMDBStore.open(path: folder.path, options: options)
    }

    @Test(arguments: [OperationOptions.Mode.nested, .checksFirst])
    func manyThreadsCount(mode: OperationOptions.Mode) throws {
        let store = try open()
        let failures = Mutex(0)
        onThreads(16) { thread in
            for turn in 0..<100 {
                do {
                    try store.perform(OperationOptions(mode)) { txn in
                        if mode == .checksFirst, turn % 5 == 0 { throw Refusal() }
                        let old = try txn.copy(.catalog, [0]) ?? [0, 0]
                        let sum = Int(old[0]) + Int(old[1]) << 8 + 1
                        try txn.put(.catalog, [0], [UInt8(sum & 255), UInt8(sum >> 8)])
                        try txn.put(.catalog, [1, UInt8(thread), UInt8(turn)], [])
                        if mode == .nested, turn % 5 == 0 { throw Refusal() }
                    }
                } catch {
                    failures.withLock { $0 += 1 }
                }
            }
        }
        #expect(failures.withLock { $0 } == 16 * 20)
        let reader = try store.makeReader()
        #expect(try reader.copy(.catalog, [0]) == [UInt8(1280 & 255), UInt8(1280 >> 8)])
        #expect(try reader.all(.catalog).count == 1281)
        #expect(store.statistics().groupsRerun == 0)
        #expect(store.statistics().operationsFailed == 320)
    }

    /// An operation that breaks its promise takes nothing of the others' with it.
    @Test func aLateThrowUndoesOnlyItself() throws {
        let store = try open()
        let hold = Monitor(false)
        store.submit { _ in
            _ = hold.wait(timeoutMillis: waitMillisMax) { $0 ? true : nil }
        } completion: {
            _ in
        }
        let results = Monitor<[Bool]>([])
        for number in 0..<20 {
            store.submit { txn in
                try txn.put(.catalog, key(number), [1])
                if number == 7 { throw Refusal(number: 7) }
            } completion: { result in
                results.withLock { $0.append((try? result.get()) != nil) }
                results.wake()
            }
        }
        hold.withLock { $0 = true }
        hold.wake()
        let outcome = results.wait(timeoutMillis: waitMillisMax) { $0.count == 20 ? $0 : nil }
        #expect(outcome == (0..<20).map { $0 != 7 })
        let keys = try store.makeReader().all(.catalog).map(\.key)
        #expect(keys == (0..<20).filter { $0 != 7 }.map { key($0) })
        #expect(store.statistics().groupsRerun == 1)
    }

    @Test func whatWaitsFormsOneGroup() throws {
        let store = try open()
        let hold = Monitor(false)
        store.submit { _ in
            _ = hold.wait(timeoutMillis: waitMillisMax) { $0 ? true : nil }
        } completion: {
            _ in
        }
        for number in 0..<20 {
            store.submit { txn in
                try txn.put(.catalog, key(number), [])
            } completion: { _ in
            }
        }
        hold.withLock { $0 = true }
        hold.wake()
        try store.perform { _ in }
        #expect(store.statistics().groupSizes.max >= 10)
    }

    @Test func hooksRunOnceAGroup() throws {
        let store = try open()
        let commits = Mutex<[UInt64]>([])
        store.setGroupHooks(
            GroupHooks(
                willCommit: { txn in try txn.put(.catalog, [255], [9]) },
                didCommit: { snapshot in commits.withLock { $0.append(snapshot) } }))
        try store.perform { txn in try txn.put(.catalog, [1], []) }
        try store.perform { _ in }
        #expect(throws: Refusal.self) { try store.perform { _ in throw Refusal() } }
        let reader = try store.makeReader()
        #expect(try reader.copy(.catalog, [255]) == [9])
        #expect(commits.withLock { $0 } == [reader.newestSnapshot()])
    }

    @Test func quotaRefusesWritesAndLetsDeletesThrough() throws {
        let store = try open { $0.quotaBytes = 16 << 20 }
        let filler = [UInt8](repeating: 3, count: 3000)
        var written = 0
        var refusal: (any Error)?
        while refusal == nil, written < 10_000 {
            let start = written
            do {
                try store.perform { txn in
                    for number in start..<start + 20 { try txn.put(.catalog, key(number), filler) }
                }
                written += 20
            } catch {
                refusal = error
            }
        }
        guard case StorageError.quotaExceeded(let used, let quota)? = refusal else {
            Issue.record("expected quotaExceeded, got \(String(describing: refusal))")
            return
        }
        #expect(quota == 16 << 20)
        #expect(used >= quota / 20 * 19)
        #expect(written > 3000)
        #expect(try store.makeReader().all(.catalog).count == written)
        let total = written
        for start in stride(from: 0, to: total / 2, by: 100) {
            try store.perform(OperationOptions(mayUseReserve: true)) { txn in
                for number in start..<start + 100 { _ = try txn.delete(.catalog, key(number)) }
            }
        }
        try store.perform { txn in try txn.put(.catalog, key(total), filler) }
        #expect(store.statistics().fileBytes <= 17 << 20)
        #expect(try store.verify().faultCount == 0)
    }

    /// Space that the last commits within the quota freed can be had again.
    @Test(arguments: 0..<12)
    func dropMakesRoomWithinTheQuota(round: Int) throws {
        let store = try open { $0.quotaBytes = UInt64(4 + round % 3) << 20 }
        let table = try store.perform { try $0.createTable() }
        let value = [UInt8](repeating: 7, count: 1_500 + round * 900)
        var key: UInt32 = 0
        #expect(throws: StorageError.self) {
            while true {
                try store.perform { [key] txn in
                    for place in 0..<UInt32(1 + round) {
                        let bytes = withUnsafeBytes(of: (key + place).bigEndian) { [UInt8]($0) }
                        try txn.put(table, bytes, value)
                    }
                }
                key += UInt32(1 + round)
            }
        }
        try store.perform(OperationOptions(mayUseReserve: true)) { try $0.dropTable(table) }
        for _ in 0..<1_000 where store.statistics().tablesDropping > 0 { usleep(10_000) }
        #expect(store.statistics().tablesDropping == 0)
        try store.perform { txn in
            let other = try txn.createTable()
            try txn.put(other, [1], value)
        }
    }

    /// A single operation larger than the quota is refused as a whole.
    @Test func anOperationBeyondTheQuotaLeavesNothing() throws {
        let store = try open { $0.quotaBytes = 16 << 20 }
        let filler = [UInt8](repeating: 3, count: 1 << 20)
        #expect(throws: StorageError.self) {
            try store.perform { txn in
                for number in 0..<40 { try txn.put(.catalog, key(number), filler) }
            }
        }
        #expect(try store.makeReader().all(.catalog).isEmpty)
        try store.perform { txn in try txn.put(.catalog, [1], [1]) }
    }

    @Test func closingFinishesWhatIsQueued() throws {
        let store = try open()
        let done = Mutex(0)
        for number in 0..<500 {
            store.submit { txn in
                try txn.put(.catalog, key(number), [])
            } completion: { result in
                if case .success = result { done.withLock { $0 += 1 } }
            }
        }
        store.close()
        #expect(done.withLock { $0 } == 500)
        #expect(throws: StorageError.closed) { try store.perform { _ in } }
        #expect(throws: StorageError.closed) { _ = try store.makeReader() }
    }

    @Test func aFullQueueSaysBusy() throws {
        let store = try open { $0.queuedOperationsMax = 4 }
        let hold = Monitor(false)
        store.submit { _ in
            _ = hold.wait(timeoutMillis: waitMillisMax) { $0 ? true : nil }
        } completion: {
            _ in
        }
        let busy = Mutex(0)
        for _ in 0..<20 {
            store.submit { _ in
            } completion: { result in
                if case .failure(let error) = result, error as? StorageError == .busy {
                    busy.withLock { $0 += 1 }
                }
            }
        }
        #expect(busy.withLock { $0 } >= 20 - 4 - 4)
        hold.withLock { $0 = true }
        hold.wake()
        store.close()
    }

    @Test func aBlockingWriteOnTheWriterIsRefused() throws {
        let store = try open()
        let refused = Monitor<StorageError?>(nil)
        store.submit { _ in
        } completion: { _ in
            do {
                try store.perform { _ in }
            } catch {
                refused.withLock { $0 = error as? StorageError }
                refused.wake()
            }
        }
        #expect(refused.wait(timeoutMillis: waitMillisMax) { $0 } == .wouldDeadlock)
    }

    /// The last reference may go away on the writer's own thread.
    @Test func closingFromACompletion() throws {
        let done = Monitor(false)
        var store: LMDBStore? = try open()
        let closing = store
        store?.submit { txn in
            try txn.put(.catalog, [1], [1])
        } completion: { _ in
            closing?.close()
            done.withLock { $0 = true }
            done.wake()
        }
        store = nil
        #expect(done.wait(timeoutMillis: waitMillisMax) { $0 ? true : nil } == true)
    }

    @Test func histogramsCountByPowersOfTwo() {
        var histogram = StoreStatistics.Histogram()
        for value: UInt64 in [0, 1, 2, 3, 4, 255, 256, .max] { histogram.record(value) }
        #expect(histogram.count == 8)
        #expect(histogram.max == .max)
        #expect(Array(histogram.buckets.prefix(9)) == [2, 2, 1, 0, 0, 0, 0, 1, 1])
        #expect(histogram.buckets[31] == 1)
    }
}
