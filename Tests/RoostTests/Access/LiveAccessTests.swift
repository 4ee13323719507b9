import BSON
import Foundation
import Query
import Storage
import Synchronization
import Testing

@testable import Roost

/// Live queries of app users: what they are told, and what they are told no more.
@Suite struct LiveAccessTests {
    private static let names = Namespace("app", "notes")

    /// Rules that let a user read a note, each in its own way.
    enum Kind: String, CaseIterable, Sendable {
        /// A field of the note.
        case field
        /// A document beside the note, which each note names.
        case membership
        /// A document that only the user names.
        case role
        /// The same, as a condition on each note.
        case team

        var condition: String {
            let documents = "/databases/$(db)/documents"
            return switch self {
            case .field: "request.auth.uid in resource.data.readers"
            case .membership:
                "exists(\(documents)/members/$(resource.data.room + '-' + request.auth.uid))"
            case .role: "get(\(documents)/users/$(request.auth.uid)).data.role == 'reader'"
            case .team:
                "resource.data.team == get(\(documents)/users/$(request.auth.uid)).data.team"
            }
        }

        /// Lets ann read or not, by what the rules ask for.
        func set(_ database: Database, allows: Bool) throws {
            switch self {
            case .field:
                try database.collection("app", "notes").update(
                    [:], ["$set": ["readers": allows ? ["ann", "bob"] : ["bob"]]], multi: true)
            case .membership:
                let members = database.collection("app", "members")
                if allows {
                    try members.insert(["_id": "r1-ann"])
                } else {
                    try members.delete(["_id": "r1-ann"])
                }
            case .role:
                try database.collection("app", "users").update(
                    ["_id": "ann"], ["$set": ["role": allows ? "reader" : "guest"]], upsert: true)
            case .team:
                try database.collection("app", "users").update(
                    ["_id": "ann"], ["$set": ["team": allows ? "red" : "blue"]], upsert: true)
            }
        }
    }

    static func rules(_ condition: String, mode: String = "filter", hide: String = "") -> String {
        """
        rules_version = '2';
        service cloud.firestore {
          option mode = '\(mode)';
          match /databases/{db}/documents {
            match /notes/{id} { allow read: if \(condition)\(hide); }
            match /people/{id} { allow read: if request.auth.uid == 'ann'; }
          }
        }
        """
    }

    /// A database with a user who follows notes.
    final class Fixture {
        let folder = NSTemporaryDirectory() + "roost-live-access-\(UUID().uuidString)"
        let database: Database
        var engine: RoostEngine { database.engine }
        let reader: Reader

        init(_ rules: String) throws {
            var options = EngineOptions()
            options.durability = .relaxed
            database = try Database(at: folder, options: options)
            reader = try database.engine.store.makeReader()
            try database.deployRules(rules)
        }

        deinit {
            database.close()
            try? FileManager.default.removeItem(atPath: folder)
        }

        var notes: Collection<Document> { database.collection("app", "notes") }

        func user(_ uid: String, lasts millis: Int64? = nil) -> AppUser {
            AppUser(
                auth: ["uid": .string(uid), "token": [:]],
                expiresAtMillis: millis.map { LogicalClock.wallMillis + $0 })
        }

        func follow(
            _ filter: Document = [:], sort: Document? = nil, limit: Int = 0,
            as user: AppUser? = nil
        ) throws -> LiveClient {
            var request = try LiveRequest(
                LiveAccessTests.names, filter: try Filter.parse(filter.view),
                sort: try sort.map { try SortPattern.parse($0.view) }, skip: 0, limit: limit,
                projection: nil,
                identity: Document { writer in
                    writer.append("f", filter)
                    writer.append("s", sort ?? Document())
                    writer.append("l", Int32(limit))
                }.bytes)
            request.user = user ?? self.user("ann")
            return LiveClient(engine, request)
        }

        func note(_ id: Int32, _ text: String, allows: Bool = false) -> Document {
            [
                "_id": .int32(id), "text": .string(text), "room": "r1", "team": "red",
                "readers": allows ? ["ann", "bob"] : ["bob"],
            ]
        }

