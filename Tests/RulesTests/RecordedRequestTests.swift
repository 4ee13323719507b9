import BSON
import Rules
import Testing

/// Recorded requests come back as they were, and other rules say of them what they say.
@Suite struct RecordedRequestTests {
    private static let rules = """
        rules_version = '2';
        service cloud.firestore { match /databases/{db}/documents {
          match /notes/{id} {
            allow get: if resource.data.owner == request.auth.uid hide ['pin'];
            allow create: if exists(/databases/$(db)/documents/members/$(request.auth.uid));
            allow list: if request.query.limit <= 10;
          }
        } }
        """

    private static func record(
        _ method: RuleMethod, isAllowed: Bool = true, hidden: [String] = [],
        owner: String? = "ann", limit: Int64? = nil,
        lookups: [RecordedRequest.Lookup] = []
    ) -> RecordedRequest {
        RecordedRequest(
            RuleRequest(
                method, database: "app", ["notes", "a/b"],
                auth: ["uid": "ann", "token": ["teams": ["x"]]], timeMillis: 1_000,
                resource: owner.map { ["_id": "a/b", "owner": .string($0), "n": 7] },
                newResource: method == .create ? ["_id": "a/b", "f": .double(1)] : nil,
                query: limit.map { RuleRequest.Query(limit: $0, offset: 2, orderBy: ["n"]) }),
            rules: 4, lookups: lookups, isAllowed: isAllowed, hidden: hidden)
    }

    @Test(arguments: [
        record(.get), record(.create, owner: nil), record(.list, limit: 3),
        record(.get, isAllowed: false, hidden: ["a", "b.c"]),
        record(
            .delete,
            lookups: [.init(path: "m/1", document: ["x": 1]), .init(path: "m/2", document: nil)]),
    ])
    func comesBack(_ record: RecordedRequest) throws {
        let text = ExtendedJSON.string(of: record.document.view)
        let read = try #require(RecordedRequest(try ExtendedJSON.parse(text)))
        #expect(read.document == record.document, "\(text)")
        #expect(read.request.segments == ["notes", "a/b"])
        #expect(read.lookups == record.lookups)
    }

    @Test(arguments: [
        "{}", #"{"method": "fly"}"#, #"{"method": "get", "database": "a", "segments": []}"#,
        #"{"method": "get", "database": "a", "segments": ["a", "b"], "allowed": 1}"#,
    ])
    func isNoRecord(_ text: String) throws {
        #expect(RecordedRequest(try ExtendedJSON.parse(text)) == nil)
    }

    @Test(arguments: [
        (record(.get, hidden: ["pin"]), ReplayedVerdict.same),
        (record(.get), .newlyDenied(hides: ["pin"])),
        (record(.get, hidden: ["pin", "n"]), .newlyExposed(shows: ["n"])),
        (record(.get, owner: "bob"), .newlyDenied(hides: [])),
        (record(.get, isAllowed: false), .newlyExposed(shows: [])),
        (record(.get, isAllowed: false, owner: "bob"), .same),
        (record(.create, owner: nil), .unknown(path: "members/ann")),
        (
            record(.create, owner: nil, lookups: [.init(path: "members/ann", document: [:])]),
            .same
        ),
        (
            record(.create, owner: nil, lookups: [.init(path: "members/ann", document: nil)]),
            .newlyDenied(hides: [])
        ),
        (record(.list, limit: 10), .same), (record(.list, limit: 11), .newlyDenied(hides: [])),
        (record(.delete, isAllowed: false), .same), (record(.delete), .newlyDenied(hides: [])),
    ])
    func isReplayed(_ record: RecordedRequest, _ verdict: ReplayedVerdict) throws {
        let rules = try #require(parsed(Self.rules).rules)
        #expect(record.replay(rules) == verdict, "\(record.document)")
    }
}
