// A filter as the planner sees it: the conditions that every matching document satisfies.

import BSON
import Query

/// One of the conditions that all must hold.
struct Conjunct: Sendable {
    /// An `$elemMatch` around a condition: which one, and its full path.
    struct Scope: Sendable {
        let id: Int
        let path: String
    }

    let node: FilterNode
    /// The `$elemMatch`es around it, outermost first.
    let scopes: [Scope]

    /// The full path of the innermost `$elemMatch`, which the node's own paths continue.
    var prefix: String? { scopes.last?.path }

    /// The conditions of a filter: `$and` flattened, `$elemMatch` on objects opened, save an empty
    /// one, which still wants an array with an object in it.
    static func all(of root: FilterNode) -> [Conjunct] {
        var conjuncts: [Conjunct] = []
        var scopeCount = 0
        collect(root, [], &scopeCount, &conjuncts)
        return conjuncts
    }

    private static func collect(
        _ node: FilterNode, _ scopes: [Scope], _ scopeCount: inout Int,
        _ conjuncts: inout [Conjunct]
    ) {
        switch node {
        case .alwaysTrue: break
        case .and(let nodes):
            for inner in nodes { collect(inner, scopes, &scopeCount, &conjuncts) }
        case .elementObject(let path, let inner) where inner != .alwaysTrue:
            let full = scopes.last.map { $0.path + "." + path.dotted } ?? path.dotted
            scopeCount += 1
            let scope = Scope(id: scopeCount, path: full)
            collect(inner, scopes + [scope], &scopeCount, &conjuncts)
        default: conjuncts.append(Conjunct(node: node, scopes: scopes))
        }
    }

    /// Whether conditions on these two paths, both with arrays along them, are about keys of one
    /// entry: only when one `$elemMatch` holds both and they part right below it.
    func mayCompound(_ path: FieldPath, with other: Conjunct, _ otherPath: FieldPath) -> Bool {
        if path.segments[0] != otherPath.segments[0] { return true }
        var shared: Scope?
        for (mine, theirs) in zip(scopes, other.scopes) where mine.id == theirs.id { shared = mine }
        guard let shared else { return false }
        let depth = FieldPath(shared.path).segments.count
        guard path.segments.count > depth, otherPath.segments.count > depth else { return false }
        return path.segments[depth] != otherPath.segments[depth]
    }
}
