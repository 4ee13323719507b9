// One slice of a read: entries in key order, the filter, and where matches go.

import BSON
import Query
import Storage

/// What became of a matching document.
enum Acceptance {
    /// Taken; more are wanted.
    case taken
    /// Taken, and the batch is full.
    case takenBatchFull
    /// Not taken: the batch has no room for it.
    case refused
    /// Taken or not: no more are wanted.
    case finished
    /// Not looked at: too much work for a thread that others wait for.
    case deferred
}

/// What a slice asks for each document, held once a slice: read from the cursor, an object, each
/// document would count references.
struct SliceScope {
    let plan: QueryPlan
    let filter: Filter
    /// Nil where matches don't go to a pipeline.
    let pipeline: PipelineExecution?
    /// What looks at each document before the filter does; nil where the filter says it all.
    let sight: Sight?
}

extension QueryCursor {
    /// The scope of this slice for one access path.
    func scope(of plan: QueryPlan) -> SliceScope {
        let pipeline: PipelineExecution? =
            if case .pipeline(let execution) = output { execution } else { nil }
        let sight = self.sight.flatMap { $0.looksAtEach ? $0 : nil }
        return SliceScope(plan: plan, filter: filter, pipeline: pipeline, sight: sight)
    }

    /// Scans until the batch is full, the budget spent or the input at its end.
    func slice<Sink: DocumentSink>(
        _ transaction: borrowing ReadTransaction, _ meter: inout BudgetMeter, _ sink: inout Sink
    ) throws -> ReadStatus {
        counters.slices += 1
        try sight?.begin(foreign.reader, heldCatalog ?? engine.catalog, transaction)
        if source.isTailable { return try sliceTail(transaction, &meter, &sink) }
        let status: ReadStatus?
        switch plan?.access {
        case .nothing?: status = nil
        case _ where nearSearch?.isRingEnded == true: status = nil
        case .union(let branches)?:
            status = try scanUnion(branches, transaction, &meter, &sink)
        case .table? where try mayScanParts(meter, transaction):
            status = try scanParts(transaction, &meter)
        default: status = try scan(plan ?? .nothing, transaction, &meter, &sink)
        }
        if let status = try status ?? goOnFarther(transaction, &sink) { return status }
        return try endInput(&sink)
    }

    /// The input is at its end: blocking stages give their results.
    private func endInput<Sink: DocumentSink>(_ sink: inout Sink) throws -> ReadStatus {
        isInputEnded = true
        try sight?.end()
        if let shapeText, let collection {
            engine.plans.check(
                collection, shapeText,
                examined: counters.keysExamined + counters.documentsExamined)
        }
        seen = RecordKeySet()
        union = UnionState()
        parts = nil
        if case .pipeline(let execution) = output {
            try execution.finish()
            if try drain(&sink) { return .batchFull }
        }
        return .exhausted
    }

    /// What stands for a document where only the number of them is of interest.
    static let emptyDocument: [UInt8] = [5, 0, 0, 0, 0]

    // MARK: Access paths

    /// One table or index, from where `walk` stands. Nil at the end of it.
    func scan<Sink: DocumentSink>(
        _ plan: QueryPlan, _ transaction: borrowing ReadTransaction, _ meter: inout BudgetMeter,
        _ sink: inout Sink
    ) throws -> ReadStatus? {
        switch plan.access {
        case .table: try scanTable(scope(of: plan), transaction, &meter, &sink)
        case .index(let index): try scanIndex(index, scope(of: plan), transaction, &meter, &sink)
        case .trash: try scanTrash(scope(of: plan), transaction, &meter, &sink)
        case .nothing, .union: nil
        }
    }

    /// Whether a scan stops behind an entry.
    enum ScanStop {
        case never
        /// No more is wanted.
        case forGood
        /// `walk` knows where to go on.
        case forNow(ReadStatus)
    }

