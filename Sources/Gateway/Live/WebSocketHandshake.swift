// The request that becomes a WebSocket (RFC 6455), and what is agreed on with it (RFC 7692).

import BSON
import Crypto
import NIOHTTP1

/// An accepted handshake.
struct WebSocketHandshake {
    /// Whether messages may be compressed.
    let compresses: Bool
    private let accept: String

    /// Whether a request asks for a WebSocket.
    static func isAsked(_ head: HTTPRequestHead) -> Bool {
        head.headers[canonicalForm: "Upgrade"].contains { $0.lowercased() == "websocket" }
            && head.headers[canonicalForm: "Connection"].contains { $0.lowercased() == "upgrade" }
    }

    /// Checks a request.
    /// - Throws: 2 BadValue.
    init(_ head: HTTPRequestHead) throws(DBError) {
        guard head.method == .GET, head.headers.first(name: "Sec-WebSocket-Version") == "13" else {
            throw DBError(.badValue, "a WebSocket is opened by GET, in version 13")
        }
        guard let key = head.headers.first(name: "Sec-WebSocket-Key"),
            Base64.decode(key)?.count == 16
        else {
            throw DBError(.badValue, "Sec-WebSocket-Key must be 16 bytes in base64")
        }
        let text = key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        var encoded: [UInt8] = []
        let digest = Array(Insecure.SHA1.hash(data: Array(text.utf8)))
        Base64.append(digest.span.bytes, to: &encoded)
        accept = String(decoding: encoded, as: UTF8.self)
        compresses = head.headers["Sec-WebSocket-Extensions"]
            .flatMap { $0.split(separator: ",") }.contains(where: Self.isOfferOfDeflate)
    }

    /// Whether an offer of permessage-deflate can be taken: windows of another size can't.
    private static func isOfferOfDeflate(_ offer: Substring) -> Bool {
        let parts = offer.split(separator: ";").map {
            $0.filter { $0 != " " }.lowercased()
        }
        return parts.first == "permessage-deflate"
            && !parts.contains { $0.hasPrefix("server_max_window_bits") }
    }

    /// Adds what accepts it.
    func addAnswer(to headers: inout HTTPHeaders) {
        headers.add(name: "Upgrade", value: "websocket")
        headers.add(name: "Connection", value: "Upgrade")
        headers.add(name: "Sec-WebSocket-Accept", value: accept)
        guard compresses else { return }
        // Each message by itself: a message may go to many, and none holds memory between them.
        headers.add(
            name: "Sec-WebSocket-Extensions",
            value: "permessage-deflate; server_no_context_takeover; client_no_context_takeover")
    }
}
