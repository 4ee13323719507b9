// Accounts of app users: signing up and in, refreshing, reuse of refresh tokens, keys.

import BSON
import Crypto
import Foundation
import Synchronization
import Testing

@testable import Roost

@Suite struct AppAccountTests {
    static let start: Int64 = 1_800_000_000_000
    static let password = "correct horse"

    /// The time that accounts see, and the messages that they send.
    final class World: Sendable {
        private let time = Mutex(start)
        private let sent = Mutex<[AccountMail]>([])

        var now: Int64 {
            get { time.withLock { $0 } }
            set { time.withLock { $0 = newValue } }
        }
        var mails: [AccountMail] { sent.withLock { $0 } }
        func send(_ mail: AccountMail) { sent.withLock { $0.append(mail) } }

        /// The token of the last message to an address.
        func token(_ address: String) -> String? { mails.last { $0.to == address }?.token }
    }

    /// Runs `body` with accounts in a folder of their own.
    static func withAccounts(
        mail: Bool = false, _ body: (AppAccounts, RoostEngine, World) throws -> Void
    ) throws {
        let path = NSTemporaryDirectory() + "accounts-\(UUID().uuidString)"
        let engine = try RoostEngine(path: path)
        defer {
            engine.close()
            try? FileManager.default.removeItem(atPath: path)
        }
        let world = World()
        var options = AccountOptions()
        options.clock = { world.now }
        if mail { options.mail = { world.send($0) } }
        try body(try AppAccounts(engine, options), engine, world)
    }

    static func tokens(_ outcome: AppAccounts.SignUp) throws -> IssuedTokens {
        guard case .signedIn(let tokens) = outcome else { throw Unexpected() }
        return tokens
    }

    static func tokens(_ outcome: AppAccounts.SignIn) throws -> IssuedTokens {
        guard case .signedIn(let tokens) = outcome else { throw Unexpected() }
        return tokens
    }

    struct Unexpected: Error {}

    @Test func aUserSignsUpAndIn() throws {
        try Self.withAccounts { accounts, engine, world in
            let made = try Self.tokens(
                accounts.signUp(email: "Ann@Example.com", password: Self.password))
            let user = try accounts.user(ofToken: made.accessToken)
            #expect(user.auth?["uid"] == .string(made.userID))
            world.now += 15 * 60_000 - 1_000
            _ = try accounts.user(ofToken: made.accessToken)
            world.now += 1_000
            #expect(throws: TokenFailure.expired) {
                try accounts.user(ofToken: made.accessToken)
            }
            let again = try Self.tokens(
                accounts.signIn(email: "ann@example.com", password: Self.password, from: "x"))
            #expect(again.userID == made.userID)
            #expect(throws: DBError.self) {
                try accounts.signUp(email: "ANN@example.com", password: Self.password)
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
        try Self.withAccounts { accounts, _, _ in
            _ = try accounts.signUp(email: "a@b.c", password: Self.password)
            var messages: Set<String> = []
            for email in ["a@b.c", "x@y.z"] {
                for _ in 0..<11 {
                    do throws(DBError) {
                        _ = try accounts.signIn(email: email, password: "wrong", from: "x")
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
                try accounts.signIn(email: "a@b.c", password: Self.password, from: "x")
            }
            _ = try accounts.signIn(email: "a@b.c", password: Self.password, from: "y")
        }
    }

    @Test func aReusedRefreshTokenEndsItsFamilyAndItsAccess() throws {
        try Self.withAccounts { accounts, engine, _ in
            let first = try accounts.signUpAnonymously()
            let second = try accounts.refresh(first.refreshToken)
            let third = try accounts.refresh(second.refreshToken)
            #expect(third.userID == first.userID)
            let user = try accounts.user(ofToken: third.accessToken)
            #expect(!engine.appSessions.hasEnded(user))
            let endings = Mutex(0)
            let observer = engine.appSessions.observe { endings.withLock { $0 += 1 } }
            #expect(throws: DBError.self) { try accounts.refresh(first.refreshToken) }
            #expect(engine.appSessions.hasEnded(user))
            #expect(endings.withLock { $0 } == 1)
            engine.appSessions.stopObserving(observer)
            #expect(throws: DBError.self) { try accounts.refresh(third.refreshToken) }
            #expect(throws: TokenFailure.sessionEnded) {
                try accounts.user(ofToken: third.accessToken)
            }
            #expect(throws: DBError.self) {
                try engine.access(of: .app(user))
            }
        }
    }

