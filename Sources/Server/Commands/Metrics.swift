// metrics: what /metrics and /ready show, for those who have only the TCP door.

import BSON
import Wire

enum Metrics {
    static let definition = CommandDefinition(
        "metrics", .adminOnly, access: .cluster([.serverStatus]),
        help: "shows all figures as text for Prometheus, and whether the server is ready"
    ) { call, reply throws(DBError) in
        let readiness = call.core.readiness
        reply.append("ready", readiness.isReady)
        reply.append("reasons", .array(readiness.reasons.map { .string($0) }))
        reply.append("text", call.core.metricsText)
        return .done
    }
}
