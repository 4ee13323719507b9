// What an account may do, worked out from its roles once and asked for each command: a few look-ups
// by name, whatever the number of roles.

import Roost

/// The sum of an account's privileges. Immutable; made anew when accounts or roles change.
final class Authority: Sendable {
    let privileges: [Privilege]
    private let cluster: ActionSet
    private let anyResource: ActionSet
    private let anyNormal: ActionSet
    private let databases: [String: ActionSet]
    /// By the collection's name, in any database.
    private let collectionNames: [String: ActionSet]
    private let collections: [Namespace: ActionSet]

    init(_ given: [Privilege]) {
        privileges = Privilege.merged(given)
        var cluster = ActionSet()
        var anyResource = ActionSet()
        var anyNormal = ActionSet()
        var databases: [String: ActionSet] = [:]
        var collectionNames: [String: ActionSet] = [:]
        var collections: [Namespace: ActionSet] = [:]
        for privilege in privileges {
            switch privilege.resource {
            case .cluster: cluster.formUnion(privilege.actions)
            case .anyResource: anyResource.formUnion(privilege.actions)
            case .collection("", ""): anyNormal.formUnion(privilege.actions)
            case .collection(let database, ""):
                databases[database, default: []].formUnion(privilege.actions)
            case .collection("", let collection):
                collectionNames[collection, default: []].formUnion(privilege.actions)
            case .collection(let database, let collection):
                collections[Namespace(database, collection), default: []]
                    .formUnion(privilege.actions)
            }
        }
        self.cluster = cluster.union(anyResource)
        self.anyResource = anyResource
        self.anyNormal = anyNormal
        self.databases = databases
        self.collectionNames = collectionNames
        self.collections = collections
    }

    /// Whether all of `actions` are allowed on the server as a whole.
    func allowsOnCluster(_ actions: ActionSet) -> Bool { cluster.contains(actions) }

    /// The actions allowed on a database as a whole.
    func actions(onDatabase name: String) -> ActionSet {
        var allowed = anyResource
        if Self.isNormal(database: name) { allowed.formUnion(anyNormal) }
        if let own = databases[name] { allowed.formUnion(own) }
        return allowed
    }

    /// The actions allowed on a collection.
    func actions(on namespace: Namespace) -> ActionSet {
        var allowed = anyResource
        if !namespace.isSystem {
            if Self.isNormal(database: namespace.database) { allowed.formUnion(anyNormal) }
            if let own = databases[namespace.database] { allowed.formUnion(own) }
        }
        if let own = collectionNames[namespace.collection] { allowed.formUnion(own) }
        if let own = collections[namespace] { allowed.formUnion(own) }
        return allowed
    }

    /// Whether anything at all is allowed on some collection of the database.
    func allowsAnything(inDatabase name: String) -> Bool {
        if !actions(onDatabase: name).isEmpty { return true }
        if !collectionNames.isEmpty { return true }
        return collections.keys.contains { $0.database == name }
    }

    /// Whether this is at least what `other` is.
    func includes(_ other: Authority) -> Bool {
        other.privileges.allSatisfy { privilege in
            switch privilege.resource {
            case .cluster: cluster.contains(privilege.actions)
            case .anyResource: anyResource.contains(privilege.actions)
            case .collection("", ""): anyResource.union(anyNormal).contains(privilege.actions)
            case .collection(let database, ""):
                actions(onDatabase: database).contains(privilege.actions)
            case .collection("", let collection):
                anyResource.union(collectionNames[collection] ?? []).contains(privilege.actions)
            case .collection(let database, let collection):
                actions(on: Namespace(database, collection)).contains(privilege.actions)
            }
        }
    }

    /// `local` and `config` belong to the server; roles of any database leave them out.
    private static func isNormal(database: String) -> Bool {
        database != "local" && database != "config"
    }
}