    @Test func signingOutEndsTheTokens() throws {
        try Self.withAccounts { accounts, engine, world in
            let one = try Self.tokens(
                accounts.signUp(email: "a@b.c", password: Self.password))
            let two = try Self.tokens(
                accounts.signIn(email: "a@b.c", password: Self.password, from: "x"))
            let other = try accounts.signUpAnonymously()
            let stays = try accounts.user(ofToken: two.accessToken)
            let ends = try accounts.user(ofToken: one.accessToken)
            try accounts.signOut(one.refreshToken)
            #expect(engine.appSessions.hasEnded(ends) && !engine.appSessions.hasEnded(stays))
            #expect(throws: DBError.self) { try accounts.refresh(one.refreshToken) }
            let next = try accounts.refresh(two.refreshToken)
            #expect(try accounts.signOutEverywhere(userID: next.userID) == 1)
            #expect(engine.appSessions.hasEnded(stays))
            #expect(throws: DBError.self) { try accounts.refresh(next.refreshToken) }
            let last = try accounts.refresh(other.refreshToken)
            world.now += 31 * 86_400_000
            #expect(throws: DBError.self) { try accounts.refresh(last.refreshToken) }
            try accounts.sweep()
            #expect(try engine.accountRecords(.tokenFamily).isEmpty)
            // The anonymous one is gone, the other is not.
            #expect(try accounts.allUsers().map(\.email) == ["a@b.c"])
        }
    }

    @Test func aUserHasBoundedSessions() throws {
        try Self.withAccounts { accounts, engine, world in
            let first = try Self.tokens(
                accounts.signUp(email: "a@b.c", password: Self.password))
            for _ in 0..<50 {
                world.now += 1_000
                _ = try accounts.signIn(email: "a@b.c", password: Self.password)
            }
            #expect(try engine.accountRecords(.tokenFamily).count == 50)
            #expect(throws: DBError.self) { try accounts.refresh(first.refreshToken) }
        }
    }

    @Test func keysRotateAndEarlierTokensHold() throws {
        try Self.withAccounts { accounts, engine, world in
            let first = try accounts.signUpAnonymously()
            world.now += 29 * 86_400_000
            let second = try accounts.refresh(first.refreshToken)
            _ = try accounts.user(ofToken: second.accessToken)
            world.now += 2 * 86_400_000
            let third = try accounts.refresh(second.refreshToken)
            func keyID(_ tokens: IssuedTokens) -> String {
                let header = tokens.accessToken.split(separator: ".")[0]
                let document = Base64URL.decode(header).flatMap { PlainJSON.object($0) }
                return document?.view.value("kid")?.string ?? ""
            }
            #expect(keyID(first) == keyID(second) && keyID(second) != keyID(third))
            _ = try accounts.user(ofToken: third.accessToken)
            // The published keys check them too, also after a restart.
            let published = try TokenKeySet(jwks: Array(accounts.publicKeys.utf8))
            let verifier = TokenVerifier(
                issuer: AppAccounts.issuer, audience: AppAccounts.audience, keys: published)
            _ = try verifier.verify(third.accessToken, nowMillis: world.now)
            var options = AccountOptions()
            options.clock = { world.now }
            let reopened = try AppAccounts(engine, options)
            _ = try reopened.user(ofToken: third.accessToken)
            // A key that another opener makes is found.
            world.now += 31 * 86_400_000
            let late = try reopened.signUpAnonymously()
            _ = try accounts.user(ofToken: late.accessToken)
        }
    }

    @Test(arguments: [
        ("a@b.c", "short"), ("nobody", "correct horse"), ("a@b@c", "correct horse"),
        ("@b.c", "correct horse"), ("a b@c.d", "correct horse"),
        ("a,b@c.d", "correct horse"), ("<a@b.c", "correct horse"), ("-a@b.c", "correct horse"),
        ("a\n@b.c", "correct horse"),
    ])
    func unfitOnesAreRefused(_ email: String, _ password: String) throws {
        try Self.withAccounts(mail: true) { accounts, _, _ in
            #expect(throws: DBError.self) {
                try accounts.signUp(email: email, password: password)
            }
        }
    }

    @Test(arguments: ["", ".", "a.b", "AAAAAAAAAAAAAAAAAAAAAA.AAAA", "a.b.c"])
    func noRefreshTokens(_ text: String) throws {
        try Self.withAccounts { accounts, _, _ in
            #expect(throws: DBError.self) { try accounts.refresh(text) }
            try accounts.signOut(text)
        }
    }
}
