// Running a union of scans: one after another, or merged in the order that each of them gives.
//
// A merge keeps the next entry of each branch: its record key and its document's sort key. In each
// slice the entries are looked up again, since documents may have changed since; within a slice,
// moving a branch on is one seek behind the key that it stands at. Where live and deleted documents
// are merged, a document may have gone from one branch to the other since, so each goes on behind
// the last document of all.

import BSON
import Query
import Storage

/// Where a union stands.
struct UnionState {
    /// One branch of a merge.
    struct Branch {
        var walk: RangeWalk
        /// The record key of the next document, and its sort key.
        var record: [UInt8] = []
        var key = KeyEncoder()
        var isEnded = false
    }

    /// The branch being scanned, where they are scanned one after another.
    var position = 0
    /// The branches of a merge.
    var branches: [Branch] = []
    /// The record key of the last document that a merge with deleted ones was done with, and the
    /// branch that has another one of that key, whose turn it is.
    var last: (record: [UInt8], twin: Int?)?

    /// The branch whose next document comes first; nil at the end. O(branches).
    var first: Int? {
        var first: Int?
        for index in branches.indices where !branches[index].isEnded {
            if let best = first,
                !KeyBytes.isLess(branches[index].key.bytes, branches[best].key.bytes)
            {
                continue
            }
            first = index
        }
        return first
    }
}

extension QueryCursor {
    /// Places the walk where the plan begins.
    func start(_ plan: QueryPlan) {
        guard case .union(let branches) = plan.access else {
            walk = RangeWalk(plan.ranges, isBackward: plan.isBackward)
            return
        }
        if plan.mergeOrder != nil {
            union.branches = branches.map {
                UnionState.Branch(walk: RangeWalk($0.ranges, isBackward: $0.isBackward))
            }
        } else if let first = branches.first {
            walk = RangeWalk(first.ranges, isBackward: first.isBackward)
        }
    }

    /// Nil at the end of the input.
    func scanUnion<Sink: DocumentSink>(
        _ branches: [QueryPlan], _ transaction: borrowing ReadTransaction,
        _ meter: inout BudgetMeter, _ sink: inout Sink
    ) throws -> ReadStatus? {
        if let order = plan?.mergeOrder {
            return try merge(branches, order, transaction, &meter, &sink)
        }
        while union.position < branches.count {
            let status = try scan(branches[union.position], transaction, &meter, &sink)
            if status != nil || hasEnough { return status }
            union.position += 1
            if union.position < branches.count {
                let next = branches[union.position]
                walk = RangeWalk(next.ranges, isBackward: next.isBackward)
            }
        }
        return nil
    }

    private func merge<Sink: DocumentSink>(
        _ plans: [QueryPlan], _ order: SortPattern, _ transaction: borrowing ReadTransaction,
        _ meter: inout BudgetMeter, _ sink: inout Sink
    ) throws -> ReadStatus? {
        guard let collection, let plan else { return nil }
        resumeBehindLast(plans)
        for index in plans.indices where !union.branches[index].isEnded {
            try place(index, plans[index], order, collection, transaction)
        }
        let needsDocuments = !plan.impliesMatch || !countsOnly
        let scope = scope(of: plan)
        while let index = union.first {
            let record = union.branches[index].record
            if !plan.deduplicates || !seen.contains(record.span.bytes) {
                let acceptance: Acceptance
                if case .trash = plans[index].access {
                    acceptance = try takeDeleted(record.span.bytes, scope, transaction, &sink)
                } else {
                    acceptance = try take(
                        record.span.bytes, collection, scope, needsDocuments: needsDocuments,
                        transaction, &sink)
                }
                if plan.deduplicates { note(record.span.bytes, acceptance) }
                switch acceptance {
                case .taken: noteLast(index, plans)
                case .takenBatchFull:
                    noteLast(index, plans)
                    union.branches[index].walk.passMark()
                    return .batchFull
                case .refused: return .batchFull
                case .deferred: return .budgetSpent
                case .finished:
                    hasEnough = true
                    return nil
                }
            }
            union.branches[index].walk.passMark()
            if meter.spend() { return .budgetSpent }
            try place(index, plans[index], order, collection, transaction)
        }
        return nil
    }

    /// Has every branch of a merge with deleted documents go on behind the last document.
    private func resumeBehindLast(_ plans: [QueryPlan]) {
        guard let last = union.last else { return }
        for (index, plan) in plans.enumerated() {
            let key = plan.access.keyPrefix + last.record
            union.branches[index].walk.resume(at: key, isDone: last.twin != index)
            union.branches[index].isEnded = false
        }
    }

    /// Notes the document that a merge is done with, where it has deleted ones.
    private func noteLast(_ index: Int, _ plans: [QueryPlan]) {
        guard source.scope != .live else { return }
        let record = union.branches[index].record.dropFirst(plans[index].access.keyPrefix.count)
        // An `_id` may be that of a live document and of a deleted one.
        let twin = plans.indices.dropFirst(index + 1).first { other in
            let branch = union.branches[other]
            return !branch.isEnded
                && branch.record.dropFirst(plans[other].access.keyPrefix.count) == record
        }
        union.last = ([UInt8](record), twin)
    }

    /// Finds the next entry of a branch, from where its walk stands, and the sort key there.
    private func place(
        _ index: Int, _ plan: QueryPlan, _ order: SortPattern, _ collection: CollectionEntry,
        _ transaction: borrowing ReadTransaction
    ) throws {
        let table =
            switch plan.access {
            case .index(let entry): entry.table
            case .trash: TableID.trash
            case .table, .nothing, .union: collection.table
            }
        var cursor = transaction.cursor(table)
        guard try union.branches[index].walk.start(&cursor) else {
            union.branches[index].isEnded = true
            return
        }
        union.branches[index].walk.suspend(cursor, isDone: false)
        union.branches[index].key.removeAll()
        if case .trash = plan.access {
            union.branches[index].record = [UInt8](copying: cursor.key)
            let deleted = try TrashRecord(try cursor.value())
            return try order.appendKey(of: deleted.document, to: &union.branches[index].key)
        }
        guard case .index = plan.access else {
            union.branches[index].record = [UInt8](copying: cursor.key)
            try order.appendKey(
                of: DocumentView(try cursor.value()), to: &union.branches[index].key)
            return
        }
        counters.keysExamined += 1
        guard let record = IndexEntryKey.record(in: cursor.key) else {
            throw DBError(
                .dataCorruptionDetected, "An index of \(namespace) holds a damaged key")
        }
        union.branches[index].record = [UInt8](copying: record)
        guard let value = try transaction.value(collection.table, record) else {
            throw danglingEntry
        }
        try order.appendKey(of: DocumentView(value), to: &union.branches[index].key)
    }
}
