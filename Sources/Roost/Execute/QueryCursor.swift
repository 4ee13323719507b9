// A read under way: find, aggregate, count and distinct all run as one of these.
//
//     access path (Plan/)  ->  filter  ->  skip, limit, straight to the batch
//                                      or  PipelineExecution (sort, projection, stages)
//
// A cursor holds no snapshot between calls. Each call takes one, goes on behind the last key it was
// done with, and ends when the batch is full, the input is at its end or its budget is spent. The
// plan is made in the first snapshot, after which the flags of indexes are read: the writer sets
// them before the commit that needs them, so they are right for what the snapshot shows.
//
// Later snapshots may show later writes. A document that changes during the read may be met in its
// old or new form, or not at all if the change moves it; one that doesn't change is met once.

package import BSON
package import Query
import Storage

/// A read that hands its results out in batches.
///
/// One thread at a time uses it; `kill()` may be called from any.
// Unchecked: all mutable state belongs to the one thread that is in `advance`; the
// owner hands the cursor on only between calls.
package final class QueryCursor: @unchecked Sendable {
    /// What is read.
    package let namespace: Namespace
    /// What was looked at so far.
    package internal(set) var counters = ReadCounters()

    let engine: RoostEngine
    /// What follows the change log, in a change stream.
    let changes: ChangeFollower?
    let source: ReadSource
    /// What documents must match; bound to the collection's indexes once it is planned.
    private(set) var filter: Filter
    /// What results carry along besides their own fields.
    var metadata: ResultMetadata?
    /// A deleted document with what `$meta` tells of it.
    var deletedDocument = DocumentWriter()
    let countsOnly: Bool
    let needsArrayPosition: Bool
    /// The last document that a tailable read is done with.
    var tailKey: [UInt8]?
    /// Ends the read, also in the middle of a document.
    package let interrupt: Interrupt
    /// Whether one small document may mean much work.
    private let multiplies: Bool
    /// Reads other collections for stages that need them, in the snapshot of this read.
    let foreign: EngineForeignReader
    /// The catalog of the snapshot in use, while a call reads a view.
    var heldCatalog: CatalogSnapshot?
    /// Where a serializable transaction keeps what it reads; set with `heldCatalog`.
    var heldReads: ReadSet?
    /// Whether the read is part of another one, whose interrupt it has.
    let isNested: Bool

    /// The collection as it was when planned; nil before, and where there is none.
    var collection: CollectionEntry?
    var plan: QueryPlan?
    var rejectedPlans: [QueryPlan] = []
    /// What an app user sees of the collection; nil for those who bypass the rules.
    var sight: Sight?
    /// How many entries were counted of each plan, winner first.
    var estimates: [Int] = []
    var walk = RangeWalk(.all, isBackward: false)
    /// Makes documents from index keys, where those say all that is asked for.
    var covered: CoveredKeys?
    /// Leaps from value to value, in a distinct that an index answers.
    var distinctSkip: DistinctSkip?
    /// How far a $near has searched.
    var nearSearch: NearSearch?
    /// Whether this is explain's, which chooses anew and shows what it rejected.
    var isExplained = false {
        didSet { foreign.reports = isExplained ? [:] : nil }
    }
    /// The query's shape, where its plan is kept in the cache.
    var shapeText: String?
    /// Where a union stands.
    var union = UnionState()
    /// The parts of a scan that several threads work on.
    var parts: PartedScan?
    /// Whether the scan may be parted, as far as is known.
    var mayPart = true
    /// Whether no more results are wanted.
    var hasEnough = false
    var scratch: MatchScratch
    /// The most steps that matching one document may take in this call.
    var stepsMax = Int.max
    var seen = RecordKeySet()
    var output: ReadOutput
    /// How results are shown, where not as they are.
    var shape: ResultShape?
    /// Matches to leave out before the first, where no pipeline does that.
    var toSkip: Int
    /// Matches still wanted behind those, where no pipeline counts them; never 0.
    var wanted: Int
    /// Whether nothing more will come from the collection.
    var isInputEnded = false
    /// What this batch holds so far; goes on after `.budgetSpent`.
    var batch = BatchMeter()

    /// `interrupt`: that of the read of which this one is a part.
    init(_ engine: RoostEngine, _ source: ReadSource, partOf interrupt: Interrupt? = nil) {
        isNested = interrupt != nil
        let interrupt = interrupt ?? Interrupt(deadline: source.deadline)
        self.interrupt = interrupt
        foreign = EngineForeignReader(
            engine, interrupt, allowsDiskUse: source.allowsDiskUse, source.access)
        self.engine = engine
        self.source = source
        namespace = source.namespace
        filter = source.filter
        if case .changes(let request) = source {
            changes = ChangeFollower(engine, request, interrupt)
        } else {
            changes = nil
        }
        scratch = MatchScratch(interrupt)
        multiplies = source.multiplies
        countsOnly = source.countsOnly
        needsArrayPosition = source.needsArrayPosition
        output = .unplanned
        toSkip = source.skip
        wanted = source.limit == 0 ? .max : source.limit
    }

    // MARK: Reading

    /// Goes on until the batch is full, the results are at their end or the budget is spent; after
    /// `.budgetSpent` call again with the same sink.
    ///
    /// - Throws: `maxTimeMSExpired` (50), `cursorKilled` (237), `queryPlanKilled` (175) when the
    ///   collection or index was dropped, errors of evaluation and of the store. The cursor is at
    ///   its end then.
    package func advance<Sink: DocumentSink>(
        _ reader: Reader, _ limits: BatchLimits, _ budget: ReadBudget, into sink: inout Sink
    ) throws(DBError) -> ReadStatus {
        do {
            if !isNested { interrupt.goOn() }
            try interrupt.check()
            if multiplies, budget.isInPlace { return .budgetSpent }
            stepsMax = budget.stepsMax
            batch.limits = limits
            foreign.reader = reader
            defer { foreign.reader = nil }
            let status = try run(reader, budget, &sink)
            if status != .budgetSpent {
                batch = BatchMeter()
                if !isNested { interrupt.rest() }
            }
            return status
        } catch {
            isInputEnded = true
            output = .finished
            parts = nil
            throw DBError(engineFailure: error)
        }
    }

    /// As `advance`, slice after slice: for threads that may wait. Snapshots are short all the same.
    package func advanceFully<Sink: DocumentSink>(
        _ reader: Reader, documentsMax: Int, into sink: inout Sink
    ) throws(DBError) -> ReadStatus {
        let limits = BatchLimits(documentsMax: documentsMax)
        var status = ReadStatus.budgetSpent
        while status == .budgetSpent {
            status = try advance(reader, limits, .slice, into: &sink)
        }
        return status
    }

    /// The app user that the read is for; nil for those who bypass the rules.
    package var user: AppUser? { source.access?.user }

    /// Whether everything was read.
    package var isAtEnd: Bool { isInputEnded || hasEnough }

    /// What stages read of other collections, where this is explained.
    var foreignReports: [Namespace: ForeignReport] { foreign.reports ?? [:] }

    /// The collection that was read, as it was when the read was planned.
    package var readCollection: CollectionEntry? { collection }

    /// Whether the read has a time limit.
    package var hasTimeLimit: Bool { interrupt.hasTimeLimit }

    /// Makes the call that runs now, or the next one, throw `cursorKilled`, soon.
    package func kill() {
        interrupt.kill()
    }

    /// Memory held between calls, in bytes; roughly.
    package var memoryBytes: Int {
        var bytes = 1_024 + seen.byteCount + (changes?.memoryBytes ?? 0)
        if case .pipeline(let execution) = output { bytes += execution.memoryBytes }
        return bytes + (parts?.memoryBytes ?? 0)
    }

    private func run<Sink: DocumentSink>(
        _ reader: Reader, _ budget: ReadBudget, _ sink: inout Sink
    ) throws -> ReadStatus {
        if let view = source.view, heldCatalog == nil {
            let status = try view.use(mayWait: !budget.isInPlace) { reader, state in
                heldCatalog = state.catalog
                heldReads = view.reads
                foreign.reader = reader
                foreign.heldCatalog = state.catalog
                foreign.heldReads = view.reads
                defer {
                    heldCatalog = nil
                    foreign.heldCatalog = nil
                }
                return try run(reader, budget, &sink)
            }
            return status ?? .budgetSpent
        }
        // For the foreign reads of foreign reads.
        if heldCatalog != nil {
            foreign.heldCatalog = heldCatalog
            foreign.heldReads = heldReads
        }
        if let changes {
            return try changes.advance(reader, budget, &batch, &counters, &sink)
        }
        if try drain(&sink) { return .batchFull }
        if isInputEnded { return .exhausted }
        var meter = BudgetMeter(budget)
        if let heldCatalog {
            return try reader.read { transaction in
                if plan == nil { try makePlan(heldCatalog[namespace], transaction) }
                return try slice(transaction, &meter, &sink)
            }
        }
        while true {
            let before = collection ?? engine.collection(namespace)
            let status: ReadStatus? = try reader.read { transaction in
                guard try prepare(before, transaction) else { return nil }
                return try slice(transaction, &meter, &sink)
            }
            if let status { return status }
        }
    }

    // MARK: Planning

    /// Plans and reads nothing: for explain.
    func plan(_ reader: Reader) throws(DBError) {
        do {
            while plan == nil {
                let before = engine.collection(namespace)
                _ = try reader.read { transaction in try prepare(before, transaction) }
            }
        } catch {
            throw DBError(engineFailure: error)
        }
    }

    /// Plans in the first snapshot, and checks in later ones that the plan's tables still stand.
    /// False: the catalog changed around the snapshot; take another.
    private func prepare(
        _ before: CollectionEntry?, _ transaction: borrowing ReadTransaction
    ) throws(DBError) -> Bool {
        let now = engine.collection(namespace)
        if plan != nil {
            try checkStillThere(now)
            return true
        }
        guard before === now else { return false }
        // The snapshot may already be behind a drop that is yet to be published.
        if let now, now.view == nil, try !transaction.has(now.table) { return false }
        try makePlan(now, transaction)
        return true
    }

    private func makePlan(
        _ now: CollectionEntry?, _ transaction: borrowing ReadTransaction
    ) throws(DBError) {
        try checkTailable(now)
        if let access = source.access, !source.isCollectionless {
            try source.checkMayAsk(access)
            sight = try Sight(access, source, heldCatalog ?? engine.catalog, transaction)
        }
        var chosen: QueryPlan
        if let now, !source.readsNothing {
            collection = now
            if filter.needsIndexes, source.scope != .live { throw Planner.deletedHaveNoIndexes }
            filter = try filter.bound(to: now)
            if let sight { filter = sight.joined(filter) }
            nearSearch = NearSearch(filter, source)
            chosen = try choosePlan(now, transaction)
        } else {
            chosen = .nothing
        }
        if !source.readsNothing { heldReads?.note(namespace, filter) }
        if heldReads != nil, source.scope != .live {
            throw DBError(
                .operationNotSupportedInTransaction,
                "A serializable transaction can't read deleted documents: use a transaction with "
                    + "the read concern 'snapshot'")
        }
        if case .index(let index) = chosen.access, let collection, sight?.isOpen ?? true {
            covered = CoveredKeys(index, of: collection, source, chosen)
            chosen.coversProjection = covered != nil
        }
        if sight?.isOpen ?? true { distinctSkip = DistinctSkip(source, chosen) }
        chosen.leaps = distinctSkip != nil
        plan = chosen
        start(chosen)
        output = try source.output(chosen, resources)
        shape = ResultShape(source, chosen)
    }

    /// Plans what the filter asks for, or the part of it that a $near searches now.
    func choosePlan(
        _ now: CollectionEntry, _ transaction: borrowing ReadTransaction
    ) throws(DBError) -> QueryPlan {
        if let nearSearch { filter = nearSearch.filter }
        metadata = ResultMetadata(source, filter)
        var question = try source.question()
        question.filter = filter.root
        sight?.restrict(&question, filter)
        var planner = Planner(now, question)
        if !isExplained, source.scope == .live { planner.cache = engine.plans }
        var outcome = try planner.plan(transaction)
        if sight?.looksAtEach == true { outcome.winner.providesSort = false }
        shapeText = outcome.shape
        rejectedPlans = outcome.rejected
        estimates = outcome.estimates
        return outcome.winner
    }

    /// What the stages may use.
    var resources: ExecutionResources {
        var resources = ExecutionResources()
        resources.interrupt = interrupt
        resources.foreign = foreign
        resources.spillFolder = source.allowsDiskUse ? engine.temporaryFolder : nil
        return resources
    }

    private func checkStillThere(_ now: CollectionEntry?) throws(DBError) {
        guard let collection, now !== collection else { return }
        guard let now, now.uuid == collection.uuid else {
            throw DBError(
                .queryPlanKilled,
                "collection dropped or renamed while the query was running: \(namespace)")
        }
        for index in plan?.indexes ?? []
        where !now.indexes.contains(where: { $0.table == index.table }) {
            throw DBError(
                .queryPlanKilled, "query plan killed :: index '\(index.name)' dropped")
        }
    }
}

