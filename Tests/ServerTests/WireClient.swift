// A client of the wire protocol for tests: blocking, over a plain socket, so that it can also send
// what no driver would.

import BSON
import Glibc
import NIOCore

@testable import Wire

/// Something the client did not expect.
struct ClientError: Error, CustomStringConvertible {
    let description: String
}

/// One connection.
final class WireClient {
    private let socket: Int32
    private var received = ByteBuffer()
    private var lastID: Int32 = 0

    /// Connects to a port of this machine; reads give up after `timeoutSeconds`.
    init(port: Int, timeoutSeconds: Int = 120) throws {
        socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var timeout = timeval(tv_sec: timeoutSeconds, tv_usec: 0)
        setsockopt(
            socket, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port).bigEndian)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status == 0 else { throw ClientError(description: "connect: \(errno)") }
    }

    deinit {
        Glibc.close(socket)
    }

    /// Sends bytes as they are; false when the server has closed.
    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool {
        var offset = 0
        while offset < bytes.count {
            let count = bytes.withUnsafeBytes { pointer in
                Glibc.send(
                    socket, pointer.baseAddress?.advanced(by: offset), bytes.count - offset,
                    Int32(MSG_NOSIGNAL))
            }
            if count <= 0 { return false }
            offset += count
        }
        return true
    }

    /// The next whole message, nil when the connection was closed.
    func receive() throws -> (header: MessageHeader, flags: MessageFlags, document: Document)? {
        while true {
            if let header = MessageHeader(peeking: received),
                let message = received.readSlice(length: Int(header.length))
            {
                return try Self.parse(message, header)
            }
            var chunk = [UInt8](repeating: 0, count: 65_536)
            let count = recv(socket, &chunk, chunk.count, 0)
            if count == 0 || (count < 0 && errno == ECONNRESET) { return nil }
            guard count > 0 else { throw ClientError(description: "no answer: errno \(errno)") }
            received.writeBytes(chunk[..<count])
        }
    }

    private static func parse(
        _ message: ByteBuffer, _ header: MessageHeader
    ) throws -> (header: MessageHeader, flags: MessageFlags, document: Document) {
        var header = header
        var message = message
        if header.opCode == OpCode.compressed.rawValue {
            (message, header) = try Compression.decompress(message, header)
        }
        if header.opCode == OpCode.reply.rawValue {
            let bytes = Array(message.readableBytesView.dropFirst(36))
            return (header, [], Document(copying: DocumentView(bytes.span.bytes)))
        }
        let request = try Request(message: message, header: header)
        return (header, request.flags, Document(copying: request.body))
    }

    /// Sends a command, without waiting.
    func post(
        _ command: Document, database: String = "test", flags: UInt32 = 0,
        sequences: [(name: String, documents: [Document])] = []
    ) {
        lastID += 1
        let body = Document { writer in
            writer.appendFields(of: command.view)
            writer.append("$db", database)
        }
        var content = withUnsafeBytes(of: flags.littleEndian) { Array($0) } + [0] + body.bytes
        for sequence in sequences {
            let bytes = Array(sequence.name.utf8) + [0] + sequence.documents.flatMap(\.bytes)
            content += [1] + withUnsafeBytes(of: Int32(bytes.count + 4)) { Array($0) } + bytes
        }
        send(Self.frame(opCode: 2013, requestID: lastID, content))
    }

    /// Runs a command.
    func run(
        _ command: Document, database: String = "test",
        sequences: [(name: String, documents: [Document])] = []
    ) throws -> Document {
        post(command, database: database, sequences: sequences)
        guard let reply = try receive() else { throw ClientError(description: "closed") }
        guard reply.header.responseTo == lastID else {
            throw ClientError(description: "answer to \(reply.header.responseTo), not \(lastID)")
        }
        return reply.document
    }

    /// A message with a header whose length may lie.
    static func frame(
        opCode: Int32, requestID: Int32 = 1, length: Int32? = nil, _ content: [UInt8]
    ) -> [UInt8] {
        var buffer = ByteBuffer()
        buffer.writeHeader(
            MessageHeader(
                length: length ?? Int32(16 + content.count), requestID: requestID, responseTo: 0,
                opCode: opCode))
        return Array(buffer.readableBytesView) + content
    }
}

extension Document {
    /// The error's code in a reply; 0 for success.
    var errorCode: Int32 {
        if case .int32(let code)? = self["code"] { code } else { 0 }
    }

    /// A nested document.
    func nested(_ name: String) -> Document {
        if case .document(let document)? = self[name] { document } else { Document() }
    }

    /// The documents of an array.
    func documents(_ name: String) -> [Document] {
        guard case .array(let values)? = self[name] else { return [] }
        return values.compactMap { if case .document(let document) = $0 { document } else { nil } }
    }

    /// An integer of either width.
    func string(_ name: String) -> String? {
        if case .string(let text)? = self[name] { text } else { nil }
    }

    func integer(_ name: String) -> Int64? {
        switch self[name] {
        case .int32(let number)?: Int64(number)
        case .int64(let number)?: number
        default: nil
        }
    }
}
