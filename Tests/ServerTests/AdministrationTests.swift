// Commands that administrators and their tools send: settings, digests, signing in.

import BSON
import Testing

@testable import Server
@testable import Wire

@Suite struct AdministrationTests {
    /// What is sent to `admin`, and the code it fails with; 0: it succeeds.
    private static let commands: [(Document, Int32)] = [
        (["setParameter": 1, "logLevel": 2, "quiet": true], 0),
        (["setParameter": 1, "logLevel": 1.0, "comment": "x"], 0),
        (["setParameter": 1, "logLevel": -1], 2), (["setParameter": 1, "logLevel": "1"], 2),
        (["setParameter": 1, "other": 1], 72), (["setParameter": 1], 72),
        (["setParameter": 1, "featureCompatibilityVersion": "8.0"], 20),
        (["setParameter": 1, "automationServiceDescriptor": 5], 14),
        (["setParameter": 1, "logComponentVerbosity": ["command": ["verbosity": "x"]]], 2),
        (["setParameter": 1, "logComponentVerbosity": ["other": 1]], 2),
        (["setParameter": 1, "logComponentVerbosity": "x"], 14),
        (["setParameter": 1, "ttlMonitorSleepSecs": 0], 2),
        (["setFeatureCompatibilityVersion": "8.0", "confirm": true], 0),
        (["setFeatureCompatibilityVersion": "8.0"], 7_369_100),
        (["setFeatureCompatibilityVersion": "8.0", "confirm": "yes"], 14),
        (["setFeatureCompatibilityVersion": "9.9", "confirm": true], 4_926_900),
        (["setFeatureCompatibilityVersion": .null, "confirm": true], 40_414),
        (["setFeatureCompatibilityVersion": 8, "confirm": true], 14),
        (["autoCompact": true, "freeSpaceTargetMB": 1], 0),
        (["autoCompact": true, "freeSpaceTargetMB": 0], 2),
        (["autoCompact": true, "freeSpaceTargetMB": .int64(.max)], 2),
        (["autoCompact": false, "freeSpaceTargetMB": .int64(.max)], 0),
        (["compact": "missing"], 26), (["compact": 1], 73),
        (["autoCompact": "x"], 14), (["logRotate": 1], 0), (["logRotate": "server"], 0),
        (["logRotate": "audit"], 4), (["logRotate": []], 14),
        (["dropConnections": 1, "hostAndPort": ["a:1"]], 0),
        (["dropConnections": 1], 40_414), (["dropConnections": 1, "hostAndPort": [1]], 14),
        (["connPoolStats": 1], 0), (["fsyncUnlock": 1], 20),
        (["getClusterParameter": "*"], 0), (["getClusterParameter": 1], 14),
        (["getClusterParameter": "other"], 4),
        (["getClusterParameter": ["changeStreamOptions", "defaultMaxTimeMS"]], 0),
        (images("off"), 0), (images(60), 0), (images(0), 2), (images("on"), 2),
        (images(true), 14), (images(.null), 0),
        (["setClusterParameter": ["changeStreamOptions": ["other": 1]]], 40_415),
        (["setClusterParameter": ["other": [:]]], 4), (["setClusterParameter": [:]], 72),
        (["setClusterParameter": 1], 14),
        (["setClusterParameter": ["defaultMaxTimeMS": ["readOperations": 5]]], 238),
        (["killOp": 1], 4), (["killOp": 1, "op": "x"], 14), (["killOp": 1, "op": 1.5], 2),
        (["killOp": 1, "op": .int64(1 << 40)], 26_823), (["killOp": 1, "op": 5, "more": 1], 0),
        (["saslStart": 1, "mechanism": "SCRAM-SHA-256", "payload": ""], 18),
        (["saslStart": 1, "mechanism": "PLAIN", "payload": ""], 334),
        (["saslContinue": 1, "conversationId": 1], 17),
        (["authenticate": 1, "mechanism": "MONGODB-X509"], 334),
    ]

    private static func images(_ age: Value) -> Document {
        [
            "setClusterParameter": [
                "changeStreamOptions": ["preAndPostImages": ["expireAfterSeconds": age]]
            ]
        ]
    }

    @Test func commandsCheckWhatTheyAreGiven() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            for (command, code) in Self.commands {
                let reply = try client.run(command, database: "admin")
                #expect(reply.errorCode == code, "\(command)")
            }
        }
    }

    @Test func settingsAreChangedTogetherOrNotAtAll() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            func run(_ command: Document) throws -> Document {
                try client.run(command, database: "admin")
            }
            #expect(try run(["setParameter": 1, "logLevel": 2])["was"] == 0)
            #expect(try run(["setParameter": 1, "logLevel": 5, "other": 1]).errorCode == 72)
            #expect(try run(["getParameter": 1, "logLevel": 1])["logLevel"] == 2)
            let nested: Value = ["network": ["asio": ["verbosity": 3]], "command": 1]
            _ = try run(["setParameter": 1, "logComponentVerbosity": nested])
            let shown = try run(["getParameter": 1, "logComponentVerbosity": 1])
                .nested("logComponentVerbosity")
            #expect(shown["verbosity"] == 2)
            #expect(shown.nested("command")["verbosity"] == 1)
            #expect(shown.nested("network")["verbosity"] == -1)
            #expect(shown.nested("network").nested("asio")["verbosity"] == 3)
            _ = try run(["setFeatureCompatibilityVersion": "8.0", "confirm": true])
            let version = try run(["getParameter": 1, "featureCompatibilityVersion": 1])
            #expect(version.nested("featureCompatibilityVersion")["version"] == "8.0")
        }
    }

    @Test func digestsAreThoseOfTheDocumentsInOrder() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try client.run(["insert": "a", "documents": [["_id": 2], ["_id": 1]]])
            _ = try client.run(["insert": "b", "documents": [["_id": 1], ["_id": 2]]])
            _ = try client.run(["create": "empty"])
            let answer = try client.run(["dbHash": 1])
            let collections = answer.nested("collections")
            // Of the bytes 0e000000 10 5f696400 01000000 00, and the same with 2.
            #expect(collections["a"] == "64258d12ae15fcc412284d681e8eef12")
            #expect(collections["a"] == collections["b"])
            #expect(collections["empty"] == "d41d8cd98f00b204e9800998ecf8427e")
            let some = try client.run(["dbHash": 1, "collections": ["b"]])
            #expect(some.nested("collections").keys == ["b"])
        }
    }

    @Test func settingsOfTheClusterAreShown() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            func age() throws -> Value? {
                try client.run(["getClusterParameter": "changeStreamOptions"], database: "admin")
                    .documents("clusterParameters").first?.nested("preAndPostImages")[
                        "expireAfterSeconds"]
            }
            #expect(try age() == "off")
            _ = try client.run(Self.images(60), database: "admin")
            #expect(try age() == .int64(60))
            _ = try client.run(Self.images(.null), database: "admin")
            #expect(try age() == "off")
        }
    }
}