        /// Reads until the client knows of all commits.
        func catchUp(_ client: LiveClient) throws {
            let end = engine.clock.newest
            for _ in 0..<20_000 {
                try client.read(reader)
                if let token = client.cursor.token, token.sequence >= end,
                    !engine.live.isRefreshing
                {
                    return try client.read(reader)
                }
                usleep(500)
            }
            Issue.record("the client was not told all")
        }

        /// Reads until the client has rows of these texts: a deploy has no place in the log, so no
        /// token says that it was noticed.
        func wait(_ client: LiveClient, for texts: [String]) throws {
            for _ in 0..<20_000 {
                try client.read(reader)
                if LiveAccessTests.texts(client) == texts { return }
                usleep(500)
            }
            Issue.record("the client has \(LiveAccessTests.texts(client)), not \(texts)")
        }
    }

    private static func texts(_ client: LiveClient) -> [String] {
        client.rows.rows.compactMap { row in
            DocumentView(row.document.span.bytes).value("text")?.string
        }.sorted()
    }

    private static let shapes: [(sort: Document?, limit: Int)] = [(nil, 0), (["text": 1], 5)]

    @Test(arguments: Kind.allCases) func sightComesAndGoes(kind: Kind) throws {
        let fixture = try Fixture(Self.rules(kind.condition))
        try fixture.notes.insert(fixture.note(1, "one"))
        for shape in Self.shapes {
            let client = try fixture.follow(sort: shape.sort, limit: shape.limit)
            try fixture.catchUp(client)
            #expect(Self.texts(client).isEmpty)
            try kind.set(fixture.database, allows: true)
            try fixture.catchUp(client)
            #expect(Self.texts(client) == ["one"])
            try fixture.notes.insert(fixture.note(2, "two", allows: true))
            try fixture.catchUp(client)
            #expect(Self.texts(client) == ["one", "two"])
            try kind.set(fixture.database, allows: false)
            try fixture.notes.update(["_id": 1], ["$set": ["text": "secret"]])
            try fixture.catchUp(client)
            #expect(Self.texts(client).isEmpty)
            #expect(client.rows.resets == 0)
            try fixture.notes.update(["_id": 1], ["$set": ["text": "one"]])
            try fixture.notes.delete(["_id": 2])
            client.cursor.kill()
        }
    }

    @Test(arguments: Kind.allCases) func comingBackTellsWhatWent(kind: Kind) throws {
        let fixture = try Fixture(Self.rules(kind.condition))
        try fixture.notes.insert(fixture.note(1, "one", allows: true))
        try fixture.notes.insert(["_id": 9, "text": "never", "readers": ["bob"], "room": "r9"])
        try kind.set(fixture.database, allows: true)
        try fixture.notes.update(
            ["_id": 9], ["$set": ["readers": ["bob"], "team": "none"]])
        for isAllowed in [true, false] {
            // Of the role all notes may be read, or none.
            let client = try fixture.follow(["_id": ["$lt": kind == .role ? 9 : 10]])
            try fixture.catchUp(client)
            let token = client.cursor.token
            client.cursor.kill()
            if !isAllowed { try kind.set(fixture.database, allows: false) }
            try fixture.notes.update(["_id": 1], ["$set": ["text": "uno"]])
            try fixture.notes.delete(["_id": 9])
            client.goOn(fixture.engine, from: token)
            try fixture.catchUp(client)
            #expect(Self.texts(client) == (isAllowed ? ["uno"] : []))
            client.cursor.kill()
        }
    }

