// Commands of sessions: retried writes, transactions' waits, snapshots by time.

import BSON
import Glibc
import Testing

@testable import Server

@Suite struct SessionTests {
    private static func session(_ number: UInt8) -> Value {
        ["id": .binary(subtype: 4, [UInt8](repeating: number, count: 16))]
    }

    private static func command(_ command: Document, _ fields: Document) -> Document {
        Document { writer in
            writer.appendFields(of: command.view)
            writer.appendFields(of: fields.view)
        }
    }

    struct Retry: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let command: Document
        var database = "test"
        /// What the repetition says beside the first answer's fields.
        let retried: Document
    }

    static let retries: [Retry] = [
        Retry(
            testDescription: "insert",
            command: ["insert": "c", "documents": [["_id": 10], ["_id": 11]]],
            retried: ["retriedStmtIds": [.int32(0), .int32(1)]]),
        Retry(
            testDescription: "update, numbered",
            command: [
                "update": "c", "stmtId": 5,
                "updates": [
                    ["q": ["_id": 1], "u": ["$inc": ["n": 1]]],
                    ["q": ["_id": 5], "u": ["$inc": ["n": 1]], "upsert": true],
                ],
            ], retried: ["retriedStmtIds": [.int32(5), .int32(6)]]),
        Retry(
            testDescription: "delete, numbered one by one",
            command: [
                "delete": "c", "stmtIds": [.int32(3), .int32(7)],
                "deletes": [["q": ["_id": 1], "limit": 1], ["q": ["_id": 2], "limit": 1]],
            ], retried: ["retriedStmtIds": [.int32(3), .int32(7)]]),
        Retry(
            testDescription: "findAndModify",
            command: ["findAndModify": "c", "query": ["_id": 1], "update": ["$inc": ["n": 1]]],
            retried: ["retriedStmtId": .int32(0)]),
        Retry(
            testDescription: "bulkWrite",
            command: [
                "bulkWrite": 1, "nsInfo": [["ns": "test.c"]],
                "ops": [
                    ["insert": 0, "document": ["_id": 20]],
                    ["update": 0, "filter": ["_id": 1], "updateMods": ["$inc": ["n": 1]]],
                ],
            ], database: "admin", retried: ["retriedStmtIds": [.int32(0), .int32(1)]]),
    ]

    /// A repeated write is answered as the first time, and names what was not done again.
    @Test(arguments: retries)
    func repeatedStatementsAreNamed(_ test: Retry) async throws {
        try await RunningServer.with({ $0.replicaSet = "rs0" }) { port in
            let client = try WireClient(port: port)
            _ = try client.run([
                "insert": "c", "documents": [["_id": 1, "n": 1], ["_id": 2, "n": 2]],
            ])
            let command = Self.command(
                test.command, ["lsid": Self.session(1), "txnNumber": .int64(4)])
            let names = ["retriedStmtIds", "retriedStmtId"]
            let first = try client.run(command, database: test.database)
            #expect(first.errorCode == 0)
            #expect(names.allSatisfy { first[$0] == nil })
            let again = try client.run(command, database: test.database)
            #expect(again["n"] == first["n"] && again["value"] == first["value"])
            for name in names { #expect(again[name] == test.retried[name]) }
        }
    }

    /// Only what was done is named: a statement that was refused runs again.
    @Test func whatWasRefusedRunsAgain() async throws {
        try await RunningServer.with({ $0.replicaSet = "rs0" }) { port in
            let client = try WireClient(port: port)
            _ = try client.run(["insert": "c", "documents": [["_id": 1]]])
            let command = Self.command(
                [
                    "insert": "c", "documents": [["_id": 1], ["_id": 2], ["_id": 3]],
                    "ordered": false,
                ], ["lsid": Self.session(1), "txnNumber": .int64(4)])
            #expect(try client.run(command)["n"] == 2)
            _ = try client.run(["delete": "c", "deletes": [["q": ["_id": 1], "limit": 1]]])
            let again = try client.run(command)
            #expect(again["n"] == 3 && again["writeErrors"] == nil)
            #expect(again["retriedStmtIds"] == [.int32(1), .int32(2)])
        }
    }

    /// The number of the operation that runs such a command, when it is there. It does not give its
    /// thread to other tests meanwhile: those may take longer than a transaction lasts.
    private static func operation(_ client: WireClient, _ name: String) throws -> Value {
        let end = ContinuousClock.now + .seconds(50)
        while ContinuousClock.now < end {
            let running = try client.run(["currentOp": 1], database: "admin")
            for operation in running.documents("inprog")
            where operation.nested("command")[name] != nil {
                return try #require(operation["opid"])
            }
            usleep(2_000)
        }
        Issue.record("no operation runs \(name)")
        return .int32(0)
    }

    /// A write that waits for a transaction's end is ended by killOp, and has changed nothing.
    @Test(
        arguments: [
            ["update": "c", "updates": [["q": ["_id": 1], "u": ["$inc": ["n": 10]]]]],
            [
                "update": "c",
                "updates": [["q": ["n": 0], "u": ["$inc": ["n": 10]], "multi": true]],
            ],
            ["delete": "c", "deletes": [["q": ["_id": 1], "limit": 1]]],
            ["insert": "c", "documents": [["_id": 9]]],
        ] as [Document])
    func killOpEndsAWaitingWrite(_ write: Document) async throws {
        try await RunningServer.with({ $0.replicaSet = "rs0" }) { port in
            let client = try WireClient(port: port)
            let other = try WireClient(port: port)
            _ = try client.run(["insert": "c", "documents": [["_id": 1, "n": 0]]])
            let fields: Document = [
                "lsid": Self.session(2), "txnNumber": .int64(1), "autocommit": false,
            ]
            let changes: [Document] = [
                ["update": "c", "updates": [["q": ["_id": 1], "u": ["$inc": ["n": 1]]]]],
                ["insert": "c", "documents": [["_id": 9, "n": 1]]],
            ]
            for (place, change) in changes.enumerated() {
                var begun = Self.command(change, fields)
                if place == 0 { begun = Self.command(begun, ["startTransaction": true]) }
                #expect(try other.run(begun).errorCode == 0)
            }
            client.post(write)
            let name = write.view.first?.nameString ?? ""
            let number = try Self.operation(other, name)
            _ = try other.run(["killOp": 1, "op": number], database: "admin")
            #expect(try client.receive()?.document.errorCode == 11601)
            let commit = Self.command(["commitTransaction": 1], fields)
            #expect(try other.run(commit, database: "admin").errorCode == 0)
            let found = try client.run(["find": "c", "sort": ["_id": 1]])
            #expect(
                found.nested("cursor").documents("firstBatch")
                    == [["_id": 1, "n": 1], ["_id": 9, "n": 1]])
        }
    }

    /// killCursors ends a getMore that awaits what is still to come.
    @Test(
        arguments: [
            ["find": "c", "tailable": true, "awaitData": true], ["live": "c", "filter": ["a": 99]],
            ["aggregate": "d", "pipeline": [["$changeStream": [:]]], "cursor": [:]],
        ] as [Document])
    func killCursorsEndsAnAwaitingGetMore(_ opening: Document) async throws {
        try await RunningServer.with({ $0.replicaSet = "rs0" }) { port in
            let client = try WireClient(port: port)
            let other = try WireClient(port: port)
            _ = try client.run(["create": "c", "capped": true, "size": 10_000])
            _ = try client.run(["insert": "c", "documents": [["_id": 1]]])
            let first = try client.run(opening)
            let id = try #require(first.nested("cursor").integer("id"))
            let name = opening.view.first?.value.string ?? ""
            client.post([
                "getMore": .int64(id), "collection": .string(name), "maxTimeMS": 600_000,
            ])
            _ = try Self.operation(other, "getMore")
            let killed = try other.run(["killCursors": .string(name), "cursors": [.int64(id)]])
            #expect(killed["cursorsKilled"] == [.int64(id)])
            #expect(try client.receive()?.document.errorCode == 237)
            let gone = try client.run(["getMore": .int64(id), "collection": .string(name)])
            #expect(gone.errorCode == 43)
        }
    }

    /// A snapshot of a time to come is refused, one of the last operation's time is given.
    @Test func noSnapshotIsOfATimeToCome() async throws {
        try await RunningServer.with({ $0.replicaSet = "rs0" }) { port in
            let client = try WireClient(port: port)
            let written = try client.run(["insert": "c", "documents": [["_id": 1]]])
            guard case .timestamp(let now)? = written["operationTime"] else {
                Issue.record("no operationTime")
                return
            }
            func find(at time: Timestamp) throws -> Document {
                try client.run([
                    "find": "c", "lsid": Self.session(3),
                    "readConcern": ["level": "snapshot", "atClusterTime": .timestamp(time)],
                ])
            }
            #expect(try find(at: now).nested("cursor").documents("firstBatch") == [["_id": 1]])
            let later = Timestamp(seconds: now.seconds + 3_600, ordinal: 1)
            let refused = try find(at: later)
            #expect(refused.errorCode == 72)
            // Nor does asking for it make the time come.
            #expect(try find(at: now).nested("cursor").documents("firstBatch") == [["_id": 1]])
        }
    }
}