    /// Whether a scan stops behind the entry at which `cursor` stands.
    @inline(__always)
    func stop(
        behind acceptance: Acceptance, _ cursor: borrowing ReadTransaction.Cursor,
        _ meter: inout BudgetMeter
    ) -> ScanStop {
        switch acceptance {
        case .taken: break
        case .takenBatchFull:
            walk.suspend(cursor, isDone: true)
            return .forNow(.batchFull)
        case .refused:
            walk.suspend(cursor, isDone: false)
            return .forNow(.batchFull)
        case .finished:
            hasEnough = true
            return .forGood
        case .deferred:
            walk.suspend(cursor, isDone: false)
            return .forNow(.budgetSpent)
        }
        guard meter.spend() else { return .never }
        walk.suspend(cursor, isDone: true)
        return .forNow(.budgetSpent)
    }

    /// The collection's own table. Nil at the end of the input.
    private func scanTable<Sink: DocumentSink>(
        _ scope: SliceScope, _ transaction: borrowing ReadTransaction, _ meter: inout BudgetMeter,
        _ sink: inout Sink
    ) throws -> ReadStatus? {
        guard let collection else { return nil }
        let plan = scope.plan
        if plan.isFullScan, try countWhole(collection, transaction) { return nil }
        let needsDocuments = !plan.impliesMatch || !countsOnly
        var cursor = transaction.cursor(collection.table)
        var isFound = try walk.start(&cursor)
        while isFound {
            let acceptance: Acceptance
            if plan.deduplicates, seen.contains(cursor.key) {
                acceptance = .taken
            } else {
                acceptance =
                    needsDocuments
                    ? try examine(try cursor.value(), scope, &sink)
                    : try accept(DocumentView(Self.emptyDocument.span.bytes), scope, &sink)
                if plan.deduplicates { note(cursor.key, acceptance) }
            }
            switch stop(behind: acceptance, cursor, &meter) {
            case .never: break
            case .forGood: return nil
            case .forNow(let status): return status
            }
            isFound = try walk.next(&cursor)
        }
        return nil
    }

    /// An index's entries and the documents they name. Nil at the end of the input.
    private func scanIndex<Sink: DocumentSink>(
        _ index: IndexEntry, _ scope: SliceScope, _ transaction: borrowing ReadTransaction,
        _ meter: inout BudgetMeter, _ sink: inout Sink
    ) throws -> ReadStatus? {
        guard let collection else { return nil }
        let plan = scope.plan
        let needsDocuments = !plan.impliesMatch || !countsOnly
        // Later snapshots may hold values that keys don't give back.
        if let covered, !covered.holds(index) { self.covered = nil }
        var cursor = transaction.cursor(index.table)
        var isFound = try walk.start(&cursor)
        while isFound {
            counters.keysExamined += 1
            let acceptance = try visit(
                cursor.key, collection, scope, needsDocuments: needsDocuments, transaction, &sink)
            switch stop(behind: acceptance, cursor, &meter) {
            case .never: break
            case .forGood: return nil
            case .forNow(let status): return status
            }
            if let value = distinctSkip?.value(of: cursor.key) {
                isFound = try walk.leap(over: value, &cursor)
            } else {
                isFound = try walk.next(&cursor)
            }
        }
        return nil
    }

    /// One index entry: its document, if it wasn't met before, matches and is wanted.
    private func visit<Sink: DocumentSink>(
        _ key: RawSpan, _ collection: CollectionEntry, _ scope: SliceScope, needsDocuments: Bool,
        _ transaction: borrowing ReadTransaction, _ sink: inout Sink
    ) throws -> Acceptance {
        guard let record = IndexEntryKey.record(in: key) else {
            throw DBError(
                .dataCorruptionDetected, "An index of \(namespace) holds a damaged key")
        }
        if scope.plan.deduplicates {
            // A document that was refused for want of room comes again: it isn't noted yet.
            guard !seen.contains(record) else { return .taken }
        }
        let acceptance =
            try takeCovered(key, scope, needsDocuments: needsDocuments, &sink)
            ?? take(
                record, collection, scope, needsDocuments: needsDocuments, transaction, &sink)
        if scope.plan.deduplicates { note(record, acceptance) }
        return acceptance
    }

