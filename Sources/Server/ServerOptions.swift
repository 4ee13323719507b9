// What a server is told at start.

package import Roost

/// The options of one server.
package struct ServerOptions: Sendable {
    /// Where to listen.
    package struct Address: Sendable, Hashable, CustomStringConvertible {
        package var host: String
        /// 0 takes any free port.
        package var port: Int

        package init(host: String, port: Int) {
            self.host = host
            self.port = port
        }

        /// Reads `HOST:PORT`, `HOST`, `PORT`, `:PORT` or `[IPV6]:PORT`; the host defaults to
        /// 127.0.0.1 and the port to 27017.
        package init?(_ text: String) {
            if text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) {
                guard let port = Int(text), port <= 65_535 else { return nil }
                self.init(host: "127.0.0.1", port: port)
                return
            }
            var host = Substring(text)
            var port = 27_017
            let isBareIPv6 = text.filter { $0 == ":" }.count > 1 && !text.hasPrefix("[")
            if !isBareIPv6, let colon = text.lastIndex(of: ":"),
                !text[colon...].contains("]")
            {
                guard let number = Int(text[text.index(after: colon)...]),
                    (0...65_535).contains(number)
                else { return nil }
                port = number
                host = text[..<colon]
            }
            if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
            if host.isEmpty { host = "127.0.0.1" }
            guard host.utf8.allSatisfy(Self.mayStandInHost) else { return nil }
            self.init(host: String(host), port: port)
        }

        /// Letters, digits, and what names and IPv6 addresses (with a zone) hold besides.
        private static func mayStandInHost(_ byte: UInt8) -> Bool {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x80...: true
            case UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: ":"),
                UInt8(ascii: "%"):
                true
            default: false
            }
        }

        package var description: String {
            host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        }
    }

    /// Files for TLS, in PEM.
    package struct TLS: Sendable {
        /// The server's certificate and what leads to its root.
        package var certificateFile: String
        package var keyFile: String
        /// Roots of clients' certificates; with it a client must show one.
        package var authorityFile: String?

        package init(certificateFile: String, keyFile: String, authorityFile: String?) {
            self.certificateFile = certificateFile
            self.keyFile = keyFile
            self.authorityFile = authorityFile
        }
    }

    /// Times after which a connection or what belongs to it is given up, in seconds.
    package struct Timeouts: Sendable {
        /// From accepting a connection to its first whole message.
        package var handshakeSeconds: Double = 30
        /// For a message that has begun to arrive whole, as long as bytes stay away.
        package var stalledFrameSeconds: Double = 60
        /// For a cursor that nobody asks.
        package var cursorSeconds: Double = 600

        package init() {}
    }

    package var listen = [Address(host: "127.0.0.1", port: 27_017)]
    /// Folder of the socket file `mongodb-PORT.sock`; nil for none.
    package var socketFolder: String? = "/tmp"
    package var tls: TLS?
    package var connectionsMax = 10_000
    /// Presents the server as a replica set of one with this name.
    package var replicaSet: String?
    /// `host:port` that a replica set tells drivers; by default the first address listened on.
    package var advertise: String?
    /// When clients must sign in.
    package var authentication = AuthenticationPolicy.onceThereIsAnAccount
    /// How many failed sign-ins are free.
    package var attempts = AttemptLimiter.Limits()
    /// Checks the tokens of app users; nil where no issuer is configured.
    package var tokens: TokenVerifier?
    /// What the audit log notes.
    package var audit = AuditLevel.identity
    /// The file that what app users ask is recorded in; nil for none.
    package var accessLog: String?
    /// The shell command that e-mail to app users is handed to; nil where there is none.
    package var mailCommand: String?
    /// The mail server that it is handed to; goes before the command.
    package var mailServer: MailServer?
    /// Where the keys behind `tokens` are fetched from; nil where they are given.
    package var tokenKeys: KeySource?
    /// Roots for https, in PEM; nil for the system's.
    package var httpAuthorityFile: String?
    /// Whom app users may sign in with.
    package var providers: [SignInProvider] = []
    /// Whether what a transaction reads must still hold at its commit, also where its read concern
    /// doesn't say so.
    package var transactionsAreSerializable = false
    /// Offers `configureFailPoint` and says `enableTestCommands` in `getParameter`.
    package var offersTestCommands = false
    /// Event loops; 0 for as many as there are cores.
    package var eventLoops = 0
    /// How many connections an event loop takes before the next one takes any.
    package var connectionsPerLoop = 16
    package var timeouts = Timeouts()
    /// The command line, for `getCmdLineOpts`.
    package var commandLine: [String] = []

    package init() {}
}
