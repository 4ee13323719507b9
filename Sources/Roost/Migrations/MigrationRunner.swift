// Runs groups of migrations, a step a call. All it knows between two calls is in the database, in
// the same commits as the changes: whoever calls next goes on where the last one, its server or its
// machine stopped.
//
//     begin     takes the lock and writes down the group: what goes up or down, in which order
//     step      one batch of documents, one change of the schema, or a migration that is small as a
//               whole; after an error the newest batch is taken back; in the end, tidying up
//
// Migrations.md says what is atomic. The command `migrate`, `roost serve --migrations` and
// `Database.migrate` all come here, on the thread of `MigrationWorker`.

import BSON
import Query

/// One call's look at a database's migrations.
struct MigrationRunner {
    let store: MigrationStore
    /// Who holds the lock.
    let owner: String
    /// How long the lock holds after the last step.
    let leaseMillis: Int64

    init(
        _ engine: RoostEngine, database: String, owner: String,
        leaseMillis: Int64 = MigrationRunner.leaseMillis
    ) throws(DBError) {
        try Namespace.validate(database: database)
        store = try MigrationStore(engine, database)
        self.owner = owner
        self.leaseMillis = leaseMillis
    }

    /// How long a lock holds whose owner is silent, where the owner doesn't say.
    static let leaseMillis: Int64 = 10_000

    // MARK: Lock

    /// Takes the lock, or holds it longer.
    private func lock(_ transaction: Transaction) throws(DBError) {
        let now = LogicalClock.wallMillis
        let found = try store.document(
            MigrationNames.lock, in: MigrationNames.records, transaction)
        if let found, let holder = found.text("owner"), holder != owner,
            case .date(let until)? = found["until"], until > now
        {
            throw DBError(
                .conflictingOperationInProgress,
                "migrations of '\(store.database)' are run by \(holder); if that has ended, its "
                    + "lock ends in \((until - now) / 1_000 + 1) s. Try again then")
        }
        try hold(transaction, now)
    }

    /// Checks that the lock is still held, and holds it longer.
    func keepLock(_ transaction: Transaction) throws(DBError) {
        let found = try store.document(
            MigrationNames.lock, in: MigrationNames.records, transaction)
        guard found?.text("owner") == owner else {
            throw DBError(
                .conflictingOperationInProgress,
                "\(owner) no longer holds the lock of the migrations: it was silent for too long, "
                    + "and \(found?.text("owner") ?? "nobody") holds it now")
        }
        try hold(transaction, LogicalClock.wallMillis)
    }

    private func hold(_ transaction: Transaction, _ now: Int64) throws(DBError) {
        try store.put(
            [
                "_id": MigrationNames.lock, "owner": .string(owner),
                "until": .date(now + leaseMillis),
            ], in: MigrationNames.records, transaction)
    }

    // MARK: State

    func loadRun(_ transaction: Transaction?) throws(DBError) -> MigrationRun? {
        try store.document(MigrationNames.run, in: MigrationNames.records, transaction)
            .map { MigrationRun($0) }
    }

    func loadGroup(_ transaction: Transaction?) throws(DBError) -> [MigrationItem] {
        let found = try store.document(
            MigrationNames.group, in: MigrationNames.records, transaction)
        var items: [MigrationItem] = []
        for item in found?.documents("items") ?? [] { items.append(try MigrationItem(item)) }
        return items
    }

    func save(_ run: MigrationRun, _ transaction: Transaction) throws(DBError) {
        try store.put(run.document, in: MigrationNames.records, transaction)
    }

    /// Changes the state in a commit of its own.
    func commit(
        _ run: MigrationRun, _ body: (Transaction) throws(DBError) -> Void = { _ in }
    ) throws(DBError) {
        try store.transact { transaction throws(DBError) in
            try keepLock(transaction)
            try body(transaction)
            try save(run, transaction)
        }
    }

    /// The steps of a migration of the group.
    func steps(_ item: MigrationItem) throws(DBError) -> [MigrationStep] {
        let kept = try store.document(
            .int64(Int64(item.file.number)), in: MigrationNames.records, nil)
        var records: [SchemaChange?] = []
        if case .array(let inverses)? = kept?["inverse"] {
            records = inverses.map { value in
                if case .document(let document) = value { SchemaChange(document) } else { nil }
            }
        }
        return try MigrationScript(item.file).steps(item.direction, records: records)
    }

    // MARK: Begin

    /// What to do with a folder of migrations.
    struct Wish: Sendable {
        enum Action: String, Sendable {
            case up, down, redo
        }

        var action = Action.up
        /// The last migration that is to be applied afterwards; nil for all, or all but the last.
        var target: Int?
    }

    /// Takes the lock and writes down what is to be done; goes on with a group that was left.
    /// - Returns: where the group stands; `done` where nothing is to be done.
    /// - Throws: `conflictingOperationInProgress` (117) where another owner holds the lock;
    ///   `badValue`, `illegalOperation` for files that don't fit what was applied.
    func begin(_ files: [MigrationFile], _ wish: Wish) throws(DBError) -> MigrationProgress {
        var files = files
        try MigrationFile.check(&files)
        for file in files { _ = try MigrationScript(file) }
        try store.transact { transaction throws(DBError) in try lock(transaction) }
        var isLeft = false
        do throws(DBError) {
            isLeft = try loadRun(nil) != nil
            if isLeft {
                try check(files, against: loadGroup(nil))
            } else {
                let items = try items(files, wish)
                guard !items.isEmpty else {
                    try release()
                    return MigrationProgress()
                }
                for item in items { _ = try steps(item) }
                try write(items)
            }
        } catch {
            try release()
            throw error
        }
        var progress = try progress()
        progress.isResumed = isLeft
        return progress
    }

