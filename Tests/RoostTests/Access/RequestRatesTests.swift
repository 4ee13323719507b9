import BSON
import Foundation
import Testing

@testable import Roost

/// `option limit`.
@Suite struct RequestRatesTests {
    private static func rules(_ service: String = "", _ match: String = "") -> String {
        """
        rules_version = '2';
        service cloud.firestore {
          option mode = 'filter';
          \(service)
          match /databases/{db}/documents {
            match /notes/{id} { \(match) allow read, write: if true; }
            match /others/{id} { allow read, write: if true; }
          }
        }
        """
    }

    private static let notes = Namespace("app", "notes")
    private static let others = Namespace("app", "others")
    private static let second: UInt64 = 1_000_000_000

    private func user(_ uid: String?) -> AppUser {
        AppUser(auth: uid.map { ["uid": .string($0)] })
    }

    private func rates(_ service: String = "", _ match: String = "") throws -> RequestRates {
        RequestRates(
            try DeployedRules.compile([RulesText(name: "r", text: Self.rules(service, match))]))
    }

    @Test func aBucketFillsEvenly() throws {
        let rates = try rates("", "option limit = '3/m per user';")
        let start: UInt64 = 1_000 * Self.second
        func wait(_ uid: String?, _ seconds: UInt64, _ name: Namespace = Self.notes) -> Int? {
            rates.count(name, user(uid), address: "here", now: start + seconds * Self.second)?
                .seconds
        }
        #expect((0..<3).map { _ in wait("ann", 0) } == [nil, nil, nil])
        #expect(wait("ann", 0) == 20)
        #expect(wait("ann", 5) == 15)
        #expect(wait("bob", 5) == nil)
        #expect(wait("ann", 5, Self.others) == nil)
        #expect(wait("ann", 20) == nil)
        #expect(wait("ann", 20) == 20)
        #expect((0..<4).map { _ in wait("ann", 200) } == [nil, nil, nil, 20])
    }

    /// The limit, and which of two users at two addresses share it.
    @Test(arguments: [
        ("option limit = '1/h';", true, true), ("option limit = '1/h per user';", false, true),
        ("option limit = '1/h per address';", true, false),
    ])
    func aLimitIsAUsersAnAddressesOrEverybodys(
        _ option: String, sharesBetweenUsers: Bool, sharesBetweenAddresses: Bool
    ) throws {
        for isOfMatch in [true, false] {
            func isRefused(_ uid: String?, _ address: String) throws -> Bool {
                let rates = try isOfMatch ? rates("", option) : rates(option)
                _ = rates.count(Self.notes, user("ann"), address: "1", now: Self.second)
                return rates.count(Self.notes, user(uid), address: address, now: Self.second)
                    != nil
            }
            #expect(try isRefused("ann", "1"))
            #expect(try isRefused("bob", "1") == sharesBetweenUsers)
            #expect(try isRefused("ann", "2") == sharesBetweenAddresses)
        }
    }

    @Test func requestsThatAreTooManySayWhenToComeBack() throws {
        let folder = NSTemporaryDirectory() + "roost-rates-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let database = try Database(at: folder)
        defer { database.close() }
        try database.deployRules(Self.rules("", "option limit = '4/h per user';"))
        let notes = database.as(.app(user("ann"))).collection("app", "notes")
        // A write counts once for each document, a read once.
        let error = #expect(throws: DBError.self) {
            try notes.insert(contentsOf: (0..<6).map { ["_id": .int32($0)] })
        }
        #expect(error?.code == .ingressRequestRateLimitExceeded)
        #expect(try database.collection("app", "notes").count() == 4)
        let seconds = error?.details["retryAfterSeconds"]
        guard case .int32(let wait)? = seconds else {
            Issue.record("no retryAfterSeconds: \(String(describing: error))")
            return
        }
        #expect((1...900).contains(wait))
        #expect(throws: DBError.self) { try notes.find() }
        #expect(throws: DBError.self) { try notes.count() }
        let others = database.as(.app(user("ann"))).collection("app", "others")
        for _ in 0..<6 { #expect(try others.find().isEmpty) }
        #expect(try database.as(.app(user("bob"))).collection("app", "notes").find().count == 4)
        // Who bypasses the rules bypasses this.
        for _ in 0..<9 { #expect(try database.collection("app", "notes").count() == 4) }
    }
}
