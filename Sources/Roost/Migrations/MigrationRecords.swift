// What migrations keep in their database: in `roost.migrations` the lock, the group that runs, and a
// document for each migration; in `roost.migrations.batches` a document for each batch.
// Migrations.md describes the fields.

package import BSON
import Query

/// The names of the collections and of the documents that stand for the whole.
enum MigrationNames {
    static let records = "roost.migrations"
    static let batches = "roost.migrations.batches"
    /// Before the names of collections that were dropped by a group that may yet be undone.
    static let dropped = "roost.dropped."
    static let lock = Value.string("lock")
    static let group = Value.string("group")
    static let run = Value.string("run")
    static let failure = Value.string("failure")
}

/// One migration of a group, one way.
struct MigrationItem: Sendable {
    let file: MigrationFile
    let direction: MigrationDirection

    var document: Document {
        [
            "name": .string(file.name), "direction": .string(direction.rawValue),
            "text": .string(file.text), "checksum": .string(file.checksum),
            "attachments": .array(
                file.attachments.sorted { $0.key < $1.key }.map {
                    .document(["name": .string($0.key), "text": .string($0.value)])
                }),
        ]
    }

    init(_ file: MigrationFile, _ direction: MigrationDirection) {
        self.file = file
        self.direction = direction
    }

    /// Reads what `document` wrote.
    init(_ document: Document) throws(DBError) {
        var attachments: [String: String] = [:]
        for file in document.documents("attachments") {
            attachments[file.text("name") ?? ""] = file.text("text") ?? ""
        }
        file = try MigrationFile(
            name: document.text("name") ?? "", text: document.text("text") ?? "",
            attachments: attachments)
        direction = MigrationDirection(rawValue: document.text("direction") ?? "") ?? .up
    }
}

/// How far the group that runs has come; one document, changed with every batch in its commit.
struct MigrationRun: Sendable {
    enum State: String, Sendable {
        case running
        /// A step failed: its batches are taken back, the newest first.
        case undoing
        /// All migrations count as done; what was kept for taking them back goes.
        case finishing
    }

    /// The group's number, which its batches bear.
    let group: Int64
    var state = State.running
    /// The place in the group.
    var item = 0
    /// The statement of that migration.
    var step = 0
    /// How many batches of the group there are to take back.
    var batches: Int64 = 0
    /// The `_id` of the last document that the statement looked at.
    var last: Value?
    /// Documents that the statement looked at, changed, and has in all.
    var scanned: Int64 = 0
    var changed: Int64 = 0
    var total: Int64 = 0
    /// Whether the migration is too large for one transaction.
    var isSplit = false
    /// A change of the schema that may have been made, and what takes it back.
    var intent: (change: SchemaChange, undo: SchemaChange)?
    /// Why it is undone.
    var error: Document?

    init(group: Int64) {
        self.group = group
    }

    var document: Document {
        Document { writer in
            writer.append("_id", MigrationNames.run)
            writer.append("group", group)
            writer.append("state", state.rawValue)
            writer.append("item", Int64(item))
            writer.append("step", Int64(step))
            writer.append("batches", batches)
            if let last { writer.append("last", last) }
            writer.append("scanned", scanned)
            writer.append("changed", changed)
            writer.append("total", total)
            writer.append("isSplit", isSplit)
            if let intent {
                writer.append(
                    "intent",
                    [
                        "change": .document(intent.change.document),
                        "undo": .document(intent.undo.document),
                    ] as Document)
            }
            if let error { writer.append("error", error) }
        }
    }

    /// Reads what `document` wrote.
    init(_ document: Document) {
        group = document.number("group") ?? 0
        state = State(rawValue: document.text("state") ?? "") ?? .running
        item = Int(document.number("item") ?? 0)
        step = Int(document.number("step") ?? 0)
        batches = document.number("batches") ?? 0
        last = document["last"]
        scanned = document.number("scanned") ?? 0
        changed = document.number("changed") ?? 0
        total = document.number("total") ?? 0
        isSplit = document["isSplit"] == true
        error = document.document("error")
        if let kept = document.document("intent"),
            let change = kept.document("change").flatMap(SchemaChange.init),
            let undo = kept.document("undo").flatMap(SchemaChange.init)
        {
            intent = (change, undo)
        }
    }

    /// The next statement, from its beginning.
    mutating func advance() {
        step += 1
        last = nil
        (scanned, changed, total) = (0, 0, 0)
    }

    /// The next migration.
    mutating func advanceItem() {
        item += 1
        step = -1
        advance()
        isSplit = false
    }
}

/// How a group of migrations stands, after each call of the runner.
public struct MigrationProgress: Sendable {
    /// What is going on.
    public enum State: String, Sendable {
        /// Statements run.
        case running
        /// One failed; what the group did is taken back.
        case undoing
        /// All is done but tidying up.
        case finishing
        /// There is nothing left to do.
        case done
        /// The group was taken back; `error` says why.
        case failed
    }

    /// What is going on.
    public var state = State.done
    /// The migration at work, and `up` or `down`.
    public var migration = ""
    /// Which way it goes: `up` or `down`.
    public var direction = ""
    /// The statement at work.
    public var statement = ""
    /// Documents that the statement has looked at.
    public var scanned: Int64 = 0
    /// Documents that the statement is about.
    public var total: Int64 = 0
    /// Documents that the last batch changed.
    public var changed: Int64 = 0
    /// How long the last call took, in milliseconds.
    public var millis: Int64 = 0
    /// The migrations of the group, each with `up` or `down`.
    public var group: [String] = []
    /// Why the group was taken back.
    public var error: String?
    /// Whether the group had been begun before, and was left.
    public var isResumed = false

    /// As the command `migrate` answers it.
    package var document: Document {
        Document { writer in
            writer.append("state", state.rawValue)
            writer.append("migration", migration)
            writer.append("direction", direction)
            writer.append("statement", statement)
            writer.append("scanned", scanned)
            writer.append("total", total)
            writer.append("changed", changed)
            writer.append("millis", millis)
            writer.append("group", .array(group.map { .string($0) }))
            if let error { writer.append("error", error) }
            writer.append("isResumed", isResumed)
        }
    }

    /// Nothing is going on.
    init() {}

    /// Reads what `document` wrote.
    package init(_ document: Document) {
        state = State(rawValue: document.text("state") ?? "") ?? .done
        migration = document.text("migration") ?? ""
        direction = document.text("direction") ?? ""
        statement = document.text("statement") ?? ""
        scanned = document.number("scanned") ?? 0
        total = document.number("total") ?? 0
        changed = document.number("changed") ?? 0
        millis = document.number("millis") ?? 0
        error = document.text("error")
        isResumed = document["isResumed"] == true
        if case .array(let names)? = document["group"] {
            group = names.compactMap { if case .string(let name) = $0 { name } else { nil } }
        }
    }
}
