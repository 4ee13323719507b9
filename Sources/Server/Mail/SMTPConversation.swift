// What is said to a mail server for one message (RFC 5321, 3207, 4954, 6531), as a value: lines go
// in, what to do comes out. No sockets.
//
//     greeting > hello > (STARTTLS > hello) > (AUTH) > MAIL > RCPT > DATA > content > done
//
// Guarantees: name and password are said only over TLS, or to this machine; nothing that the server
// said before TLS counts after it; lines of the message that begin with a dot are doubled.

import BSON

/// How a mail server is reached.
package struct MailServer: Sendable, Hashable {
    /// Its name or address.
    package let host: String
    /// Its port.
    package let port: Int
    /// Whether TLS comes first (`smtps`), rather than by STARTTLS.
    package let isTLS: Bool
    /// Who signs in; nil for nobody.
    package let user: String?
    /// The password.
    package var password = ""
    /// The `From` of messages: an address, or a name and an address in angle brackets.
    package var from = ""

    /// Whether it is this machine, where TLS isn't asked for.
    var isHere: Bool { ["127.0.0.1", "::1", "localhost"].contains(host) }

    /// Reads `smtps://[USER@]HOST[:PORT]` (465) or `smtp://[USER@]HOST[:PORT]` (587); nil for
    /// anything else. The user ends at the last `@`: it is often an address itself.
    package init?(_ text: String) {
        isTLS = text.hasPrefix("smtps://")
        guard isTLS || text.hasPrefix("smtp://") else { return nil }
        var place = text.dropFirst(isTLS ? 8 : 7)
        if place.hasSuffix("/") { place = place.dropLast() }
        var user: String?
        if let at = place.lastIndex(of: "@") {
            user = String(place[..<at])
            place = place[place.index(after: at)...]
        }
        self.user = user
        var port = isTLS ? 465 : 587
        var host = place
        if let colon = place.lastIndex(of: ":"), !place[colon...].contains("]") {
            guard let number = Int(place[place.index(after: colon)...]),
                (1...65_535).contains(number)
            else { return nil }
            port = number
            host = place[..<colon]
        }
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        let isPlain = text.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F }
        guard !host.isEmpty, !host.contains("/"), isPlain, user?.isEmpty != true else {
            return nil
        }
        self.host = String(host)
        self.port = port
    }

    /// The address within `from`; nil where that is none.
    package var sender: String? {
        var address = from[...]
        if let open = from.lastIndex(of: "<") {
            guard from.hasSuffix(">") else { return nil }
            address = from[from.index(after: open)...].dropLast()
        }
        let isPlain = from.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
        guard isPlain, let at = address.firstIndex(of: "@"), at != address.startIndex,
            address.index(after: at) != address.endIndex,
            !address.contains(where: { $0 == " " || $0 == "<" || $0 == ">" })
        else { return nil }
        return String(address)
    }
}

/// One message's conversation.
struct SMTPConversation {
    /// What to do next.
    enum Action: Equatable {
        case wait
        case send(String)
        case startTLS
        /// Sent: say goodbye with this line and close.
        case done(String)
        case fail(String, isTemporary: Bool)
    }

    private enum Step {
        case greeting, hello, startTLS, authPlain, authLogin, authUser, authPassword, mail,
            recipient
        case data, content

        /// What it is called in failures.
        var name: String {
            switch self {
            case .greeting: "the connection"
            case .hello: "EHLO"
            case .startTLS: "STARTTLS"
            case .authPlain, .authLogin, .authUser, .authPassword: "signing in"
            case .mail: "MAIL"
            case .recipient: "RCPT"
            case .data, .content: "DATA"
            }
        }

        func accepts(_ code: Int) -> Bool {
            switch self {
            case .greeting, .startTLS: code == 220
            case .hello, .mail, .content: code == 250
            case .authPlain, .authPassword: code == 235
            case .authLogin, .authUser: code == 334
            case .recipient: code == 250 || code == 251
            case .data: code == 354
            }
        }
    }

