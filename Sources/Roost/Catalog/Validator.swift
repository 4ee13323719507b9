// Validators: a condition that a collection's documents must meet. It is compiled once for each
// version of the catalog and asked before the first put of a write.

import BSON
import Logging
import Query

/// A collection's `validator`, `validationLevel` and `validationAction`.
package final class Validator: Sendable {
    /// Which writes are checked.
    enum Level: String {
        case off
        /// Inserts, and updates of documents that met the condition before.
        case moderate
        case strict
    }

    /// What becomes of a document that doesn't meet the condition.
    enum Action: String {
        case error
        /// It is stored, and the log says so.
        case warn
        case errorAndLog
    }

    private let condition: Document
    private let filter: Filter
    private let level: Level
    private let action: Action

    /// Reads a collection's options; nil where they hold no validator.
    /// - Throws: what `Filter.parse` throws; `badValue` (2) for an unknown level or action.
    init?(_ options: DocumentView) throws(DBError) {
        let level = try Self.level(options.value("validationLevel"))
        let action = try Self.action(options.value("validationAction"))
        guard let condition = options.value("validator")?.document, !condition.isEmpty else {
            return nil
        }
        self.condition = Document(copying: condition)
        self.level = level
        self.action = action
        let scope = ExpressionScope(nowMillis: LogicalClock.wallMillis)
        filter = try Filter.parse(condition, scope.filterOptions(.validator))
    }

    private static func level(_ value: ValueView?) throws(DBError) -> Level {
        guard let text = value?.string else { return .strict }
        guard let level = Level(rawValue: text) else {
            throw unknown(text, field: "validationLevel")
        }
        return level
    }

    private static func action(_ value: ValueView?) throws(DBError) -> Action {
        guard let text = value?.string else { return .error }
        guard let action = Action(rawValue: text) else {
            throw unknown(text, field: "validationAction")
        }
        return action
    }

    private static func unknown(_ text: String, field: String) -> DBError {
        DBError(
            .badValue, "Enumeration value '\(text)' for field '\(field)' is not a valid value.")
    }

    /// Checks a document that is about to be stored in place of `old`, if there is one.
    /// - Throws: `documentValidationFailure` (121) with `errInfo`; errors of evaluation.
    func check(
        _ document: DocumentView, replacing old: DocumentView? = nil, in namespace: Namespace,
        _ scratch: inout MatchScratch
    ) throws(DBError) {
        guard level != .off else { return }
        scratch.arrayPosition = nil
        if try filter.matches(document, &scratch) { return }
        if level == .moderate, let old, try !filter.matches(old, &scratch) { return }
        try refuse(document, namespace)
    }

    @inline(never)
    private func refuse(_ document: DocumentView, _ namespace: Namespace) throws(DBError) {
        let condition = condition
        let information = Document { writer in
            if let id = document.value("_id") { writer.append("failingDocumentId", id) }
            writer.append(
                "details", ValidationReport.explain(condition.view, failedBy: document))
        }
        if action != .error {
            Logger(label: "roost").warning(
                "document fails the collection's validator",
                metadata: ["namespace": "\(namespace)", "details": "\(information)"])
        }
        guard action != .warn else { return }
        throw DBError(
            .documentValidationFailure, "Document failed validation",
            details: Document { $0.append("errInfo", information) })
    }
}
