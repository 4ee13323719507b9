// Builders of messages, sound and broken.

import BSON
import NIOCore

@testable import Wire

enum Frames {
    /// A header followed by `content`; `length` lies where given.
    static func frame(
        opCode: Int32, requestID: Int32 = 7, length: Int32? = nil, _ content: [UInt8]
    ) -> [UInt8] {
        var buffer = ByteBuffer()
        buffer.writeHeader(
            MessageHeader(
                length: length ?? Int32(16 + content.count), requestID: requestID,
                responseTo: 0, opCode: opCode))
        return Array(buffer.readableBytesView) + content
    }

    static func int32(_ value: Int32) -> [UInt8] {
        withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }

    static func body(_ document: Document) -> [UInt8] { [0] + document.bytes }

    static func sequence(_ name: String, _ documents: [Document], size: Int32? = nil) -> [UInt8] {
        let content = Array(name.utf8) + [0] + documents.flatMap(\.bytes)
        return [1] + int32(size ?? Int32(4 + content.count)) + content
    }

    /// An `OP_MSG` of flags and sections.
    static func message(flags: UInt32 = 0, requestID: Int32 = 7, _ sections: [UInt8]...) -> [UInt8]
    {
        frame(
            opCode: 2013, requestID: requestID,
            int32(Int32(bitPattern: flags)) + sections.flatMap { $0 })
    }

    /// An `OP_QUERY`.
    static func query(_ namespace: String, _ document: Document) -> [UInt8] {
        frame(
            opCode: 2004,
            int32(0) + Array(namespace.utf8) + [0] + int32(0) + int32(-1) + document.bytes)
    }

    /// Compresses a whole message; `size` lies where given.
    static func compressed(_ message: [UInt8], size: Int32? = nil, compressor: UInt8 = 2)
        -> [UInt8]
    {
        var buffer = ByteBuffer(bytes: message)
        buffer.writeRepeatingByte(0, count: 1_000)
        buffer.moveWriterIndex(to: message.count)
        Compression.compress(&buffer, from: 0)
        var bytes = Array(buffer.readableBytesView)
        if let size { bytes.replaceSubrange(20..<24, with: int32(size)) }
        bytes[24] = compressor
        return bytes
    }

    static let ping: Document = ["ping": 1, "$db": "admin"]
}

/// What a state did with some bytes, in a form that tables can hold.
enum Outcome: Equatable, CustomStringConvertible {
    case wait, request, refused(Int32), closed

    init(_ bytes: [UInt8]) {
        var state = ConnectionState()
        state.receive(ByteBuffer(bytes: bytes))
        self.init(state.next())
    }

    init(_ action: ConnectionState.Action) {
        switch action {
        case .wait: self = .wait
        case .request: self = .request
        case .refuse(_, _, let error, _): self = .refused(error.code.rawValue)
        case .close: self = .closed
        }
    }

    var description: String {
        switch self {
        case .wait: "wait"
        case .request: "request"
        case .refused(let code): "refused(\(code))"
        case .closed: "closed"
        }
    }
}
