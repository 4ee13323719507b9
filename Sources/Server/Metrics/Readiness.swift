// Whether the server does what it is there for: what /health and /ready answer, and load balancers
// and orchestrators act upon.
//
// Healthy is a process that answers; to restart it would help against nothing else. Ready is one
// that takes reads and writes.

package import BSON
import Roost

/// Whether a server takes reads and writes.
package struct Readiness: Sendable, Equatable {
    /// Why it doesn't, in words for an operator; empty where it does.
    package let reasons: [String]

    /// Whether it does.
    package var isReady: Bool { reasons.isEmpty }

    /// As the body of an answer: `{ready: …, reasons: […]}`.
    package var document: Document {
        ["ready": .bool(isReady), "reasons": .array(reasons.map { .string($0) })]
    }
}

extension ServerCore {
    /// Whether the server takes reads and writes now. Costs microseconds.
    var readiness: Readiness {
        var reasons: [String] = []
        if isStopping { reasons.append("the server is stopping") }
        if let damage = engine.pageDamage {
            reasons.append("the data file is damaged (run 'roost verify'): \(damage)")
        }
        if let refusal = engine.writeRefusal { reasons.append("writes are refused: \(refusal)") }
        if engine.writeLocks > 0 { reasons.append("writes are locked by fsync; run fsyncUnlock") }
        return Readiness(reasons: reasons)
    }
}

extension Server {
    /// All figures as Prometheus reads them, for `/metrics`; its type is
    /// `text/plain; version=0.0.4; charset=utf-8`. Costs less than a millisecond; safe from any
    /// thread.
    package var metricsText: String { core.metricsText }

    /// What `/ready` answers: status 200 where it is ready, else 503, with its document. Safe from
    /// any thread.
    package var readiness: Readiness { core.readiness }

    /// What `/health` answers with status 200; that it answers at all says that the process lives.
    package var health: Document {
        let uptime = ContinuousClock.now - core.startedAt
        return [
            "status": "ok", "version": .string(Version.roost),
            "uptimeSeconds": .int64(uptime.components.seconds),
        ]
    }
}
