import BSON
import Foundation
import Query
import Rules
import TestSupport
import Testing

@testable import Roost

/// The engine against brute force: every document asked of the rules, one by one, then of the query.
@Suite struct RulesAsFiltersTests {
    private static let documentsCount = 12
    /// Cases of one run: `ROOST_RULES_CASES` for more (tools/rules-cases: 200,000).
    private static let casesCount = number("ROOST_RULES_CASES") ?? 1_000
    /// The first seed: `ROOST_RULES_SEED`.
    private static let seed = UInt64(number("ROOST_RULES_SEED") ?? 1)

    private static func number(_ variable: String) -> Int? {
        ProcessInfo.processInfo.environment[variable].flatMap(Int.init)
    }

    @Test(arguments: [seed, seed + 1]) func answersAsBruteForce(seed: UInt64) throws {
        let folder = NSTemporaryDirectory() + "roost-rules-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let database = try Database(at: folder)
        defer { database.close() }
        var random = RandomRules(random: RandomSource(seed: seed))
        let brute = try BruteForce(database)
        var counts = (served: 0, strict: 0, refused: 0, found: 0)
        let perRules = 5
        for round in 0..<Self.casesCount / 2 / perRules {
            if round % 10 == 0 {
                for name in BruteForce.collections {
                    let isNested = name != BruteForce.collections[0]
                    try brute.store(
                        (0..<Self.documentsCount).map { random.document($0, isNested: isNested) },
                        in: name)
                }
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
                let name = BruteForce.collections[random.random.oneIn(4) ? 1 : 0]
                let user = AppUser(auth: random.auth())
                let read = random.read()
                let place = "seed \(seed), round \(round), \(name), \(user.auth as Any), \(read)"
                let outcome = try brute.compare(read, name, user, rules)
                switch outcome {
                case .asExpected(let count):
                    counts.served += 1
                    counts.strict += filters ? 0 : 1
                    counts.found += count
                case .refused: counts.refused += 1
                case .otherwise(let how): Issue.record("\(how): \(place)\n\(text)")
                }
            }
        }
        // What is compared must be something.
        let cases = Self.casesCount / 2
        #expect(counts.served > cases / 2 && counts.found > cases / 4, "\(counts)")
        #expect(counts.refused > cases / 50 && counts.strict > cases / 50, "\(counts)")
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
