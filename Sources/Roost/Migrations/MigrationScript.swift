// A migration's statements as steps that can be run, and how a step is taken back.

import BSON
import Query

/// Which way a migration goes.
package enum MigrationDirection: String, Sendable {
    case up, down
}

/// One step of a migration.
struct MigrationStep: Sendable {
    enum Action: Sendable {
        /// Changes documents, in batches.
        case documents(TextCommand)
        case schema(SchemaChange)
    }

    let action: Action
    /// The text whose places errors have.
    let text: String
    /// The statement, for people.
    let shown: String

    /// Whether it changes documents only.
    var isOfDocuments: Bool {
        if case .documents = action { true } else { false }
    }
}

/// A file's two sections, compiled.
struct MigrationScript: Sendable {
    private let file: MigrationFile
    private let up: [TextScript.Statement]
    private let down: [TextScript.Statement]?

    /// - Throws: `failedToParse` with the file's name, line and column.
    init(_ file: MigrationFile) throws(DBError) {
        self.file = file
        do throws(DBError) {
            let script = try TextScript(file.text, sections: ["up", "down"])
            guard let up = script.sections.first(where: { $0.name == "up" }) else {
                throw DBError(.failedToParse, "there is no section 'up { … }'")
            }
            self.up = up.statements
            down = script.sections.first { $0.name == "down" }?.statements
            for statement in self.up + (down ?? []) { _ = try Self.compile(statement.text) }
        } catch {
            throw Self.named(error, file)
        }
    }

    /// The error with the file's name before it.
    private static func named(_ error: DBError, _ file: MigrationFile) -> DBError {
        DBError(
            error.code, "\(file.name)\(MigrationFile.suffix): \(error.message)",
            details: error.details, underlying: error.underlying)
    }

    private static func compile(_ text: String) throws(DBError) -> TextCommand {
        try TextQuery.compile(
            text, parameters: nil, ExpressionScope(nowMillis: LogicalClock.wallMillis),
            marksPlaces: true)
    }

    /// The files that `deploy rules file` names.
    var rulesFiles: [String] {
        (up + (down ?? [])).compactMap { statement in
            if case .deployRules(let name, isFile: true)? = try? Self.compile(statement.text) {
                name
            } else {
                nil
            }
        }
    }

    /// The steps that way.
    /// - Parameter records: for a migration without `down`, what its steps noted when they ran up:
    ///   how each is taken back, nil for those that noted nothing.
    /// - Throws: `illegalOperation` for statements that no migration can have, and for a `down` that
    ///   is missing and can't be derived.
    func steps(
        _ direction: MigrationDirection, records: [SchemaChange?] = []
    ) throws(DBError) -> [MigrationStep] {
        var steps: [MigrationStep] = []
        do throws(DBError) {
            if direction == .up || down != nil {
                for statement in direction == .up ? up : down ?? [] {
                    steps.append(try step(statement, Self.compile(statement.text)))
                }
                return steps
            }
            for (index, statement) in up.enumerated().reversed() {
                let record = index < records.count ? records[index] : nil
                steps.append(try inverse(statement, record))
            }
            return steps
        } catch {
            throw Self.named(error, file)
        }
    }

    private func step(
        _ statement: TextScript.Statement, _ command: TextCommand
    ) throws(DBError) -> MigrationStep {
        let action: MigrationStep.Action
        switch command {
        case .insert, .insertRows, .delete, .update(_, _, _, isUpsert: false):
            action = .documents(command)
        case .createIndex(let name, let specification):
            action = .schema(.createIndex(name, specification))
        case .dropIndex(let name, let index): action = .schema(.dropIndex(name, index))
        case .createCollection(let name, let options):
            action = .schema(.createCollection(name, options))
        case .dropCollection(let name):
            action = .schema(.dropCollection(name, onlyIfEmpty: false))
        case .renameCollection(let name, let target): action = .schema(.rename(name, target))
        case .alterCollection(let name, let changes): action = .schema(.alter(name, changes))
        case .deployRules(let text, isFile: false):
            action = .schema(.deployRules([RulesText(name: "app.rules", text: text)]))
        case .deployRules(let name, isFile: true):
            guard let text = file.attachments[name] else {
                throw DBError(.badValue, "the rules file '\(name)' is not there")
            }
            action = .schema(.deployRules([RulesText(name: name, text: text)]))
        case .read, .live, .explain, .restore, .purge, .update:
            throw TextQuery.located(
                DBError(
                    .illegalOperation,
                    "a migration can't hold this statement; it creates, drops, renames and alters "
                        + "collections and indexes, deploys rules, and inserts, updates and "
                        + "deletes documents"), in: statement.text)
        }
        return MigrationStep(action: action, text: statement.text, shown: statement.shown)
    }

    private func inverse(
        _ statement: TextScript.Statement, _ record: SchemaChange?
    ) throws(DBError) -> MigrationStep {
        let scope = ExpressionScope(nowMillis: LogicalClock.wallMillis)
        let command = try TextQuery.inverse(of: statement.text, scope)
        let action: MigrationStep.Action
        if case .dropCollection(let name)? = command {
            action = .schema(.dropCollection(name, onlyIfEmpty: true))
        } else if let command {
            action = try step(statement, command).action
        } else if let record {
            action = .schema(record)
        } else {
            throw TextQuery.located(
                DBError(
                    .illegalOperation,
                    "the migration has no section 'down', and how this statement is taken back "
                        + "can't be derived; write 'down { … }'"), in: statement.text)
        }
        return MigrationStep(
            action: action, text: statement.text, shown: "take back: \(statement.shown)")
    }
}
