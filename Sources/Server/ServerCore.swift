// What all connections of one server share. Everything here is immutable or guarded by itself.

import BSON
import Logging
import Roost
import Synchronization

/// The server's name, version and what it says to be compatible with.
package enum Version {
    /// The version of MongoDB whose commands and answers Roost follows, as drivers read it.
    package static let compatible = "8.2.4"
    /// The parts of `compatible`, as `buildInfo.versionArray`.
    static let compatibleParts: [Value] = [8, 2, 4, 0]
    /// The newest wire version, which belongs to `compatible`.
    static let wireMax: Int32 = 27
    /// The version of the data's features.
    static let featureCompatibility = "8.2"
    /// Roost's own version.
    package static let roost = "0.1.0"
}

/// The shared state of one server.
final class ServerCore: Sendable {
    let options: ServerOptions
    let engine: RoostEngine
    let cursors = CursorTable()
    let topology: Topology
    let logger: Logger
    let commands: CommandTable
    let sessions = SessionTable()
    let transactions = TransactionTable()
    let failPoints = FailPoints()
    let counters = Counters()
    /// What operations take; one for each event loop.
    let meters = Mutex<[LoopMeter]>([])
    let operations = OperationTable()
    let profiler = Profiler()
    let recentLogs = RecentLog()
    let settings = ServerSettings()
    /// Who may sign in, and what that allows.
    let accounts: AccountBook
    /// Slows guessing of passwords and tokens down.
    let attempts: AttemptLimiter
    /// Checks the tokens of another issuer's users; nil where none is configured.
    let tokens: TokenVerifier?
    /// The app users that are kept here.
    let appUsers: AppUserDesk
    /// Records what app users ask; nil where nobody wants it.
    let accessLog: AccessLog?
    /// When the server was made.
    let startedAt = ContinuousClock.now
    /// The same as the wall clock had it, in milliseconds since 1970.
    let startMillis = Clock.wallMillis

    /// How long a client may take nothing of a live query's replies, or of an exhaust cursor's, in
    /// milliseconds.
    let unreadMillis = Atomic<Int64>(30_000)

    private let lastReplyID = Atomic<Int32>(0)
    private let lastConnectionID = Atomic<Int32>(0)
    private let openConnections = Atomic<Int>(0)
    private let stopping = Atomic<Bool>(false)
    private let lastRefusalNote = Atomic<UInt64>(0)

    init(options: ServerOptions, engine: RoostEngine, logger: Logger) throws(DBError) {
        accounts = try AccountBook(engine)
        attempts = AttemptLimiter(options.attempts)
        tokens = options.tokens
        appUsers = try AppUserDesk(engine, options, logger)
        accessLog = try options.accessLog.map { path throws(DBError) in
            try AccessLog(path, logger)
        }
        if let accessLog { engine.rules.recording.record { accessLog.append($0) } }
        engine.audit.level = options.audit
        engine.rules.denials.whenDenied { [weak engine] id, user, text in
            engine?.note(
                AuditEvent(
                    "rulesDenied", users: [(user, "$external")],
                    ["id": .string(id), "reason": .string(String(text.prefix(2_000)))], result: 13))
        }
        self.options = options
        self.engine = engine
        self.logger = logger
        let first = options.listen.first ?? ServerOptions.Address(host: "127.0.0.1", port: 27_017)
        topology = Topology(
            setName: options.replicaSet, address: options.advertise ?? first.description)
        commands = CommandTable(allCommands)
    }

    /// What `unreadMillis` holds.
    var unreadMillisMax: Int64 { unreadMillis.load(ordering: .relaxed) }

    /// A number for a reply.
    func nextReplyID() -> Int32 {
        lastReplyID.wrappingAdd(1, ordering: .relaxed).newValue
    }

    /// A number for a connection.
    func nextConnectionID() -> Int32 {
        lastConnectionID.wrappingAdd(1, ordering: .relaxed).newValue
    }

    /// Counts a connection in; false, and not counted, when there are too many.
    func admitConnection() -> Bool {
        let count = openConnections.wrappingAdd(1, ordering: .relaxed).newValue
        if count <= options.connectionsMax { return true }
        openConnections.wrappingSubtract(1, ordering: .relaxed)
        counters.rejectedConnections.wrappingAdd(1, ordering: .relaxed)
        noteRefusal()
        return false
    }

    /// Logs refusals, one line a second at most: a flood must not fill the log.
    private func noteRefusal() {
        let now = Clock.coarseNanos
        let last = lastRefusalNote.load(ordering: .relaxed)
        guard last == 0 || now - last > 1_000_000_000,
            lastRefusalNote.compareExchange(expected: last, desired: now, ordering: .relaxed)
                .exchanged
        else { return }
        logger.warning(
            "connection refused: as many are open as --max-connections allows",
            metadata: [
                "max": "\(options.connectionsMax)",
                "refusedSoFar": "\(counters.rejectedConnections.load(ordering: .relaxed))",
            ])
    }

    /// Counts a connection out.
    func releaseConnection() {
        openConnections.wrappingSubtract(1, ordering: .relaxed)
    }

    /// Connections open now.
    var connectionCount: Int { openConnections.load(ordering: .relaxed) }

    /// Connections ever accepted.
    var connectionsCreated: Int { Int(lastConnectionID.load(ordering: .relaxed)) }

    /// Whether the server is on its way out.
    var isStopping: Bool { stopping.load(ordering: .relaxed) }

    /// Begins the way out.
    func beginStopping() {
        stopping.store(true, ordering: .relaxed)
        // What waits behind a lock is to be answered.
        engine.liftWriteLocks()
    }

    /// Ends what nobody has used for too long.
    func expire(now: UInt64) {
        end(sessions.expire(now: now))
        engine.snapshots.expire()
        cursors.expire(now: now, after: UInt64(options.timeouts.cursorSeconds * 1e9))
    }

    /// Ends sessions and what belongs to them.
    func end(_ ended: [SessionID]) {
        sessions.end(ended)
        transactions.end(ended)
        cursors.killAll(of: Set(ended.map { .session($0) }))
    }

    /// The newest time that a commit may have.
    var clusterTime: Timestamp {
        // Before the first commit the clock stands at zero, which drivers don't take for a time.
        max(engine.clock.newest, Timestamp(seconds: 1, ordinal: 1))
    }
}

/// Numbers for `serverStatus`.
final class Counters: Sendable {
    let bytesIn = Atomic<Int>(0)
    let bytesOut = Atomic<Int>(0)
    let requests = Atomic<Int>(0)
    let rejectedConnections = Atomic<Int>(0)
    let inserts = Atomic<Int>(0)
    let queries = Atomic<Int>(0)
    let updates = Atomic<Int>(0)
    let deletes = Atomic<Int>(0)
    let getMores = Atomic<Int>(0)
    /// Commands that failed.
    let errors = Atomic<Int>(0)
}
