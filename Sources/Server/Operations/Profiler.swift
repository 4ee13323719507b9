// The profiler and the log of slow commands.
//
// `profile` sets a level for each database: 0 off, 1 slow commands, 2 all of them; what it takes
// goes to the capped collection system.profile of the database before the command is answered. At
// every level, slow commands are logged. While no database is profiled, a command answered in
// place costs one look at the coarse clock, and one that is answered later the same.

import BSON
import Logging
import Query
import Roost
import Synchronization

/// Decides which commands are profiled and logged, and stores their entries. Safe from any thread.
final class Profiler: Sendable {
    /// What `profile` set for one database.
    struct Setting: Sendable {
        var level: Int32 = 0
        /// Takes the place of slowness and sampling, where given.
        var filter: Filter?
        var filterDocument: Document?
    }

    /// What `profile` set for the whole server.
    struct Limits: Sendable {
        /// Commands that take longer than this are slow.
        var slowMillis: Int64 = 100
        /// The part of slow commands that is taken.
        var sampleRate = 1.0
    }

    private struct State {
        var settings: [String: Setting] = [:]
        var limits = Limits()
    }

    /// The collection that entries go to.
    static let collection = "system.profile"
    /// How large that is made, in bytes.
    static let collectionBytes: Int64 = 1_048_576

    private let state = Mutex(State())
    private let profiles = Atomic<Bool>(false)
    private let slowNanos = Atomic<UInt64>(100_000_000)

    /// Whether some database has a level above 0.
    var isOn: Bool { profiles.load(ordering: .relaxed) }

    /// Whether a command that took so long, or any, may be taken.
    @inline(__always)
    func mayWant(nanos: UInt64) -> Bool {
        nanos >= slowNanos.load(ordering: .relaxed) || isOn
    }

    /// The settings of a database and of the server.
    func settings(of database: String) -> (setting: Setting, limits: Limits) {
        state.withLock { ($0.settings[database] ?? Setting(), $0.limits) }
    }

    /// Changes the settings of a database and of the server.
    func set(_ setting: Setting, _ limits: Limits, of database: String) {
        state.withLock { state in
            state.settings[database] = setting
            state.limits = limits
            slowNanos.store(Self.nanos(limits.slowMillis), ordering: .relaxed)
            profiles.store(
                state.settings.values.contains { $0.level > 0 }, ordering: .relaxed)
        }
    }

    /// Forgets the settings of a database that was dropped.
    func forget(_ database: String) {
        guard isOn else { return }
        let limits = settings(of: database).limits
        set(Setting(), limits, of: database)
    }

    /// Takes the entry of a command that ended: logs it where it was slow, and stores it where the
    /// database is profiled.
    /// - Parameter completion: called once the entry is stored, on the writer thread.
    /// - Returns: whether the completion will be called.
    func take(
        _ ended: EndedOperation, _ core: ServerCore, completion: @escaping @Sendable () -> Void
    ) -> Bool {
        let (setting, limits) = settings(of: ended.database)
        let isSlow = ended.nanos >= Self.nanos(limits.slowMillis)
        let isSampled = limits.sampleRate >= 1 || Double.random(in: 0..<1) < limits.sampleRate
        if isSlow, isSampled, !ended.isWaiting { log(ended, core.logger) }
        guard setting.level > 0, ended.isProfiled else { return false }
        let entry = ended.entry()
        if let filter = setting.filter {
            var scratch = MatchScratch()
            // A filter that can't be evaluated takes nothing.
            guard (try? filter.matches(entry.view, &scratch)) == true else { return false }
        } else if setting.level == 1 {
            guard isSlow, isSampled else { return false }
        }
        var request = WriteRequest(
            Namespace(ended.database, Self.collection), time: core.engine.writeTime)
        do throws(DBError) {
            try request.insert(entry.view)
        } catch {
            core.logger.warning("profile entry not stored", metadata: ["error": "\(error)"])
            return false
        }
        core.engine.write(request) { [logger = core.logger] outcome in
            if case .failure(let error) = outcome {
                logger.warning("profile entry not stored", metadata: ["error": "\(error)"])
            }
            completion()
        }
        return true
    }

    private func log(_ ended: EndedOperation, _ logger: Logger) {
        var metadata: Logger.Metadata = [
            "ns": "\(ended.namespace)", "millis": "\(ended.nanos / 1_000_000)",
            "command": "\(ended.commandDocument)", "remote": "\(ended.client.address)",
        ]
        if let report = ended.report {
            metadata["plan"] = "\(report.summary)"
            metadata["keysExamined"] = "\(report.counters.keysExamined)"
            metadata["docsExamined"] = "\(report.counters.documentsExamined)"
        }
        if let error = ended.error { metadata["error"] = "\(error.message)" }
        logger.info("slow query", metadata: metadata)
    }

    private static func nanos(_ millis: Int64) -> UInt64 {
        millis < 0 ? 0 : UInt64(min(millis, 1 << 40)) * 1_000_000
    }
}
