import BSON
import Foundation
import Query
import Storage
import TestSupport
import Testing

@testable import Roost

/// Change streams of app users: what they are told, and what they are told no more.
@Suite struct ChangeStreamAccessTests {
    typealias Fixture = LiveAccessTests.Fixture
    typealias Kind = LiveAccessTests.Kind

    private static let names = Namespace("app", "notes")

    /// A stream as its client sees it.
    private final class Stream {
        let cursor: QueryCursor
        let reader: Reader

        init(
            _ fixture: Fixture, _ argument: Document = [:], _ stages: [Value] = [],
            as user: AppUser? = nil
        ) throws {
            reader = fixture.reader
            let list = OwnedValue(.array(stages))
            var request = try ChangeStreamRequest(
                argument.view, names, .collection(names),
                pipeline: try Pipeline.parse(
                    DocumentView(list.view.bytes), ExpressionScope(nowMillis: 0)),
                splitsLargeEvents: false)
            request.access = try fixture.engine.access(of: .app(user ?? fixture.user("ann")))
            cursor = fixture.engine.openCursor(request)
        }

        /// All events there are.
        func read() throws(DBError) -> [Document] {
            var documents: [Document] = []
            while true {
                var sink = DocumentCollector()
                let limits = BatchLimits(documentsMax: 7)
                while try cursor.advance(reader, limits, .slice, into: &sink) == .budgetSpent {}
                if sink.documents.isEmpty { return documents }
                documents += sink.documents
            }
        }

        /// Events in short: operation, `_id`, and what is shown.
        func told() throws -> [String] { try read().map { ChangeStreamAccessTests.text($0) } }
    }

    private static func text(_ event: Document) -> String {
        var words: [String] = []
        if case .string(let type)? = event["operationType"] { words.append(type) }
        if case .document(let key)? = event["documentKey"], let id = key["_id"] {
            words.append(ShellNotation.string(OwnedValue(id).view))
        }
        if case .document(let document)? = event["fullDocument"] {
            words.append(Self.fields(document))
        }
        if case .document(let changes)? = event["updateDescription"],
            case .document(let updated)? = changes["updatedFields"]
        {
            words.append("set " + Self.fields(updated))
        }
        if case .document(let before)? = event["fullDocumentBeforeChange"] {
            words.append("was " + Self.fields(before))
        }
        return words.joined(separator: " ")
    }

    private static func fields(_ document: Document) -> String {
        ShellNotation.string(OwnedValue(.document(document)).view)
    }

    @Test(arguments: Kind.allCases)
    func nothingIsToldOfWhatIsOutOfSight(_ kind: Kind) throws {
        let fixture = try Fixture(LiveAccessTests.rules(kind.condition))
        try fixture.notes.insert(fixture.note(1, "old"))
        try kind.set(fixture.database, allows: false)
        let stream = try Stream(fixture)
        #expect(try stream.told().isEmpty)
        try fixture.notes.insert(fixture.note(2, "SECRET"))
        try fixture.notes.update(["_id": 1], ["$set": ["text": "SECRET"]])
        try fixture.notes.delete(["_id": 2])
        #expect(try stream.told().isEmpty)
        try kind.set(fixture.database, allows: true)
        _ = try stream.told()
        try fixture.notes.update(["_id": 1], ["$set": ["text": "seen"]])
        #expect(try stream.told() == [#"update 1 set { text: "seen" }"#])
    }

