// The two ends of a group: all of it counts as done, or all of it is taken back.

import BSON
import Query

extension MigrationRunner {
    // MARK: Done

    /// Notes all migrations of the group as done; from here on nothing is taken back.
    func complete(_ start: MigrationRun, _ items: [MigrationItem]) throws(DBError) {
        let summaries = try summaries(start)
        try store.transact { transaction throws(DBError) in
            try keepLock(transaction)
            for (index, item) in items.enumerated() {
                // Of a migration that went down and up again, the last counts.
                guard !items[(index + 1)...].contains(where: { $0.file.number == item.file.number })
                else { continue }
                try store.put(
                    record(item, summaries, start.group), in: MigrationNames.records, transaction)
            }
            try store.remove(MigrationNames.failure, from: MigrationNames.records, transaction)
            var run = start
            run.state = .finishing
            try save(run, transaction)
        }
    }

    /// What a migration's batches of the group did.
    private struct Summary {
        var changed: Int64 = 0
        var batches: Int64 = 0
        /// How the statements are taken back that can't be told from the text.
        var inverse: [Int: SchemaChange] = [:]
    }

    private func summaries(_ run: MigrationRun) throws(DBError) -> [Int64: Summary] {
        var summaries: [Int64: Summary] = [:]
        for number in 0..<run.batches {
            guard let batch = try batch(run.group, number, nil),
                let migration = batch.number("migration")
            else { continue }
            var summary = summaries[migration] ?? Summary()
            summary.changed += batch.number("changed") ?? 0
            summary.batches += 1
            if batch.text("direction") == MigrationDirection.up.rawValue,
                let step = batch.number("step"),
                let undo = batch.document("undo").flatMap(SchemaChange.init)
            {
                switch undo {
                case .createIndex, .alter, .deployRules: summary.inverse[Int(step)] = undo
                default: break
                }
            }
            summaries[migration] = summary
        }
        return summaries
    }

    private func record(
        _ item: MigrationItem, _ summaries: [Int64: Summary], _ group: Int64
    ) -> Document {
        let number = Int64(item.file.number)
        let summary = summaries[number] ?? Summary()
        return Document { writer in
            writer.append("_id", number)
            writer.append("name", item.file.name)
            writer.append("checksum", item.file.checksum)
            writer.append("state", item.direction == .up ? "applied" : "reverted")
            writer.append("group", group)
            writer.append("at", dateMillis: LogicalClock.wallMillis)
            writer.append("by", owner)
            writer.append("changed", summary.changed)
            writer.append("batches", summary.batches)
            let last = summary.inverse.keys.max() ?? -1
            let inverse = (0..<last + 1).map { step in
                summary.inverse[step].map { Value.document($0.document) } ?? .null
            }
            writer.append("inverse", .array(inverse))
        }
    }

    func batch(
        _ group: Int64, _ number: Int64, _ transaction: Transaction?
    ) throws(DBError) -> Document? {
        try store.document(
            .document(Self.batchID(group, number)), in: MigrationNames.batches, transaction)
    }

    /// Batches that are relieved of what they kept, in one step.
    private static let tidiedMax: Int64 = 8

    /// Removes what was kept for taking the group back; true when nothing is left.
    func finish(_ start: MigrationRun) throws(DBError) -> Bool {
        let hidden = "\(MigrationNames.dropped)\(start.group)."
        let dropped = store.engine.catalog.collections(of: store.database)
            .map(\.namespace.collection).filter { $0.hasPrefix(hidden) }
        for name in dropped { try drop(name) }
        let first = max(0, start.batches - Self.tidiedMax)
        return try store.transact { transaction throws(DBError) in
            try keepLock(transaction)
            for number in first..<start.batches {
                guard let batch = try batch(start.group, number, transaction),
                    batch["images"] != nil
                else { continue }
                let kept = Document { writer in
                    var fields = batch.view.makeIterator()
                    while let field = fields.next() {
                        if !field.name.equals("images") { writer.append(field) }
                    }
                }
                try store.put(kept, in: MigrationNames.batches, transaction)
            }
            guard first > 0 else {
                try end(transaction)
                return true
            }
            var run = start
            run.batches = first
            try save(run, transaction)
            return false
        }
    }

    /// Removes the group and the lock.
    private func end(_ transaction: Transaction) throws(DBError) {
        for id in [MigrationNames.run, MigrationNames.group, MigrationNames.lock] {
            try store.remove(id, from: MigrationNames.records, transaction)
        }
    }

