// hello in its forms, and what tools ask at start.

import BSON
import NIOCore
import Testing

@testable import Server
@testable import Wire

@Suite struct HandshakeTests {
    @Test func legacyIsMaster() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            let body: Document = ["isMaster": 1, "helloOk": true]
            let query =
                [UInt8](repeating: 0, count: 4) + Array("admin.$cmd".utf8) + [0]
                + [0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF] + body.bytes
            client.send(WireClient.frame(opCode: 2004, query))
            let reply = try #require(try client.receive())
            #expect(reply.header.opCode == 1)
            #expect(reply.document["ismaster"] == true)
            #expect(reply.document["helloOk"] == true)
            #expect(reply.document["maxWireVersion"] == 27)
            #expect(reply.document["setName"] == nil)
            #expect(reply.document["msg"] == nil)
        }
    }

    @Test func helloNegotiatesZlibOnly() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            let both = try client.run(["hello": 1, "compression": ["snappy", "zlib", "zstd"]])
            #expect(both["compression"] == ["zlib"])
            #expect(both["isWritablePrimary"] == true)
            let none = try client.run(["hello": 1, "compression": []])
            #expect(none["compression"] == nil)
        }
    }

    @Test func clientMetadataOnce() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            let metadata: Value = [
                "driver": ["name": "d", "version": "1"], "os": ["type": "Linux"],
            ]
            let hello = Document { writer in
                writer.append("hello", Int32(1))
                writer.append("client", metadata)
            }
            #expect(try client.run(hello).errorCode == 0)
            #expect(try client.run(hello).errorCode == 186)
            let other = try WireClient(port: port)
            #expect(
                try other.run(["hello": 1, "client": ["driver": ["name": "d"]]]).errorCode == 183)
        }
    }

    @Test func replicaSetOfOne() async throws {
        try await RunningServer.with {
            $0.replicaSet = "rs0"
            $0.advertise = "db.example:27017"
        } _: { port in
            let client = try WireClient(port: port)
            let hello = try client.run(["hello": 1])
            #expect(hello["setName"] == "rs0")
            #expect(hello["hosts"] == ["db.example:27017"])
            #expect(hello["me"] == "db.example:27017")
            #expect(hello["operationTime"] != nil)
            #expect(!hello.nested("$clusterTime").isEmpty)
            #expect(try client.run(["replSetGetStatus": 1], database: "admin")["set"] == "rs0")
        }
    }

    @Test func streamingHeartbeats() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            let hello = try client.run(["hello": 1])
            let version = try #require(hello["topologyVersion"])
            let command = Document { writer in
                writer.append("hello", Int32(1))
                writer.append("topologyVersion", version)
                writer.append("maxAwaitTimeMS", Int32(50))
            }
            client.post(command, flags: 1 << 16)
            var lastID: Int32 = 0
            for number in 0..<3 {
                let reply = try #require(try client.receive())
                #expect(reply.flags.contains(.moreToCome))
                if number > 0 { #expect(reply.header.responseTo == lastID) }
                lastID = reply.header.requestID
            }
            let other = try WireClient(port: port)
            #expect(try other.run(["hello": 1, "maxAwaitTimeMS": 5]).errorCode == 31368)
        }
    }

    struct Question: Sendable, CustomTestStringConvertible {
        let command: Document
        let code: Int32
        var testDescription: String { "\(command.keys.first ?? "")" }
    }

    static let questions: [Question] = [
        Question(command: ["ping": 1], code: 0), Question(command: ["buildInfo": 1], code: 0),
        Question(command: ["serverStatus": 1], code: 0),
        Question(command: ["hostInfo": 1], code: 0),
        Question(command: ["getParameter": "*"], code: 0),
        Question(command: ["getParameter": 1, "featureCompatibilityVersion": 1], code: 0),
        Question(command: ["getParameter": 1, "noSuch": 1], code: 72),
        Question(command: ["getCmdLineOpts": 1], code: 0),
        Question(command: ["getLog": "startupWarnings"], code: 0),
        Question(command: ["getLog": 1], code: 14),
        Question(command: ["connectionStatus": 1], code: 0),
        Question(command: ["whatsmyuri": 1], code: 0), Question(command: ["top": 1], code: 0),
        Question(command: ["currentOp": 1], code: 0),
        Question(command: ["listCommands": 1], code: 0),
        Question(command: ["replSetGetStatus": 1], code: 76),
        Question(command: ["atlasVersion": 1], code: 59),
        Question(command: ["usersInfo": 1], code: 0), Question(command: ["profile": 0], code: 0),
        Question(command: ["startSession": 1], code: 0),
        Question(command: ["endSessions": []], code: 0),
        Question(command: ["configureFailPoint": "failCommand", "mode": "off"], code: 59),
        Question(command: ["ping": 1, "foo": 1], code: 40415),
        Question(command: ["ping": 1, "apiVersion": "2"], code: 322),
        Question(command: ["ping": 1, "apiVersion": "1", "apiStrict": true], code: 0),
        Question(command: ["buildInfo": 1, "apiVersion": "1", "apiStrict": true], code: 323),
        Question(command: ["ping": 1, "apiStrict": true], code: 4_886_600),
        Question(command: ["ping": 1, "comment": ["x": 1]], code: 0),
        Question(command: ["ping": 1, "maxTimeMS": -1], code: 2),
        Question(command: ["find": "c", "filter": 1], code: 14),
        Question(command: ["distinct": "c"], code: 40414),
        Question(command: ["find": "c", "readConcern": ["level": "odd"]], code: 2),
        Question(command: ["insert": "c", "documents": []], code: 16),
        Question(
            command: ["delete": "c", "deletes": [["q": [:], "limit": 2]]], code: 9),
        Question(
            command: [
                "insert": "c", "documents": [[:]],
                "lsid": ["id": .binary(subtype: 4, [UInt8](repeating: 1, count: 16))],
                "txnNumber": .int64(1),
            ], code: 20),
    ]

    @Test func questionsAtStart() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            for question in Self.questions {
                let reply = try client.run(question.command, database: "admin")
                #expect(reply.errorCode == question.code, "\(question.command.keys): \(reply)")
                #expect(reply["ok"] == (question.code == 0 ? 1.0 : 0.0))
            }
        }
    }
}
