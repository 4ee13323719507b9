// SCRAM-SHA-256 against the example of RFC 7677, and SASLprep against that of RFC 4013.

import BSON
import Testing

@testable import Wire

@Suite struct ScramTests {
    /// RFC 7677, section 3.
    private static let user = "user"
    private static let password = "pencil"
    private static let nonce = "rOprNGfwEbeRWgbNEkqO"
    private static let serverFirst =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        + "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    private static let clientFinal =
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        + "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    private static let serverFinal = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

    @Test func theClientSpeaksAsTheRFC() throws {
        var client = ScramClient(
            user: Self.user, password: Self.password, nonceText: Self.nonce)
        #expect(String(decoding: client.first, as: UTF8.self) == "n,,n=user,r=\(Self.nonce)")
        let answer = client.final(serverFirst: Array(Self.serverFirst.utf8))
        let final = try #require(answer)
        #expect(String(decoding: final, as: UTF8.self) == Self.clientFinal)
        #expect(client.isProven(by: Array(Self.serverFinal.utf8)))
        #expect(!client.isProven(by: Array("v=AAAA".utf8)))
    }

    @Test func aCredentialHoldsTheKeysOfTheRFC() throws {
        let salt = try #require(Base64.decode("W22ZaJ0SNY7soEsUEjb6gQ=="))
        let credential = try #require(
            ScramCredential(password: Self.password, salt: salt, iterations: 4_096))
        #expect(
            Base64.decode("WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=") == credential.storedKey)
        #expect(
            Base64.decode("wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=") == credential.serverKey)
    }

    /// Plays both parts; nil where the server refuses.
    private static func exchange(
        _ user: String, _ password: String, _ credential: ScramCredential?
    ) throws -> Bool? {
        var client = ScramClient(user: user, password: password)
        var server = try ScramServer(clientFirst: client.first)
        #expect(server.user == user)
        let challenge = server.challenge(credential, secret: [1, 2, 3])
        let answer = client.final(serverFirst: challenge)
        let final = try #require(answer)
        do throws(ScramServer.Failure) {
            return client.isProven(by: try server.finish(clientFinal: final))
        } catch {
            return nil
        }
    }

    @Test(arguments: ["user", "a=b,c", "=2C", "päul", "名前"])
    func bothPartsAgree(_ user: String) throws {
        let credential = ScramCredential(password: "pässword", iterations: 4_096)
        #expect(try Self.exchange(user, "pässword", credential) == true)
        #expect(try Self.exchange(user, "passwort", credential) == nil)
        #expect(try Self.exchange(user, "pässword", nil) == nil)
    }

    @Test func anUnknownUserHasASaltThatStays() throws {
        let first = Array("n,,n=ghost,r=abc".utf8)
        var salts: [String] = []
        for _ in 0..<2 {
            var server = try ScramServer(clientFirst: first)
            let text = String(decoding: server.challenge(nil, secret: [9]), as: UTF8.self)
            #expect(text.contains(",i=15000"))
            salts.append(String(text.split(separator: ",")[1]))
        }
        #expect(salts[0] == salts[1])
        #expect(salts[0].utf8.count == "s=".utf8.count + 40)
    }

    @Test(arguments: [
        "", "n,,", "n,,n=,r=a", "n,,n=a", "n,,r=a", "y,,n=a,r=b", "p=tls-unique,,n=a,r=b",
        "n,a=admin,n=a,r=b", "n,,n=a=b,r=c", "n,,n=a,n=b,r=c", "n,,m=x,n=a,r=c", "n,,n=a,r=",
    ])
    func malformedFirstMessagesAreRefused(_ text: String) {
        #expect(throws: ScramServer.Failure.self) {
            try ScramServer(clientFirst: Array(text.utf8))
        }
    }

    @Test(arguments: ["c=biws", "c=eSws", "r=", "p=", "p=AAAA", "c=biws,r=x,p=AAAA"])
    func malformedFinalMessagesAreRefused(_ text: String) throws {
        var server = try ScramServer(clientFirst: Array("n,,n=a,r=b".utf8))
        _ = server.challenge(ScramCredential(password: "x", iterations: 1), secret: [])
        #expect(throws: ScramServer.Failure.self) {
            try server.finish(clientFinal: Array(text.utf8))
        }
    }

    /// A server that asks for few rounds, or repeats only the client's nonce, is not trusted.
    @Test(arguments: [
        "r=abcdef,s=QUJD,i=1", "r=abc,s=QUJD,i=4096", "r=xyz,s=QUJD,i=4096", "r=abcd,i=4096",
        "r=abcd,s=QUJD,i=99999999999", "r=abcd,s=!,i=4096",
    ])
    func falseServersAreRefused(_ text: String) {
        var client = ScramClient(user: "a", password: "b", nonceText: "abc")
        #expect(client.final(serverFirst: Array(text.utf8)) == nil)
    }

    /// RFC 4013, section 3.
    @Test(
        arguments: [
            ("I\u{AD}X", "IX"), ("user", "user"), ("USER", "USER"), ("\u{AA}", "a"),
            ("\u{2168}", "IX"), ("a\u{A0}b", "a b"), ("", ""),
            ("\u{7}", nil), ("\u{627}1", nil),
        ] as [(String, String?)])
    func passwordsArePrepared(_ given: String, _ prepared: String?) {
        #expect(SASLprep.prepare(given) == prepared)
    }
}
