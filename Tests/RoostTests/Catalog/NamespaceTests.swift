import BSON
import Testing

@testable import Roost

/// Which names are allowed, and when two are the same.
@Suite struct NamespaceTests {
    @Test func namesAreBytes() {
        let composed = Namespace("test", "c_\u{E9}")
        let decomposed = Namespace("test", "c_e\u{301}")
        #expect(composed.collection == decomposed.collection)
        #expect(composed != decomposed)
        #expect(Set([composed, decomposed, composed]).count == 2)
        #expect(Namespace("ab", "c") != Namespace("a", "bc"))
        #expect(Namespace("a", "12345678") == Namespace("a", "12345678"))
        #expect(Namespace("a", "12345678\0") != Namespace("a", "12345678"))
    }

    /// Both may exist in one catalog.
    @Test func bothFormsOfALetterMayBeTaken() async throws {
        let fixture = try ReadFixture()
        let composed = Namespace("test", "c_\u{E9}")
        let decomposed = Namespace("test", "c_e\u{301}")
        try await fixture.insert(composed, [["_id": 1]])
        try await fixture.insert(decomposed, [["_id": 2]])
        #expect(try fixture.find(fixture.request(composed)) == [["_id": 1]])
        #expect(fixture.engine.catalog.collections(of: "test").count == 2)
        #expect(fixture.engine.catalog.databases == ["test"])
    }

    private static let names: [(String, Int32)] = [
        ("c", 0), ("a.b", 0), ("a.", 0), ("system", 0), ("system.views", 0), ("system.js", 0),
        ("System.x", 0), ("", 73), (".a", 73), ("a$b", 73), ("a\0b", 73), ("system.x", 73),
        ("system.version", 73), (String(repeating: "x", count: 250), 0),
        (String(repeating: "x", count: 251), 73),
    ]

    @Test(arguments: names)
    func mayBeCreated(_ collection: String, _ code: Int32) {
        var thrown: Int32 = 0
        do throws(DBError) {
            try Namespace("test", collection).checkMayBeCreated()
        } catch {
            thrown = error.code.rawValue
        }
        #expect(thrown == code)
    }
}
