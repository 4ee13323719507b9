// Input that no driver sends: it gets a clear error or loses its connection, and nobody else
// notices.

import BSON
import NIOCore
import Testing

@testable import Server
@testable import Wire

@Suite struct BadInputTests {
    enum Answer: Equatable, Sendable {
        case error(Int32)
        case closed
    }

    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        let bytes: [UInt8]
        let answer: Answer
        var testDescription: String { name }
    }

    static func message(_ body: [UInt8]) -> [UInt8] {
        WireClient.frame(opCode: 2013, [0, 0, 0, 0, 0] + body)
    }

    static func int32(_ value: Int) -> [UInt8] {
        withUnsafeBytes(of: Int32(value).littleEndian) { Array($0) }
    }

    static func nested(_ depth: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        for level in 0..<depth {
            bytes += int32(5 + (depth - 1 - level) * 8)
            if level < depth - 1 { bytes += [3, 97, 0] }
        }
        return bytes + [UInt8](repeating: 0, count: depth)
    }

    static let cases: [Case] = [
        Case(
            name: "length below a header",
            bytes: WireClient.frame(opCode: 2013, length: 3, [0, 0, 0, 0]), answer: .closed),
        Case(
            name: "negative length", bytes: WireClient.frame(opCode: 2013, length: -5, []),
            answer: .closed),
        Case(
            name: "48 MB and one byte",
            bytes: WireClient.frame(opCode: 2013, length: 48_000_001, [0, 0, 0, 0]),
            answer: .closed),
        Case(
            name: "unknown opcode", bytes: WireClient.frame(opCode: 4711, [1, 2, 3]),
            answer: .closed),
        Case(name: "HTTP", bytes: Array("GET / HTTP/1.1\r\n\r\n".utf8), answer: .closed),
        Case(
            name: "TLS hello",
            bytes: [0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3] + [UInt8](repeating: 7, count: 64),
            answer: .closed),
        Case(
            name: "body's length lies", bytes: message(int32(5_000) + [0]), answer: .error(22)),
        Case(
            name: "nested 10,000 deep", bytes: message(nested(10_000)), answer: .error(15)),
        Case(
            name: "invalid UTF-8",
            bytes: message([15, 0, 0, 0, 2, 97, 0, 2, 0, 0, 0, 0xC3, 0, 0]), answer: .error(22)),
        Case(
            name: "string's length lies",
            bytes: message([15, 0, 0, 0, 2, 97, 0, 255, 255, 255, 127, 97, 0, 0]),
            answer: .error(22)),
        Case(
            name: "unknown element type",
            bytes: message([12, 0, 0, 0, 99, 97, 0, 1, 0, 0, 0, 0]), answer: .error(22)),
        Case(name: "empty command", bytes: message([5, 0, 0, 0, 0]), answer: .error(59)),
        Case(
            name: "unknown flag",
            bytes: WireClient.frame(opCode: 2013, [4, 0, 0, 0, 0, 5, 0, 0, 0, 0]),
            answer: .error(40429)),
        Case(
            name: "legacy query",
            bytes: WireClient.frame(
                opCode: 2004,
                int32(0) + Array("test.c".utf8) + [0] + int32(0) + int32(1) + [5, 0, 0, 0, 0]),
            answer: .error(352)),
    ]

    @Test func answersOrCloses() async throws {
        try await RunningServer.with { port in
            let bystander = try WireClient(port: port)
            for example in Self.cases {
                let client = try WireClient(port: port)
                client.send(example.bytes)
                let reply = try client.receive()
                let answer = reply.map { Answer.error($0.document.errorCode) } ?? .closed
                #expect(answer == example.answer, "\(example.name)")
                if case .error = answer {
                    #expect(
                        try client.run(["ping": 1]).errorCode == 0,
                        "the connection goes on after: \(example.name)")
                }
                #expect(try bystander.run(["ping": 1]).errorCode == 0)
            }
        }
    }

    @Test func aMessageThatComesSlowlyIsGivenUp() async throws {
        try await RunningServer.with {
            $0.timeouts.handshakeSeconds = 0.3
        } _: { port in
            let silent = try WireClient(port: port)
            let half = try WireClient(port: port)
            half.send([100, 0, 0, 0, 1])
            #expect(try silent.receive() == nil)
            #expect(try half.receive() == nil)
        }
        try await RunningServer.with {
            $0.timeouts.stalledFrameSeconds = 0.3
        } _: { port in
            let stalled = try WireClient(port: port)
            #expect(try stalled.run(["ping": 1]).errorCode == 0)
            stalled.send([100, 0, 0, 0, 1])
            let idle = try WireClient(port: port)
            #expect(try idle.run(["ping": 1]).errorCode == 0)
            #expect(try stalled.receive() == nil)
            #expect(try idle.run(["ping": 1]).errorCode == 0, "idling is allowed")
        }
    }

    @Test func connectionsAboveTheLimitAreRefused() async throws {
        try await RunningServer.with {
            $0.connectionsMax = 2
        } _: { port in
            let first = try WireClient(port: port)
            let second = try WireClient(port: port)
            #expect(try first.run(["ping": 1]).errorCode == 0)
            #expect(try second.run(["ping": 1]).errorCode == 0)
            let third = try WireClient(port: port)
            third.post(["ping": 1])
            #expect(try third.receive() == nil)
            #expect(try first.run(["ping": 1]).errorCode == 0)
        }
    }

    /// Documents of a sequence may nest deeper than what they carry; what is stored must not.
    @Test(arguments: [(199, 0), (200, 0), (201, 15), (204, 15)] as [(Int, Int32)])
    func whatIsStoredNestsAsDeepAsDocumentsMay(levels: Int, code: Int32) async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            let deep = Document(unchecked: Self.nested(levels + 1))
            func answer(_ reply: Document) -> Int32 {
                if let error = reply.documents("writeErrors").first {
                    return error.integer("code").map { Int32($0) } ?? -1
                }
                return reply.errorCode
            }
            #expect(
                answer(try client.run(["insert": "d"], sequences: [("documents", [deep])])) == code)
            _ = try client.run(["insert": "d", "documents": [["_id": 1]]])
            let updates: [Value] = [
                .document(deep), ["$set": ["a": deep["a"] ?? .null]],
                [["$replaceWith": ["$literal": .document(deep)]]],
            ]
            for update in updates {
                let reply = try client.run(
                    ["update": "d"],
                    sequences: [("updates", [["q": ["_id": 1], "u": update]])])
                #expect(answer(reply) == code, "\(reply)")
            }
            let check = try client.run(["validate": "d", "full": true])
            #expect(check["valid"] == true)
        }
    }

    @Test func pipelinedRequestsAreAnsweredInOrder() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            for number in 0..<200 {
                if number % 3 == 0 {
                    client.post(["insert": "c", "documents": [["_id": .int32(Int32(number))]]])
                } else {
                    client.post(["find": "c", "filter": ["_id": .int32(Int32(number))]])
                }
            }
            for number in 1...200 {
                let reply = try #require(try client.receive())
                #expect(reply.header.responseTo == Int32(number))
                #expect(reply.document["ok"] == 1.0)
            }
        }
    }
}

extension Optional {
    /// Whether there is none; for values that can't be compared.
    static func == (value: Self, none: _OptionalNilComparisonType) -> Bool {
        if case .none = value { true } else { false }
    }
}
