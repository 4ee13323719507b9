// The rules that are in force, and where they are kept.
//
// Each deploy adds a document to `admin.roost.rules`: `{_id: version, at, by, files: [{name,
// text}]}`; the one with the highest number is in force. Rolling back deploys the text of an older
// one again, so numbers only grow. A text that doesn't compile is refused and changes nothing.

package import BSON
import Query
package import Rules
import Storage
import Synchronization

/// A text of rules under its name.
package struct RulesText: Sendable {
    /// Its name, as messages and `import` give it.
    package let name: String
    /// The text.
    package let text: String

    /// A text under a name.
    package init(name: String, text: String) {
        self.name = name
        self.text = text
    }

    fileprivate var file: RulesFile { RulesFile(name: name, text: text) }
}

/// Rules in force. Immutable but for the cache.
package final class DeployedRules: Sendable {
    /// The number of the deploy.
    package let version: Int64
    /// The rules.
    package let rules: RuleSet
    /// The texts, the main one first.
    package let files: [RulesText]
    /// Whether conditions ask for the time.
    let usesTime: Bool
    /// Whether statements hide fields.
    let hides: Bool
    /// How often app users asked.
    let rates: RequestRates
    private let residuals = Mutex<[ResidualKey: RuleResidual]>([:])

    /// Most residuals kept.
    private static let residualsMax = 1_024

    struct ResidualKey: Hashable {
        let namespace: Namespace
        let auth: [UInt8]?
        let limit: Int64?
        let offset: Int64?
        let orderBy: [String]
    }

    init(version: Int64, _ rules: RuleSet, _ files: [RulesText]) {
        self.version = version
        self.rules = rules
        self.files = files
        usesTime = rules.usesTime
        rates = RequestRates(rules)
        hides = rules.syntax.allows.contains { !$0.hidden.isEmpty }
    }

    func residual(_ key: ResidualKey) -> RuleResidual? { residuals.withLock { $0[key] } }

    /// Keeps what doesn't depend on documents or the time.
    func keep(_ residual: RuleResidual, _ key: ResidualKey) {
        guard !usesTime, !residual.usesLookups else { return }
        residuals.withLock { residuals in
            if residuals.count >= Self.residualsMax { residuals.removeAll() }
            residuals[key] = residual
        }
    }

    /// Compiles texts, the first of which is the main one.
    /// - Throws: `failedToParse` with every error's place.
    package static func compile(_ files: [RulesText]) throws(DBError) -> RuleSet {
        guard let main = files.first else {
            throw DBError(.badValue, "Rules need a text: give 'source' or 'files'")
        }
        let parsed = RuleSet.parse(main.file) { path, importing in
            let folder = importing.split(separator: "/", omittingEmptySubsequences: false)
                .dropLast().joined(separator: "/")
            let beside = path.hasPrefix("/") || folder.isEmpty ? path : "\(folder)/\(path)"
            return files.first { $0.name == beside || $0.name == beside + ".rules" }?.file
        }
        if let rules = parsed.rules { return rules }
        let errors = parsed.problems.filter { $0.severity == .error }.map { problem in
            let index = Int(problem.range.file)
            guard parsed.files.indices.contains(index) else { return problem.message }
            let place = parsed.files[index].place(of: problem.range)
            return "\(parsed.files[index].name):\(place.line):\(place.column): \(problem.message)"
        }
        throw DBError(
            .failedToParse,
            "The rules are not deployed, those in force stay: "
                + errors.joined(separator: "; "))
    }
}

/// The rules in force, for all threads.
package final class RulesStore: Sendable {
    /// Where rules are kept.
    package static let namespace = Namespace("admin", "roost.rules")

    private let state = Mutex<DeployedRules?>(nil)
    private let number = Atomic<Int64>(0)
    /// Why the last requests were denied.
    package let denials = DenialLog()
    /// Who records what app users ask.
    package let recording = AccessRecording()

    /// The rules in force; nil where none were deployed: then app users may do nothing.
    package var current: DeployedRules? { state.withLock { $0 } }

    /// The number of the rules in force; 0 for none.
    package var version: Int64 { number.load(ordering: .acquiring) }

    func set(_ deployed: DeployedRules) {
        state.withLock { $0 = deployed }
        number.store(deployed.version, ordering: .releasing)
    }
}

