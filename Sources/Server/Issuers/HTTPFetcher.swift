// A small HTTP/1.1 client for what issuers publish: one request a connection, no redirects (a key
// set that moves is not to be trusted for it), bounded in time and size. https, or http to this
// machine only. NIO's own codec does the protocol; a client library would add minutes to the build.

import BSON
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Roost

/// The parts of an http or https URL.
package struct HTTPAddress: Sendable {
    let isTLS: Bool
    let host: String
    let port: Int
    /// Path and query.
    let target: String

    /// Reads `https://HOST[:PORT][/PATH]`, and http for this machine; nil for anything else.
    package init?(_ text: String) {
        let isTLS = text.hasPrefix("https://")
        guard isTLS || text.hasPrefix("http://"),
            text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "#") })
        else { return nil }
        let rest = text.dropFirst(isTLS ? 8 : 7)
        let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        let place = rest[..<end]
        guard !place.isEmpty, !place.contains("@") else { return nil }
        var path = String(rest[end...])
        if !path.hasPrefix("/") { path = "/" + path }
        var host = place
        var port = isTLS ? 443 : 80
        if let colon = place.lastIndex(of: ":"), !place[colon...].contains("]") {
            guard let number = Int(place[place.index(after: colon)...]),
                (1...65_535).contains(number)
            else { return nil }
            host = place[..<colon]
            port = number
        }
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty else { return nil }
        let isHere = ["127.0.0.1", "::1", "localhost"].contains(String(host))
        guard isTLS || isHere else { return nil }
        self.isTLS = isTLS
        self.host = String(host)
        self.port = port
        target = path
    }
}

/// Fetches documents over HTTP. Safe from any thread that may wait.
final class HTTPFetcher: Sendable {
    /// Largest answer, in bytes.
    fileprivate static let bytesMax = 1 << 20
    /// Time for one request with everything.
    private static let seconds: Int64 = 10

    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let tls: NIOSSLContext

    /// - Parameter authorityFile: roots in PEM; nil for the system's.
    /// - Throws: 2 BadValue for a file that holds none.
    init(authorityFile: String?) throws(DBError) {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        if let authorityFile { configuration.trustRoots = .file(authorityFile) }
        do {
            tls = try NIOSSLContext(configuration: configuration)
        } catch {
            throw DBError(.badValue, "--http-ca holds no certificates in PEM (\(error))")
        }
    }

    func stop() async { try? await group.shutdownGracefully() }

    /// The JSON object that a URL answers with. Waits; never on an event loop.
    /// - Parameters:
    ///   - form: fields to be posted; nil to get.
    ///   - authorization: the header of that name.
    /// - Throws: 6 HostUnreachable with what was wrong, never with what was sent.
    func object(
        _ url: String, form: [(name: String, value: String)]? = nil, authorization: String? = nil
    ) throws(DBError) -> Document {
        guard let address = HTTPAddress(url) else {
            throw DBError(.badValue, "'\(url)' is no https URL")
        }
        var head = HTTPRequestHead(
            version: .http1_1, method: form == nil ? .GET : .POST, uri: address.target)
        let isUsualPort = address.port == (address.isTLS ? 443 : 80)
        let host = address.host.contains(":") ? "[\(address.host)]" : address.host
        head.headers.add(name: "Host", value: isUsualPort ? host : "\(host):\(address.port)")
        head.headers.add(name: "Accept", value: "application/json")
        head.headers.add(name: "User-Agent", value: "roost/\(Version.roost)")
        head.headers.add(name: "Connection", value: "close")
        if let authorization { head.headers.add(name: "Authorization", value: authorization) }
        var body: String?
        if let form {
            let text = form.map { "\($0.name)=\(PercentCoding.encode($0.value))" }
                .joined(separator: "&")
            head.headers.add(name: "Content-Type", value: "application/x-www-form-urlencoded")
            head.headers.add(name: "Content-Length", value: "\(text.utf8.count)")
            body = text
        }
        do {
            let answer = try fetch(address, head, body).wait()
            guard answer.status == .ok, let object = PlainJSON.object(answer.body) else {
                throw DBError(
                    .hostUnreachable,
                    "\(address.host) answered \(answer.status.code)"
                        + (answer.status == .ok ? " with no JSON object" : ""))
            }
            return object
        } catch let error as DBError {
            throw error
        } catch {
            throw DBError(.hostUnreachable, "\(address.host) can't be asked: \(error)")
        }
    }

    private func fetch(
        _ address: HTTPAddress, _ head: HTTPRequestHead, _ body: String?
    ) -> EventLoopFuture<HTTPAnswer> {
        let eventLoop = group.next()
        let answer = eventLoop.makePromise(of: HTTPAnswer.self)
        let tls = tls
        let connecting = ClientBootstrap(group: eventLoop)
            .connectTimeout(.seconds(Self.seconds))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    if address.isTLS {
                        // An address in place of a name is checked as such.
                        let isName = (try? SocketAddress(ipAddress: address.host, port: 0)) == nil
                        try pipeline.addHandler(
                            NIOSSLClientHandler(
                                context: tls, serverHostname: isName ? address.host : nil))
                    }
                    try pipeline.addHTTPClientHandlers()
                    try pipeline.addHandler(HTTPExchange(head, body, answer))
                }
            }
            .connect(host: address.host, port: address.port)
        connecting.whenFailure { answer.fail($0) }
        let deadline = eventLoop.scheduleTask(in: .seconds(Self.seconds)) {
            answer.fail(ChannelError.connectTimeout(.seconds(Self.seconds)))
        }
        answer.futureResult.whenComplete { _ in
            deadline.cancel()
            connecting.whenSuccess { $0.close(promise: nil) }
        }
        return answer.futureResult
    }
}

/// An answer's status and body.
private struct HTTPAnswer: Sendable {
    var status: HTTPResponseStatus
    var body: [UInt8] = []
}

/// One request over one connection. Confined to its event loop.
private final class HTTPExchange: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private struct TooLarge: Error {}
    private struct Cut: Error {}

    private let head: HTTPRequestHead
    private let body: String?
    private let promise: EventLoopPromise<HTTPAnswer>
    private var answer: HTTPAnswer?

    init(_ head: HTTPRequestHead, _ body: String?, _ promise: EventLoopPromise<HTTPAnswer>) {
        self.head = head
        self.body = body
        self.promise = promise
    }

    func channelActive(context: ChannelHandlerContext) {
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if let body {
            context.write(
                wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: body)))), promise: nil)
        }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): answer = HTTPAnswer(status: head.status)
        case .body(let bytes):
            answer?.body.append(contentsOf: bytes.readableBytesView)
            if let answer, answer.body.count > HTTPFetcher.bytesMax { promise.fail(TooLarge()) }
        case .end:
            if let answer { promise.succeed(answer) } else { promise.fail(Cut()) }
        }
    }

    func channelInactive(context: ChannelHandlerContext) { promise.fail(Cut()) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        promise.fail(error)
        context.close(promise: nil)
    }
}
