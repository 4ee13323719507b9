// What lies between bytes and commands: addresses, parameters, envelopes, keys, bounds.

import BSON
import NIOCore
import NIOHTTP1
import Roost
import Testing
import Wire

@testable import Gateway

@Suite struct RequestTests {
    static let router = Router(allRoutes)

    @Test(arguments: [
        ("GET", "/health", "/health"), ("HEAD", "/health", "/health"),
        ("POST", "/api/v1/databases/a/query", "/api/v1/databases/{db}/query"),
        (
            "GET", "/api/v1/databases/a/collections/b%2Fc/documents/d%20e",
            "/api/v1/databases/{db}/collections/{collection}/documents/{id}"
        ),
        ("POST", "/api/v1/auth/totp/enrol", "/api/v1/auth/totp/enrol"),
    ])
    func routesAreFound(method: String, path: String, pattern: String) throws {
        guard case .route(let route, _) = try Self.router.match(.init(rawValue: method), path[...])
        else {
            Issue.record("\(method) \(path) is not found")
            return
        }
        #expect(route.pattern == pattern)
    }

    @Test func segmentsAreDecoded() throws {
        let path = "/api/v1/databases/a/collections/b%2Fc/documents/d%20e+%C3%A9"
        guard case .route(_, let parameters) = try Self.router.match(.GET, path[...]) else {
            Issue.record("not found")
            return
        }
        #expect(parameters == ["db": "a", "collection": "b/c", "id": "d e+é"])
    }

    @Test(arguments: ["/", "/healthy", "/health/x", "/api/v1", "/api/v1/databases/a"])
    func otherAddressesAreNot(path: String) throws {
        guard case .nothing = try Self.router.match(.GET, path[...]) else {
            Issue.record("\(path) leads somewhere")
            return
        }
    }

    @Test func otherMethodsAreNamed() throws {
        guard case .otherMethods(let methods) = try Self.router.match(.DELETE, "/health") else {
            Issue.record("not refused")
            return
        }
        #expect(methods == [.GET])
    }

    @Test func addressesAreDistinct() {
        let names = allRoutes.map { "\($0.method) \($0.pattern)" }
        #expect(Set(names).count == names.count)
    }

    @Test(arguments: [
        ("", ""), ("a%20b", "a b"), ("%C3%A9", "é"), ("a+b", "a+b"), ("%7e", "~"),
    ])
    func escapesAreDecoded(text: String, expected: String) throws {
        #expect(try PercentEncoding.decode(text[...]) == expected)
    }

    @Test(arguments: ["%", "%4", "%zz", "%ff", "a%C3"])
    func brokenEscapesAreRefused(text: String) {
        #expect(throws: DBError.self) { try PercentEncoding.decode(text[...]) }
    }

    @Test func escapesRoundTrip() throws {
        for scalar in (0..<0x250).compactMap(Unicode.Scalar.init) {
            let text = "a\(scalar)b/%"
            #expect(try PercentEncoding.decode(PercentEncoding.encode(text)[...]) == text)
        }
    }

    @Test func parametersAreRead() throws {
        let query = try QueryString("a=1&b=x+y&c=&d&a=2")
        #expect(query["a"] == "1")
        #expect(query["b"] == "x y")
        #expect(query["c"] == "")
        #expect(query["d"] == "")
        #expect(query["e"] == nil)
        #expect(throws: DBError.self) { try query.check(["a", "b", "c"]) }
        try query.check(["a", "b", "c", "d"])
        #expect(try query.integer("a", in: 1...5) == 1)
        #expect(throws: DBError.self) { try query.integer("a", in: 2...5) }
        #expect(throws: DBError.self) { try query.integer("b", in: 2...5) }
    }

    // MARK: Answers

    @Test func answersHaveOneForm() throws {
        let answer = HTTPAnswer.success(.created, ["n": 1, "big": .int64((1 << 53) + 1)])
        let text = String(decoding: answer.body, as: UTF8.self)
        #expect(
            text == #"{"success":true,"data":{"n":1,"big":{"$numberLong":"9007199254740993"}},"#
                + #""error":null,"metadata":{}}"#)
        let failure = HTTPAnswer.failure(
            DBError(.duplicateKey, "it's \"taken\"", details: ["keyValue": ["a": 1]]))
        #expect(failure.status == .conflict)
        let parsed = try ExtendedJSON.parse(String(decoding: failure.body, as: UTF8.self))
        guard case .document(let error)? = parsed["error"] else {
            Issue.record("no error")
            return
        }
        #expect(error["code"] == "DuplicateKey")
        #expect(error["message"] == "it's \"taken\"")
        #expect(error["details"] == ["number": 11_000, "keyValue": ["a": 1]])
    }

