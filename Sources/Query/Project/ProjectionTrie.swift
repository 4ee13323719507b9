// The paths of a projection while it is parsed: a trie, out of which collisions fall.

import BSON

/// The trie while it is built.
struct ProjectionTrie {
    struct Field {
        let name: [UInt8]
        let rule: Projection.Rule
        var isPositional = false
    }

    struct Node {
        var fields: [Field] = []
        var computes = false
    }

    private(set) var nodes: [Node] = [Node()]
    var expressions: [Expression] = []
    var filters: [Filter] = []

    /// How two paths collide.
    enum Collision: Error {
        /// One was already there, or one below it.
        case withChild
        /// One above it was already there.
        case withParent
    }

    /// Puts a rule at a path.
    mutating func insert(_ path: FieldPath, _ rule: Projection.Rule) throws(Collision) {
        let computes =
            switch rule {
            case .compute, .elementMatch, .nothing: true
            default: false
            }
        var node = 0
        for segment in path.segments.dropLast() {
            if computes { nodes[node].computes = true }
            node = try child(of: node, named: segment.name)
        }
        guard let name = path.segments.last?.name else { return }
        if nodes[node].fields.contains(where: { $0.name == name }) { throw .withChild }
        nodes[node].fields.append(Field(name: name, rule: rule))
        if computes { nodes[node].computes = true }
    }

    private mutating func child(of node: Int, named name: [UInt8]) throws(Collision) -> Int {
        if let field = nodes[node].fields.first(where: { $0.name == name }) {
            guard case .nested(let below) = field.rule else { throw .withParent }
            return below
        }
        nodes.append(Node())
        let below = nodes.count - 1
        nodes[node].fields.append(Field(name: name, rule: .nested(below)))
        return below
    }

    /// Marks the fields on a positional path.
    mutating func markPositional(_ path: FieldPath) {
        isPositional = true
        var node = 0
        for segment in path.segments {
            guard let index = nodes[node].fields.firstIndex(where: { $0.name == segment.name })
            else { return }
            nodes[node].fields[index].isPositional = true
            guard case .nested(let below) = nodes[node].fields[index].rule else { return }
            node = below
        }
    }

    /// Whether there is a positional path.
    private(set) var isPositional = false
}