    private let server: MailServer
    private let sender: String
    private let recipient: String
    private let ownName: String
    /// The message with lines ended by CRLF.
    private let message: String
    private var isSecure: Bool
    private var step = Step.greeting
    private var offers: [String] = []

    init(
        _ server: MailServer, sender: String, recipient: String, message: String, ownName: String
    ) {
        self.server = server
        self.sender = sender
        self.recipient = recipient
        self.message = message
        self.ownName = ownName
        isSecure = server.isTLS
    }

    /// Takes a line of the server, without its end.
    mutating func receive(_ line: String) -> Action {
        let bytes = Array(line.utf8)
        guard bytes.count >= 3, let code = Int(line.prefix(3)), (200...599).contains(code),
            bytes.count == 3 || bytes[3] == UInt8(ascii: " ") || bytes[3] == UInt8(ascii: "-")
        else { return .fail("the mail server doesn't speak SMTP", isTemporary: false) }
        if step == .hello, code == 250 { offers.append(line.dropFirst(4).uppercased()) }
        if bytes.count > 3, bytes[3] == UInt8(ascii: "-") { return .wait }
        guard step.accepts(code) else {
            return .fail(
                "the mail server answered \(code) to \(step.name)", isTemporary: code < 500)
        }
        return next()
    }

    /// TLS is established.
    mutating func secured() -> Action {
        isSecure = true
        return hello()
    }

    private mutating func next() -> Action {
        switch step {
        case .greeting: return hello()
        case .hello: return isSecure || server.isHere && !mayStartTLS ? signIn() : secure()
        case .startTLS: return .startTLS
        case .authLogin: return go(.authUser, Self.base64(server.user ?? ""))
        case .authUser: return go(.authPassword, Self.base64(server.password))
        case .authPlain, .authPassword: return mail()
        case .mail: return go(.recipient, "RCPT TO:<\(recipient)>")
        case .recipient: return go(.data, "DATA")
        case .data: return go(.content, content)
        case .content: return .done("QUIT")
        }
    }

    private mutating func go(_ step: Step, _ line: String) -> Action {
        self.step = step
        return .send(line)
    }

    private mutating func hello() -> Action {
        offers = []
        return go(.hello, "EHLO \(ownName)")
    }

    private var mayStartTLS: Bool { offers.contains("STARTTLS") }

    private mutating func secure() -> Action {
        guard mayStartTLS else {
            return .fail(
                "the mail server offers no STARTTLS: use smtps://, or another port",
                isTemporary: false)
        }
        return go(.startTLS, "STARTTLS")
    }

    private mutating func signIn() -> Action {
        guard let user = server.user else { return mail() }
        let mechanisms = offers.first { $0.hasPrefix("AUTH ") || $0.hasPrefix("AUTH=") }
        let names = mechanisms?.dropFirst(5).split(separator: " ") ?? []
        if names.contains("PLAIN") {
            return go(.authPlain, "AUTH PLAIN " + Self.base64("\0\(user)\0\(server.password)"))
        }
        if names.contains("LOGIN") { return go(.authLogin, "AUTH LOGIN") }
        return .fail("the mail server offers neither AUTH PLAIN nor LOGIN", isTemporary: false)
    }

    private mutating func mail() -> Action {
        let isASCII = [sender, recipient, message].allSatisfy { $0.utf8.allSatisfy { $0 < 0x80 } }
        guard isASCII || offers.contains("SMTPUTF8") else {
            return .fail(
                "the mail server takes no address beyond ASCII (SMTPUTF8)", isTemporary: false)
        }
        return go(.mail, "MAIL FROM:<\(sender)>" + (isASCII ? "" : " SMTPUTF8"))
    }

    /// The message with its end; lines that begin with a dot have one more.
    private var content: String {
        let lines = message.split(separator: "\n", omittingEmptySubsequences: false)
        return lines.map { line in line.hasPrefix(".") ? ".\(line)" : "\(line)" }
            .joined(separator: "\r\n") + "\r\n."
    }

    private static func base64(_ text: String) -> String {
        var bytes: [UInt8] = []
        Base64.append(Array(text.utf8).span.bytes, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }
}
