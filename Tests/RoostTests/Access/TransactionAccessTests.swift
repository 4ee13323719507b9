import BSON
import Foundation
import Testing

@testable import Roost

/// Rules that ask for documents as a whole transaction leaves them.
@Suite struct TransactionAccessTests {
    private static let namespace = Namespace("app", "pairs")

    private static let rules = """
        rules_version = '2';
        service cloud.firestore {
          match /databases/{db}/documents {
            match /pairs/{id} {
              function other() { return /databases/$(db)/documents/pairs/$(request.resource.data.other); }
              allow read: if true;
              allow create: if existsAfter(other()) && getAfter(other()).data.other == id;
              allow update: if !existsAfter(other());
              allow delete: if !existsAfter(/databases/$(db)/documents/pairs/$(resource.data.other));
            }
          }
        }
        """

    private func write(
        _ database: Database, _ form: Document, in transaction: Transaction?
    ) throws -> DBError.Code? {
        let engine = database.engine
        var request = WriteRequest(Self.namespace, time: engine.writeTime)
        request.transaction = transaction
        request.access = try engine.access(of: .app(AppUser(auth: ["uid": "ann"])))
        try ReadFixture.statement(form, into: &request)
        let begun = request
        do {
            return try database.wait { engine.write(begun, completion: $0) }.results
                .compactMap(\.error).first?.code
        } catch {
            return error.code
        }
    }

    /// Statements, whether the commit is allowed, and what is there then.
    @Test(
        arguments: [
            (
                [["insert": ["_id": "a", "other": "b"]], ["insert": ["_id": "b", "other": "a"]]],
                true,
                ["a", "b"]
            ),
            ([["insert": ["_id": "a", "other": "b"]]], false, []),
            (
                [["insert": ["_id": "a", "other": "b"]], ["insert": ["_id": "b", "other": "c"]]],
                false,
                []
            ),
            (
                [
                    ["insert": ["_id": "a", "other": "b"]], ["insert": ["_id": "b", "other": "a"]],
                    ["delete": ["_id": "b"]],
                ], false, []
            ),
            (
                [
                    ["insert": ["_id": "a", "other": "b"]], ["insert": ["_id": "b", "other": "a"]],
                    ["delete": ["_id": "b"]], ["insert": ["_id": "b", "other": "a"]],
                    ["delete": ["_id": "a"]],
                ], false, []
            ),
        ] as [([Document], Bool, [String])])
    func theCommitIsAskedWithEverythingWritten(
        _ forms: [Document], isAllowed: Bool, left: [String]
    ) throws {
        let folder = NSTemporaryDirectory() + "roost-after-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let database = try Database(at: folder)
        defer { database.close() }
        try database.deployRules(Self.rules)
        // Alone each statement is denied at once.
        #expect(try write(database, forms[0], in: nil) == .unauthorized)
        let transaction = try database.engine.beginTransaction()
        for form in forms { #expect(try write(database, form, in: transaction) == nil) }
        let retry = RetryIdentity(session: [UInt8](repeating: 1, count: 16), number: 1)
        var code: DBError.Code?
        do {
            try database.wait { transaction.commit(retry, completion: $0) }
        } catch {
            code = error.code
        }
        #expect(code == (isAllowed ? nil : .unauthorized))
        let found = try database.collection("app", "pairs").find().map { $0["_id"] }
        #expect(found == left.map { .string($0) })
        // The writer goes on.
        try database.collection("app", "pairs").insert(["_id": "z"])
        #expect(try database.collection("app", "pairs").count() == left.count + 1)
    }
}