    /// Gives the lock up.
    private func release() throws(DBError) {
        try store.transact { transaction throws(DBError) in
            try keepLock(transaction)
            try store.remove(MigrationNames.lock, from: MigrationNames.records, transaction)
        }
    }

    /// Checks that the files are those with which a group began.
    private func check(
        _ files: [MigrationFile], against items: [MigrationItem]
    ) throws(DBError) {
        for item in items {
            guard let file = files.first(where: { $0.number == item.file.number }) else { continue }
            guard file.checksum == item.file.checksum else {
                throw DBError(
                    .illegalOperation,
                    "'\(file.name)' was edited while its group was under way. Put the text back "
                        + "with which it began, let the group end, and write another migration")
            }
        }
    }

    private func write(_ items: [MigrationItem]) throws(DBError) {
        try store.transact { transaction throws(DBError) in
            try keepLock(transaction)
            let number = try lastGroup(transaction) + 1
            try store.put(
                [
                    "_id": MigrationNames.group, "group": .int64(number), "by": .string(owner),
                    "at": .date(LogicalClock.wallMillis),
                    "items": .array(items.map { .document($0.document) }),
                ], in: MigrationNames.records, transaction)
            try save(MigrationRun(group: number), transaction)
        }
    }

    /// The highest number that a group had.
    private func lastGroup(_ transaction: Transaction) throws(DBError) -> Int64 {
        let filter = try store.filter(Document(), store.scope(MigrationNames.records))
        var request = FindRequest(store.namespace(MigrationNames.records), filter: filter)
        request.view = transaction.view
        return try store.read(request).documents.compactMap { $0.number("group") }.max() ?? 0
    }

    // MARK: Step

    /// Does the next step.
    /// - Parameter batchMax: most documents of a batch.
    /// - Throws: what the store throws, and 117 where another owner has the lock; errors of
    ///   statements are not thrown: the group is undone then.
    func step(batchMax: Int) throws(DBError) -> MigrationProgress {
        let start = MonotonicClock.nanoseconds
        var changed: Int64 = 0
        if let run = try loadRun(nil) {
            switch run.state {
            case .running:
                do throws(DBError) {
                    changed = try advance(run, batchMax: batchMax)
                } catch {
                    guard !error.leavesMigration else { throw error }
                    try fail(error)
                }
            case .undoing:
                if try undoNext(run) {
                    var failed = try progress(of: run)
                    failed.state = .failed
                    return failed
                }
            case .finishing: if try finish(run) { return MigrationProgress() }
            }
        }
        var progress = try progress()
        progress.changed = changed
        progress.millis = Int64((MonotonicClock.nanoseconds - start) / 1_000_000)
        return progress
    }

    /// Where the group stands.
    func progress() throws(DBError) -> MigrationProgress {
        guard let run = try loadRun(nil) else { return MigrationProgress() }
        return try progress(of: run)
    }

    private func progress(of run: MigrationRun) throws(DBError) -> MigrationProgress {
        var progress = MigrationProgress()
        progress.state = MigrationProgress.State(rawValue: run.state.rawValue) ?? .running
        let items = try loadGroup(nil)
        progress.group = items.map { "\($0.direction.rawValue) \($0.file.name)" }
        progress.error = run.error?.text("message")
        progress.scanned = run.scanned
        progress.total = run.total
        guard run.item < items.count else { return progress }
        let item = items[run.item]
        progress.migration = item.file.name
        progress.direction = item.direction.rawValue
        let steps = (try? steps(item)) ?? []
        if run.step < steps.count { progress.statement = steps[run.step].shown }
        return progress
    }

    /// Notes that the group is to be taken back.
    private func fail(_ error: DBError) throws(DBError) {
        guard var run = try loadRun(nil) else { return }
        let items = try loadGroup(nil)
        let name = run.item < items.count ? items[run.item].file.name + ": " : ""
        run.state = .undoing
        run.error = [
            "code": .int32(error.code.rawValue), "message": .string(name + error.message),
        ]
        try commit(run)
    }

    /// Runs the next part of the group; answers how many documents it changed.
    private func advance(_ start: MigrationRun, batchMax: Int) throws(DBError) -> Int64 {
        var run = start
        let items = try loadGroup(nil)
        guard run.item < items.count else {
            try complete(run, items)
            return 0
        }
        let item = items[run.item]
        let steps = try steps(item)
        guard run.step < steps.count else {
            run.advanceItem()
            try commit(run)
            return 0
        }
        if run.step == 0, run.last == nil, !run.isSplit, steps.allSatisfy(\.isOfDocuments) {
            if let changed = try runWhole(run, item, steps) { return changed }
            run.isSplit = true
        }
        switch steps[run.step].action {
        case .documents(let command):
            return try runBatch(run, item, steps[run.step], command, countMax: batchMax)
        case .schema(let change):
            try runSchema(run, item, change)
            return 0
        }
    }
}

extension DBError {
    /// Whether the migration stays where it is, for another call: the server stops, the disk is
    /// full, somebody else has the lock.
    var leavesMigration: Bool {
        switch code.rawValue {
        case 24, 43, 46, 50, 91, 112, 117, 175, 237, 246, 251, 290, 292, 365, 11_600, 11_601,
            11_602, 14_031:
            true
        default: false
        }
    }
}
