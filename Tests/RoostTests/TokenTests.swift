// Tokens against the vectors of RFC 8037 and 7515, and what must be refused.

import BSON
import Crypto
import Foundation
import Testing

@testable import Roost

@Suite struct TokenTests {
    private static let now: Int64 = 1_800_000_000_000

    /// RFC 8037, appendix A: an Ed25519 key.
    private static let jwk =
        #"{"kty":"OKP","crv":"Ed25519","kid":"k","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#
    private static let secret = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"

    private static func verifier(_ keys: String = jwk) throws -> TokenVerifier {
        TokenVerifier(
            issuer: "me", audience: "roost",
            keys: try TokenKeySet(jwks: Array("{\"keys\":[\(keys)]}".utf8)))
    }

    private static func token(
        header: String = #"{"alg":"EdDSA","kid":"k"}"#, claims: String = claims()
    ) throws -> String {
        let key = try Curve25519.Signing.PrivateKey(
            rawRepresentation: try #require(Base64URL.decode(secret)))
        let text =
            Base64URL.encode(Array(header.utf8)) + "." + Base64URL.encode(Array(claims.utf8))
        return text + "." + Base64URL.encode(Array(try key.signature(for: Array(text.utf8))))
    }

    private static func claims(
        iss: String = #""me""#, aud: String = #""roost""#, exp: String = "1800000060",
        sub: String = #""u1""#, more: String = ""
    ) -> String {
        #"{"iss":\#(iss),"aud":\#(aud),"exp":\#(exp),"sub":\#(sub)\#(more)}"#
    }

    @Test func theSignatureOfTheRFCIsRight() throws {
        let set = try TokenKeySet(jwks: Array("{\"keys\":[\(Self.jwk)]}".utf8))
        let signature = try #require(
            Base64URL.decode(
                "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
            ))
        let content = Array("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc".utf8)
        #expect(set.keys[0].verifies(signature, over: content, algorithm: "EdDSA"))
        #expect(!set.keys[0].verifies(signature, over: content, algorithm: "ES256"))
        #expect(!set.keys[0].verifies(signature, over: content + [0], algorithm: "EdDSA"))
    }

