// serverStatus: numbers about the running server.

import BSON
import Glibc
import Roost
import Synchronization
import Wire

enum ServerStatus {
    static let definition = CommandDefinition(
        "serverStatus", .takesAnyField, access: .cluster([.serverStatus]),
        help: "shows numbers about the running server"
    ) { call, reply throws(DBError) in
        let core = call.core
        let uptime = ContinuousClock.now - core.startedAt
        reply.append("host", HostInfo.hostName)
        reply.append("version", Version.compatible)
        reply.append("process", "roost")
        reply.append("service", .array([]))
        reply.append("pid", Int64(getpid()))
        reply.append("uptime", Double(uptime.components.seconds))
        reply.append("uptimeMillis", uptime.components.seconds * 1_000)
        reply.append("uptimeEstimate", uptime.components.seconds)
        reply.append("localTime", dateMillis: Clock.wallMillis)
        if wants("asserts", call) {
            let asserts = reply.openDocument("asserts")
            for name: StaticString in ["regular", "warning", "msg"] { reply.append(name, Int32(0)) }
            reply.append(
                "user", Int32(clamping: core.counters.errors.load(ordering: .relaxed)))
            for name: StaticString in ["tripwire", "rollovers"] { reply.append(name, Int32(0)) }
            reply.close(asserts)
        }
        if wants("globalLock", call) {
            appendQueues(core, uptimeMicros: uptime.components.seconds * 1_000_000, &reply)
        }
        if call.body.value("mirroredReads")?.isTruthy == true {
            reply.append("mirroredReads", ["seen": .int64(0), "sent": .int64(0)])
        }
        if wants("connections", call) { appendConnections(core, &reply) }
        if wants("network", call) { appendNetwork(core.counters, &reply) }
        if wants("opcounters", call) { appendOperations(core, &reply) }
        if wants("opLatencies", call) { appendLatencies(core, &reply) }
        if wants("extra_info", call) { appendProcess(&reply) }
        if wants("logicalSessionRecordCache", call) {
            let sessions = reply.openDocument("logicalSessionRecordCache")
            reply.append("activeSessionsCount", count: core.sessions.count)
            reply.close(sessions)
        }
        if wants("storageEngine", call) {
            let engine = reply.openDocument("storageEngine")
            reply.append("name", "roost")
            reply.append("supportsCommittedReads", true)
            reply.append("persistent", true)
            reply.append("readOnly", false)
            reply.close(engine)
        }
        if wants("metrics", call) { appendMetrics(core, &reply) }
        if wants("store", call) { reply.append("store", document: core.engine.statistics) }
        if wants("redo", call) { reply.append("redo", document: core.engine.redoStatistics) }
        if wants("live", call) {
            reply.append(
                "live", document: core.engine.live.statistics(newest: core.engine.clock.newest))
        }
        // The command answers, whatever the store can't do any more.
        if wants("trash", call),
            let totals = try? core.engine.trashTotals(call.connection.loop.reader)
        {
            let trash = reply.openDocument("trash")
            reply.append("documents", totals.count)
            reply.append("bytes", totals.bytes)
            reply.append("purgedByAge", Int64(core.engine.expiry.purged))
            reply.close(trash)
        }
        if wants("repl", call), let name = core.topology.setName {
            let repl = reply.openDocument("repl")
            reply.append("setName", name)
            reply.append("me", core.topology.address)
            reply.append("isWritablePrimary", true)
            reply.append("hosts", .array([.string(core.topology.address)]))
            reply.close(repl)
        }
        if wants("catalogStats", call) { appendCatalog(core.engine.catalog, &reply) }
        if wants("mem", call) {
            let memory = reply.openDocument("mem")
            reply.append("bits", Int32(64))
            let bytes = HostInfo.processMemory
            reply.append("resident", Int32(clamping: bytes.resident >> 20))
            reply.append("virtual", Int32(clamping: bytes.virtual >> 20))
            reply.append("supported", true)
            reply.close(memory)
        }
        return .done
    }

    /// Whether a section is to be shown: the client leaves one out by `{section: 0}`.
    private static func wants(_ section: StaticString, _ call: borrowing CommandCall) -> Bool {
        call.body.value(section)?.isTruthy ?? true
    }

    private static func appendConnections(_ core: ServerCore, _ reply: inout ReplyWriter) {
        let connections = reply.openDocument("connections")
        reply.append("current", count: core.connectionCount)
        reply.append("available", count: core.options.connectionsMax - core.connectionCount)
        reply.append("totalCreated", count: core.connectionsCreated)
        reply.append(
            "rejected",
            count: core.counters.rejectedConnections.load(ordering: .relaxed))
        reply.append("active", count: core.connectionCount)
        reply.close(connections)
    }

