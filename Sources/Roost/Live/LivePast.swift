// The result that a client has, rebuilt from today's: what its token says was then.
//
// The log behind the token names every document that changed since, with its image before. Rows
// without order follow from the images alone. For results that are kept the images are put back, in
// a draft over the snapshot (as a transaction's changes, in memory), and the query is run on that.

import BSON
import Query
import Storage

/// The state of one query at a token.
struct LivePast {
    /// Why the state can't be told.
    struct Unknown: Error {
        let reason: String
    }

    /// Most records that are gone over.
    static let recordsMax = 50_000
    /// Most bytes of documents that are put back.
    static let draftBytesMax = 16 << 20

    private let engine: RoostEngine
    private let request: LiveRequest
    private let view: ReadView
    private var collector: ChangeCollector
    /// The collections that the state stands on.
    private let names: Set<Namespace>

    init(_ engine: RoostEngine, _ request: LiveRequest, _ view: ReadView) {
        self.engine = engine
        self.request = request
        self.view = view
        names = Set([request.namespace] + request.foreign)
            .union(request.binding?.lookedUp.names ?? [])
        collector = ChangeCollector(names)
    }

    /// Collects what changed behind a token, up to the view's place `end`; answers why that is not
    /// known, or nil.
    /// - Throws: `invalidResumeToken` (260) for another query's token, and what keeps the log from
    ///   being read.
    mutating func collect(since token: LiveToken, until end: Timestamp) throws -> String? {
        guard token.query == request.hash else {
            throw DBError(
                .invalidResumeToken,
                "The token belongs to another live query; give the same filter, sort and other "
                    + "fields as before, or leave resumeAfter out")
        }
        guard token.epoch == request.epoch(engine.logEpoch) else {
            return request.binding == nil
                ? "the token belongs to another history: the data was restored or replaced since"
                : "the token belongs to another history, or to other rules or rights"
        }
        guard request.isRepeatable else {
            return
                "the rows depend on the order in which documents were read, or on the time, which "
                + "may be another now"
        }
        guard token.sequence <= end else {
            return "the token is newer than all changes: the last ones were lost"
        }
        var collector = collector
        let names = names
        let reason = try view.use { reader, _ in
            try reader.read { transaction -> String? in
                let place = LogPosition.behind(token.sequence)
                for name in names
                where place < (try TrimmedNames.last(in: .collection(name), transaction)) {
                    return "the changes behind the token are no longer kept"
                }
                let isWhole = try collector.collect(
                    behind: token.sequence, recordsMax: Self.recordsMax, transaction)
                return isWhole ? nil : "more changed since the token than is worth going over"
            }
        }
        self.collector = collector
        if let reason = reason.flatMap({ $0 }) { return reason }
        if collector.sets.contains(where: \.isUnknown) {
            return "a collection was dropped or renamed, or documents were deleted unseen"
        }
        return nil
    }

    /// Appends what became of the rows of a query that keeps none.
    /// - Throws: what filter and projection throw.
    func writeRows(
        _ projection: LiveProjection, into events: inout LiveEventWriter
    ) throws(DBError) {
        guard let set = collector.set(request.namespace) else { return }
        var scratch = MatchScratch()
        for change in set.changes {
            var matched = false
            if let before = change.before {
                matched = try request.filter.matches(set.image(before), &scratch)
            }
            var matches = false
            if let after = change.after {
                matches = try request.filter.matches(set.image(after), &scratch)
            }
            guard matched || matches else { continue }
            try events.append(
                change, of: set, projection, matched: matched, matches: matches, token: nil)
        }
    }

    /// The rows of a query that keeps them. Uses the view up: it shows the past then.
    /// - Throws: what the query throws.
    func rows(
        _ projection: LiveProjection, _ reader: Reader
    ) throws -> Result<[LiveRow], Unknown> {
        let bytes = collector.sets.reduce(0) { $0 + $1.byteCount }
        guard bytes <= Self.draftBytesMax else {
            return .failure(Unknown(reason: "more changed since the token than is worth undoing"))
        }
        let sets = collector.sets
        let undone = try view.use { reader, state -> Bool in
            let writer = WriterState(draftOf: state.catalog)
            defer { writer.log.discard() }
            reader.beginDraft(bytesMax: 4 * Self.draftBytesMax)
            for set in sets {
                guard let entry = state.catalog[set.namespace], entry.isClustered else {
                    // Of a capped collection the places are not known any more, and the documents
                    // of a time series have no `_id` of their own.
                    return set.changes.isEmpty
                }
                try reader.edit { transaction in
                    try Self.undo(set, in: entry, writer, &transaction)
                }
            }
            return true
        }
        guard undone == true else {
            return .failure(Unknown(reason: "changes of a capped collection can't be undone"))
        }
        let access = request.binding?.reading(isOfPast: true)
        let rows = try LiveRead.rows(request, view, engine, reader, projection, access)
        guard access?.lookups?.lookedUp.names.isSubset(of: names) ?? true else {
            return .failure(Unknown(reason: "rules look documents up of which it isn't known"))
        }
        return .success(rows)
    }

    /// Puts the images before back.
    private static func undo(
        _ set: ChangeSet, in entry: CollectionEntry, _ writer: WriterState,
        _ transaction: inout WriteTransaction
    ) throws {
        var key = KeyEncoder()
        writer.beginReplay(of: 0)
        for change in set.changes where change.before != nil || change.after != nil {
            _ = RecordKey.encode(set.id(change), entry.collation, into: &key)
            let before = change.before.map { [UInt8](copying: set.image($0).bytes) }
            try writer.replay(
                DraftChange(table: entry.table, key: key.bytes, value: before),
                isReplacement: false, in: entry, &transaction)
        }
        try writer.finishReplay(&transaction)
    }
}
