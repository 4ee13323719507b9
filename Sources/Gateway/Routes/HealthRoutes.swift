// /health, /ready, /metrics: for load balancers and monitoring.

import BSON
import NIOHTTP1
import Wire

enum HealthRoutes {
    static let all = [
        Route(
            .GET, "/health", "Whether the process answers", tag: "server",
            data: #"{"type":"object","properties":{"status":{"type":"string"}}}"#
        ) { exchange throws(DBError) in
            exchange.answer(.success(.ok, ["status": "ok"]))
        },
        Route(
            .GET, "/ready", "Whether the database answers, and takes writes", tag: "server",
            data: #"{"type":"object","properties":{"status":{"type":"string"}}}"#
        ) { exchange throws(DBError) in
            let core = exchange.visitor.core
            if core.isStopping {
                throw DBError(.shutdownInProgress, "The server is stopping")
            }
            if let reason = core.settings.notReadyReason() {
                throw DBError(.temporarilyUnavailable, "not ready: \(reason)")
            }
            try exchange.run(["ping": 1], database: "admin", as: .doorkeeper) { _ in
                .success(.ok, ["status": "ready"])
            }
        },
        Route(
            .GET, "/metrics", "Metrics in Prometheus's text format", tag: "server",
            contentType: "text/plain; version=0.0.4"
        ) { exchange throws(DBError) in
            guard let metrics = exchange.visitor.core.settings.metrics else {
                throw DBError(.httpNotFound, "this server gives no metrics")
            }
            // They tell of everyone, so they are for whoever could ask over TCP.
            guard exchange.guest == .connected else {
                throw DBError(.unauthorized, "metrics are for the machine that the server is on")
            }
            exchange.answer(
                HTTPAnswer(
                    status: .ok, contentType: "text/plain; version=0.0.4; charset=utf-8",
                    body: Array(metrics().utf8)))
        },
    ]
}
