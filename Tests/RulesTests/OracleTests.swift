import BSON
import Rules
import Testing

/// Verdicts of Firestore's own Rules Test API, recorded by davideast/pyric (Apache-2.0; see
/// Resources/NOTICE.md).
@Suite struct OracleTests {
    /// A recorded case.
    struct Case: Sendable, CustomTestStringConvertible {
        let group: String
        let rules: String
        let description: String
        let method: RuleMethod
        let path: String
        let request: RuleRequest
        let documents: MockDocuments
        let isAllowed: Bool

        var testDescription: String { "\(group): \(method.rawValue) \(path)" }
        /// How the table of artefacts names it.
        var key: String { "\(group) \(method.rawValue) \(path)" }
    }

    /// Cases in which the Test API differs from the live service, which Roost follows.
    static let artefacts: [String: String] = {
        let noIdentity =
            "the Test API's documents have no id and __name__; live ones have (language.md, 3)"
        let errorResource =
            "the Test API makes a missing resource an error; live it is null (language.md, 3)"
        var table: [String: String] = [:]
        for key in [
            "get idEq/doc1", "update idEq/doc1", "delete idEq/doc1", "get idIsString/doc1",
            "get nameEq/doc1", "get idNotEq/doc1", "get idBangEq/doc1", "update reqIdEq/doc1",
            "update reqIdNotEq/doc1",
        ] {
            table["resource-document-identity \(key)"] = noIdentity
        }
        for key in ["create getResourceIdAllow/d6", "create getResourceNameAllow/d7"] {
            table["get-missing-doc \(key)"] = noIdentity
        }
        table["resource-missing-document get nullGuard/missing"] = errorResource
        table["strict-boolean-control-flow create resourceNullComparison/d5"] = errorResource
        return table
    }()

    static let cases: [Case] = (try? load()) ?? []

    /// Documents that the recorded case made up.
    struct MockDocuments: RuleDocuments {
        var documents: [String: Document] = [:]

        func document(
            at segments: ArraySlice<String>, in database: String, after: Bool
        ) throws(DBError) -> Document? {
            documents[segments.joined(separator: "/")]
        }
    }

    private static func load() throws -> [Case] {
        let value = try ExtendedJSON.parseValue(try Resources.text("oracle.json"))
        guard case .array(let groups) = value else { return [] }
        var cases: [Case] = []
        for case .document(let group) in groups {
            guard case .array(let list) = group["cases"] else { continue }
            for case .document(let entry) in list {
                cases.append(try load(entry, of: group))
            }
        }
        return cases
    }

    private static func load(_ entry: Document, of group: Document) throws -> Case {
        func text(_ document: Document, _ name: String) throws -> String {
            guard case .string(let text) = document[name] else {
                throw DBError(.failedToParse, "\(name) is missing")
            }
            return text
        }
        func document(_ value: Value?) -> Document? {
            if case .document(let document) = value { document } else { nil }
        }
        let method = try #require(RuleMethod(rawValue: try text(entry, "method")))
        let path = try text(entry, "path")
        var mocks = MockDocuments()
        if case .array(let list) = entry["functionMocks"] {
            for case .document(let mock) in list {
                switch mock["result"] {
                case .document(let result): mocks.documents[try text(mock, "path")] = result
                case .bool(true): mocks.documents[try text(mock, "path")] = Document()
                default: break
                }
            }
        }
        let time = (try? text(entry, "requestTime")).flatMap { ISODate.parse($0) }
        let request = RuleRequest(
            method, path.split(separator: "/").map(String.init), auth: document(entry["auth"]),
            timeMillis: time ?? 1_700_000_000_000, resource: document(entry["resource"]),
            newResource: method == .create || method == .update ? document(entry["data"]) : nil)
        return Case(
            group: try text(group, "name"), rules: try text(group, "rules"),
            description: try text(entry, "description"), method: method, path: path,
            request: request, documents: mocks,
            isAllowed: try text(entry, "observed") == "ALLOW")
    }

    @Test func isThere() {
        #expect(Self.cases.count == 227)
        let keys = Set(Self.cases.map(\.key))
        for key in Self.artefacts.keys { #expect(keys.contains(key), "\(key) is no case") }
    }

    @Test(arguments: cases)
    func verdict(_ recorded: Case) throws {
        let parsed = parsed(recorded.rules)
        let rules = try #require(parsed.rules, "\(parsed.problems)")
        let decision = rules.decide(recorded.request, recorded.documents)
        let isArtefact = Self.artefacts[recorded.key] != nil
        #expect(decision.failure == nil)
        #expect(
            decision.isAllowed == (isArtefact ? !recorded.isAllowed : recorded.isAllowed),
            "\(recorded.description)")
    }
}
