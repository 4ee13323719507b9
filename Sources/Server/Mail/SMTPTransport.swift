// Hands messages to a mail server: one connection for each, over TLS but to this machine.

import BSON
import Glibc
import NIOCore
import NIOPosix
import NIOSSL
import Roost

/// Sends messages by SMTP. Blocks the thread that sends.
final class SMTPTransport: MailTransport {
    /// How long one message may take, in seconds.
    private static let seconds: Int64 = 30

    private let server: MailServer
    private let sender: String
    private let tls: NIOSSLContext
    private let group = MultiThreadedEventLoopGroup.singleton
    private let ownName: String

    /// - Parameter authorityFile: roots in PEM; nil for the system's.
    /// - Throws: 2 BadValue for a file that holds none, or a sender that is no address.
    init(_ server: MailServer, authorityFile: String?) throws(DBError) {
        guard let sender = server.sender else {
            throw DBError(.badValue, "'\(server.from)' is no address to send messages from")
        }
        self.server = server
        self.sender = sender
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        if let authorityFile { configuration.trustRoots = .file(authorityFile) }
        do {
            tls = try NIOSSLContext(configuration: configuration)
        } catch {
            throw DBError(.badValue, "--http-ca holds no certificates in PEM (\(error))")
        }
        ownName = Self.hostName
    }

    func send(_ mail: AccountMail) throws(MailFailure) {
        let eventLoop = group.next()
        let sent = eventLoop.makePromise(of: Void.self)
        let (tls, host, isTLS) = (tls, server.host, server.isTLS)
        let conversation = SMTPConversation(
            server, sender: sender, recipient: mail.to, message: head + mail.text,
            ownName: ownName)
        let connecting = ClientBootstrap(group: eventLoop)
            .connectTimeout(.seconds(Self.seconds))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    if isTLS { try pipeline.addHandler(Self.tlsHandler(tls, host)) }
                    try pipeline.addHandler(SMTPExchange(conversation, tls, host, sent))
                }
            }
            .connect(host: server.host, port: server.port)
        connecting.whenFailure { error in
            sent.fail(
                MailFailure("the mail server can't be reached (\(error))", isTemporary: true))
        }
        let deadline = eventLoop.scheduleTask(in: .seconds(Self.seconds)) {
            sent.fail(MailFailure("the mail server takes too long", isTemporary: true))
        }
        sent.futureResult.whenComplete { _ in
            deadline.cancel()
            connecting.whenSuccess { $0.close(promise: nil) }
        }
        do {
            try sent.futureResult.wait()
        } catch {
            throw error as? MailFailure
                ?? MailFailure("the mail server's connection failed (\(error))", isTemporary: true)
        }
    }

    /// The lines before the message's own.
    private var head: String {
        var now = time(nil)
        var parts = tm()
        gmtime_r(&now, &parts)
        var text = [CChar](repeating: 0, count: 64)
        // Days and months are named as the C locale does, which the server runs in.
        let count = strftime(&text, text.count, "%a, %d %b %Y %H:%M:%S +0000", &parts)
        let date = String(decoding: text[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let domain = sender.split(separator: "@").last ?? "localhost"
        return "From: \(server.from)\nDate: \(date)\n"
            + "Message-ID: <\(ObjectID.generate().hexString)@\(domain)>\n"
    }

    /// The machine's name, for EHLO.
    private static var hostName: String {
        var bytes = [CChar](repeating: 0, count: 256)
        guard gethostname(&bytes, bytes.count - 1) == 0 else { return "[127.0.0.1]" }
        let name = bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        let isName = name.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."):
                true
            default: false
            }
        }
        return isName && !name.isEmpty ? String(decoding: name, as: UTF8.self) : "[127.0.0.1]"
    }

    fileprivate static func tlsHandler(
        _ tls: NIOSSLContext, _ host: String
    ) throws -> NIOSSLClientHandler {
        // An address in place of a name is checked as such.
        let isName = (try? SocketAddress(ipAddress: host, port: 0)) == nil
        return try NIOSSLClientHandler(context: tls, serverHostname: isName ? host : nil)
    }
}

/// One message over one connection. Confined to its event loop.
private final class SMTPExchange: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Most that a server may say, in bytes.
    private static let bytesMax = 65_536

    private var conversation: SMTPConversation
    private let tls: NIOSSLContext
    private let host: String
    private let sent: EventLoopPromise<Void>
    private var received: [UInt8] = []
    private var total = 0

    init(
        _ conversation: SMTPConversation, _ tls: NIOSSLContext, _ host: String,
        _ sent: EventLoopPromise<Void>
    ) {
        self.conversation = conversation
        self.tls = tls
        self.host = host
        self.sent = sent
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = unwrapInboundIn(data)
        total += buffer.readableBytes
        guard total <= Self.bytesMax else {
            return fail(MailFailure("the mail server says too much"), context)
        }
        received += buffer.readableBytesView
        while let end = received.firstIndex(of: UInt8(ascii: "\n")) {
            var line = received[..<end]
            if line.last == UInt8(ascii: "\r") { line.removeLast() }
            let text = String(decoding: line, as: UTF8.self)
            received.removeSubrange(...end)
            perform(conversation.receive(text), context)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        sent.fail(MailFailure("the mail server closed the connection", isTemporary: true))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        let isCertificate = error is NIOSSLError || error is NIOSSLExtraError
        fail(
            MailFailure(
                "the mail server's connection failed (\(error))", isTemporary: !isCertificate),
            context)
    }

    private func perform(_ action: SMTPConversation.Action, _ context: ChannelHandlerContext) {
        switch action {
        case .wait: break
        case .send(let line): write(line, context)
        case .startTLS:
            // What stands behind the answer was said by whoever sits in between.
            guard received.isEmpty else {
                return fail(MailFailure("the mail server speaks before TLS"), context)
            }
            do {
                // What is written from here on waits for the handshake.
                try context.pipeline.syncOperations.addHandler(
                    SMTPTransport.tlsHandler(tls, host), position: .first)
            } catch {
                return fail(MailFailure("TLS can't be started (\(error))"), context)
            }
            perform(conversation.secured(), context)
        case .done(let line):
            write(line, context)
            sent.succeed(())
        case .fail(let reason, let isTemporary):
            fail(MailFailure(reason, isTemporary: isTemporary), context)
        }
    }

    private func write(_ line: String, _ context: ChannelHandlerContext) {
        context.writeAndFlush(
            wrapOutboundOut(ByteBuffer(string: line + "\r\n")), promise: nil)
    }

    private func fail(_ failure: MailFailure, _ context: ChannelHandlerContext) {
        received = []
        sent.fail(failure)
        context.close(promise: nil)
    }
}
