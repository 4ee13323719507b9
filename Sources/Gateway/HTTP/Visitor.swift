// Who is at the other end of an HTTP connection or WebSocket, and the links that work for them.
//
// A request names its user by a bearer token. Without one it comes from an app user who isn't signed
// in, or, where the connection is as good as one over TCP, from whoever has connected (see `isOwn`).
// A link is kept for the next request of the same user.

import BSON
import NIOCore
import NIOHTTP1
import Wire

/// One connection's client. Confined to its event loop.
final class Visitor {
    let channel: any Channel
    let core: GatewayCore
    /// The client's address without its port.
    let address: String
    private let isLoopback: Bool
    private var link: CommandLink?
    private var doorkeeper: CommandLink?
    /// Links of live queries, which are told whether the client takes what is written.
    private var others: [ObjectIdentifier: CommandLink] = [:]

    init(_ channel: any Channel, _ core: GatewayCore) {
        self.channel = channel
        self.core = core
        address = channel.remoteAddress?.ipAddress ?? "local"
        isLoopback =
            address == "::1" || address.hasPrefix("127.")
            || address.lowercased().hasPrefix("::ffff:127.")
    }

    // MARK: Who asks

    /// Whom a request comes from.
    /// - Throws: 18 AuthenticationFailed for credentials of another kind.
    func guest(of headers: HTTPHeaders) throws(DBError) -> DoorGuest {
        if let credentials = headers.first(name: "Authorization") {
            let parts = credentials.split(separator: " ", maxSplits: 1)
            guard parts.count == 2, parts[0].lowercased() == "bearer" else {
                throw DBError(
                    .authenticationFailed,
                    "Authorization must be 'Bearer' and an access token")
            }
            return .token(String(parts[1]))
        }
        return isOwn(headers) ? .connected : .anonymous
    }

    /// Whether a request without credentials may be taken for one of whoever has connected, to whom
    /// the server grants what it does over TCP (on this machine everything, until there is an
    /// account).
    ///
    /// Not so for what a web page of another origin sends, and what comes through a proxy: neither
    /// has to do with who could connect. The name in Host must be this machine's or an address,
    /// since any other name may have been made to lead here (DNS rebinding).
    private func isOwn(_ headers: HTTPHeaders) -> Bool {
        for name in ["Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"] {
            if headers.contains(name: name) { return false }
        }
        guard let host = headers.first(name: "Host"), Self.isAddress(Self.hostName(host)[...])
        else { return false }
        if let site = headers.first(name: "Sec-Fetch-Site"), site != "same-origin", site != "none" {
            return false
        }
        guard let origin = headers.first(name: "Origin") else { return true }
        return origin == "http://\(host)" || origin == "https://\(host)"
    }

    private static func hostName(_ host: String) -> String {
        if host.hasPrefix("[") { return String(host.dropFirst().prefix { $0 != "]" }) }
        return String(host.prefix { $0 != ":" })
    }

    private static func isAddress(_ name: Substring) -> Bool {
        if name == "localhost" || name.contains(":") { return true }
        return !name.isEmpty && name.utf8.allSatisfy { 0x30...0x39 ~= $0 || $0 == 0x2E }
    }

    // MARK: Links

    /// The link that works for `guest`: the one of the request before, or a new one.
    /// - Throws: as `CommandDoor.serve`.
    func link(for guest: DoorGuest) throws(DBError) -> CommandLink {
        if guest == .doorkeeper {
            if let doorkeeper, doorkeeper.isOpen { return doorkeeper }
            let link = try CommandLink(channel, core.door, guest)
            doorkeeper = link
            return link
        }
        if let link, link.isOpen, !link.isBusy, link.guest == guest { return link }
        link?.close()
        let new = try CommandLink(channel, core.door, guest)
        link = new
        return new
    }

    /// A link of its own, for a live query.
    /// - Throws: as `CommandDoor.serve`.
    func openLink(for guest: DoorGuest) throws(DBError) -> CommandLink {
        let link = try CommandLink(channel, core.door, guest)
        others[ObjectIdentifier(link)] = link
        return link
    }

    /// Ends a link of a live query.
    func close(_ link: CommandLink) {
        others[ObjectIdentifier(link)] = nil
        link.close()
    }

    /// The client takes what is written, or no longer does.
    func setWritable(_ isWritable: Bool) {
        for link in others.values { link.setWritable(isWritable) }
        link?.setWritable(isWritable)
    }

    /// The connection has ended.
    func end() {
        link?.close()
        doorkeeper?.close()
        for link in others.values { link.close() }
        link = nil
        doorkeeper = nil
        others = [:]
    }
}
