// `mongodb://HOST[:PORT][/DATABASE][?tls=true]`: where a client connects to.

package import BSON

/// A parsed connection string.
package struct ConnectionString: Sendable, Equatable {
    /// A name or address.
    package let host: String
    package let port: Int
    /// The database that commands go to where nothing else is said.
    package let database: String
    /// Whether the connection is encrypted.
    package let usesTLS: Bool

    /// Where a server listens that was told nothing else.
    private static let portDefault = 27_017

    /// Parses a connection string; `HOST[:PORT][/DATABASE]` alone is one too.
    ///
    /// Throws `failedToParse` for what is none and for what the client can't do: several hosts,
    /// `mongodb+srv`, users. Options that only say how a driver behaves are passed over.
    package init(_ text: String) throws(DBError) {
        var rest = Substring(text)
        if rest.hasPrefix("mongodb://") {
            rest = rest.dropFirst("mongodb://".count)
        } else if rest.contains("://") {
            throw Self.error("it must begin with mongodb://")
        }
        guard !rest.contains("@") else {
            throw Self.error("signing in with a user is not there yet; leave out 'user:password@'")
        }
        var options = Substring()
        if let mark = rest.firstIndex(of: "?") {
            options = rest[rest.index(after: mark)...]
            rest = rest[..<mark]
        }
        var database = Substring("test")
        if let slash = rest.firstIndex(of: "/") {
            if rest.index(after: slash) < rest.endIndex {
                database = rest[rest.index(after: slash)...]
            }
            rest = rest[..<slash]
        }
        guard !rest.contains(",") else {
            throw Self.error("one host is enough: Roost is a single server")
        }
        (host, port) = try Self.address(rest)
        self.database = String(database)
        var usesTLS = false
        for option in options.split(separator: "&") {
            let parts = option.split(separator: "=", maxSplits: 1)
            if parts.count == 2, ["tls", "ssl"].contains(parts[0].lowercased()) {
                usesTLS = parts[1] == "true"
            }
        }
        self.usesTLS = usesTLS
    }

    private static func address(_ text: Substring) throws(DBError) -> (String, Int) {
        var host = text
        var portText: Substring?
        if text.hasPrefix("["), let end = text.firstIndex(of: "]") {
            host = text[text.index(after: text.startIndex)..<end]
            let rest = text[text.index(after: end)...]
            if rest.hasPrefix(":") { portText = rest.dropFirst() }
        } else if let colon = text.lastIndex(of: ":") {
            host = text[..<colon]
            portText = text[text.index(after: colon)...]
        }
        guard !host.isEmpty else { throw error("there is no host in it") }
        guard let portText else { return (String(host), portDefault) }
        guard let port = Int(portText), 1...65_535 ~= port else {
            throw error("'\(portText)' is no port")
        }
        return (String(host), port)
    }

    private static func error(_ reason: String) -> DBError {
        DBError(.failedToParse, "cannot use this connection string: \(reason)")
    }
}
