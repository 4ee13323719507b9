// Accounts of app users: signing up and in, refreshing, reuse of refresh tokens, keys.

import BSON
import Crypto
import Foundation
import Testing

@testable import Roost

@Suite struct AppAccountTests {
    private static let now: Int64 = 1_800_000_000_000
    private static let password = "correct horse"

    /// Runs `body` with accounts in a folder of their own.
    private static func withAccounts(
        _ body: (AppAccounts, RoostEngine) throws -> Void
    ) throws {
        let path = NSTemporaryDirectory() + "accounts-\(UUID().uuidString)"
        let engine = try RoostEngine(path: path)
        defer {
            engine.close()
            try? FileManager.default.removeItem(atPath: path)
        }
        try body(
            try AppAccounts(engine, attempts: AttemptLimiter(), nowMillis: now), engine)
    }

    @Test func aUserSignsUpAndIn() throws {
        try Self.withAccounts { accounts, engine in
            let made = try accounts.signUp(
                email: "Ann@Example.com", password: Self.password, nowMillis: Self.now)
            let user = try accounts.verifier.verify(made.accessToken, nowMillis: Self.now)
            #expect(user.auth?["uid"] == .string(made.userID))
            #expect(throws: TokenFailure.expired) {
                try accounts.verifier.verify(
                    made.accessToken, nowMillis: Self.now + 16 * 60_000)
            }
            let again = try accounts.signIn(
                email: "ann@example.com", password: Self.password, from: "x",
                nowMillis: Self.now)
            #expect(again.userID == made.userID)
            #expect(throws: DBError.self) {
                try accounts.signUp(
                    email: "ANN@example.com", password: Self.password, nowMillis: Self.now)
            }
            // Nothing that is stored gives the password or the refresh token away.
            let stored = try engine.accountRecords(.appUser) + engine.accountRecords(.tokenFamily)
            for (_, record) in stored {
                let text = record.description
                #expect(!text.contains(Self.password) && !text.contains(made.refreshToken))
            }
        }
    }

    @Test func wrongPasswordsAndUnknownUsersLookTheSame() throws {
        try Self.withAccounts { accounts, _ in
            _ = try accounts.signUp(
                email: "a@b.c", password: Self.password, nowMillis: Self.now)
            var messages: Set<String> = []
            for email in ["a@b.c", "x@y.z"] {
                for _ in 0..<11 {
                    do throws(DBError) {
                        _ = try accounts.signIn(
                            email: email, password: "wrong", from: "x", nowMillis: Self.now)
                        Issue.record("signed in")
                    } catch {
                        #expect(error.code == .authenticationFailed)
                        messages.insert(error.message)
                    }
                }
            }
            // The common one, and that of too many attempts.
            #expect(messages.count == 2)
            // The right password is not looked at from there now, but from elsewhere.
            #expect(throws: DBError.self) {
                try accounts.signIn(
                    email: "a@b.c", password: Self.password, from: "x", nowMillis: Self.now)
            }
            _ = try accounts.signIn(
                email: "a@b.c", password: Self.password, from: "y", nowMillis: Self.now)
        }
    }

    @Test func aReusedRefreshTokenEndsItsFamily() throws {
        try Self.withAccounts { accounts, _ in
            let first = try accounts.signUpAnonymously(nowMillis: Self.now)
            let second = try accounts.refresh(first.refreshToken, nowMillis: Self.now)
            let third = try accounts.refresh(second.refreshToken, nowMillis: Self.now)
            #expect(third.userID == first.userID)
            #expect(throws: DBError.self) {
                try accounts.refresh(first.refreshToken, nowMillis: Self.now)
            }
            #expect(throws: DBError.self) {
                try accounts.refresh(third.refreshToken, nowMillis: Self.now)
            }
        }
    }

    @Test func signingOutEndsTheTokens() throws {
        try Self.withAccounts { accounts, _ in
            let one = try accounts.signUp(
                email: "a@b.c", password: Self.password, nowMillis: Self.now)
            let two = try accounts.signIn(
                email: "a@b.c", password: Self.password, from: "x", nowMillis: Self.now)
            let other = try accounts.signUpAnonymously(nowMillis: Self.now)
            try accounts.signOut(one.refreshToken)
            #expect(throws: DBError.self) {
                try accounts.refresh(one.refreshToken, nowMillis: Self.now)
            }
            let next = try accounts.refresh(two.refreshToken, nowMillis: Self.now)
            try accounts.signOutEverywhere(userID: next.userID)
            #expect(throws: DBError.self) {
                try accounts.refresh(next.refreshToken, nowMillis: Self.now)
            }
            _ = try accounts.refresh(other.refreshToken, nowMillis: Self.now)
            #expect(throws: DBError.self) {
                try accounts.refresh(
                    other.refreshToken, nowMillis: Self.now + 31 * 86_400_000)
            }
        }
    }

    @Test func keysRotateAndEarlierTokensHold() throws {
        try Self.withAccounts { accounts, engine in
            let first = try accounts.signUpAnonymously(nowMillis: Self.now)
            let late = Self.now + 29 * 86_400_000
            let second = try accounts.refresh(first.refreshToken, nowMillis: late)
            let later = Self.now + 31 * 86_400_000
            let third = try accounts.refresh(second.refreshToken, nowMillis: later)
            func keyID(_ tokens: IssuedTokens) -> String {
                let header = tokens.accessToken.split(separator: ".")[0]
                let document = Base64URL.decode(header).flatMap { PlainJSON.object($0) }
                return document?.view.value("kid")?.string ?? ""
            }
            #expect(keyID(first) == keyID(second) && keyID(second) != keyID(third))
            _ = try accounts.verifier.verify(second.accessToken, nowMillis: late)
            _ = try accounts.verifier.verify(third.accessToken, nowMillis: later)
            // The published keys check them too, also after a restart.
            let published = try TokenKeySet(jwks: Array(accounts.publicKeys.utf8))
            let verifier = TokenVerifier(
                issuer: AppAccounts.issuer, audience: AppAccounts.audience, keys: published)
            _ = try verifier.verify(third.accessToken, nowMillis: later)
            let reopened = try AppAccounts(
                engine, attempts: AttemptLimiter(), nowMillis: later)
            _ = try reopened.verifier.verify(third.accessToken, nowMillis: later)
        }
    }

    @Test(arguments: [
        ("a@b.c", "short"), ("nobody", "correct horse"), ("a@b@c", "correct horse"),
        ("@b.c", "correct horse"), ("a b@c.d", "correct horse"),
    ])
    func unfitOnesAreRefused(_ email: String, _ password: String) throws {
        try Self.withAccounts { accounts, _ in
            #expect(throws: DBError.self) {
                try accounts.signUp(email: email, password: password, nowMillis: Self.now)
            }
        }
    }

    @Test(arguments: ["", ".", "a.b", "AAAAAAAAAAAAAAAAAAAAAA.AAAA", "a.b.c"])
    func noRefreshTokens(_ text: String) throws {
        try Self.withAccounts { accounts, _ in
            #expect(throws: DBError.self) { try accounts.refresh(text, nowMillis: Self.now) }
            try accounts.signOut(text)
        }
    }
}
