// A result that is kept, because a change alone does not say what becomes of it.
//
//   windows    the rows in order with a spare tail (LiveWindow)
//   groups     the states of the accumulators (MaintainedGroups), and each row as it was told last
//   the rest   all rows; read again when a document of theirs changes
//
// Changes are noted one by one; `settle` then compares what was told with what is. A result that
// must be read again, or whose stages take long, is replaced by a new one, which the reader pool
// makes (LiveRefresh.swift).

import BSON
import Query
import Storage

/// A kept result.
// Unchecked: belongs to the thread that makes it, and once it is installed to the lock of
// `LiveQueries`; what `init(runningStagesOf:)` touches, to the thread that runs it, since changes
// are not noted then.
final class LiveResult: @unchecked Sendable {
    private enum Kind {
        case window(LiveWindow, SortPattern)
        case groups(MaintainedGroups)
        case reread
    }

    /// What `settle` has come to.
    enum Settlement {
        /// All was told.
        case done
        /// The result must be read again; `isTold` where this pass's changes were told all the same.
        case stale(isTold: Bool)
        /// Nothing was told: `init(runningStagesOf:)` makes the result that is to be.
        case stages
    }

    /// How long stages behind groups may take in one pass of the matcher, those of all queries
    /// together, in nanoseconds; what takes longer is done elsewhere.
    static let stageNanosMax: UInt64 = 500_000

    /// Most bytes that groups' states may take.
    private static let groupBytesMax = 256 << 20

    /// What subscribers were told; without order, of groups in that of their making.
    private(set) var rows: [LiveRow] = []
    /// Whether the result must be read again.
    private(set) var isStale = false

    /// What the rules looked up for it.
    private(set) var lookedUp = LookedUp()

    private let request: LiveRequest
    private let projection: LiveProjection
    private var kind: Kind
    /// Rows of groups as they were told, where no stage stands behind $group.
    private var told: [OwnedValue: [UInt8]] = [:]
    private var encoder = KeyEncoder()
    /// How long the stages behind $group took last, in nanoseconds.
    private var stageNanos: UInt64 = 0

    /// Reads the result in a view.
    /// - Throws: what the query throws.
    init(
        _ request: LiveRequest, _ view: ReadView, _ engine: RoostEngine, _ reader: Reader
    ) throws(DBError) {
        self.request = request
        projection = LiveProjection(request.projection, request.asked)
        lookedUp = request.binding?.lookedUp ?? LookedUp()
        kind = .reread
        try read(view, engine, reader)
    }

    /// The result that `other` comes to by the groups that it keeps, which it shares; nil where it
    /// must be read again.
    /// - Throws: what the stages throw.
    init?(runningStagesOf other: LiveResult) throws(DBError) {
        request = other.request
        projection = other.projection
        kind = other.kind
        guard case .groups(let groups) = other.kind,
            case .pipeline(let pipeline, _) = other.request.shape
        else { return nil }
        groups.forgetEmptyTouched()
        rows = try rest(of: pipeline, groups)
        if isStale { return nil }
    }

    /// All rows.
    var all: [LiveRow] {
        told.isEmpty ? rows : told.map { LiveRow(id: $0.key, document: $0.value) }
    }

    // MARK: Reading

    private func read(
        _ view: ReadView, _ engine: RoostEngine, _ reader: Reader
    ) throws(DBError) {
        isStale = false
        switch request.shape {
        case _ where request.isReread: try readAll(view, engine, reader)
        case .window(let sort, let skip, let limit):
            var window = LiveWindow(skip: skip, limit: limit)
            try fill(&window, sort, view, engine, reader)
            kind = .window(window, sort)
            rows = window.visible
        case .pipeline(let pipeline, _):
            guard let groups = request.maintainedGroups(pipeline) else { fallthrough }
            try collect(groups, pipeline, view, engine, reader)
        case .rows: try readAll(view, engine, reader)
        }
    }

    private func readAll(
        _ view: ReadView, _ engine: RoostEngine, _ reader: Reader
    ) throws(DBError) {
        kind = .reread
        let access = request.binding?.reading()
        rows = try LiveRead.rows(request, view, engine, reader, projection, access)
        if request.isReread { lookedUp = access?.lookups?.lookedUp ?? LookedUp() }
    }

    private func fill(
        _ window: inout LiveWindow, _ sort: SortPattern, _ view: ReadView?,
        _ engine: RoostEngine, _ reader: Reader
    ) throws(DBError) {
        var find = FindRequest(request.namespace, filter: request.filter)
        find.sort = LiveRequest.document(sort)
        find.limit = window.capacity
        find.view = view
        var entries: [LiveWindow.Entry] = []
        try LiveRead.documents(.find(find), engine, reader) { document throws(DBError) in
            entries.append(
                LiveWindow.Entry(key: try key(of: document, sort), row: try row(of: document)))
        }
        window.fill(entries, isComplete: entries.count < window.capacity)
    }

    private func key(of document: DocumentView, _ sort: SortPattern) throws(DBError) -> [UInt8] {
        encoder.removeAll()
        try sort.appendKey(of: document, to: &encoder)
        return encoder.bytes
    }

    private func row(of document: DocumentView) throws(DBError) -> LiveRow {
        var writer = DocumentWriter()
        try projection.write(document, into: &writer)
        return LiveRow(id: LiveRead.id(of: document), document: writer.take())
    }

