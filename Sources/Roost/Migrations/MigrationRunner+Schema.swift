// Changes of the schema. They are commits of their own, so each is announced before it is made, with
// what takes it back: whoever finds an announcement looks whether the change has been made.

import BSON
import Query

extension MigrationRunner {
    /// Makes a change of the schema as a step.
    func runSchema(
        _ start: MigrationRun, _ item: MigrationItem, _ change: SchemaChange
    ) throws(DBError) {
        var run = start
        let undo: SchemaChange
        if let intent = run.intent {
            undo = intent.undo
            if !isMade(change, run) { try make(change, run) }
        } else {
            undo = try inverse(of: change, run)
            run.intent = (change, undo)
            try commit(run)
            try make(change, run)
        }
        let step = run.step
        run.intent = nil
        let record = Document { writer in
            writer.append("_id", Self.batchID(run.group, run.batches))
            writer.append("migration", Int64(item.file.number))
            writer.append("direction", item.direction.rawValue)
            writer.append("step", Int64(step))
            writer.append("at", dateMillis: LogicalClock.wallMillis)
            writer.append("change", change.document)
            writer.append("undo", undo.document)
        }
        run.batches += 1
        run.advance()
        try commit(run) { transaction throws(DBError) in
            try store.put(record, in: MigrationNames.batches, transaction)
        }
    }

    /// Where a collection is that the group drops, until it is too late to take that back.
    private func hiddenName(_ run: MigrationRun) -> String {
        "\(MigrationNames.dropped)\(run.group).\(run.batches)"
    }

    /// What takes a change back.
    /// - Throws: where the change can't be made as things are.
    private func inverse(
        of change: SchemaChange, _ run: MigrationRun
    ) throws(DBError) -> SchemaChange {
        switch change {
        case .createCollection(let name, _):
            guard store.entry(name) == nil else {
                throw DBError(.namespaceExists, "the collection '\(name)' exists already")
            }
            return .dropCollection(name, onlyIfEmpty: false)
        case .dropCollection(let name, let onlyIfEmpty):
            _ = try existing(name)
            if onlyIfEmpty {
                let everything = try store.filter(Document(), store.scope(name))
                guard try store.count(name, everything) == 0 else {
                    throw DBError(
                        .illegalOperation,
                        "the collection '\(name)' has documents, so that taking its creation back "
                            + "would lose them; write 'down { drop collection \(name) }' if it may")
                }
            }
            return .rename(hiddenName(run), name)
        case .rename(let name, let target):
            _ = try existing(name)
            guard store.entry(target) == nil else {
                throw DBError(.namespaceExists, "the collection '\(target)' exists already")
            }
            return .rename(target, name)
        case .createIndex(let name, let specification):
            guard let entry = store.entry(name) else {
                return .dropCollection(name, onlyIfEmpty: false)
            }
            let index = specification.text("name") ?? ""
            guard entry.index(named: index) == nil else {
                throw DBError(
                    .indexOptionsConflict, "'\(name)' has an index '\(index)' already")
            }
            return .dropIndex(name, index)
        case .dropIndex(let name, let index):
            guard let found = try existing(name).index(named: index) else {
                throw DBError(.indexNotFound, "'\(name)' has no index '\(index)'")
            }
            return .createIndex(name, found.specification)
        case .alter(let name, let changes):
            let options = try existing(name).options
            return .alter(
                name,
                Document { writer in
                    for field in changes.keys {
                        let none: Value? =
                            switch field {
                            case "validator": .document(Document())
                            case "softDelete": false
                            case "validationLevel": "strict"
                            case "validationAction": "error"
                            default: nil
                            }
                        if let value = options[field] ?? none { writer.append(field, value) }
                    }
                })
        case .deployRules:
            let none = RulesText(
                name: "app.rules", text: "rules_version = '2';\nservice cloud.firestore {\n}\n")
            return .deployRules(store.engine.rules.current?.files ?? [none])
        }
    }

    private func existing(_ name: String) throws(DBError) -> CollectionEntry {
        guard let entry = store.entry(name) else {
            throw DBError(.namespaceNotFound, "there is no collection '\(name)'")
        }
        return entry
    }

    /// Whether a change that was announced has been made.
    private func isMade(_ change: SchemaChange, _ run: MigrationRun) -> Bool {
        switch change {
        case .createCollection(let name, _): store.entry(name) != nil
        case .dropCollection(let name, _): store.entry(name) == nil
        case .rename(let name, let target):
            store.entry(name) == nil && store.entry(target) != nil
        case .createIndex(let name, let specification):
            store.entry(name)?.index(named: specification.text("name") ?? "")?.isReady == true
        case .dropIndex(let name, let index): store.entry(name)?.index(named: index) == nil
        case .alter: false
        case .deployRules(let files):
            store.engine.rules.current?.files.map(\.text) == files.map(\.text)
        }
    }

    /// Makes a change. A collection that is dropped is only put out of sight.
    private func make(_ change: SchemaChange, _ run: MigrationRun) throws(DBError) {
        let engine = store.engine
        engine.migrations.killPoint.pass()
        defer { engine.migrations.killPoint.pass() }
        switch change {
        case .dropCollection(let name, _):
            let hidden = store.namespace(hiddenName(run))
            try engine.blocking {
                engine.renameCollection(
                    store.namespace(name), to: hidden, RenameOptions(), completion: $0)
            }
        case .deployRules(let files):
            _ = try engine.deployRules(files, by: "migration")
        default:
            guard let command = change.command else { return }
            try engine.blocking { engine.define(command, in: store.database, completion: $0) }
        }
    }

    /// Takes a change back, if it was made; what it made is gone for good.
    func unmake(_ undo: SchemaChange, _ run: MigrationRun) throws(DBError) {
        guard !isMade(undo, run) else { return }
        if case .dropCollection(let name, _) = undo {
            try drop(name)
            return
        }
        // What is to be taken back may not have been made.
        if case .rename(let name, _) = undo, store.entry(name) == nil { return }
        try make(undo, run)
    }

    /// Drops a collection for good.
    func drop(_ name: String) throws(DBError) {
        let engine = store.engine
        engine.migrations.killPoint.pass()
        defer { engine.migrations.killPoint.pass() }
        _ = try engine.blocking {
            engine.dropCollection(store.namespace(name), completion: $0)
        }
    }
}