    /// Nil where the key doesn't say all that is asked for.
    private func takeCovered<Sink: DocumentSink>(
        _ key: RawSpan, _ scope: SliceScope, needsDocuments: Bool, _ sink: inout Sink
    ) throws -> Acceptance? {
        guard covered != nil, needsDocuments else { return nil }
        return try takeCoveredSlowPath(key, scope, &sink)
    }

    @inline(never)
    private func takeCoveredSlowPath<Sink: DocumentSink>(
        _ key: RawSpan, _ scope: SliceScope, _ sink: inout Sink
    ) throws -> Acceptance? {
        guard covered?.read(key) == true, let bytes = covered?.bytes else { return nil }
        let document = DocumentView(bytes.span.bytes)
        if !scope.plan.impliesMatch {
            guard try scope.filter.matches(document, &scratch) else { return .taken }
        }
        return try accept(document, scope, &sink)
    }

    /// The document of a record key, which an index names.
    func take<Sink: DocumentSink>(
        _ record: RawSpan, _ collection: CollectionEntry, _ scope: SliceScope, needsDocuments: Bool,
        _ transaction: borrowing ReadTransaction, _ sink: inout Sink
    ) throws -> Acceptance {
        guard needsDocuments else {
            return try accept(DocumentView(Self.emptyDocument.span.bytes), scope, &sink)
        }
        guard let value = try transaction.value(collection.table, record) else {
            throw danglingEntry
        }
        return try examine(value, scope, &sink)
    }

    /// The error for an index entry without its document.
    var danglingEntry: DBError { Self.danglingEntry(namespace) }

    static func danglingEntry(_ namespace: Namespace) -> DBError {
        DBError(
            .dataCorruptionDetected,
            "An index of \(namespace) names a document that isn't there; run 'roost verify'")
    }

    /// Notes a document that was looked at, so that it isn't again.
    func note(_ record: RawSpan, _ acceptance: Acceptance) {
        switch acceptance {
        case .refused, .deferred: break
        case .taken, .takenBatchFull, .finished: _ = seen.insert(record)
        }
    }

    /// One document: the filter, and the results if it matches.
    func examine<Sink: DocumentSink>(
        _ bytes: RawSpan, _ scope: SliceScope, _ sink: inout Sink
    ) throws -> Acceptance {
        if scope.filter.stepsMax(byteCount: bytes.byteCount) > stepsMax { return .deferred }
        counters.documentsExamined += 1
        if let sight = scope.sight { return try examineSlowPath(bytes, scope, sight, &sink) }
        let document = DocumentView(bytes)
        if !scope.plan.impliesMatch || needsArrayPosition {
            guard try scope.filter.matches(document, &scratch) else { return .taken }
        }
        return try accept(document, scope, &sink)
    }

    /// One document of which the user may see a part: what is hidden is gone before the filter.
    @inline(never)
    private func examineSlowPath<Sink: DocumentSink>(
        _ bytes: RawSpan, _ scope: SliceScope, _ sight: Sight, _ sink: inout Sink
    ) throws -> Acceptance {
        guard let seen = try sight.see(DocumentView(bytes)) else { return .taken }
        let document = DocumentView(seen.span.bytes)
        guard try scope.filter.matches(document, &scratch) else { return .taken }
        return try accept(document, scope, &sink)
    }

    // MARK: Results

    private var isCounting: Bool {
        if case .counting = output { return true }
        return false
    }

    /// Counts all documents at once, where that is what is asked for.
    private func countWhole(
        _ collection: CollectionEntry, _ transaction: borrowing ReadTransaction
    ) throws(DBError) -> Bool {
        guard isCounting, filter.isEmpty, source.scope == .live, sight?.isOpen ?? true else {
            return false
        }
        let total = max(0, Int(try transaction.count(collection.table)) - toSkip)
        counters.matched = min(total, wanted)
        return true
    }