    @Test func otherRulesTakeRowsAway() throws {
        let fixture = try Fixture(Self.rules("request.auth.uid in resource.data.readers"))
        try fixture.notes.insert(fixture.note(1, "one", allows: true))
        try fixture.notes.insert(fixture.note(2, "two"))
        for shape in Self.shapes {
            let client = try fixture.follow(sort: shape.sort, limit: shape.limit)
            try fixture.catchUp(client)
            #expect(Self.texts(client) == ["one"])
            try fixture.database.deployRules(Self.rules("resource.data.text == 'two'"))
            try fixture.notes.update(["_id": 1], ["$set": ["text": "secret"]])
            try fixture.catchUp(client)
            #expect(Self.texts(client) == ["two"])
            try fixture.notes.update(["_id": 1], ["$set": ["text": "one"]])
            try fixture.database.deployRules(Self.rules(Kind.field.condition))
            try fixture.wait(client, for: ["one"])
            #expect(client.rows.resets == 0)
            client.cursor.kill()
        }
    }

    /// Why a live query may not go on.
    enum Ending: CaseIterable {
        case token, session, rules
    }

    @Test(arguments: Ending.allCases) func whatIsRefusedEnds(by ending: Ending) throws {
        let fixture = try Fixture(Self.rules("'ann' in resource.data.readers"))
        try fixture.notes.insert(fixture.note(1, "one", allows: true))
        let ann = fixture.user("ann", lasts: ending == .token ? 300 : nil)
        let client = try fixture.follow(
            as: AppUser(
                auth: ann.auth, expiresAtMillis: ann.expiresAtMillis,
                session: AppSession(id: "s1", claimsVersion: 1)))
        try client.read(fixture.reader)
        #expect(Self.texts(client) == ["one"])
        switch ending {
        case .token: usleep(400_000)
        case .session: fixture.engine.appSessions.end(["s1"], nowMillis: LogicalClock.wallMillis)
        case .rules:
            try fixture.database.deployRules(
                Self.rules("'ann' in resource.data.readers", mode: "strict"))
        }
        try fixture.notes.update(["_id": 1], ["$set": ["text": "secret"]])
        do {
            for _ in 0..<10_000 {
                try client.read(fixture.reader)
                #expect(!Self.texts(client).contains("secret"))
                usleep(500)
            }
            Issue.record("the query goes on")
        } catch let error as DBError {
            #expect(error.code == .unauthorized)
        }
        #expect(Self.texts(client).isEmpty)
        #expect(client.rows.resets == 0)
    }

    @Test func strictQueriesMustSayWhatRulesAsk() throws {
        let fixture = try Fixture(
            Self.rules("resource.data.owner == request.auth.uid", mode: "strict"))
        try fixture.notes.insert(["_id": 1, "owner": "ann", "text": "mine"])
        for filter: Document in [[:], ["owner": "bob"], ["_id": 7]] {
            let client = try fixture.follow(filter)
            #expect(throws: DBError.self) { try client.read(fixture.reader) }
        }
        let client = try fixture.follow(["owner": "ann"])
        try fixture.catchUp(client)
        #expect(Self.texts(client) == ["mine"])
        try fixture.notes.update(
            ["_id": 1], ["$set": ["owner": ["ann", "bob"], "text": "secret"]])
        try fixture.catchUp(client)
        #expect(Self.texts(client).isEmpty)
    }

