// A scan of a collection by several threads.
//
// The range of keys is divided into parts, each with a filter scratch and a pipeline of its own. The
// thread that runs the read works on the parts, and idle threads of the reader pool help it, slice
// by slice, all in the same snapshot: whoever is free claims the first part that nobody works on. At
// the end of a slice everybody puts down the part at hand, and the read waits for its helpers, so
// nothing of a scan runs between its slices.
//
//     waiting  ->  claimed  ->  done
//        ^            |   \->  failed: whatever went wrong, the read itself meets it again
//        '------------'  the slice ended

import BSON
import Query
import Storage
import Synchronization

/// The parts of a scan and who works on them.
final class PartedScan: Sendable {
    private enum Phase {
        case waiting
        case claimed
        case done
        case failed
    }

    private struct State {
        var phases: [Phase]
        /// Helpers may join the slice of this number, while it is open.
        var slice = 0
        var isOpen = false
        var helpers = 0
        /// The most threads that worked in one slice.
        var threadsMax = 1
        /// Parts before this one were taken.
        var head = 0
    }

    private let parts: [ScanPart]
    private let state: Monitor<State>
    private let isStopping = Atomic<Bool>(false)

    init(_ parts: [ScanPart]) {
        self.parts = parts
        state = Monitor(State(phases: Array(repeating: .waiting, count: parts.count)))
    }

    var count: Int { parts.count }
    /// The most threads that worked in one slice.
    var threads: Int { state.withLock(\.threadsMax) }
    /// What the parts hold; between slices only.
    var memoryBytes: Int { parts.reduce(0) { $0 + ($1.execution?.memoryBytes ?? 0) } }

    /// Whether a part failed, so that the read should go on alone.
    var hasFailed: Bool { state.withLock { $0.phases.contains { $0 == .failed } } }

    /// The first part that wasn't taken, and whether it is done; nil when all were taken. Between
    /// slices only.
    var first: (part: ScanPart, isDone: Bool)? {
        state.withLock { state in
            guard state.head < parts.count else { return nil }
            return (parts[state.head], state.phases[state.head] == .done)
        }
    }

    /// Takes the first part off.
    func removeFirst() {
        state.withLock { $0.head += 1 }
    }

    // MARK: Slices

    /// Works on the parts until all are done or the meter is spent, with as many helpers as are idle.
    /// `transaction` is what `reader` reads now.
    func runSlice(
        _ pool: ReaderPool, _ transaction: borrowing ReadTransaction, of reader: Reader,
        _ meter: inout BudgetMeter
    ) {
        isStopping.store(false, ordering: .relaxed)
        let slice = state.withLock { state in
            state.slice += 1
            state.isOpen = true
            return state.slice
        }
        callHelpers(pool, transaction.snapshotID, slice, meter)
        work(transaction, of: reader, &meter) { isStopping.load(ordering: .relaxed) }
        let isSpent = state.withLock { state in
            state.isOpen = false
            return state.phases.contains { $0 == .waiting }
        }
        // Where parts are left the time is over, for helpers too.
        if isSpent { isStopping.store(true, ordering: .relaxed) }
        _ = state.wait(timeoutMillis: nil) { $0.helpers == 0 ? true : nil }
    }

    private func callHelpers(
        _ pool: ReaderPool, _ snapshotID: UInt64, _ slice: Int, _ meter: borrowing BudgetMeter
    ) {
        let waiting = state.withLock { $0.phases.count { $0 == .waiting } }
        let limit = meter.limit
        var wanted = waiting - 1
        while wanted > 0 {
            let isCalled = pool.help(snapshotID) { [self] reader in
                help(reader, slice, limit, pool)
            }
            guard isCalled else { return }
            wanted -= 1
        }
    }

    /// What a helper does: nothing if it comes late.
    private func help(
        _ reader: Reader, _ slice: Int, _ limit: BudgetMeter.Limit, _ pool: ReaderPool
    ) {
        let mayJoin = state.withLock { state in
            guard state.isOpen, state.slice == slice else { return false }
            state.helpers += 1
            state.threadsMax = max(state.threadsMax, state.helpers + 1)
            return true
        }
        guard mayJoin else { return }
        var meter = BudgetMeter(limit)
        reader.read { transaction in
            work(transaction, of: reader, &meter) {
                isStopping.load(ordering: .relaxed) || pool.hasWaitingJobs
            }
        }
        state.withLock { $0.helpers -= 1 }
        state.wake()
    }

