// The server as other doors see it: what comes over their channels is answered like what comes over
// a socket, by the same commands under the same rules.

package import BSON
package import NIOCore
import NIOSSL
import Roost
package import Wire

extension Server: CommandDoor {
    /// The loops that connections are served on.
    package var eventLoops: any EventLoopGroup { group }

    package func serve(
        _ channel: any Channel, as guest: DoorGuest
    ) throws(DBError) -> UInt64 {
        guard let loop = loops[ObjectIdentifier(channel.eventLoop)], !core.isStopping else {
            throw DBError(.shutdownInProgress, "The server is stopping: connect again later")
        }
        guard core.admitConnection() else {
            throw DBError(
                .temporarilyUnavailable,
                "as many are connected as --max-connections allows: try again later")
        }
        let handler = ConnectionHandler(core: core, loop: loop.value)
        do {
            try channel.pipeline.syncOperations.addHandler(ChannelTransport(handler))
        } catch {
            core.releaseConnection()
            throw DBError(.shutdownInProgress, "The connection has ended", underlying: error)
        }
        handler.takesTransactionNumbers = true
        switch guest {
        case .connected: break
        case .anonymous: handler.signIn(as: .app(.anonymous))
        case .token(let token): try handler.signIn(withAccessToken: token)
        case .doorkeeper: handler.signIn(as: .doorkeeper)
        }
        return handler.access.sessionOwner
    }
}

extension Server {
    /// Makes the first handler of each connection of a door that serves apps over TLS, with the
    /// server's certificate; nil where it has none. Clients need not show one of their own: an app's
    /// users have tokens.
    /// - Throws: `ListenError` for files that hold none.
    package func makeTLSHandlers() throws -> (@Sendable () -> any ChannelHandler)? {
        guard var files = core.options.tls else { return nil }
        files.authorityFile = nil
        let context = try Self.tlsContext(files)
        return { NIOSSLServerHandler(context: context) }
    }
}

extension ConnectionHandler {
    /// Takes the user whom a bearer token speaks for.
    /// - Throws: 18 AuthenticationFailed, which tells nothing; the log says why.
    fileprivate func signIn(withAccessToken token: String) throws(DBError) {
        do throws(TokenFailure) {
            signIn(as: .app(try core.appUser(ofToken: token)))
        } catch {
            // Signatures can't be guessed, and many users may come from one address: not counted.
            logFailure("token", "bearer: \(error)")
            throw Self.signInFailure
        }
    }
}