extension RoostEngine {
    /// Puts rules in force, for good; waits for the commit. Not for event loops.
    /// - Returns: their number.
    /// - Throws: `failedToParse` for texts that don't compile, and what writing throws.
    package func deployRules(_ files: [RulesText], by name: String) throws(DBError) -> Int64 {
        let compiled = try DeployedRules.compile(files)
        let writer = writer
        let time = writeTime
        do {
            let version = try submitAndWait { transaction in
                let entry = try writer.collection(RulesStore.namespace, &transaction)
                let version = (try Self.newestRules(entry, transaction)?.version ?? 0) + 1
                let document = Document { body in
                    body.append("_id", version)
                    body.append("at", dateMillis: time.millis)
                    body.append("by", name)
                    body.append(
                        "files",
                        .array(
                            files.map {
                                .document(["name": .string($0.name), "text": .string($0.text)])
                            }))
                }
                try writer.copyRecord(document.bytes, into: entry, &transaction)
                try writer.finishOperation(&transaction)
                return version
            }
            rules.set(DeployedRules(version: version, compiled, files))
            live.noteAuthority()
            note(
                AuditEvent(
                    "deployRules", ["version": .int64(version), "by": .string(name)]))
            return version
        } catch {
            throw DBError(engineFailure: error)
        }
    }

    /// Puts the rules of an older number in force again, under a new one.
    /// - Throws: `noMatchingDocument` where there are no such rules.
    package func rollBackRules(to version: Int64, by name: String) throws(DBError) -> Int64 {
        guard let found = try keptRules(version) else {
            throw DBError(.badValue, "There are no rules of the number \(version)")
        }
        return try deployRules(found, by: name)
    }

    /// The texts of a number; nil where there are none.
    package func keptRules(_ version: Int64) throws(DBError) -> [RulesText]? {
        do {
            let reader = try store.makeReader()
            guard let entry = collection(RulesStore.namespace) else { return nil }
            return try reader.read { transaction in
                var key = KeyEncoder()
                let id = OwnedValue(.int64(version))
                _ = RecordKey.encode(id.view, nil, into: &key)
                guard let found = try transaction.value(entry.table, key.bytes.span.bytes) else {
                    return nil
                }
                return Self.files(in: DocumentView(found))
            }
        } catch {
            throw DBError(engineFailure: error)
        }
    }

    /// Takes up the rules that the folder holds. Texts that no longer compile leave app users
    /// without any rights.
    func loadRules() throws(DBError) {
        guard let entry = collection(RulesStore.namespace) else { return }
        do {
            let reader = try store.makeReader()
            let newest = try reader.read { transaction in
                try Self.newestRules(entry, transaction)
            }
            guard let newest, let compiled = try? DeployedRules.compile(newest.files) else {
                return
            }
            rules.set(DeployedRules(version: newest.version, compiled, newest.files))
        } catch {
            throw DBError(engineFailure: error)
        }
    }

    private static func newestRules<T: ReadableTransaction & ~Copyable>(
        _ entry: CollectionEntry, _ transaction: borrowing T
    ) throws -> (version: Int64, files: [RulesText])? {
        var cursor = transaction.cursor(entry.table)
        guard try cursor.last() else { return nil }
        let document = DocumentView(try cursor.value())
        guard let version = document.value("_id")?.int64 else { return nil }
        return (version, files(in: document))
    }

    private static func files(in document: DocumentView) -> [RulesText] {
        guard case .array(let files)? = Document(copying: document)["files"] else { return [] }
        return files.compactMap { file in
            guard case .document(let file) = file, case .string(let name)? = file["name"],
                case .string(let text)? = file["text"]
            else { return nil }
            return RulesText(name: name, text: text)
        }
    }
}
