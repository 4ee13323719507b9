// The audit log: events arrive, in order, in a capped collection.

import BSON
import Foundation
import Testing

@testable import Roost

@Suite struct AuditLogTests {
    @Test func eventsAreKeptInACappedCollection() throws {
        let path = NSTemporaryDirectory() + "audit-\(UUID().uuidString)"
        let database = try Database(at: path)
        let engine = database.engine
        defer {
            database.close()
            try? FileManager.default.removeItem(atPath: path)
        }
        // Off until a door says otherwise.
        engine.note(AuditEvent("early"))
        engine.audit.level = .identity
        for count in 0..<1_200 {
            engine.note(AuditEvent("authenticate", ["count": .int64(Int64(count))], result: 18))
        }
        let log = database.collection("admin", "system.audit")
        var found: [Document] = []
        for _ in 0..<500 where found.count < 1_200 {
            // A change that waits gives those that are under way their turn.
            _ = try engine.changeAccountsAndWait { _ in 0 }
            found = try log.find([:])
        }
        let counts = found.map { $0.view.value("param")?.document?.value("count")?.exactInteger }
        #expect(counts == (0..<1_200).map { Int64($0) })
        #expect(found.first?["atype"] == "authenticate" && found.first?["result"] == 18)
        #expect(engine.collection(AuditLog.namespace)?.traits.capped != nil)
    }
}
