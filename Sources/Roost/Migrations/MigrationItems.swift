// What is applied, what is pending, and what a wish makes of that.

import BSON
import Query

extension MigrationRunner {
    /// A migration that was run before.
    private struct Applied {
        let number: Int
        let name: String
        let checksum: String
        let isApplied: Bool
        let document: Document
    }

    private func applied() throws(DBError) -> [Applied] {
        let filter = try store.filter(
            ["checksum": ["$exists": true]], store.scope(MigrationNames.records))
        let request = FindRequest(store.namespace(MigrationNames.records), filter: filter)
        return try store.read(request).documents.map { document in
            Applied(
                number: Int(document.number("_id") ?? 0), name: document.text("name") ?? "",
                checksum: document.text("checksum") ?? "",
                isApplied: document.text("state") == "applied", document: document)
        }
    }

    /// The migrations to run, in their order.
    /// - Throws: `illegalOperation` where an applied migration was edited or its file is gone;
    ///   `badValue` for a target that there isn't.
    func items(_ files: [MigrationFile], _ wish: Wish) throws(DBError) -> [MigrationItem] {
        let done = try applied().filter(\.isApplied).sorted { $0.number < $1.number }
        for migration in done {
            guard let file = files.first(where: { $0.number == migration.number }) else {
                throw DBError(
                    .illegalOperation,
                    "the applied migration '\(migration.name)' has no file any more. Put it back; "
                        + "to be rid of it, run it down first")
            }
            guard file.checksum == migration.checksum else {
                throw DBError(
                    .illegalOperation,
                    "'\(file.name)' was edited after it was applied. Put its text back (or the "
                        + "rules file's that it deploys), and write another migration")
            }
        }
        if let target = wish.target, target < 0 || target > files.count {
            throw DBError(
                .badValue, "there is no migration \(target): the last is \(files.count)")
        }
        let numbers = Set(done.map(\.number))
        let ups = files.filter { numbers.contains($0.number) }
        switch wish.action {
        case .up:
            let target = wish.target ?? files.count
            return files.filter { !numbers.contains($0.number) && $0.number <= target }
                .map { MigrationItem($0, .up) }
        case .down:
            let target = wish.target ?? (ups.last?.number ?? 1) - 1
            return ups.filter { $0.number > target }.reversed().map { MigrationItem($0, .down) }
        case .redo:
            let target = wish.target ?? (ups.last?.number ?? 1)
            let again = ups.filter { $0.number >= target }
            return again.reversed().map { MigrationItem($0, .down) }
                + again.map { MigrationItem($0, .up) }
        }
    }

    /// The state of every migration, of the lock and of the group that runs.
    func status(_ given: [MigrationFile]) throws(DBError) -> Document {
        var files = given
        try MigrationFile.check(&files)
        let known = try applied()
        let lock = try store.document(MigrationNames.lock, in: MigrationNames.records, nil)
        let failure = try store.document(MigrationNames.failure, in: MigrationNames.records, nil)
        let progress = try progress()
        let gone = known.filter { entry in
            entry.isApplied && !files.contains { $0.number == entry.number }
        }
        return Document { writer in
            let list = writer.openArray("migrations")
            for (index, file) in files.enumerated() {
                let entry = known.first { $0.number == file.number }
                let state =
                    switch entry {
                    case let entry? where entry.isApplied:
                        entry.checksum == file.checksum ? "applied" : "edited"
                    default: "pending"
                    }
                writer.append(
                    index: index,
                    .document(Self.line(file.number, file.name, state, entry?.document)))
            }
            for (index, entry) in gone.enumerated() {
                writer.append(
                    index: files.count + index,
                    .document(Self.line(entry.number, entry.name, "missing", entry.document)))
            }
            writer.close(list)
            if progress.state != .done { writer.append("run", progress.document) }
            if let lock { writer.append("lock", lock) }
            if let failure { writer.append("failure", failure) }
        }
    }