    /// RFC 7515, appendix A.3.
    @Test func theSignatureOnP256IsRight() throws {
        let key =
            #"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#
        let set = try TokenKeySet(jwks: Array("{\"keys\":[\(key)]}".utf8))
        let signature = try #require(
            Base64URL.decode(
                "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
            ))
        let content = Array(
            ("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"
                + "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ").utf8)
        #expect(set.keys[0].verifies(signature, over: content, algorithm: "ES256"))
        #expect(!set.keys[0].verifies(signature, over: content, algorithm: "HS256"))
    }

    @Test func aTokenNamesItsUser() throws {
        let user = try Self.verifier().verify(
            try Self.token(claims: Self.claims(more: #","role":"x","$oid":"y""#)),
            nowMillis: Self.now)
        let auth = try #require(user.auth)
        #expect(auth["uid"] == "u1")
        #expect(auth.view.value("token")?.document?.value("$oid")?.string == "y")
        #expect(user.expiresAtMillis == 1_800_000_065_000)
    }

    @Test(
        arguments: [
            (#"{"alg":"none"}"#, claims(), TokenFailure.wrongSignature),
            (#"{"alg":"HS256","kid":"k"}"#, claims(), .wrongSignature),
            (#"{"alg":"ES256","kid":"k"}"#, claims(), .wrongSignature),
            (#"{"alg":"EdDSA","kid":"other"}"#, claims(), .unknownKey),
            (#"{"alg":"EdDSA","kid":""}"#, claims(), .unknownKey),
            (#"{"alg":"EdDSA","kid":7}"#, claims(), .malformed),
            (#"{"alg":"EdDSA","kid":"k","crit":["x"]}"#, claims(), .malformed),
            (#"{"alg":"EdDSA","alg":"none","kid":"k"}"#, claims(), .malformed),
            (#"{"kid":"k"}"#, claims(), .malformed),
            (nil, claims(iss: #""you""#), .wrongIssuer), (nil, claims(iss: "1"), .wrongIssuer),
            (nil, claims(aud: #""you""#), .wrongAudience), (nil, claims(aud: "[]"), .wrongAudience),
            (nil, claims(exp: "1799999000"), .expired), (nil, claims(exp: "null"), .withoutEnd),
            (nil, claims(exp: #""1800000060""#), .withoutEnd),
            (nil, claims(exp: "1e300"), .withoutEnd),
            (nil, claims(more: #","nbf":1800000100"#), .notYetValid),
            (nil, claims(more: #","iat":1800000100"#), .notYetValid),
            (nil, claims(more: #","nbf":"soon""#), .malformed),
            (nil, claims(sub: #""""#), .withoutSubject), (nil, claims(sub: "7"), .withoutSubject),
            (nil, claims(more: #","sub":"u2""#), .malformed), (nil, "[]", .malformed),
        ] as [(String?, String, TokenFailure)])
    func othersAreRefused(_ header: String?, _ claims: String, _ failure: TokenFailure) throws {
        let token = try Self.token(
            header: header ?? #"{"alg":"EdDSA","kid":"k"}"#, claims: claims)
        #expect(throws: failure) {
            try Self.verifier().verify(token, nowMillis: Self.now)
        }
    }

    @Test(arguments: [
        #"{"kty":"oct","k":"AAAA"}"#, #"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#,
        #"{"kty":"OKP","crv":"X25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
        #"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#,
        #"{"kty":"OKP","crv":"Ed25519","use":"enc","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
    ])
    func unfitKeysAreRefused(_ key: String) {
        #expect(throws: DBError.self) { try Self.verifier(key) }
    }

    @Test func aLostKeyIsAskedFor() throws {
        let verifier = try Self.verifier()
        let asked = Lock(0)
        verifier.whenKeyIsMissing { asked.add() }
        let token = try Self.token(header: #"{"alg":"EdDSA","kid":"new"}"#)
        #expect(throws: TokenFailure.unknownKey) {
            try verifier.verify(token, nowMillis: Self.now)
        }
        #expect(asked.value == 1)
    }

    /// A number that is counted from a sendable closure.
    private final class Lock: @unchecked Sendable {
        // Sendable: used by one thread, the test's.
        private(set) var value: Int
        init(_ value: Int) { self.value = value }
        func add() { value += 1 }
    }

    @Test func base64URLIsStrict() {
        for text in ["a", "ab=", "a+", "a/", "ab\n", "AB"] {
            #expect(Base64URL.decode(text) == nil, "\(text)")
        }
        #expect(Base64URL.decode("") == [])
        #expect(Base64URL.decode("-_8") == [0xFB, 0xFF])
        #expect(Base64URL.encode([0xFB, 0xFF]) == "-_8")
    }
}

@Suite struct AttemptLimiterTests {
    @Test func failuresOfAPairAreSlowedDown() {
        let limiter = AttemptLimiter()
        for attempt in 0..<10 {
            #expect(limiter.wait(account: "a", address: "x", nowMillis: 0) == nil, "\(attempt)")
            limiter.noteFailure(account: "a", address: "x", nowMillis: 0)
        }
        #expect(limiter.wait(account: "a", address: "x", nowMillis: 0) == 1_000)
        #expect(limiter.wait(account: "a", address: "y", nowMillis: 0) == nil)
        #expect(limiter.wait(account: "b", address: "x", nowMillis: 0) == nil)
        #expect(limiter.wait(account: "a", address: "x", nowMillis: 1_000) == nil)
        limiter.noteFailure(account: "a", address: "x", nowMillis: 1_000)
        #expect(limiter.wait(account: "a", address: "x", nowMillis: 1_000) == 2_000)
        limiter.noteSuccess(account: "a", address: "x")
        #expect(limiter.wait(account: "a", address: "x", nowMillis: 1_000) == nil)
    }

    @Test func manyAddressesAndManyAccountsAreSlowedDownToo() {
        let limiter = AttemptLimiter()
        for number in 0..<100 {
            limiter.noteFailure(account: "a\(number)", address: "x", nowMillis: 0)
        }
        #expect(limiter.wait(account: "new", address: "x", nowMillis: 0) != nil)
        for number in 0..<200 {
            limiter.noteFailure(account: "b", address: "y\(number)", nowMillis: 0)
        }
        #expect(limiter.wait(account: "b", address: "new", nowMillis: 0) != nil)
        // After a quarter of an hour all is forgotten.
        limiter.noteFailure(account: "b", address: "z", nowMillis: 16 * 60_000)
        #expect(limiter.wait(account: "b", address: "new", nowMillis: 16 * 60_000) == nil)
    }
}
