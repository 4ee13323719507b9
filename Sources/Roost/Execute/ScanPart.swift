// One part of a scan: a range of a collection's keys, the filter, and what becomes of matches there.

import BSON
import Query
import Storage

/// What all parts of a scan have in common.
struct PartTask: Sendable {
    let table: TableID
    let filter: Filter
    /// Whether every document matches.
    let impliesMatch: Bool
    /// Whether documents must be looked at, not only counted.
    let needsDocuments: Bool
    let interrupt: Interrupt
}

/// A part, begun or not.
// Unchecked: whoever has claimed the part from its PartedScan uses it, one thread at a time.
final class ScanPart: @unchecked Sendable {
    /// The keys of the part.
    let range: SplitRange
    /// What was looked at so far.
    private(set) var counters = ReadCounters()
    /// What takes matches in; nil where they are only counted.
    let execution: PipelineExecution?

    private let task: PartTask
    /// A filter of its own: threads that count references to one object wait for each other.
    private let filter: Filter
    /// Reads other collections for the execution, in the snapshot of the slice.
    private let foreign: EngineForeignReader?
    private var walk: RangeWalk
    private var scratch: MatchScratch

    init(
        _ range: SplitRange, _ task: PartTask, _ execution: PipelineExecution?,
        _ foreign: EngineForeignReader?
    ) {
        self.range = range
        self.task = task
        filter = Filter(task.filter.root, collation: task.filter.collation)
        self.execution = execution
        self.foreign = foreign
        walk = RangeWalk(KeyRanges(low: range.low, high: range.high), isBackward: false)
        scratch = MatchScratch(task.interrupt)
    }

    private static let emptyDocument: [UInt8] = [5, 0, 0, 0, 0]

    /// Goes on until the end of the part, where it answers true, or until the slice should end.
    /// `transaction` is what `reader` reads now; `mustStop` is asked now and then.
    ///
    /// - Throws: errors of evaluation, of the store, and of an execution that holds too much.
    func advance(
        _ transaction: borrowing ReadTransaction, of reader: Reader, _ meter: inout BudgetMeter,
        _ mustStop: () -> Bool
    ) throws -> Bool {
        foreign?.reader = reader
        defer { foreign?.reader = nil }
        guard try scan(transaction, &meter, mustStop) else { return false }
        try execution?.finishPart()
        return true
    }

    private func scan(
        _ transaction: borrowing ReadTransaction, _ meter: inout BudgetMeter,
        _ mustStop: () -> Bool
    ) throws -> Bool {
        var cursor = transaction.cursor(task.table)
        var isFound = try walk.start(&cursor)
        while isFound {
            if task.needsDocuments {
                counters.documentsExamined += 1
                let document = DocumentView(try cursor.value())
                if try task.impliesMatch || filter.matches(document, &scratch) {
                    try take(document)
                }
            } else {
                try take(DocumentView(Self.emptyDocument.span.bytes))
            }
            if meter.spend() || (meter.isLookDue && mustStop()) {
                walk.suspend(cursor, isDone: true)
                return false
            }
            isFound = try walk.next(&cursor)
        }
        return true
    }

    @inline(__always)
    private func take(_ document: DocumentView) throws(DBError) {
        counters.matched += 1
        if let execution { _ = try execution.push(document, arrayPosition: nil) }
    }
}
