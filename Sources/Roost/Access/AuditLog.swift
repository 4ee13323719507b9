// The audit log: who signed in or failed to, which accounts, roles and rules were changed, what was
// refused, and on request each access that bypasses the rules.
//
// Events are documents of the capped collection `admin.system.audit`, in MongoDB's form:
//
//     {atype, ts, remote: {ip}, users: [{user, db}], param: {…}, result: error code or 0}
//
// They are durable, survive crashes with what they tell of, go into backups, and the oldest make
// room. No built-in role may write or drop the collection. Noting an event never waits: one write at
// a time is under way, and takes all that came meanwhile; a flood that is faster than the disk loses
// events, whose number is noted (`atype: "lost"`). Secrets are never part of an event.

package import BSON
import Synchronization

/// What is noted.
package enum AuditLevel: String, Sendable, CaseIterable {
    /// Nothing.
    case off
    /// Sign-ins, changes of accounts, roles and rules, refusals.
    case identity
    /// Also each command of those who bypass the rules.
    case accesses
}

/// One event.
package struct AuditEvent: Sendable {
    package var type: String
    /// The address of who did it; nil for the process itself.
    package var remote: String?
    /// Who did it: name and database.
    package var users: [(user: String, database: String)]
    package var parameters: Document
    /// The error's code; 0 for success.
    package var result: Int32

    /// An event of now.
    package init(
        _ type: String, remote: String? = nil, users: [(user: String, database: String)] = [],
        _ parameters: Document = Document(), result: Int32 = 0
    ) {
        self.type = type
        self.remote = remote
        self.users = users
        self.parameters = parameters
        self.result = result
    }

    func document(atMillis: Int64) -> Document {
        Document { writer in
            writer.append("_id", .objectID(ObjectID.generate()))
            writer.append("atype", type)
            writer.append("ts", dateMillis: atMillis)
            if let remote { writer.append("remote", ["ip": .string(remote)] as Document) }
            writer.append(
                "users",
                .array(
                    users.map {
                        .document(["user": .string($0.user), "db": .string($0.database)])
                    }))
            writer.append("param", parameters)
            writer.append("result", result)
        }
    }
}

/// Events on their way to the collection. Safe from any thread.
package final class AuditLog: Sendable {
    /// Where events go.
    package static let namespace = Namespace("admin", "system.audit")
    /// How large the collection is, in bytes.
    package static let bytesMax: Int64 = 64 << 20
    /// Most events that wait.
    fileprivate static let waitingMax = 10_000
    /// Most events of one write.
    fileprivate static let batchMax = 500

    fileprivate struct State {
        var waiting: [Document] = []
        var lost = 0
        var isWriting = false
    }

    fileprivate let state = Mutex(State())
    private let chosen = Atomic<Int>(0)

    init() {}

    /// What is noted; off until a door says otherwise.
    package var level: AuditLevel {
        get { AuditLevel.allCases[chosen.load(ordering: .relaxed)] }
        set {
            let index = AuditLevel.allCases.firstIndex(of: newValue) ?? 0
            chosen.store(index, ordering: .relaxed)
        }
    }
}

extension RoostEngine {
    /// Notes an event, soon. Never waits.
    package func note(_ event: AuditEvent) {
        guard audit.level != .off else { return }
        let document = event.document(atMillis: LogicalClock.wallMillis)
        let starts = audit.state.withLock { state in
            guard state.waiting.count < AuditLog.waitingMax else {
                state.lost += 1
                return false
            }
            state.waiting.append(document)
            defer { state.isWriting = true }
            return !state.isWriting
        }
        if starts { writeAudit() }
    }

    /// Writes what waits, making the collection where it isn't there.
    private func writeAudit() {
        guard collection(AuditLog.namespace) == nil else { return writeAuditBatch() }
        createCollection(
            AuditLog.namespace,
            options: ["capped": true, "size": .int64(AuditLog.bytesMax)]
        ) { outcome in
            if case .failure(let error) = outcome, error.code != .namespaceExists {
                return self.endAudit(error)
            }
            self.writeAuditBatch()
        }
    }

    private func writeAuditBatch() {
        let batch = audit.state.withLock { state -> [Document] in
            if state.lost > 0 {
                let event = AuditEvent("lost", ["events": .int64(Int64(state.lost))])
                state.waiting.append(event.document(atMillis: LogicalClock.wallMillis))
                state.lost = 0
            }
            let batch = Array(state.waiting.prefix(AuditLog.batchMax))
            state.waiting.removeFirst(batch.count)
            if batch.isEmpty { state.isWriting = false }
            return batch
        }
        guard !batch.isEmpty else { return }
        var request = WriteRequest(AuditLog.namespace, time: writeTime)
        do throws(DBError) {
            for document in batch { try request.insert(document.view) }
        } catch {
            return endAudit(error)
        }
        write(request) { outcome in
            if case .failure(let error) = outcome { return self.endAudit(error) }
            self.writeAudit()
        }
    }

    /// A store that refuses writes: what waits is lost, and counted.
    private func endAudit(_ error: DBError) {
        let lost = audit.state.withLock { state in
            state.lost += state.waiting.count
            state.waiting = []
            state.isWriting = false
            return state.lost
        }
        noteAuditFailure(error, lost: lost)
    }
}