    private static func line(
        _ number: Int, _ name: String, _ state: String, _ record: Document?
    ) -> Document {
        Document { writer in
            writer.append("number", Int64(number))
            writer.append("name", name)
            writer.append("state", state)
            for field in ["at", "by", "group", "changed", "batches"] {
                if let value = record?[field] { writer.append(field, value) }
            }
        }
    }

    // MARK: Plan

    /// Documents that a plan shows of each statement.
    private static let samplesMax = 3

    /// What a wish would do, as things are now: for each statement how many documents it is about,
    /// and some of them before and after. Nothing is changed and no lock is taken.
    ///
    /// Counts are of what the collections hold now: what an earlier statement of the plan would
    /// change or insert isn't seen, but its renaming of collections is.
    func plan(_ given: [MigrationFile], _ wish: Wish) throws(DBError) -> Document {
        var files = given
        try MigrationFile.check(&files)
        var planned: [Value] = []
        var names: [String: String] = [:]
        for item in try items(files, wish) {
            for step in try steps(item) {
                var fields: [(String, Value)] = [
                    ("migration", .string(item.file.name)),
                    ("direction", .string(item.direction.rawValue)),
                    ("statement", .string(step.shown)),
                ]
                switch step.action {
                case .schema(.rename(let name, let target)):
                    names[target] = names[name] ?? name
                    names[name] = nil
                case .schema: break
                case .documents(let command):
                    let command = command.reading(names)
                    fields.append(("documents", .int64(try total(command, step))))
                    fields.append(("samples", .array(try samples(command, step))))
                }
                planned.append(
                    .document(
                        Document { writer in
                            for (name, value) in fields { writer.append(name, value) }
                        }))
            }
        }
        return ["plan": .array(planned)]
    }

    private func samples(
        _ command: TextCommand, _ step: MigrationStep
    ) throws(DBError) -> [Value] {
        switch command {
        case .update(let name, let filter, let stages, _):
            let scope = store.scope(name, text: step.text)
            let documents = try sample(name, filter, scope)
            return try Self.updated(documents, stages, scope).map { change in
                [
                    "before": .document(change.before ?? Document()),
                    "after": .document(change.after ?? Document()),
                ]
            }
        case .delete(let name, let filter):
            return try sample(name, filter, store.scope(name, text: step.text)).map {
                ["before": .document($0)]
            }
        case .insert(_, let documents):
            return documents.prefix(Self.samplesMax).map { ["after": .document($0)] }
        case .insertRows(_, let source, let stages, nil):
            let limited = OwnedValue(.array(stages + [["$limit": .int32(Int32(Self.samplesMax))]]))
            let scope = store.scope(source, text: step.text)
            let request = AggregateRequest(
                store.namespace(source),
                pipeline: try Pipeline.parse(DocumentView(limited.view.bytes), scope))
            return try store.read(request, countMax: Self.samplesMax, bytesMax: .max).documents
                .map { ["after": .document($0)] }
        default: return []
        }
    }

    private func sample(
        _ collection: String, _ filter: Document, _ scope: ExpressionScope
    ) throws(DBError) -> [Document] {
        var request = FindRequest(
            store.namespace(collection), filter: try store.filter(filter, scope))
        request.limit = Self.samplesMax
        return try store.read(request).documents
    }
}

extension TextCommand {
    /// The command over collections by the names that they have now.
    fileprivate func reading(_ names: [String: String]) -> TextCommand {
        switch self {
        case .update(let name, let filter, let stages, let isUpsert):
            .update(
                collection: names[name] ?? name, filter: filter, stages: stages,
                isUpsert: isUpsert)
        case .delete(let name, let filter):
            .delete(collection: names[name] ?? name, filter: filter)
        case .insertRows(let name, let source, let stages, let deleted):
            .insertRows(
                collection: name, source: names[source] ?? source, stages: stages,
                deleted: deleted)
        default: self
        }
    }
}
