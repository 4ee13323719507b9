// Accounts of app users: messages and their tokens, second factors, claims.

import BSON
import Foundation
import Testing

@testable import Roost

@Suite struct AppAccountEmailTests {
    private typealias Base = AppAccountTests

    @Test func signUpTellsNothingAndTheMessageFinishesIt() throws {
        try Base.withAccounts(mail: true) { accounts, _, world in
            func signUp(_ password: String) throws {
                guard case .messageSent = try accounts.signUp(email: "A@b.c", password: password)
                else { throw Base.Unexpected() }
            }
            try signUp(Base.password)
            // Nobody can sign in before, nor hold the address.
            #expect(throws: DBError.self) {
                try accounts.signIn(email: "a@b.c", password: Base.password)
            }
            try signUp("another horse")
            let token = try #require(world.token("a@b.c"))
            let made = try accounts.verifyEmail(token: token)
            let claims = try accounts.user(ofToken: made.accessToken).auth
            #expect(claims?.view.value("token")?.document?.value("email_verified")?.bool == true)
            _ = try accounts.signIn(email: "a@b.c", password: "another horse")
            // Once only; and the earlier message comes too late.
            #expect(throws: DBError.self) { try accounts.verifyEmail(token: token) }
            #expect(throws: DBError.self) {
                try accounts.verifyEmail(token: world.mails[0].token ?? "")
            }
            try signUp("third horse")
            #expect(world.mails.last?.kind == .addressInUse && world.mails.last?.token == nil)
            #expect(throws: DBError.self) {
                try accounts.signIn(email: "a@b.c", password: "third horse")
            }
        }
    }

    @Test func messagesAreBounded() throws {
        try Base.withAccounts(mail: true) { accounts, engine, world in
            for _ in 0..<20 {
                _ = try accounts.signUp(email: "a@b.c", password: Base.password)
            }
            #expect(world.mails.count == 5)
            world.now += 25 * 3_600_000
            #expect(throws: DBError.self) {
                try accounts.verifyEmail(token: world.token("a@b.c") ?? "")
            }
            try accounts.sweep()
            #expect(try engine.accountRecords(.oneTimeToken).isEmpty)
            _ = try accounts.signUp(email: "a@b.c", password: Base.password)
            #expect(world.mails.count == 6)
            for count in 0...100 {
                let made = try? accounts.signUpAnonymously(from: "1.2.3.4")
                #expect((made == nil) == (count == 100))
            }
        }
    }

    @Test func aNewPasswordEndsAllSessions() throws {
        try Base.withAccounts(mail: true) { accounts, engine, world in
            _ = try accounts.signUp(email: "a@b.c", password: Base.password)
            let made = try accounts.verifyEmail(token: world.token("a@b.c") ?? "")
            let user = try accounts.user(ofToken: made.accessToken)
            try accounts.requestPasswordReset(email: "nobody@b.c")
            try accounts.requestPasswordReset(email: "A@B.C")
            // It is done behind the answer: a change that waits comes after.
            try accounts.signOut(made.refreshToken + "x")
            _ = try accounts.signUpAnonymously()
            #expect(world.mails.map(\.kind) == [.verifyEmail, .resetPassword])
            let first = try #require(world.token("a@b.c"))
            try accounts.requestPasswordReset(email: "a@b.c")
            _ = try accounts.signUpAnonymously()
            let second = try #require(world.token("a@b.c"))
            // Only the newest message counts, and the tokens of one kind are none of another.
            #expect(throws: DBError.self) {
                try accounts.resetPassword(token: first, newPassword: "new horse")
            }
            #expect(throws: DBError.self) { try accounts.verifyEmail(token: second) }
            #expect(throws: DBError.self) {
                try accounts.resetPassword(token: second, newPassword: "short")
            }
            try accounts.resetPassword(token: second, newPassword: "new horse")
            #expect(engine.appSessions.hasEnded(user))
            #expect(throws: DBError.self) { try accounts.refresh(made.refreshToken) }
            #expect(throws: DBError.self) {
                try accounts.resetPassword(token: second, newPassword: "newer horse")
            }
            _ = try Base.tokens(accounts.signIn(email: "a@b.c", password: "new horse"))
            #expect(throws: DBError.self) {
                try accounts.changePassword(
                    userID: made.userID, password: "wrong", newPassword: "newer horse")
            }
            let changed = try accounts.changePassword(
                userID: made.userID, password: "new horse", newPassword: "newer horse")
            _ = try accounts.refresh(changed.refreshToken)
            _ = try Base.tokens(accounts.signIn(email: "a@b.c", password: "newer horse"))
        }
    }

    @Test func anAnonymousUserGetsAnAddressAndKeepsTheID() throws {
        try Base.withAccounts(mail: true) { accounts, _, world in
            let anonymous = try accounts.signUpAnonymously()
            _ = try accounts.signUp(
                email: "a@b.c", password: Base.password, upgrading: anonymous.userID)
            let made = try accounts.verifyEmail(token: world.token("a@b.c") ?? "")
            #expect(made.userID == anonymous.userID)
            let info = try accounts.info(email: "a@b.c")
            #expect(info?.isAnonymous == false && info?.isEmailVerified == true)
            // Its earlier tokens say that it is anonymous.
            #expect(throws: TokenFailure.sessionEnded) {
                try accounts.user(ofToken: anonymous.accessToken)
            }
        }
    }

    @Test func secondFactor() throws {
        try Base.withAccounts { accounts, _, world in
            let made = try Base.tokens(
                accounts.signUp(email: "a@b.c", password: Base.password))
            let id = made.userID
            #expect(throws: DBError.self) {
                try accounts.enrolTotp(userID: id, password: "wrong horse")
            }
            let factor = try accounts.enrolTotp(
                userID: id, password: Base.password, issuer: "My App")
            #expect(
                factor.uri == "otpauth://totp/My%20App:a%40b.c?secret=\(factor.secret)"
                    + "&issuer=My%20App")
            let record = try #require(try accounts.record(of: id)?.factor)
            #expect(Base32.encode(record.secret) == factor.secret)
            func code() -> String {
                world.now += OneTimeCode.stepSeconds * 1_000
                return OneTimeCode.code(
                    record.secret, step: world.now / 1_000 / OneTimeCode.stepSeconds)
            }
            // Not asked for before a first code is given.
            _ = try Base.tokens(accounts.signIn(email: "a@b.c", password: Base.password))
            #expect(throws: DBError.self) {
                try accounts.confirmTotp(userID: id, code: "000000")
            }
            let recovery = try accounts.confirmTotp(userID: id, code: code())
            #expect(Set(recovery).count == 10)
            func signIn(_ code: String?) throws -> AppAccounts.SignIn {
                try accounts.signIn(email: "a@b.c", password: Base.password, code: code)
            }
            guard case .needsCode = try signIn(nil) else { throw Base.Unexpected() }
            let good = code()
            _ = try Base.tokens(signIn(good))
            // A code serves once, and so does a recovery code.
            #expect(throws: DBError.self) { try signIn(good) }
            _ = try Base.tokens(signIn(recovery[3].lowercased()))
            #expect(throws: DBError.self) { try signIn(recovery[3]) }
            #expect(throws: DBError.self) { try signIn("") }
            let renewed = try accounts.renewRecoveryCodes(userID: id, code: code())
            #expect(throws: DBError.self) { try signIn(recovery[4]) }
            #expect(throws: DBError.self) {
                try accounts.enrolTotp(userID: id, password: Base.password)
            }
            try accounts.disableTotp(userID: id, code: renewed[0])
            _ = try Base.tokens(signIn(nil))
        }
    }

    @Test func codesCannotBeGuessed() throws {
        try Base.withAccounts { accounts, _, world in
            let made = try Base.tokens(
                accounts.signUp(email: "a@b.c", password: Base.password))
            _ = try accounts.enrolTotp(userID: made.userID, password: Base.password)
            let secret = try #require(try accounts.record(of: made.userID)?.factor).secret
            func code(_ change: Int64) -> String {
                OneTimeCode.code(
                    secret, step: world.now / 1_000 / OneTimeCode.stepSeconds + change)
            }
            _ = try accounts.confirmTotp(userID: made.userID, code: code(0))
            for _ in 0..<10 {
                #expect(throws: DBError.self) {
                    try accounts.signIn(
                        email: "a@b.c", password: Base.password, code: "none", from: "x")
                }
            }
            do throws(DBError) {
                _ = try accounts.signIn(
                    email: "a@b.c", password: Base.password, code: code(1), from: "x")
                Issue.record("signed in")
            } catch {
                #expect(error.message.contains("too many"))
            }
        }
    }

    @Test func claimsOfTheAppReachTokensAndEndEarlierOnes() throws {
        try Base.withAccounts { accounts, engine, _ in
            let made = try Base.tokens(
                accounts.signUp(email: "a@b.c", password: Base.password))
            let before = try accounts.user(ofToken: made.accessToken)
            try accounts.setClaims(userID: made.userID, ["admin": true, "level": 3])
            #expect(engine.appSessions.hasEnded(before))
            #expect(throws: TokenFailure.sessionEnded) {
                try accounts.user(ofToken: made.accessToken)
            }
            let next = try accounts.refresh(made.refreshToken)
            let user = try accounts.user(ofToken: next.accessToken)
            #expect(!engine.appSessions.hasEnded(user))
            let token = user.auth?.view.value("token")?.document
            #expect(token?.value("admin")?.bool == true)
            for name in ["sub", "exp", "iss", "aud", "sid", "ver", "email", "email_verified"] {
                #expect(throws: DBError.self) {
                    try accounts.setClaims(userID: made.userID, Document { $0.append(name, 1.0) })
                }
            }
            #expect(throws: DBError.self) {
                try accounts.setClaims(
                    userID: made.userID, ["x": .string(String(repeating: "x", count: 5_000))])
            }
            #expect(throws: DBError.self) { try accounts.setClaims(userID: "none", [:]) }
        }
    }

    @Test func disabledAndDeletedUsersAreOut() throws {
        try Base.withAccounts { accounts, engine, _ in
            let made = try Base.tokens(
                accounts.signUp(email: "a@b.c", password: Base.password))
            let user = try accounts.user(ofToken: made.accessToken)
            try accounts.setDisabled(userID: made.userID, true)
            #expect(engine.appSessions.hasEnded(user))
            #expect(throws: DBError.self) { try accounts.refresh(made.refreshToken) }
            #expect(throws: DBError.self) {
                try accounts.signIn(email: "a@b.c", password: Base.password)
            }
            try accounts.setDisabled(userID: made.userID, false)
            let again = try Base.tokens(
                accounts.signIn(email: "a@b.c", password: Base.password))
            let back = try accounts.user(ofToken: again.accessToken)
            #expect(!engine.appSessions.hasEnded(back))
            try accounts.deleteUser(userID: made.userID)
            #expect(engine.appSessions.hasEnded(back))
            for kind in [AccountKind.appUser, .appLogin, .tokenFamily, .oneTimeToken] {
                #expect(try engine.accountRecords(kind).isEmpty)
            }
        }
    }
}