/// What a read looked at and found.
package struct ReadCounters: Sendable {
    /// Index entries.
    package var keysExamined = 0
    /// Documents.
    package var documentsExamined = 0
    /// Documents that passed the filter.
    package var matched = 0
    /// Results handed out.
    package var returned = 0
    /// Slices.
    package var slices = 0
    /// How many parts the scan was divided into, and by how many threads it was done; 0 where it
    /// was done in one piece.
    package var parts = 0
    package var threads = 0
}

/// Where matching documents go.
enum ReadOutput {
    case unplanned
    /// Straight to the batch.
    case direct
    /// They are only counted.
    case counting
    case pipeline(PipelineExecution)
    case finished
}

/// What a batch holds so far.
struct BatchMeter {
    var limits = BatchLimits()
    var documents = 0
    var bytes = 0

    /// What a reply's array adds to an element at most: type, index and zero byte.
    private static let elementBytes = 10

    /// Whether a document of that size still fits.
    func admits(byteCount: Int) -> Bool {
        documents == 0 ? limits.documentsMax > 0 : bytes + byteCount <= limits.bytesMax
    }

    var isFull: Bool { documents >= limits.documentsMax }

    mutating func add(byteCount: Int) {
        documents += 1
        bytes += byteCount + Self.elementBytes
    }
}
