// One user's queries, in process and over TCP: the same documents, counts and refusals.

import BSON
import Foundation
import Logging
import Testing

@testable import Roost
@testable import Server

@Suite struct SameAnswersTests {
    private static let rules = """
        rules_version = '2';
        service cloud.firestore {
          option mode = 'MODE';
          match /databases/{db}/documents {
            match /notes/{id} {
              allow read: if resource.data.owner == request.auth.uid
                || exists(/databases/$(db)/documents/members/$(resource.data.room + '-' + request.auth.uid));
            }
            match /people/{id} { allow read: if request.auth != null hide ['salary']; }
            match /open/{id} { allow read: if true; }
          }
        }
        """

    private static let filters: [Document] = [
        [:], ["owner": "ann"], ["owner": "bob"], ["_id": 3], ["_id": 4], ["room": "r1"],
        ["n": ["$gte": 50]], ["salary": ["$gt": 10]], ["$or": [["owner": "ann"], ["room": "r2"]]],
        ["owner": ["$ne": "ann"]], ["owner": ["$in": ["ann", "bob"]]],
        ["n": ["$notAnOperator": 1]],
    ]

    /// An answer in short: documents or the error's code.
    private static func text(_ body: () throws -> [Document]) throws -> String {
        do {
            return try body().map { ShellNotation.string(OwnedValue(.document($0)).view) }
                .joined(separator: " ")
        } catch let error as DBError {
            return "error \(error.code.rawValue)"
        }
    }

    @Test(arguments: ["strict", "filter"])
    func aUserGetsTheSameInProcessAndOverTCP(_ mode: String) async throws {
        let folder = NSTemporaryDirectory() + "roost-same-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let database = try Database(at: folder)
        defer { database.close() }
        try database.deployRules(Self.rules.replacingOccurrences(of: "MODE", with: mode))
        let documents: [Document] = (0..<100).map { number in
            [
                "_id": .int32(number), "n": .int32(number),
                "owner": number % 3 == 0 ? "ann" : "bob",
                "room": .string("r\(number % 4)"), "salary": .int32(number),
            ]
        }
        for name in ["notes", "people", "open"] {
            try database.collection("app", name).insert(contentsOf: documents)
        }
        try database.collection("app", "notes").createIndex(["owner": 1])
        try database.collection("app", "members").insert(["_id": "r1-ann"])
        var options = ServerOptions()
        options.listen = [ServerOptions.Address(host: "127.0.0.1", port: 0)]
        options.socketFolder = nil
        options.eventLoops = 1
        options.offersTestCommands = true
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let server = try await Server(options: options, engine: database.engine, logger: logger)
        let port = try await server.start()[0].port
        do {
            let client = try WireClient(port: port)
            let auth: Document = ["uid": "ann", "token": ["role": "reader"]]
            let acted = try client.run(["actAs": .document(auth)], database: "app")
            #expect(acted["ok"] == 1.0)
            let session = database.as(.app(AppUser(auth: auth)))
            for name in ["notes", "people", "open", "unknown"] {
                let collection = session.collection("app", name)
                for filter in Self.filters {
                    let inside = try Self.text { try collection.find(filter, sort: ["_id": 1]) }
                    let outside = try Self.text {
                        let reply = try client.run(
                            [
                                "find": .string(name), "filter": .document(filter),
                                "sort": ["_id": 1],
                            ], database: "app")
                        return try Self.rows(reply)
                    }
                    #expect(inside == outside, "\(name) \(filter)")
                    let counted = try Self.text {
                        [["n": .int32(Int32(try collection.count(filter)))]]
                    }
                    let told = try Self.text {
                        let reply = try client.run(
                            [
                                "count": .string(name), "query": .document(filter),
                            ], database: "app")
                        _ = try Self.rows(reply)
                        return [["n": reply["n"] ?? .null]]
                    }
                    #expect(counted == told, "count of \(name) \(filter)")
                }
            }
        }
        await server.stop()
    }

    /// The rows of a reply, or its error.
    private static func rows(_ reply: Document) throws -> [Document] {
        if reply["ok"] == 1.0 { return reply.nested("cursor").documents("firstBatch") }
        throw DBError(
            DBError.Code(rawValue: Int32(truncatingIfNeeded: reply.integer("code") ?? 0)),
            reply.string("errmsg") ?? "")
    }
}
