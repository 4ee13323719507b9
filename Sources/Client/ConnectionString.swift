// `mongodb://[USER:PASSWORD@]HOST[:PORT][/DATABASE][?tls=true&authSource=admin]`: where a client
// connects to, and as whom.

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
    /// The account to sign in as; nil for none.
    package let user: String?
    /// The account's password; may be set later where the string has none.
    package var password: String?
    /// The database that the account belongs to.
    package let authSource: String

    /// Where a server listens that was told nothing else.
    private static let portDefault = 27_017

    /// Parses a connection string; `HOST[:PORT][/DATABASE]` alone is one too.
    ///
    /// Throws `failedToParse` for what is none and for what the client can't do: several hosts,
    /// `mongodb+srv`. Options that only say how a driver behaves are passed over.
    package init(_ text: String) throws(DBError) {
        var rest = Substring(text)
        if rest.hasPrefix("mongodb://") {
            rest = rest.dropFirst("mongodb://".count)
        } else if rest.contains("://") {
            throw Self.error("it must begin with mongodb://")
        }
        // Characters that mean something in the string are escaped in names and passwords.
        if let mark = rest.lastIndex(of: "@") {
            let parts = rest[..<mark].split(separator: ":", maxSplits: 1)
            rest = rest[rest.index(after: mark)...]
            guard let name = parts.first, let decoded = Self.unescaped(name) else {
                throw Self.error("the user's name before '@' is empty or wrongly escaped")
            }
            user = decoded
            password = try parts.dropFirst().first.map { (text) throws(DBError) in
                guard let decoded = Self.unescaped(text) else {
                    throw Self.error(
                        "the password before '@' is wrongly escaped (%40 stands for @)")
                }
                return decoded
            }
        } else {
            user = nil
            password = nil
        }
        var options = Substring()
        if let mark = rest.firstIndex(of: "?") {
            options = rest[rest.index(after: mark)...]
            rest = rest[..<mark]
        }
        var database = Substring("test")
        var source: Substring?
        if let slash = rest.firstIndex(of: "/") {
            if rest.index(after: slash) < rest.endIndex {
                database = rest[rest.index(after: slash)...]
                source = database
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
            } else if parts.count == 2, parts[0].lowercased() == "authsource" {
                source = parts[1]
            } else if parts.count == 2, parts[0].lowercased() == "authmechanism" {
                guard parts[1] == "SCRAM-SHA-256" else {
                    throw Self.error("authMechanism must be SCRAM-SHA-256")
                }
            }
        }
        self.usesTLS = usesTLS
        authSource = source.map(String.init) ?? "admin"
    }

    /// The text with `%XX` undone; nil where an escape is wrong or the result is empty or no UTF-8.
    private static func unescaped(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2, let high = rest.popFirst(), let low = rest.popFirst(),
                let value = UInt8(String(decoding: [high, low], as: UTF8.self), radix: 16)
            else { return nil }
            bytes.append(value)
        }
        guard !bytes.isEmpty else { return nil }
        return String(validating: bytes, as: UTF8.self)
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
