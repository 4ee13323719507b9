// How a door that speaks another protocol reaches the commands: it brings channels without sockets,
// over which messages go as over a connection.

package import BSON
package import NIOCore

/// Whom the messages of a channel come from.
package enum DoorGuest: Sendable, Hashable {
    /// Whoever has connected: what the server grants without signing in.
    case connected
    /// A user of an app who isn't signed in. Always under the rules.
    case anonymous
    /// The user of an app whom an access token speaks for. Always under the rules.
    case token(String)
    /// The door itself, which signs app users in and may do nothing else.
    case doorkeeper
}

/// What answers commands behind a door.
package protocol CommandDoor: Sendable {
    /// The loops that channels must be on.
    var eventLoops: any EventLoopGroup { get }

    /// Answers the messages that come over `channel` from now on. On the channel's event loop.
    ///
    /// - Returns: a number for who asks, the same for all channels of one user; 0 for nobody.
    /// - Throws: 18 AuthenticationFailed for a token that is refused, 391 for one that has ended,
    ///   365 where too many are connected, 91 while the server stops. The channel is the caller's
    ///   to close.
    func serve(_ channel: any Channel, as guest: DoorGuest) throws(DBError) -> UInt64
}
