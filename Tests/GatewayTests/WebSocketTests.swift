// Handshakes, frames and compression.

import BSON
import NIOCore
import NIOHTTP1
import NIOWebSocket
import Testing

@testable import Gateway

@Suite struct WebSocketTests {
    private static func head(_ fields: [(String, String)]) -> HTTPRequestHead {
        HTTPRequestHead(
            version: .http1_1, method: .GET, uri: "/api/v1/live",
            headers: HTTPHeaders(
                [
                    ("Upgrade", "websocket"), ("Connection", "keep-alive, Upgrade"),
                    ("Sec-WebSocket-Version", "13"),
                ] + fields))
    }

    @Test func theKeyIsAnswered() throws {
        // The example of RFC 6455, 1.3.
        let head = Self.head([("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")])
        #expect(WebSocketHandshake.isAsked(head))
        var headers = HTTPHeaders()
        try WebSocketHandshake(head).addAnswer(to: &headers)
        #expect(headers.first(name: "Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        #expect(!headers.contains(name: "Sec-WebSocket-Extensions"))
    }

    @Test(arguments: [
        ("permessage-deflate", true), ("permessage-deflate; client_max_window_bits", true),
        ("foo, permessage-deflate", true), ("permessage-deflate; server_max_window_bits=10", false),
        ("foo", false),
    ])
    func deflateIsAgreedOn(offer: String, isTaken: Bool) throws {
        let head = Self.head([
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Extensions", offer),
        ])
        #expect(try WebSocketHandshake(head).compresses == isTaken)
    }

    @Test(arguments: ["", "abc", "dGhlIHNhbXBsZQ=="])
    func otherKeysAreRefused(key: String) {
        let head = Self.head([("Sec-WebSocket-Key", key)])
        #expect(throws: DBError.self) { try WebSocketHandshake(head) }
    }

    private static func frame(
        _ opcode: WebSocketOpcode, _ text: String, fin: Bool = true, rsv1: Bool = false,
        isMasked: Bool = true
    ) -> WebSocketFrame {
        var data = ByteBuffer(string: text)
        let key: WebSocketMaskingKey = [1, 2, 3, 4]
        if isMasked { data.webSocketMask(key) }
        return WebSocketFrame(
            fin: fin, rsv1: rsv1, opcode: opcode, maskKey: isMasked ? key : nil, data: data)
    }

    @Test func fragmentsBecomeMessages() throws {
        var assembler = MessageAssembler(compresses: false)
        #expect(try assembler.take(Self.frame(.text, "ab", fin: false)) == nil)
        #expect(try assembler.take(Self.frame(.continuation, "c", fin: false)) == nil)
        #expect(try assembler.take(Self.frame(.continuation, "d")) == ByteBuffer(string: "abcd"))
        #expect(try assembler.take(Self.frame(.text, "e")) == ByteBuffer(string: "e"))
    }

    @Test func whatBreaksTheProtocolIsRefused() {
        let broken: [(WebSocketFrame, WebSocketErrorCode)] = [
            (Self.frame(.continuation, "a"), .protocolError),
            (Self.frame(.binary, "a"), .unacceptableData),
            (Self.frame(.text, "a", isMasked: false), .protocolError),
            (Self.frame(.text, "a", rsv1: true), .protocolError),
            (
                Self.frame(
                    .text, String(repeating: "a", count: GatewayLimits.messageBytesMax + 1)),
                .messageTooLarge
            ),
        ]
        for (frame, code) in broken {
            var assembler = MessageAssembler(compresses: false)
            let violation = #expect(throws: WebSocketViolation.self) { try assembler.take(frame) }
            #expect(violation?.code == code)
        }
        var assembler = MessageAssembler(compresses: false)
        #expect(throws: WebSocketViolation.self) {
            _ = try assembler.take(Self.frame(.text, "a", fin: false))
            _ = try assembler.take(Self.frame(.text, "b"))
        }
    }

    @Test(arguments: [0, 1, 1_023, 1_024, 10_000, 900_000])
    func compressedMessagesRoundTrip(count: Int) throws {
        var generator = SystemRandomNumberGenerator()
        let bytes = (0..<count).map { _ in UInt8.random(in: 97...110, using: &generator) }
        let sent = WebSocketFrame.text(bytes, compresses: true)
        #expect(sent.rsv1 == (count >= Gzip.bytesMin))
        var data = sent.data
        let key: WebSocketMaskingKey = [9, 8, 7, 6]
        data.webSocketMask(key)
        let received = WebSocketFrame(
            fin: true, rsv1: sent.rsv1, opcode: .text, maskKey: key, data: data)
        var assembler = MessageAssembler(compresses: true)
        #expect(try assembler.take(received) == ByteBuffer(bytes: bytes))
    }

    @Test func whatInflatesToTooMuchIsRefused() throws {
        let bytes = [UInt8](repeating: 0, count: 3 * GatewayLimits.messageBytesMax)
        let small = try #require(Deflater(windowBits: -15)?.compress(bytes, ends: false))
        #expect(small.count < bytes.count / 100)
        #expect(Inflater.inflate(small, bytesMax: GatewayLimits.messageBytesMax) == nil)
        #expect(Inflater.inflate([1, 2, 3, 4, 5], bytesMax: 100) == nil)
    }

    @Test(arguments: [
        ("gzip", true), ("br, gzip;q=0.5", true), ("*", true), ("gzip;q=0", false), ("br", false),
        ("", false),
    ])
    func gzipIsAskedFor(value: String, isAccepted: Bool) {
        #expect(Gzip.isAccepted(HTTPHeaders([("Accept-Encoding", value)])) == isAccepted)
    }
}