    /// Reads the documents of groups.
    private func collect(
        _ groups: MaintainedGroups, _ pipeline: Pipeline, _ view: ReadView,
        _ engine: RoostEngine, _ reader: Reader
    ) throws(DBError) {
        var find = FindRequest(request.namespace, filter: request.filter)
        find.view = view
        try LiveRead.documents(.find(find), engine, reader) { document throws(DBError) in
            try groups.change(document, by: 1)
            guard groups.byteCount <= Self.groupBytesMax else { throw LiveRead.tooLarge }
        }
        _ = groups.takeTouched()
        var isKnown = true
        var writer = DocumentWriter()
        for (number, _) in groups.all where isKnown {
            writer.removeAll()
            if case .unknown = groups.writeRow(number, into: &writer) { isKnown = false }
        }
        guard isKnown else {
            // Numbers that can't be taken away again exactly.
            return try readAll(view, engine, reader)
        }
        kind = .groups(groups)
        if groups.stageCount == pipeline.stages.count {
            for (number, id) in groups.all {
                writer.removeAll()
                _ = groups.writeRow(number, into: &writer)
                told[id] = writer.bytes
            }
            guard told.count <= LiveRead.rowsMax else { throw LiveRead.tooLarge }
        } else {
            rows = try rest(of: pipeline, groups)
        }
    }

    /// The rows of all groups behind the stages that follow.
    private func rest(
        of pipeline: Pipeline, _ groups: MaintainedGroups
    ) throws(DBError) -> [LiveRow] {
        let start = MonotonicClock.nanoseconds
        defer { stageNanos = MonotonicClock.nanoseconds &- start }
        let execution = PipelineExecution(pipeline, skippingLeading: groups.stageCount)
        var writer = DocumentWriter()
        for (number, _) in groups.all {
            writer.removeAll()
            if case .unknown = groups.writeRow(number, into: &writer) { isStale = true }
            let bytes = writer.bytes
            guard try execution.push(DocumentView(bytes.span.bytes), arrayPosition: nil) else {
                break
            }
        }
        try execution.finish()
        var rows: [LiveRow] = []
        var seen: Set<OwnedValue> = []
        while true {
            let row = try execution.withNext { document throws(DBError) in
                LiveRow(
                    id: LiveRead.id(of: document), document: [UInt8](copying: document.bytes))
            }
            guard let row else { return rows }
            guard seen.insert(row.id).inserted else { throw LiveRead.twice }
            rows.append(row)
            execution.removeFirst()
        }
    }

    // MARK: Changes

    /// Something that the result depends on in a way that is not followed has changed.
    func markStale() {
        isStale = true
    }

    /// A document that matched, or matches now, has changed.
    /// - Throws: what expressions throw.
    func note(
        _ before: DocumentView?, _ after: DocumentView?, matched: Bool, matches: Bool
    ) throws(DBError) {
        if isStale { return }
        switch kind {
        case .reread: isStale = true
        case .groups(let groups):
            if matched, let before { try groups.change(before, by: -1) }
            if matches, let after { try groups.change(after, by: 1) }
        case .window(var window, let sort):
            // Taken out, so that the change is made in place.
            kind = .reread
            if matched, let before { window.remove(try key(of: before, sort)) }
            if matches, let after {
                try window.insert(try key(of: after, sort), try row(of: after))
            }
            kind = .window(window, sort)
        }
    }

    /// Appends what became of the rows, as far as that takes no long time. `stageNanosLeft` is how
    /// long stages behind groups may take.
    /// - Throws: what the query throws.
    func settle(
        _ token: String, _ stageNanosLeft: inout UInt64, into events: inout LiveEventWriter
    ) throws(DBError) -> Settlement {
        if isStale { return .stale(isTold: false) }
        let old = rows
        switch kind {
        case .reread: return .done
        case .window(let window, _):
            isStale = window.needsRefill
            // The spare tail may run short before rows are missing.
            guard window.isKnown else { return .stale(isTold: false) }
            rows = window.visible
        case .groups(let groups):
            guard case .pipeline(let pipeline, _) = request.shape else { return .done }
            if groups.stageCount == pipeline.stages.count {
                isStale = !settle(groups, token, &events)
                return isStale ? .stale(isTold: false) : .done
            }
            // They take as long as the last time, mostly.
            if stageNanos > stageNanosLeft { return .stages }
            groups.forgetEmptyTouched()
            let next = try rest(of: pipeline, groups)
            stageNanosLeft -= min(stageNanosLeft, stageNanos)
            if isStale { return .stale(isTold: false) }
            rows = next
        }
        LiveDifference.write(
            from: old, to: rows, isOrdered: request.isOrdered, token: token, into: &events)
        return isStale ? .stale(isTold: true) : .done
    }

    /// Tells the rows of the groups that changed; false where one is not known.
    private func settle(
        _ groups: MaintainedGroups, _ token: String, _ events: inout LiveEventWriter
    ) -> Bool {
        var writer = DocumentWriter()
        var pending = LiveEventWriter()
        var changed: [(OwnedValue, [UInt8]?)] = []
        for (number, id) in groups.takeTouched() {
            writer.removeAll()
            switch groups.writeRow(number, into: &writer) {
            case .unknown: return false
            case .absent:
                if told[id] != nil {
                    pending.append(.removed, id: id.view, nil, token: token)
                    changed.append((id, nil))
                }
                groups.forgetEmpty(number)
            case .present:
                let row = writer.bytes
                if told[id] == row { continue }
                pending.append(
                    told[id] == nil ? .added : .changed, id: id.view,
                    DocumentView(row.span.bytes), token: token)
                changed.append((id, row))
            }
        }
        for (id, row) in changed { told[id] = row }
        events.append(contentsOf: pending)
        return true
    }
}
