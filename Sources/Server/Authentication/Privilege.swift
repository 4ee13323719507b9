// A privilege: actions on a resource, as MongoDB writes it,
// `{resource: {db: "shop", collection: ""}, actions: ["find"]}`.

import BSON
import Roost

/// What actions are allowed on.
enum PrivilegeResource: Hashable, Sendable {
    case cluster
    /// Everything, also system collections.
    case anyResource
    /// `{db, collection}`; the empty name stands for any. Any collection means those that are not
    /// system collections, and any database those that are neither `local` nor `config`.
    case collection(database: String, collection: String)

    static func database(_ name: String) -> PrivilegeResource {
        .collection(database: name, collection: "")
    }

    static let anyNormal = PrivilegeResource.collection(database: "", collection: "")

    /// As commands show it.
    var document: Document {
        switch self {
        case .cluster: ["cluster": true]
        case .anyResource: ["anyResource": true]
        case .collection(let database, let collection):
            ["db": .string(database), "collection": .string(collection)]
        }
    }

    /// Reads a resource.
    /// - Throws: 9 FailedToParse for what is none.
    init(_ document: DocumentView) throws(DBError) {
        if document.value("cluster")?.isTruthy == true {
            self = .cluster
        } else if document.value("anyResource")?.isTruthy == true {
            self = .anyResource
        } else if let database = document.value("db")?.string,
            let collection = document.value("collection")?.string
        {
            self = .collection(database: database, collection: collection)
        } else {
            throw DBError(
                .failedToParse,
                "resource pattern must be {db: …, collection: …}, {cluster: true} or "
                    + "{anyResource: true}")
        }
    }

    /// The database that it belongs to; nil for what is about more than one.
    var database: String? {
        guard case .collection(let database, _) = self, !database.isEmpty else { return nil }
        return database
    }
}

/// Actions on a resource.
struct Privilege: Hashable, Sendable {
    let resource: PrivilegeResource
    var actions: ActionSet

    init(_ resource: PrivilegeResource, _ actions: ActionSet) {
        self.resource = resource
        self.actions = actions
    }

    /// Reads a privilege.
    /// - Throws: 9 FailedToParse, which names an unknown action.
    init(_ document: DocumentView) throws(DBError) {
        guard let resource = document.value("resource")?.document,
            let list = document.value("actions")?.array
        else {
            throw DBError(
                .failedToParse, "a privilege must be {resource: {…}, actions: ['…', …]}")
        }
        self.resource = try PrivilegeResource(resource)
        actions = ActionSet()
        var elements = list.makeIterator()
        while let element = elements.next() {
            guard let name = element.value.string, let action = Action(rawValue: name) else {
                throw DBError(
                    .failedToParse,
                    "Unrecognized action privilege string: \(element.value.string ?? "?")")
            }
            actions.insert(action)
        }
        guard !actions.isEmpty else {
            throw DBError(.failedToParse, "a privilege must name an action")
        }
    }

    /// As commands show it.
    var document: Document {
        [
            "resource": .document(resource.document),
            "actions": .array(actions.names.map { .string($0) }),
        ]
    }

    /// The same privileges with one entry a resource.
    static func merged(_ privileges: [Privilege]) -> [Privilege] {
        var places: [PrivilegeResource: Int] = [:]
        var merged: [Privilege] = []
        for privilege in privileges {
            if let place = places[privilege.resource] {
                merged[place].actions.formUnion(privilege.actions)
            } else {
                places[privilege.resource] = merged.count
                merged.append(privilege)
            }
        }
        return merged
    }
}
