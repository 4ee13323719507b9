// A real server on a free port, over a folder that is removed afterwards.

import Glibc
import Logging
import Roost
import TestSupport

@testable import Server

enum RunningServer {
    /// Runs `body` with a server; `change` sets options.
    static func with<R>(
        _ change: (inout ServerOptions) -> Void = { _ in },
        _ body: (Int) async throws -> R
    ) async throws -> R {
        var options = ServerOptions()
        options.listen = [ServerOptions.Address(host: "127.0.0.1", port: 0)]
        options.socketFolder = nil
        options.eventLoops = 2
        // Every second connection is on another loop.
        options.connectionsPerLoop = 1
        // All tests run at once: a client may come to its next step after a minute.
        options.timeouts.handshakeSeconds = 1_800
        options.timeouts.stalledFrameSeconds = 1_800
        change(&options)
        var template = Array("/tmp/roost-server-test-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw ClientError(description: "no folder") }
        let folder = String(cString: made)
        defer { removeFolder(folder) }
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        var engineOptions = EngineOptions()
        engineOptions.quotaBytes = 1 << 30
        let engine = try RoostEngine(path: folder, options: engineOptions, logger: logger)
        defer { engine.close() }
        let server = try await Server(options: options, engine: engine, logger: logger)
        do {
            let port = try await server.start()[0].port
            let result = try await body(port)
            await server.stop()
            return result
        } catch {
            await server.stop()
            throw error
        }
    }
}