    private static func appendCatalog(_ catalog: CatalogSnapshot, _ reply: inout ReplyWriter) {
        let entries = catalog.collections.values
        let views = entries.count { $0.view != nil }
        let statistics = reply.openDocument("catalogStats")
        reply.append("collections", count: entries.count - views)
        reply.append("capped", count: entries.count { $0.traits.capped != nil })
        reply.append("clustered", count: entries.count { $0.traits.clusteredIndex != nil })
        reply.append("views", count: views)
        reply.close(statistics)
    }

    private static func appendMetrics(_ core: ServerCore, _ reply: inout ReplyWriter) {
        let metrics = reply.openDocument("metrics")
        let cursor = reply.openDocument("cursor")
        let open = reply.openDocument("open")
        reply.append("total", Int64(core.cursors.count))
        reply.close(open)
        reply.close(cursor)
        reply.close(metrics)
    }

    private static func appendNetwork(_ counters: Counters, _ reply: inout ReplyWriter) {
        let network = reply.openDocument("network")
        reply.append("bytesIn", Int64(counters.bytesIn.load(ordering: .relaxed)))
        reply.append("bytesOut", Int64(counters.bytesOut.load(ordering: .relaxed)))
        reply.append("numRequests", Int64(counters.requests.load(ordering: .relaxed)))
        reply.close(network)
    }

    /// Nothing waits for a lock: readers need none, and writes queue for the one writer.
    private static func appendQueues(
        _ core: ServerCore, uptimeMicros: Int64, _ reply: inout ReplyWriter
    ) {
        let running = core.operations.all
        let writers = running.count { $0.operation.isWrite }
        let queued = core.engine.queuedWrites
        let lock = reply.openDocument("globalLock")
        reply.append("totalTime", uptimeMicros)
        let queue = reply.openDocument("currentQueue")
        reply.append("total", count: queued)
        reply.append("readers", Int32(0))
        reply.append("writers", count: queued)
        reply.close(queue)
        let active = reply.openDocument("activeClients")
        reply.append("total", count: running.count)
        reply.append("readers", count: running.count - writers)
        reply.append("writers", count: writers)
        reply.close(active)
        reply.close(lock)
    }

    /// In microseconds, as MongoDB tells them.
    private static func appendLatencies(_ core: ServerCore, _ reply: inout ReplyWriter) {
        let times = core.operationTimes
        let latencies = reply.openDocument("opLatencies")
        for latencyClass in OperationKind.Class.allCases {
            var sum = LatencyHistogram()
            for kind in OperationKind.allCases where kind.latencyClass == latencyClass {
                sum.add(times[kind.rawValue])
            }
            let document: Document = [
                "latency": .int64(Int64(clamping: sum.nanos / 1_000)),
                "ops": .int64(Int64(clamping: sum.count)),
            ]
            switch latencyClass {
            case .reads: reply.append("reads", document: document)
            case .writes: reply.append("writes", document: document)
            case .commands: reply.append("commands", document: document)
            case .transactions: reply.append("transactions", document: document)
            }
        }
        reply.close(latencies)
    }

    private static func appendProcess(_ reply: inout ReplyWriter) {
        let figures = ProcessFigures.now
        let extra = reply.openDocument("extra_info")
        reply.append("note", "fields vary by platform")
        reply.append("user_time_us", figures.userMicros)
        reply.append("system_time_us", figures.systemMicros)
        reply.append("maximum_resident_set_kb", figures.residentMaxKilobytes)
        reply.append("page_faults", figures.pageFaults)
        reply.append("input_blocks", figures.blocksRead)
        reply.append("output_blocks", figures.blocksWritten)
        reply.append("threads", count: figures.threads)
        reply.close(extra)
    }

    private static func appendOperations(_ core: ServerCore, _ reply: inout ReplyWriter) {
        let counters = core.counters
        let operations = reply.openDocument("opcounters")
        reply.append("insert", Int64(counters.inserts.load(ordering: .relaxed)))
        reply.append("query", Int64(counters.queries.load(ordering: .relaxed)))
        reply.append("update", Int64(counters.updates.load(ordering: .relaxed)))
        reply.append("delete", Int64(counters.deletes.load(ordering: .relaxed)))
        reply.append("getmore", Int64(counters.getMores.load(ordering: .relaxed)))
        reply.append("command", Int64(clamping: core.otherCommands))
        reply.close(operations)
    }
}