    // MARK: Taken back

    /// Takes the newest batch back; true when nothing is left.
    func undoNext(_ start: MigrationRun) throws(DBError) -> Bool {
        var run = start
        if let intent = run.intent {
            try unmake(intent.undo, run)
            run.intent = nil
            try commit(run)
            return false
        }
        guard run.batches > 0 else {
            let error = start.error ?? Document()
            try store.transact { transaction throws(DBError) in
                try keepLock(transaction)
                try end(transaction)
                try store.put(
                    Document { writer in
                        writer.append("_id", MigrationNames.failure)
                        writer.append("group", start.group)
                        writer.append("at", dateMillis: LogicalClock.wallMillis)
                        writer.append("by", owner)
                        writer.append("error", error)
                    }, in: MigrationNames.records, transaction)
            }
            return true
        }
        run.batches -= 1
        let id = Self.batchID(run.group, run.batches)
        let found = try batch(run.group, run.batches, nil)
        if let undo = found?.document("undo").flatMap(SchemaChange.init) { try unmake(undo, run) }
        if let found, found["creates"] == true, try emptyAgain(found, start) { return false }
        try commit(run) { transaction throws(DBError) in
            if let found, let collection = found.text("collection") {
                let changes = try takenBack(
                    found.documents("images").reversed(), collection, transaction)
                try store.apply(changes, to: collection, isUndo: true, transaction)
            }
            try store.remove(.document(id), from: MigrationNames.batches, transaction)
        }
        return false
    }

    /// Takes a batch back for whose documents a collection was made, in two steps: first the
    /// documents go, answering true, then the collection, unless clients use it by now.
    private func emptyAgain(_ batch: Document, _ run: MigrationRun) throws(DBError) -> Bool {
        guard let name = batch.text("collection") else { return false }
        let images = batch.documents("images")
        if !images.isEmpty {
            let rest = Document { writer in
                var fields = batch.view.makeIterator()
                while let field = fields.next() {
                    if !field.name.equals("images") { writer.append(field) }
                }
            }
            try commit(run) { transaction throws(DBError) in
                let changes = try takenBack(images.reversed(), name, transaction)
                try store.apply(changes, to: name, isUndo: true, transaction)
                try store.put(rest, in: MigrationNames.batches, transaction)
            }
            return true
        }
        let everything = try store.filter(Document(), store.scope(name))
        if store.entry(name) != nil, try store.count(name, everything) == 0 { try drop(name) }
        return false
    }

    /// The changes that take a batch's back.
    ///
    /// A document that is as the batch left it becomes what it was, byte by byte. In one that a
    /// client has changed since, the fields that the batch changed become what they were. A document
    /// that the batch inserted goes; one that it removed comes back, unless its `_id` is taken.
    private func takenBack(
        _ images: [Document], _ collection: String, _ transaction: Transaction
    ) throws(DBError) -> [DocumentChange] {
        var changes: [DocumentChange] = []
        for image in images {
            let id = image["id"] ?? .null
            let before = image.document("before")
            let now = try store.document(id, in: collection, transaction)
            guard let now else {
                if let before, image["after"] == nil {
                    changes.append(DocumentChange(id: id, before: nil, after: before))
                }
                continue
            }
            guard let before else {
                changes.append(DocumentChange(id: id, before: now, after: nil))
                continue
            }
            guard let after = image["after"] else { continue }
            if Self.hash(now) == after {
                changes.append(DocumentChange(id: id, before: now, after: before))
            } else if case .array(let names)? = image["fields"] {
                let fields = names.compactMap {
                    if case .string(let name) = $0 { name } else { nil }
                }
                let merged = Self.merged(now, before, fields)
                changes.append(DocumentChange(id: id, before: now, after: merged))
            }
        }
        return changes
    }

    /// `now` with those fields as they were in `before`.
    private static func merged(
        _ now: Document, _ before: Document, _ names: [String]
    ) -> Document {
        Document { writer in
            var fields = now.view.makeIterator()
            while let field = fields.next() {
                let name = field.nameString
                if !names.contains(name) {
                    writer.append(field)
                } else if let old = before[name] {
                    writer.append(name, old)
                }
            }
            for name in names where now[name] == nil {
                if let old = before[name] { writer.append(name, old) }
            }
        }
    }
}
