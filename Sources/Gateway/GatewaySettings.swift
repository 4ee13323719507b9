// What the HTTP door is told at start, and its limits.

import BSON
package import NIOCore

/// The settings of one HTTP door.
package struct GatewaySettings: Sendable {
    /// Where to listen.
    package var host: String
    /// 0 takes any free port.
    package var port: Int
    /// Whether the address was asked for: then a taken port is an error, not a remark in the log.
    package var isExplicit: Bool
    /// Requests a second of one user, or of one address where nobody signed in; 0 for no bound.
    package var requestsPerSecond = 0
    /// Most connections at once.
    package var connectionsMax = 10_000
    /// The text of `GET /metrics`, in Prometheus's format; nil where there is none.
    package var metrics: (@Sendable () -> String)?
    /// Why the database doesn't take reads and writes, nil where it does: `GET /ready`.
    package var notReadyReason: @Sendable () -> String? = { nil }
    /// Makes the handler that speaks TLS with a connection's client; nil for plain HTTP.
    package var tls: (@Sendable () -> any ChannelHandler)?
    /// What `openapi.json` says is the version.
    package var version = "0"

    package init(host: String, port: Int, isExplicit: Bool) {
        self.host = host
        self.port = port
        self.isExplicit = isExplicit
    }
}

/// Bounds of what clients may send and leave lying.
enum GatewayLimits {
    /// Largest body of a request: a document in Extended JSON may be longer than in BSON.
    static let bodyBytesMax = 32 * 1024 * 1024
    /// Largest head of a request.
    static let headerBytesMax = 32 * 1024
    /// Most header fields.
    static let headerCountMax = 100
    /// Largest message over a WebSocket.
    static let messageBytesMax = 1024 * 1024
    /// Most live queries over one WebSocket.
    static let subscriptionsMax = 200
    /// Most requests of one batch.
    static let batchRequestsMax = 500
    /// Bytes written and not taken by the socket at which live queries rest, and go on.
    static let writeMarks = (low: 16 * 1024, high: 64 * 1024)
    /// Documents of a page where the client doesn't say.
    static let pageRowsDefault = 100
    /// Most documents of a page.
    static let pageRowsMax = 10_000
    /// Longest that a read runs, in milliseconds.
    static let readMillisMax: Int64 = 30_000
    /// Between heartbeats of a live query, in milliseconds.
    static let heartbeatMillis: Int64 = 25_000
    /// For a request that has begun to arrive whole, in seconds.
    static let requestSeconds: Int64 = 30
    /// For a connection without a request, and a WebSocket that says nothing, in seconds.
    static let idleSeconds: Int64 = 75
}
