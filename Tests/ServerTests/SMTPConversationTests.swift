// What is said to mail servers of every kind, line by line.

import Testing

@testable import Server

@Suite struct SMTPConversationTests {
    private static func server(_ url: String, password: String = "secret") throws -> MailServer {
        var server = try #require(MailServer(url))
        server.password = password
        server.from = "App <no-reply@example.com>"
        return server
    }

    private static func conversation(
        _ url: String, to recipient: String = "ann@example.com", message: String = "a\n.b\n"
    ) throws -> SMTPConversation {
        let server = try server(url)
        return SMTPConversation(
            server, sender: try #require(server.sender), recipient: recipient, message: message,
            ownName: "here")
    }

    /// Plays lines of a server; the last action that isn't waiting.
    private static func play(
        _ conversation: inout SMTPConversation, _ lines: String...
    ) -> SMTPConversation.Action {
        var last = SMTPConversation.Action.wait
        for line in lines { last = conversation.receive(line) }
        return last
    }

    @Test func aMessageGoesOutOverTLS() throws {
        var talk = try Self.conversation("smtps://me@mail.example.com")
        #expect(Self.play(&talk, "220-hello", "220 there") == .send("EHLO here"))
        #expect(
            Self.play(&talk, "250-mail", "250-AUTH LOGIN PLAIN", "250 SIZE")
                == .send("AUTH PLAIN AG1lAHNlY3JldA=="))
        #expect(Self.play(&talk, "235 ok") == .send("MAIL FROM:<no-reply@example.com>"))
        #expect(Self.play(&talk, "250 ok") == .send("RCPT TO:<ann@example.com>"))
        #expect(Self.play(&talk, "251 will forward") == .send("DATA"))
        #expect(Self.play(&talk, "354 go on") == .send("a\r\n..b\r\n\r\n."))
        #expect(Self.play(&talk, "250 taken") == .done("QUIT"))
    }

    @Test func startTLSForgetsWhatWasSaidBefore() throws {
        var talk = try Self.conversation("smtp://me@mail.example.com")
        _ = Self.play(&talk, "220 hi")
        #expect(Self.play(&talk, "250-AUTH PLAIN", "250 STARTTLS") == .send("STARTTLS"))
        #expect(Self.play(&talk, "220 now") == .startTLS)
        #expect(talk.secured() == .send("EHLO here"))
        #expect(Self.play(&talk, "250-mail", "250 AUTH LOGIN") == .send("AUTH LOGIN"))
        #expect(Self.play(&talk, "334 VXNlcm5hbWU6") == .send("bWU="))
        #expect(Self.play(&talk, "334 UGFzc3dvcmQ6") == .send("c2VjcmV0"))
        #expect(Self.play(&talk, "235 ok") == .send("MAIL FROM:<no-reply@example.com>"))
    }

    @Test func nothingIsSaidWithoutTLS() throws {
        var talk = try Self.conversation("smtp://me@mail.example.com")
        _ = Self.play(&talk, "220 hi")
        guard case .fail(let reason, false) = Self.play(&talk, "250-mail", "250 AUTH PLAIN") else {
            Issue.record("signs in without TLS")
            return
        }
        #expect(reason.contains("STARTTLS"))
        // Nor a message without a password.
        talk = try Self.conversation("smtp://mail.example.com")
        _ = Self.play(&talk, "220 hi")
        #expect(Self.play(&talk, "250 mail").isFailure)
        // This machine may do without.
        talk = try Self.conversation("smtp://127.0.0.1:2525")
        _ = Self.play(&talk, "220 hi")
        #expect(Self.play(&talk, "250 mail") == .send("MAIL FROM:<no-reply@example.com>"))
    }

    @Test(arguments: [
        ("421 busy", true), ("554 no", false), ("bla", false), ("2", false), ("220x", false),
        ("999 x", false), ("", false), ("250 ok", true), ("\u{1F600}", false),
    ])
    func refusalsEndIt(_ line: String, _ isTemporary: Bool) throws {
        var talk = try Self.conversation("smtps://mail.example.com")
        guard case .fail(_, let temporary) = talk.receive(line) else {
            Issue.record("goes on after '\(line)'")
            return
        }
        #expect(temporary == isTemporary)
    }

    @Test(arguments: [("450 later", true), ("550 unknown", false)])
    func theRecipientIsRefused(_ line: String, _ isTemporary: Bool) throws {
        var talk = try Self.conversation("smtps://mail.example.com")
        _ = Self.play(&talk, "220 hi", "250 mail", "250 ok")
        #expect(
            talk.receive(line)
                == .fail(
                    "the mail server answered \(line.prefix(3)) to RCPT", isTemporary: isTemporary))
    }

    @Test func addressesBeyondASCIINeedAnExtension() throws {
        var talk = try Self.conversation("smtps://mail.example.com", to: "\u{e4}nn@example.com")
        _ = Self.play(&talk, "220 hi")
        #expect(
            Self.play(&talk, "250-mail", "250 SMTPUTF8")
                == .send("MAIL FROM:<no-reply@example.com> SMTPUTF8"))
        talk = try Self.conversation("smtps://mail.example.com", to: "\u{e4}nn@example.com")
        _ = Self.play(&talk, "220 hi")
        #expect(Self.play(&talk, "250 mail").isFailure)
    }

    @Test(arguments: [
        ("smtp://h", "h", 587, nil), ("smtps://h:1", "h", 1, nil), ("smtps://h/", "h", 465, nil),
        ("smtps://a@b.c@h:25", "h", 25, "a@b.c"), ("smtp://[::1]:2", "::1", 2, nil),
        ("smtp://[::1]", "::1", 587, nil),
    ])
    func urlsAreRead(_ url: String, _ host: String, _ port: Int, _ user: String?) throws {
        let server = try #require(MailServer(url))
        #expect(server.host == host && server.port == port && server.user == user)
        #expect(server.isTLS == url.hasPrefix("smtps"))
    }

    @Test(arguments: [
        "", "h", "http://h", "smtp://", "smtp://h:0", "smtp://@h", "smtp://h/x", "smtp://h h",
    ])
    func otherURLsAreRefused(_ url: String) {
        #expect(MailServer(url) == nil)
    }

    @Test(arguments: [
        ("a@b", "a@b"), ("App <a@b>", "a@b"), ("<a@b>", "a@b"), ("a", nil), ("a@", nil),
        ("@b", nil),
        ("App <a@b> x", nil), ("a@b\nBcc: c@d", nil), ("App a@b", nil), ("<a@b", nil),
        ("a>@b", nil),
    ])
    func sendersAreAddresses(_ from: String, _ sender: String?) throws {
        var server = try #require(MailServer("smtp://h"))
        server.from = from
        #expect(server.sender == sender)
    }
}

extension SMTPConversation.Action {
    fileprivate var isFailure: Bool {
        if case .fail = self { true } else { false }
    }
}
