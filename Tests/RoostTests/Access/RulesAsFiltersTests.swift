import BSON
import Foundation
import Query
import Rules
import TestSupport
import Testing

@testable import Roost

/// The engine against brute force: every document asked of the rules, one by one, then of the filter.
@Suite struct RulesAsFiltersTests {
    private static let documentsCount = 12

    /// Cases of one run: `ROOST_RULES_CASES` for more (200,000 before a release).
    private static let casesCount =
        ProcessInfo.processInfo.environment["ROOST_RULES_CASES"].flatMap(Int.init) ?? 1_000

    private struct Members: RuleDocuments {
        let documents: [String: Document]

        func document(
            at segments: ArraySlice<String>, in database: String, after: Bool
        ) throws(DBError) -> Document? {
            documents[segments.joined(separator: "/")]
        }
    }

    @Test(arguments: [UInt64(1), 2]) func answersAsBruteForce(seed: UInt64) throws {
        let folder = NSTemporaryDirectory() + "roost-rules-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let database = try Database(at: folder)
        defer { database.close() }
        var random = RandomRules(random: RandomSource(seed: seed))
        let docs = database.collection("app", "docs")
        let members = database.collection("app", "members")
        try members.insert(["_id": "ann", "level": 1])
        try members.insert(["_id": "0123456789abcdef01234567", "level": 2])
        try docs.createIndex(["owner": 1])
        try docs.createIndex(["tags": 1])
        var refused = 0
        var served = 0
        var stored: [Document] = []
        let perRules = 5
        for round in 0..<Self.casesCount / 2 / perRules {
            if round % 10 == 0 {
                try docs.delete([:])
                // Numbers are the same `_id` whatever their type.
                var ids: Set<String> = []
                let made = (0..<Self.documentsCount).map { random.document($0) }
                try docs.insert(
                    contentsOf: made.filter { document in
                        let id = document["_id"] ?? .null
                        let text =
                            switch id {
                            case .int32(let number): "\(number)"
                            case .int64(let number): "\(number)"
                            default: "\(id)"
                            }
                        return ids.insert(text).inserted
                    })
                stored = try docs.find()
            }
            let filters = !random.random.oneIn(3)
            let text = random.file(filters: filters)
            let rules = try #require(
                RuleSet.parse(RulesFile(name: "r", text: text)).rules, "\(text)")
            // In force without the cost of a commit.
            database.engine.rules.set(
                DeployedRules(
                    version: Int64(round + 1), rules, [RulesText(name: "r", text: text)]))
            for _ in 0..<perRules {
                let auth = random.auth()
                let filter = random.filter()
                let expected = try bruteForce(rules, auth, filter, stored)
                let session = database.as(.app(AppUser(auth: auth)))
                let place = "seed \(seed), round \(round), \(auth as Any), \(filter)\n\(text)"
                do {
                    let found = try session.collection("app", "docs").find(filter)
                    served += 1
                    #expect(
                        Set(found) == Set(expected), "\(place)")
                    let count = try session.collection("app", "docs").count(filter)
                    #expect(count == expected.count, "\(place)")
                } catch let error as DBError {
                    guard !filters, error.code == .unauthorized else {
                        Issue.record("\(error.message): \(place)")
                        return
                    }
                    refused += 1
                }
            }
        }
        #expect(served > 50 && refused > 10, "\(served) served, \(refused) refused")
    }

    private func bruteForce(
        _ rules: RuleSet, _ auth: Document?, _ filter: Document, _ stored: [Document]
    ) throws -> [Document] {
        let members = Members(documents: [
            "members/ann": ["_id": "ann", "level": 1],
            "members/0123456789abcdef01234567": ["_id": "0123456789abcdef01234567", "level": 2],
        ])
        let scope = ExpressionScope()
        let compiled = try Filter.parse(filter.view, scope.filterOptions(.find))
        var scratch = MatchScratch()
        var allowed: [Document] = []
        for document in stored {
            guard let id = document.view.value("_id"),
                let segments = DocumentSegments.segments(of: id, count: 1)
            else { continue }
            let request = RuleRequest(
                .list, database: "app", ["docs"] + segments, auth: auth, timeMillis: 0,
                resource: document, query: RuleRequest.Query())
            let decision = rules.decide(request, members)
            guard decision.isAllowed else { continue }
            var writer = DocumentWriter()
            FieldMask.write(document.view, hiding: decision.hidden, into: &writer)
            let seen = Document(copying: DocumentView(writer.bytes.span.bytes))
            if try compiled.matches(seen.view, &scratch) { allowed.append(seen) }
        }
        return allowed
    }

    // MARK: Plans

    @Test func anIndexServesAnOwnerRule() throws {
        let folder = NSTemporaryDirectory() + "roost-rules-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let database = try Database(at: folder)
        defer { database.close() }
        let docs = database.collection("app", "docs")
        try docs.createIndex(["owner": 1])
        try docs.insert(
            contentsOf: (0..<2_000).map {
                ["_id": .int32(Int32($0)), "owner": .string("user\($0 % 100)"), "n": 1]
            })
        try database.deployRules(
            """
            rules_version = '2';
            service cloud.firestore {
              option mode = 'filter';
              match /databases/{db}/documents/docs/{id} {
                allow read: if resource.data.owner == request.auth.uid;
              }
            }
            """)
        var request = FindRequest(Namespace("app", "docs"), filter: .everything)
        let user = AppUser(auth: ["uid": "user7", "token": [:]])
        request.access = try database.engine.access(of: .app(user))
        let (found, counters) = try database.withReader { reader throws(DBError) in
            let cursor = try database.engine.openCursor(request)
            var sink = NoSink()
            while try cursor.advanceFully(reader, documentsMax: .max, into: &sink) != .exhausted {}
            return (cursor.counters.matched, cursor.counters)
        }
        #expect(found == 20)
        #expect(counters.documentsExamined == 20)
        #expect(counters.keysExamined <= 22)
    }
}
