// Strict mode's question: does a query's filter say that every match may be seen?

import BSON
import Query

/// Proves that what a filter asks for implies what rules ask for, as Firestore does: by single
/// conditions on a field, and branch by branch for disjunctions.
enum StrictProof {
    /// Whether `filter` implies `wanted`. False when in doubt.
    static func holds(_ filter: FilterNode, _ wanted: FilterNode) -> Bool {
        proves(Conjunct.all(of: filter), wanted, depth: 0)
    }

    private static let depthMax = 8

    private static func proves(_ known: [Conjunct], _ wanted: FilterNode, depth: Int) -> Bool {
        if known.contains(where: { $0.node == .alwaysFalse }) { return true }
        if provesAtOnce(known, wanted, depth) { return true }
        guard depth < depthMax else { return false }
        // Each way in which the filter can be met must do.
        for (position, conjunct) in known.enumerated() where conjunct.scopes.isEmpty {
            guard case .or(let branches) = conjunct.node else { continue }
            var rest = known
            rest.remove(at: position)
            return branches.allSatisfy {
                proves(rest + Conjunct.all(of: $0), wanted, depth: depth + 1)
            }
        }
        return false
    }

    private static func provesAtOnce(
        _ known: [Conjunct], _ wanted: FilterNode, _ depth: Int
    ) -> Bool {
        switch wanted {
        case .alwaysTrue: return true
        case .alwaysFalse: return false
        case .and(let nodes): return nodes.allSatisfy { proves(known, $0, depth: depth + 1) }
        case .or(let nodes):
            if nodes.contains(where: { proves(known, $0, depth: depth + 1) }) { return true }
            return Implication(conjuncts: known, nil).implies(wanted)
        case .not(let inner): return known.contains { excludes($0, inner) }
        default:
            return known.contains { $0.node == wanted && $0.scopes.isEmpty }
                || Implication(conjuncts: known, nil).implies(wanted)
        }
    }

    /// Whether what meets `conjunct` can't meet `node`, of documents whose field is no list.
    private static func excludes(_ conjunct: Conjunct, _ node: FilterNode) -> Bool {
        guard conjunct.scopes.isEmpty else { return false }
        if case .not(let inner) = conjunct.node, inner == node { return true }
        guard case .compare(let path, .equal, let value) = node else { return false }
        switch conjunct.node {
        case .compare(path, .equal, let other): return !other.view.equals(value.view)
        case .in(path, let others, let patterns):
            return patterns.isEmpty && others.allSatisfy { !$0.view.equals(value.view) }
        default: return false
        }
    }
}
