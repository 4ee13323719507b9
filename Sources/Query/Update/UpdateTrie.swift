// The paths of one update as a trie, laid out flat.
//
// Guarantees: no path of the update equals another or lies above it (error 40 while building),
// and the children of a node are sorted as MongoDB applies them: by name, array positions by
// number. A node holds either names (`object`), array filters (`array`) or an operation.

import BSON

/// A trie of update paths, flat and immutable; a class so that handing it down costs one reference.
final class UpdateTrie: Sendable {
    /// What lies below a node.
    enum Kind: UInt8, Sendable {
        case object
        case array
        case leaf
    }

    /// A position in the document that some path passes through or ends at.
    struct Node: Sendable {
        var kind: Kind
        /// Where the node's children begin in `children`.
        var childrenStart: Int32 = 0
        /// How many there are.
        var childrenCount: Int32 = 0
        /// The child for `$`, or -1.
        var positional: Int32 = -1
        /// A leaf's operation.
        var operation: Int32 = -1
    }

    /// An edge to a child.
    struct Child: Sendable {
        /// The node it leads to.
        var node: Int32
        /// The name's place in `names`, for children of objects.
        var nameStart: Int32 = 0
        var nameCount: Int32 = 0
        /// The name as an array position, or -1.
        var index: Int = -1
        /// The array filter of an array's child; -1 is `$[]`.
        var filter: Int32 = -1
    }

    /// The nodes; the first is the document.
    let nodes: [Node]
    /// The children of all nodes.
    let children: [Child]
    /// The names of all children, one after another.
    let names: [UInt8]
    /// Whether a path has a `$`.
    let hasPositional: Bool

    init(nodes: [Node], children: [Child], names: [UInt8], hasPositional: Bool) {
        self.nodes = nodes
        self.children = children
        self.names = names
        self.hasPositional = hasPositional
    }
}

/// Collects the paths of an update.
struct UpdateTrieBuilder {
    private struct BuildNode {
        var kind: UpdateTrie.Kind?
        var named: [(name: [UInt8], node: Int)] = []
        /// The same by name, once there are many.
        var nodesByName: [[UInt8]: Int] = [:]
        var filtered: [(filter: Int, node: Int)] = []
        var positional: Int?
        var operation = -1
    }

    private var nodes = [BuildNode()]

    /// Adds a path that ends at `operation`.
    ///
    /// - Parameter filterIndex: the array filter of an identifier; throws 2 where there is none.
    /// - Throws: 40 when another path of the update is the same, above or below.
    mutating func insert(
        _ path: UpdatePath, operation: Int,
        filterIndex: (String) throws(DBError) -> Int
    ) throws(DBError) {
        var node = 0
        for (depth, segment) in path.segments.enumerated() {
            let needed: UpdateTrie.Kind =
                switch segment {
                case .name, .positional: .object
                case .all, .filtered: .array
                }
            if let kind = nodes[node].kind, kind != needed { throw conflict(path, at: depth) }
            nodes[node].kind = needed
            switch segment {
            case .name(let name):
                node = child(of: node, name: name)
            case .positional:
                node = nodes[node].positional ?? add { $0[node].positional = $1 }
            case .all:
                node = child(of: node, filter: -1)
            case .filtered(let identifier):
                node = child(of: node, filter: try filterIndex(identifier))
            }
        }
        guard nodes[node].kind == nil else { throw conflict(path, at: path.segments.count) }
        nodes[node].kind = .leaf
        nodes[node].operation = operation
    }

    private mutating func child(of node: Int, name: [UInt8]) -> Int {
        let many = 16
        if nodes[node].named.count < many {
            for (other, child) in nodes[node].named where other == name { return child }
        } else {
            if nodes[node].nodesByName.isEmpty {
                for (name, child) in nodes[node].named { nodes[node].nodesByName[name] = child }
            }
            if let child = nodes[node].nodesByName[name] { return child }
            nodes[node].nodesByName[name] = nodes.count
        }
        nodes[node].named.append((name, nodes.count))
        nodes.append(BuildNode())
        return nodes.count - 1
    }

    private mutating func child(of node: Int, filter: Int) -> Int {
        nodes[node].filtered.first { $0.filter == filter }?.node
            ?? add { $0[node].filtered.append((filter, $1)) }
    }

    private mutating func add(_ link: (inout [BuildNode], Int) -> Void) -> Int {
        nodes.append(BuildNode())
        link(&nodes, nodes.count - 1)
        return nodes.count - 1
    }

    private func conflict(_ path: UpdatePath, at depth: Int) -> DBError {
        let place = path.segments[..<max(depth, 1)].map(\.text).joined(separator: ".")
        return DBError(
            .conflictingUpdateOperators,
            "Updating the path '\(path.dotted)' would create a conflict at '\(place)'")
    }

    /// Lays the trie out flat.
    func build() -> UpdateTrie {
        var flat: [UpdateTrie.Node] = []
        var children: [UpdateTrie.Child] = []
        flat.reserveCapacity(nodes.count)
        children.reserveCapacity(nodes.count - 1)
        var names: [UInt8] = []
        for node in nodes {
            var entry = UpdateTrie.Node(kind: node.kind ?? .object)
            entry.childrenStart = Int32(children.count)
            let named =
                node.named.count < 2
                ? node.named : node.named.sorted { precedes($0.name, $1.name) }
            for (name, child) in named {
                children.append(
                    UpdateTrie.Child(
                        node: Int32(child), nameStart: Int32(names.count),
                        nameCount: Int32(name.count),
                        index: UpdatePath.arrayIndex(of: name) ?? -1))
                names += name
            }
            for (filter, child) in node.filtered.sorted(by: { $0.filter < $1.filter }) {
                children.append(UpdateTrie.Child(node: Int32(child), filter: Int32(filter)))
            }
            entry.childrenCount = Int32(children.count) - entry.childrenStart
            entry.positional = Int32(node.positional ?? -1)
            entry.operation = Int32(node.operation)
            flat.append(entry)
        }
        return UpdateTrie(
            nodes: flat, children: children, names: names,
            hasPositional: nodes.contains { $0.positional != nil })
    }

    /// The order in which fields are updated: array positions first, by number, then by bytes.
    /// (MongoDB compares a position with a name by bytes, which is no order: 9 < 10 < 1a < 9.)
    private func precedes(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        let leftIndex = UpdatePath.arrayIndex(of: left) ?? Int.max
        let rightIndex = UpdatePath.arrayIndex(of: right) ?? Int.max
        if leftIndex != rightIndex { return leftIndex < rightIndex }
        return left.lexicographicallyPrecedes(right)
    }
}