    @Test(arguments: Kind.allCases)
    func theOrderOfCommitsDecidesHoweverLateTheStreamIs(_ kind: Kind) throws {
        let fixture = try Fixture(LiveAccessTests.rules(kind.condition))
        try fixture.notes.insert(fixture.note(1, "old"))
        try kind.set(fixture.database, allows: true)
        let stream = try Stream(fixture)
        _ = try stream.told()
        try fixture.notes.update(["_id": 1], ["$set": ["text": "seen"]])
        try kind.set(fixture.database, allows: false)
        try fixture.notes.update(["_id": 1], ["$set": ["text": "SECRET"]])
        try kind.set(fixture.database, allows: true)
        try fixture.notes.update(["_id": 1], ["$set": ["text": "again"]])
        // Read only now, when all of it may be read.
        let told = try stream.told()
        #expect(!told.contains { $0.contains("set { text: \"SECRET") || $0.contains("was") })
        #expect(told.first == #"update 1 set { text: "seen" }"#)
        #expect(told.last == #"update 1 set { text: "again" }"#)
        // Coming back into sight the note is told as it is then.
        if kind == .field { #expect(told.count == 4 && told[1].hasPrefix("delete 1")) }
    }

    @Test func documentsComeIntoSightAndLeaveIt() throws {
        let fixture = try Fixture(
            LiveAccessTests.rules(Kind.field.condition, hide: " hide ['text']"))
        let stream = try Stream(fixture, ["fullDocument": "updateLookup"])
        #expect(try stream.told().isEmpty)
        try fixture.notes.insert(["_id": 1, "text": "SECRET", "readers": ["bob"]])
        try fixture.notes.update(["_id": 1], ["$set": ["readers": ["ann"]]])
        #expect(try stream.told() == [#"insert 1 { _id: 1, readers: [ "ann" ] }"#])
        try fixture.notes.update(["_id": 1], ["$set": ["text": "SECRET 2"]])
        #expect(try stream.told().isEmpty)
        try fixture.notes.update(["_id": 1], ["$set": ["text": "SECRET 3", "n": 1]])
        #expect(
            try stream.told() == [#"update 1 { _id: 1, readers: [ "ann" ], n: 1 } set { n: 1 }"#])
        try fixture.notes.update(["_id": 1], ["$set": ["readers": ["bob"], "n": 2]])
        try fixture.notes.delete(["_id": 1])
        #expect(try stream.told() == ["delete 1"])
    }

    @Test func imagesAreMasked() throws {
        let fixture = try Fixture(
            LiveAccessTests.rules(Kind.field.condition, hide: " hide ['text']"))
        try fixture.database.wait {
            fixture.engine.createCollection(
                Self.names, options: ["changeStreamPreAndPostImages": ["enabled": true]],
                completion: $0)
        }
        let stream = try Stream(
            fixture, ["fullDocument": "required", "fullDocumentBeforeChange": "required"])
        try fixture.notes.insert(["_id": 1, "text": "SECRET", "readers": ["ann"]])
        try fixture.notes.update(["_id": 1], ["$set": ["n": 1]])
        try fixture.notes.update(["_id": 1], ["text": "SECRET", "readers": ["bob"]])
        #expect(
            try stream.told() == [
                #"insert 1 { _id: 1, readers: [ "ann" ] }"#,
                #"update 1 { _id: 1, readers: [ "ann" ], n: 1 } set { n: 1 } "#
                    + #"was { _id: 1, readers: [ "ann" ] }"#,
                #"delete 1 was { _id: 1, readers: [ "ann" ], n: 1 }"#,
            ])
    }

    @Test func strictStreamsMustSayWhatTheRulesAsk() throws {
        let fixture = try Fixture(
            LiveAccessTests.rules("resource.data.team == 'red'", mode: "strict"))
        #expect(throws: DBError.self) { try Stream(fixture).read() }
        #expect(throws: DBError.self) {
            try Stream(fixture, [:], [["$match": ["fullDocument.team": "blue"]]]).read()
        }
        #expect(throws: DBError.self) {
            try Stream(fixture, [:], [["$match": ["team": "red"]]]).read()
        }
        let stream = try Stream(fixture, [:], [["$match": ["fullDocument.team": "red"]]])
        #expect(try stream.told().isEmpty)
        try fixture.notes.insert(contentsOf: [["_id": 1, "team": "red"], ["_id": 2]])
        #expect(try stream.told() == [#"insert 1 { _id: 1, team: "red" }"#])
    }

    /// What is refused: an argument of `$changeStream` that depends on nothing but itself.
    @Test(
        arguments: [
            ["startAtOperationTime": .timestamp(Timestamp(rawValue: 1))],
            ["showExpandedEvents": true],
        ] as [Document])
    func whatTellsMoreIsRefused(_ argument: Document) throws {
        let fixture = try Fixture(LiveAccessTests.rules("true"))
        let stream = try Stream(fixture, argument)
        #expect(throws: DBError.self) { try stream.read() }
    }

    @Test func streamsEndWithTheirRightsAndTokensAreOneUsers() throws {
        let fixture = try Fixture(LiveAccessTests.rules(Kind.field.condition))
        try fixture.notes.insert(fixture.note(1, "old", allows: true))
        let stream = try Stream(fixture)
        try fixture.notes.update(["_id": 1], ["$set": ["text": "seen"]])
        #expect(try stream.told().count == 1)
        let token = try #require(stream.cursor.postBatchResumeToken)
        try fixture.notes.update(["_id": 1], ["$set": ["text": "missed"]])
        let resumed = try Stream(fixture, ["resumeAfter": .document(token)])
        #expect(try resumed.told() == [#"update 1 set { text: "missed" }"#])
        // Another user, other claims, the same user under other rules.
        let other = AppUser(auth: ["uid": "ann", "token": ["role": "boss"]])
        for user in [fixture.user("bob"), other] {
            let stream = try Stream(fixture, ["resumeAfter": .document(token)], as: user)
            #expect(throws: DBError.self) { try stream.read() }
        }
        let brief = try Stream(fixture, as: fixture.user("ann", lasts: 1_000))
        #expect(try brief.told().isEmpty)
        try fixture.database.deployRules(LiveAccessTests.rules("true"))
        try fixture.notes.update(["_id": 1], ["$set": ["text": "SECRET"]])
        #expect(throws: DBError.self) { try resumed.read() }
        let late = try Stream(fixture, ["resumeAfter": .document(token)])
        #expect(throws: DBError.self) { try late.read() }
        try fixture.database.deployRules(LiveAccessTests.rules(Kind.field.condition))
        while LogicalClock.wallMillis < (brief.cursor.user?.expiresAtMillis ?? 0) { usleep(10_000) }
        #expect(throws: DBError.self) { try brief.read() }
    }

    // MARK: Against a model

    private struct Model {
        var notes: [Int32: Document] = [:]
        var rooms: Set<String> = []
        var team = "blue"

        func sees(_ document: Document, _ kind: Kind) -> Bool {
            switch kind {
            case .field: document["readers"] == ["ann"]
            case .membership:
                if case .string(let room)? = document["room"] {
                    rooms.contains(room)
                } else {
                    false
                }
            case .team, .role: document["team"] == .string(team)
            }
        }

        static func masked(_ document: Document) -> Document {
            Document { writer in
                var fields = document.view.makeIterator()
                while let field = fields.next() {
                    if field.nameString != "secret" { writer.append(field) }
                }
            }
        }

        /// The event that a change is to the user.
        func event(_ old: Document?, _ new: Document?, _ kind: Kind, isReplacement: Bool) -> String?
        {
            let before = old.flatMap { sees($0, kind) ? Self.masked($0) : nil }
            let after = new.flatMap { sees($0, kind) ? Self.masked($0) : nil }
            guard let shown = after ?? before, before != after, let id = shown["_id"] else {
                return nil
            }
            let key = ShellNotation.string(OwnedValue(id).view)
            guard let after else { return "delete \(key)" }
            let whole = ChangeStreamAccessTests.fields(after)
            guard let before else { return "insert \(key) \(whole)" }
            if isReplacement { return "replace \(key) \(whole)" }
            let updated = Document { writer in
                var fields = after.view.makeIterator()
                while let field = fields.next() {
                    if before[field.nameString] != after[field.nameString] { writer.append(field) }
                }
            }
            return "update \(key) set \(ChangeStreamAccessTests.fields(updated))"
        }
    }

    @Test(arguments: [Kind.field, .membership, .team], 1...4 as ClosedRange<UInt64>)
    func asAModelSays(_ kind: Kind, seed: UInt64) throws {
        var random = RandomSource(seed: seed)
        let fixture = try Fixture(
            LiveAccessTests.rules(kind.condition, hide: " hide ['secret']"))
        var model = Model()
        let users = fixture.database.collection("app", "users")
        let members = fixture.database.collection("app", "members")
        try users.insert(["_id": "ann", "team": "blue"])
        let stream = try Stream(fixture)
        #expect(try stream.told().isEmpty)
        var expected: [String] = []
        var told: [String] = []
        for _ in 0..<400 {
            let id = Int32(random.below(6))
            let old = model.notes[id]
            var new = old
            var isReplacement = false
            switch random.below(10) {
            case 0 where old != nil:
                try fixture.notes.delete(["_id": .int32(id)])
                new = nil
            case 1:
                let room = random.oneIn(2) ? "r1" : "r2"
                if model.rooms.remove(room) != nil {
                    try members.delete(["_id": .string("\(room)-ann")])
                } else {
                    model.rooms.insert(room)
                    try members.insert(["_id": .string("\(room)-ann")])
                }
                continue
            case 2:
                model.team = random.oneIn(2) ? "red" : "blue"
                try users.update(["_id": "ann"], ["$set": ["team": .string(model.team)]])
                continue
            case 3...5 where old != nil:
                let change: Document = [
                    random.oneIn(2) ? "n" : "secret": .int32(Int32(random.below(3)))
                ]
                try fixture.notes.update(["_id": .int32(id)], ["$set": .document(change)])
                new = try fixture.notes.first(["_id": .int32(id)])
            default:
                let document: Document = [
                    "_id": .int32(id), "n": .int32(Int32(random.below(3))),
                    "secret": .int32(Int32(random.below(3))),
                    "room": random.oneIn(2) ? "r1" : "r2",
                    "team": random.oneIn(2) ? "red" : "blue",
                    "readers": random.oneIn(2) ? ["ann"] : ["bob"],
                ]
                isReplacement = old != nil
                if old == nil {
                    try fixture.notes.insert(document)
                } else {
                    try fixture.notes.update(["_id": .int32(id)], document)
                }
                new = document
            }
            model.notes[id] = new
            if let event = model.event(old, new, kind, isReplacement: isReplacement) {
                expected.append(event)
            }
            if random.oneIn(20) { told += try stream.told() }
        }
        told += try stream.told()
        #expect(told == expected)
    }
}
