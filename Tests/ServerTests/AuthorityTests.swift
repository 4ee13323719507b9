// What roles allow, from the privileges' side.

import BSON
import Testing

import Roost

@testable import Server

@Suite struct AuthorityTests {
    private static func authority(_ role: String, _ database: String = "shop") throws -> Authority {
        Authority(try #require(BuiltinRoles.privileges(role, in: database)))
    }

    @Test(arguments: [
        ("read", "shop", "shop", "orders", Action.find, true),
        ("read", "shop", "shop", "orders", .insert, false),
        ("read", "shop", "shop", "system.profile", .find, false),
        ("read", "shop", "shop", "system.js", .find, true),
        ("read", "shop", "other", "orders", .find, false),
        ("readWrite", "shop", "shop", "orders", .remove, true),
        ("readWrite", "shop", "shop", "orders", .collMod, false),
        ("dbAdmin", "shop", "shop", "orders", .find, false),
        ("dbAdmin", "shop", "shop", "orders", .collMod, true),
        ("dbAdmin", "shop", "shop", "system.profile", .find, true),
        ("userAdmin", "shop", "shop", "orders", .createUser, true),
        ("userAdmin", "shop", "shop", "orders", .find, false),
        ("dbOwner", "shop", "shop", "orders", .update, true),
        ("readAnyDatabase", "admin", "shop", "orders", .find, true),
        ("readAnyDatabase", "admin", "local", "oplog.rs", .find, false),
        ("readAnyDatabase", "admin", "config", "settings", .find, false),
        ("readAnyDatabase", "admin", "admin", "system.users", .find, false),
        ("userAdminAnyDatabase", "admin", "admin", "system.users", .find, true),
        ("backup", "admin", "local", "oplog.rs", .find, true),
        ("root", "admin", "shop", "orders", .remove, true),
        ("root", "admin", "admin", "system.users", .insert, false),
        ("clusterMonitor", "admin", "shop", "orders", .find, false),
        ("clusterMonitor", "admin", "shop", "orders", .collStats, true),
    ])
    func rolesAllow(
        _ role: String, _ of: String, _ database: String, _ collection: String, _ action: Action,
        _ isAllowed: Bool
    ) throws {
        let authority = try Self.authority(role, of)
        let allowed = authority.actions(on: Namespace(database, collection)).contains(action)
        #expect(allowed == isAllowed)
    }

    @Test(arguments: [
        ("root", Action.setParameter, true), ("clusterMonitor", .serverStatus, true),
        ("clusterMonitor", .killop, false), ("hostManager", .killop, true),
        ("readWriteAnyDatabase", .listDatabases, true), ("backup", .setParameter, false),
        ("readWriteAnyDatabase", .serverStatus, false),
    ])
    func rolesAllowOnTheServer(_ role: String, _ action: Action, _ isAllowed: Bool) throws {
        #expect(try Self.authority(role, "admin").allowsOnCluster([action]) == isAllowed)
    }

    @Test func rolesOfAdminAreOnlyThere() {
        for role in BuiltinRoles.ofAdmin {
            #expect(BuiltinRoles.privileges(role, in: "shop") == nil, "\(role)")
            #expect(BuiltinRoles.privileges(role, in: "admin") != nil, "\(role)")
        }
        for role in BuiltinRoles.ofDatabases {
            #expect(BuiltinRoles.privileges(role, in: "shop") != nil, "\(role)")
        }
        #expect(BuiltinRoles.privileges("none", in: "admin") == nil)
    }

    @Test func lessIsSeen() throws {
        let owner = try Self.authority("dbOwner")
        let reader = try Self.authority("read")
        #expect(owner.includes(reader))
        #expect(!reader.includes(owner))
        #expect(try Self.authority("root", "admin").includes(owner))
        #expect(try !owner.includes(Self.authority("read", "other")))
        #expect(owner.includes(owner))
    }

    @Test func setsHoldEveryAction() {
        #expect(Action.allCases.count <= 128)
        for action in Action.allCases where action != .anyAction {
            var set = ActionSet([action])
            #expect(set.names == [action.rawValue])
            set.subtract([action])
            #expect(set.isEmpty)
        }
        #expect(ActionSet([.anyAction]).contains([.find, .shutdown]))
    }

    @Test func privilegesAreReadAsTheyAreWritten() throws {
        let texts = [
            #"{"resource": {"db": "shop", "collection": ""}, "actions": ["find", "insert"]}"#,
            #"{"resource": {"cluster": true}, "actions": ["serverStatus"]}"#,
            #"{"resource": {"anyResource": true}, "actions": ["anyAction"]}"#,
        ]
        for text in texts {
            let document = try ExtendedJSON.parse(text)
            #expect(try Privilege(document.view).document == document)
        }
        for text in [
            #"{"resource": {}, "actions": ["find"]}"#, #"{"actions": ["find"]}"#,
            #"{"resource": {"cluster": true}, "actions": []}"#,
            #"{"resource": {"cluster": true}, "actions": ["fly"]}"#,
        ] {
            let document = try ExtendedJSON.parse(text)
            #expect(throws: DBError.self) { try Privilege(document.view) }
        }
    }

    /// Every command says who may run it, and only the first ones are open.
    @Test func onlyTheHandshakeIsOpen() {
        let open = Set(allCommands.filter { !$0.access.requiresSignIn }.map { "\($0.name)" })
        #expect(
            open == [
                "hello", "isMaster", "ping", "buildInfo", "logout", "saslStart", "saslContinue",
                "authenticate", "connectionStatus", "whatsmyuri", "listCommands", "features",
            ])
    }
}
