// When an index that leaves documents out may serve a query: only if every match is in it.

import BSON
import Query

/// Decides what a filter's conditions imply.
struct Implication {
    /// The conditions that every match satisfies.
    let conjuncts: [Conjunct]
    /// The order of strings that they compare by.
    let collation: Collation?
    /// The order of strings that the index compares by.
    private var indexCollation: Collation?

    init(conjuncts: [Conjunct], _ collation: Collation?) {
        self.conjuncts = conjuncts
        self.collation = collation
    }

    /// Whether every match is among the documents that `index` holds.
    func covers(_ index: IndexEntry) -> Bool {
        if index.isSparse {
            guard index.pattern.parts.contains(where: { exists($0.path) }) else { return false }
        }
        if index.pattern.leavesOutMissing, !holdsSpecial(index.pattern) { return false }
        guard let filter = index.partialFilter else { return true }
        var implication = self
        implication.indexCollation = filter.collation
        return implication.implies(filter.root)
    }

    /// Whether every match has what a special part of an index is over: a place or a term. Of
    /// wildcard indexes that depends on the path, which the planner looks at.
    private func holdsSpecial(_ pattern: IndexKeyPattern) -> Bool {
        if pattern.wildcard != nil { return true }
        return conjuncts.contains { conjunct in
            switch conjunct.node {
            case .text: return pattern.text != nil
            case .geo(let path, let predicate):
                let full = conjunct.prefix.map { $0 + "." + path.dotted } ?? path.dotted
                return pattern.parts.contains {
                    $0.path.dotted == full && predicate.fits($0.kind)
                }
            default: return false
            }
        }
    }

    /// Whether every match also satisfies `node`, a node of a partial index's filter.
    func implies(_ node: FilterNode) -> Bool {
        switch node {
        case .alwaysTrue: return true
        case .and(let nodes): return nodes.allSatisfy(implies)
        case .or(let nodes): if nodes.contains(where: implies) { return true }
        case .exists(let path): if exists(path) { return true }
        case .compare(let path, _, _), .in(let path, _, _), .type(let path, _):
            if contains(node, path) { return true }
        default: return false
        }
        return conjuncts.contains { conjunct in
            guard case .or(let branches) = conjunct.node, conjunct.scopes.isEmpty else {
                return false
            }
            return branches.allSatisfy {
                var branch = Implication(conjuncts: Conjunct.all(of: $0), collation)
                branch.indexCollation = indexCollation
                return branch.implies(node)
            }
        }
    }

    /// Whether some condition allows only keys for which `node` holds. Taken as if the path had
    /// arrays, so that it is true of every document.
    private func contains(_ node: FilterNode, _ path: FieldPath) -> Bool {
        let builder = PathBoundsBuilder(
            path: path, isMultikey: true, collation: indexCollation,
            comparesText: Collation.areSame(collation, indexCollation))
        guard let wanted = builder.bounds(of: node), wanted.isSound else { return false }
        return conjuncts.contains { conjunct in
            builder.bounds(of: conjunct.node, under: conjunct.prefix).map {
                $0.set.isSubset(of: wanted.set)
            } ?? false
        }
    }

    /// Whether every match has a value at `path`.
    func exists(_ path: FieldPath) -> Bool {
        conjuncts.contains { Self.requires($0.node, path, under: $0.prefix) }
    }

    private static func requires(
        _ node: FilterNode, _ path: FieldPath, under prefix: String?
    ) -> Bool {
        switch node {
        case .compare(let other, let comparison, let value):
            guard reaches(other, path, under: prefix) else { return false }
            switch value.type {
            case .null, .undefined: return comparison == .greater || comparison == .less
            case .minKey, .maxKey: return comparison == .equal
            default: return true
            }
        case .in(let other, let values, _):
            return reaches(other, path, under: prefix)
                && values.allSatisfy { $0.type != .null && $0.type != .undefined }
        case .exists(let other), .type(let other, _), .regex(let other, _), .size(let other, _),
            .mod(let other, _, _), .bits(let other, _), .elementValue(let other, _),
            .geo(let other, _):
            return reaches(other, path, under: prefix)
        case .not(.compare(let other, .equal, let value)):
            // "a.b" on an array without objects is not null, and still has no value.
            return value.type == .null && prefix == nil && other.segments.count == 1
                && other == path
        case .and(let nodes): return nodes.contains { requires($0, path, under: prefix) }
        case .or(let nodes):
            return !nodes.isEmpty && nodes.allSatisfy { requires($0, path, under: prefix) }
        default: return false
        }
    }

    /// Whether a value at `other` means that there is one at `path`: it is the same or above.
    private static func reaches(
        _ other: FieldPath, _ path: FieldPath, under prefix: String?
    ) -> Bool {
        guard let prefix else { return path.isPrefix(of: other) }
        return path.isPrefix(of: FieldPath(prefix + "." + other.dotted))
    }
}