    /// Counts one match; mustn't be called when none is wanted.
    private func acceptCounted() -> Acceptance {
        if toSkip > 0 {
            toSkip -= 1
            return .taken
        }
        counters.matched += 1
        wanted -= 1
        return wanted == 0 ? .finished : .taken
    }

    /// A document passed the filter.
    func accept<Sink: DocumentSink>(
        _ document: DocumentView, _ scope: SliceScope, _ sink: inout Sink
    ) throws -> Acceptance {
        if let pipeline = scope.pipeline {
            counters.matched += 1
            let wantsMore = try push(document, to: pipeline)
            if pipeline.readyCount > 0, try drain(&sink) {
                return wantsMore ? .takenBatchFull : .finished
            }
            return wantsMore ? .taken : .finished
        }
        switch output {
        case .direct:
            if toSkip > 0 {
                toSkip -= 1
                return .taken
            }
            guard batch.admits(byteCount: document.bytes.byteCount) else { return .refused }
            counters.matched += 1
            deliver(document, &sink)
            wanted -= 1
            if wanted == 0 { return .finished }
            return batch.isFull ? .takenBatchFull : .taken
        case .counting: return acceptCounted()
        case .pipeline, .unplanned, .finished: return .finished
        }
    }

    /// Gives a match to the pipeline, with its metadata where some is wanted.
    private func push(
        _ document: DocumentView, to execution: PipelineExecution
    ) throws(DBError) -> Bool {
        if metadata == nil {
            return try execution.push(document, arrayPosition: scratch.arrayPosition)
        }
        guard try metadata?.add(to: document) == true else { return true }
        let bytes = metadata?.bytes ?? []
        return try execution.push(
            DocumentView(bytes.span.bytes), arrayPosition: scratch.arrayPosition)
    }

    private func deliver<Sink: DocumentSink>(_ document: DocumentView, _ sink: inout Sink) {
        if metadata != nil, carriesMetadata {
            deliverBareSlowPath(document, &sink)
        } else if shape != nil {
            deliverShapedSlowPath(document, &sink)
        } else {
            sink.append(document)
            batch.add(byteCount: document.bytes.byteCount)
        }
        counters.returned += 1
    }

    /// Whether results still carry the metadata that was laid behind their fields.
    private var carriesMetadata: Bool {
        if case .pipeline = output { return true }
        return metadata?.carriesDeletion == true
    }

    @inline(never)
    private func deliverBareSlowPath<Sink: DocumentSink>(
        _ document: DocumentView, _ sink: inout Sink
    ) {
        metadata?.remove(from: document)
        let bytes = metadata?.bytes ?? []
        let bare = DocumentView(bytes.span.bytes)
        if shape != nil { return deliverShapedSlowPath(bare, &sink) }
        sink.append(bare)
        batch.add(byteCount: bytes.count)
    }

    @inline(never)
    private func deliverShapedSlowPath<Sink: DocumentSink>(
        _ document: DocumentView, _ sink: inout Sink
    ) {
        shape?.apply(document)
        guard let bytes = shape?.bytes else { return }
        sink.append(DocumentView(bytes.span.bytes))
        batch.add(byteCount: bytes.count)
    }

    /// Moves finished results of the pipeline to the batch; true when the batch is full and there
    /// may be more.
    func drain<Sink: DocumentSink>(_ sink: inout Sink) throws(DBError) -> Bool {
        guard case .pipeline(let execution) = output else { return false }
        while !batch.isFull {
            let isTaken = try execution.withNext { document -> Bool in
                guard batch.admits(byteCount: document.bytes.byteCount) else { return false }
                deliver(document, &sink)
                return true
            }
            guard let isTaken else { return false }
            guard isTaken else { return true }
            execution.removeFirst()
        }
        return !(isInputEnded && execution.isExhausted)
    }
}