    @Test func hiddenFieldsAreNeitherShownNorTold() throws {
        let fixture = try Fixture(Self.rules("true", hide: " hide ['salary']"))
        try fixture.notes.insert(["_id": 1, "text": "one", "salary": 10])
        let all = try fixture.follow()
        let guess = try fixture.follow(["salary": 11])
        let none = try fixture.follow(["salary": ["$exists": false]])
        for client in [all, guess, none] { try fixture.catchUp(client) }
        let events = all.rows.eventCount
        try fixture.notes.update(["_id": 1], ["$set": ["salary": 11]])
        for client in [all, guess, none] { try fixture.catchUp(client) }
        #expect(all.rows.eventCount == events)
        #expect(guess.rows.rows.isEmpty)
        #expect(Self.texts(none) == ["one"])
        #expect(
            (all.rows.rows + none.rows.rows).allSatisfy {
                DocumentView($0.document.span.bytes).value("salary") == nil
            })
        try fixture.notes.update(["_id": 1], ["$set": ["text": "two"]])
        for client in [all, guess, none] { try fixture.catchUp(client) }
        #expect(Self.texts(all) == ["two"] && Self.texts(none) == ["two"])
        #expect(guess.rows.rows.isEmpty)
    }

    @Test func rulesOfTimeTakeRowsAway() throws {
        let fixture = try Fixture(Self.rules("resource.data.until > request.time"))
        try fixture.notes.insert([
            "_id": 1, "text": "one", "until": .date(LogicalClock.wallMillis + 1_500),
        ])
        let client = try fixture.follow()
        try client.read(fixture.reader)
        #expect(Self.texts(client) == ["one"])
        for _ in 0..<2_000 where !Self.texts(client).isEmpty {
            usleep(10_000)
            try client.read(fixture.reader)
        }
        #expect(Self.texts(client).isEmpty)
    }

    @Test func whoSeesTheSameSharesAResult() throws {
        let fixture = try Fixture(Self.rules("resource.data.team == request.auth.token.team"))
        try fixture.notes.insert(fixture.note(1, "one"))
        let clients = try (0..<6).map { number in
            try fixture.follow(
                as: AppUser(auth: [
                    "uid": .string("u\(number)"),
                    "token": ["team": number < 3 ? "red" : "blue"],
                ]))
        }
        for client in clients { try fixture.catchUp(client) }
        #expect(fixture.engine.live.groupCount == 2)
        #expect(clients.map { Self.texts($0).count } == [1, 1, 1, 0, 0, 0])
    }

    /// A writer that takes the right away, then writes what it is to protect.
    private final class Revocation: Sendable {
        private let database: Database
        private let kind: Kind
        private let outcome = Mutex<Result<Void, any Error>?>(nil)

        init(_ database: Database, _ kind: Kind) {
            self.database = database
            self.kind = kind
        }

        var isDone: Bool { outcome.withLock { $0 != nil } }

        var failure: (any Error)? {
            outcome.withLock { if case .failure(let error)? = $0 { error } else { nil } }
        }

        func start() {
            Thread.detachNewThread {
                let result = Result {
                    usleep(UInt32.random(in: 0...500))
                    try self.kind.set(self.database, allows: false)
                    try self.database.collection("app", "notes").update(
                        ["_id": 1], ["$set": ["text": "secret"]])
                    return ()
                }
                self.outcome.withLock { $0 = result }
            }
        }
    }

    /// A writer takes the right away while the subscriber listens, then writes: nothing of that
    /// comes. `ROOST_RACES=10000` runs it as often.
    @Test(arguments: Kind.allCases) func nothingComesAfterRevocation(kind: Kind) async throws {
        let rounds = ProcessInfo.processInfo.environment["ROOST_RACES"].flatMap(Int.init) ?? 100
        let fixture = try Fixture(Self.rules(kind.condition))
        try fixture.notes.insert(fixture.note(1, "shown", allows: true))
        try kind.set(fixture.database, allows: true)
        let client = try fixture.follow()
        let windowed = try fixture.follow(sort: ["text": 1], limit: 3)
        client.rows.forbidden = "secret"
        windowed.rows.forbidden = "secret"
        for round in 0..<rounds {
            for client in [client, windowed] { try fixture.catchUp(client) }
            #expect(Self.texts(client) == ["shown"] && Self.texts(windowed) == ["shown"])
            let revocation = Revocation(fixture.database, kind)
            revocation.start()
            while !revocation.isDone {
                for client in [client, windowed] { try client.read(fixture.reader) }
            }
            #expect(revocation.failure == nil)
            for client in [client, windowed] {
                try fixture.catchUp(client)
                #expect(Self.texts(client).isEmpty, "round \(round)")
            }
            try fixture.notes.update(["_id": 1], ["$set": ["text": "shown"]])
            try kind.set(fixture.database, allows: true)
        }
        for client in [client, windowed] { client.cursor.kill() }
    }
}