    /// Claims part after part and works on them.
    private func work(
        _ transaction: borrowing ReadTransaction, of reader: Reader, _ meter: inout BudgetMeter,
        _ mustStop: () -> Bool
    ) {
        while let index = claim() {
            let phase: Phase
            do {
                let isDone = try parts[index].advance(transaction, of: reader, &meter, mustStop)
                phase = isDone ? .done : .waiting
            } catch {
                phase = .failed
                isStopping.store(true, ordering: .relaxed)
            }
            state.withLock { $0.phases[index] = phase }
            if phase != .done || meter.isSpent { return }
        }
    }

    private func claim() -> Int? {
        state.withLock { state in
            guard state.isOpen,
                let index = state.phases.firstIndex(where: { $0 == .waiting })
            else { return nil }
            state.phases[index] = .claimed
            return index
        }
    }
}

extension QueryCursor {
    /// The most parts for each thread: more spread the work evenly, and cost more to put together.
    private static let partsPerThread = 4
    /// The most memory that the pipelines of all parts take together. A read that needs more has so
    /// many groups that putting them together costs as much as scanning.
    private static let partedBytesMax = 16 << 20

    /// Whether this slice works on parts, which are made when it is the first that may.
    func mayScanParts(
        _ meter: borrowing BudgetMeter, _ transaction: borrowing ReadTransaction
    ) throws(DBError) -> Bool {
        if parts != nil { return true }
        guard mayPart, !meter.limit.isInPlace else { return false }
        // Asked once: what can't be parted at first can't later.
        mayPart = false
        let threads = engine.readerPool.helpersMax + 1
        guard threads > 1, let task = partTask, let rest = walk.rest else { return false }
        let keys = transaction.splitKeys(
            task.table, rest, partsMax: threads * Self.partsPerThread,
            partBytesMin: engine.scanPartBytes)
        guard !keys.isEmpty else { return false }
        var made: [ScanPart] = []
        let bytesMax = Self.partedBytesMax / (keys.count + 1)
        for (low, high) in zip([rest.low] + keys, keys + [rest.high]) {
            var twin: PipelineExecution?
            var foreign: EngineForeignReader?
            if case .pipeline(let execution) = output {
                foreign = EngineForeignReader(
                    engine, interrupt, allowsDiskUse: source.allowsDiskUse, source.access)
                twin = execution.twin(memoryBytesMax: bytesMax, foreign: foreign)
                guard twin != nil else { return false }
            }
            made.append(ScanPart(SplitRange(low: low, high: high), task, twin, foreign))
        }
        parts = PartedScan(made)
        return true
    }

    /// What parts would do; nil for a scan that must be done in one piece.
    private var partTask: PartTask? {
        guard !isNested, heldCatalog == nil, let plan, let collection, !plan.deduplicates,
            metadata == nil, !needsArrayPosition, sight?.isSelfContained ?? true
        else { return nil }
        switch output {
        case .counting:
            // What is skipped or enough depends on the order.
            guard toSkip == 0, source.limit == 0, !filter.isEmpty || !plan.isFullScan else {
                return nil
            }
        case .pipeline(let execution): guard execution.takesParts else { return nil }
        case .direct, .unplanned, .finished: return nil
        }
        return PartTask(
            table: collection.table, filter: filter, impliesMatch: plan.impliesMatch,
            needsDocuments: !plan.impliesMatch || !countsOnly, interrupt: interrupt)
    }

    /// A slice of the scan by all threads that are free. Nil at the end of the input.
    func scanParts(
        _ transaction: borrowing ReadTransaction, _ meter: inout BudgetMeter
    ) throws(DBError) -> ReadStatus? {
        guard let parts, let reader = foreign.reader else { return nil }
        parts.runSlice(engine.readerPool, transaction, of: reader, &meter)
        try interrupt.check()
        var isExact = true
        while isExact, let first = parts.first, first.isDone {
            isExact = try takeIn(first.part)
            if isExact { parts.removeFirst() }
        }
        guard let left = parts.first else {
            counters.parts = parts.count
            counters.threads = parts.threads
            return nil
        }
        if !isExact || parts.hasFailed {
            // In one piece from here on: that gives the right sum, or meets the failure in order.
            walk = walk.beginning(at: left.part.range.low)
            self.parts = nil
        }
        return .budgetSpent
    }

    /// Adds what a part found to what this read has found before it; false, and nothing was added,
    /// where that might make a difference.
    private func takeIn(_ part: ScanPart) throws(DBError) -> Bool {
        if case .pipeline(let execution) = output, let twin = part.execution {
            guard try execution.append(twin) else { return false }
        }
        counters.documentsExamined += part.counters.documentsExamined
        counters.matched += part.counters.matched
        return true
    }
}