    @Test(arguments: [
        (DBError.Code.unauthorized, true, 403), (.unauthorized, false, 401),
        (.authenticationFailed, true, 401), (.reauthenticationRequired, true, 401),
        (.badValue, true, 400), (.writeConflict, true, 409), (.cursorNotFound, true, 410),
        (.documentValidationFailure, true, 422), (.temporarilyUnavailable, true, 503),
        (.outOfDiskSpace, true, 507), (.internalError, true, 500), (.httpTooMany, true, 429),
        (DBError.Code(rawValue: 12_345), true, 400),
    ])
    func errorsHaveStatuses(code: DBError.Code, hasCredentials: Bool, status: Int) {
        let error = DBError(code, "")
        #expect(ErrorStatus.of(error, hasCredentials: hasCredentials).code == status)
    }

    @Test func waitsAreTold() {
        let error = DBError(
            .authenticationFailed, "too many failed attempts; try again in 17 s")
        let answer = HTTPAnswer.failure(error)
        #expect(answer.status == .tooManyRequests)
        #expect(answer.headers.contains { $0.name == "Retry-After" && $0.value == "17" })
    }

    // MARK: Keys, pages, bounds

    @Test(arguments: [
        ("abc", "abc", 1), ("q:7", "q", 7), ("a:b:2", "a:b", 2), ("a:-1", "a:-1", 1),
        ("a:0", "a:0", 1), ("a:x", "a:x", 1),
    ])
    func keysAreRead(text: String, name: String, number: Int64) throws {
        let key = try IdempotencyKey.parse(text)
        #expect(key.number == number)
        #expect(key.session == Array(SecureRandom.digest(Array("key:\(name)".utf8)).prefix(16)))
    }

    @Test(arguments: ["", String(repeating: "x", count: 201)])
    func otherKeysAreRefused(text: String) {
        #expect(throws: DBError.self) { try IdempotencyKey.parse(text) }
    }

    @Test func pageTokensRoundTrip() {
        let token = PageToken(
            cursor: -5, number: 3, session: Array(0..<16), namespace: .init("a", "b.c.d"))
        let read = PageToken(token.text)
        #expect(read?.cursor == -5)
        #expect(read?.number == 3)
        #expect(read?.session == Array(0..<16))
        #expect(read?.namespace == .init("a", "b.c.d"))
        for text in ["", "x", "AAAA", String(token.text.dropLast(8))] {
            #expect(PageToken(text)?.text != token.text)
        }
    }

    @Test func aPageIsGivenOnceAndAgain() throws {
        let pages = PageTable()
        var token = PageToken(
            cursor: 1, number: 1, session: Array(0..<16), namespace: .init("a", "b"))
        #expect(throws: DBError.self) { try pages.take(token, 7) }
        pages.begin(1)
        #expect(try pages.take(token, 7) == nil)
        pages.keep(HTTPAnswer(status: .ok, body: [1]), of: token, 7)
        #expect(try pages.take(token, 7)?.body == [1])
        #expect(throws: DBError.self) { try pages.take(token, 8) }
        token.number = 2
        #expect(try pages.take(token, 7) == nil)
        token.number = 1
        #expect(throws: DBError.self) { try pages.take(token, 7) }
        token.number = 4
        #expect(throws: DBError.self) { try pages.take(token, 7) }
    }

    @Test func ratesAreBounded() throws {
        let rates = RateLimiter(requestsPerSecond: 10)
        let start = ContinuousClock.now
        for _ in 0..<20 { try rates.take(.anonymous, "a", now: start) }
        #expect(throws: DBError.self) { try rates.take(.anonymous, "a", now: start) }
        try rates.take(.anonymous, "b", now: start)
        try rates.take(.anonymous, "a", now: start + .milliseconds(100))
        #expect(throws: DBError.self) {
            try rates.take(.anonymous, "a", now: start + .milliseconds(100))
        }
        let unbounded = RateLimiter(requestsPerSecond: 0)
        for _ in 0..<1_000 { try unbounded.take(.anonymous, "a", now: start) }
    }

    @Test func theDescriptionIsJSON() throws {
        let text = String(
            decoding: OpenAPI.document(allRoutes, "1"), as: UTF8.self)
        let parsed = try ExtendedJSON.parse(text)
        guard case .document(let paths)? = parsed["paths"] else {
            Issue.record("no paths")
            return
        }
        #expect(Set(paths.keys) == Set(allRoutes.map(\.pattern)))
    }
}
