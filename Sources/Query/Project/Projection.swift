// Projections: which fields of a document come out, and which are computed.
//
// One engine serves find's projection, $project, $addFields/$set and $unset. A specification is
// parsed into a trie of names (ProjectionParser.swift), kept as flat arrays: a node is a run of
// fields, a field has a name and a rule. Applying it (Projection+Apply.swift) is one walk over the
// document's bytes that copies what stays into a writer.

package import BSON

/// A compiled projection. Immutable, so executions on any thread share it.
package final class Projection: Sendable {
    /// What becomes of fields that no rule names.
    package enum Mode: Sendable {
        /// They are left out.
        case inclusion
        /// They stay.
        case exclusion
        /// They stay; rules compute fields, in place where they exist ($addFields).
        case addition
    }

    /// Who is asking.
    package enum Purpose: Sendable {
        /// find's projection: with $slice, $elemMatch and positional of its own.
        case find
        /// $project.
        case stage
    }

    /// What a field's rule does.
    enum Rule: Sendable {
        case include
        case exclude
        /// An expression, by index.
        case compute(Int)
        /// find's $slice: elements to skip (negative from the end; nil for a bare count) and count.
        case slice(skip: Int?, count: Int)
        /// find's $elemMatch, by the index of its filter.
        case elementMatch(Int)
        /// $meta of a kind that has a value nowhere in Roost: nothing comes out.
        case nothing
        /// A node below, by index.
        case nested(Int)
    }

    /// A name, by where it lies in `names`, and its rule. Plain memory, as is `Node`, so that
    /// looking at a field of a document counts no references.
    struct Field: Sendable {
        let nameOffset: Int
        let nameCount: Int
        let rule: Rule
        /// Whether a positional rule `a.$` ends at or below it: the first array that is met from
        /// here on comes out as its matched element alone.
        let isPositional: Bool
    }

    /// A run of fields: those of one level.
    struct Node: Sendable {
        let first: Int
        let count: Int
        /// Whether rules at or below it make fields that the document need not have.
        let computes: Bool
    }

    /// What becomes of fields without a rule.
    package let mode: Mode
    let nodes: [Node]
    let fields: [Field]
    /// The names' bytes.
    let names: ConstantPool
    let expressions: [Expression]
    let filters: [Filter]
    /// Whether there is a positional rule `a.$`, which needs the filter's array position.
    package let isPositional: Bool
    /// Whether it shows the values that documents were sorted by.
    package let showsSortKey: Bool
    private let isWholeDocument: Bool

    init(
        mode: Mode, _ builder: ProjectionTrie, isIdentity: Bool, showsSortKey: Bool = false
    ) {
        self.showsSortKey = showsSortKey
        self.mode = mode
        var nodes: [Node] = []
        var fields: [Field] = []
        var pool: [UInt8] = []
        for node in builder.nodes {
            nodes.append(
                Node(first: fields.count, count: node.fields.count, computes: node.computes))
            for field in node.fields {
                fields.append(
                    Field(
                        nameOffset: pool.count, nameCount: field.name.count, rule: field.rule,
                        isPositional: field.isPositional))
                pool.append(contentsOf: field.name)
            }
        }
        (self.nodes, self.fields, names) = (nodes, fields, ConstantPool(pool))
        expressions = builder.expressions
        filters = builder.filters
        isPositional = builder.isPositional
        isWholeDocument = isIdentity
    }

    /// Compiles find's `projection` or the argument of $project.
    ///
    /// Throws MongoDB's codes: 31249/31250 paths that collide, 31253/31254 mixed modes, and so on.
    package static func parse(
        _ specification: DocumentView, for purpose: Purpose, _ scope: ExpressionScope
    ) throws(DBError) -> Projection {
        var parser = ProjectionParser(purpose, scope)
        return try parser.parse(specification)
    }

    /// Whether documents come out as they went in.
    package var isIdentity: Bool { isWholeDocument }

    /// Whether it may do much for a small document.
    package var loops: Bool {
        expressions.contains { $0.loops } || filters.contains { $0.loops }
    }

    /// What is read of the document; nil for all of it.
    package var requiredPaths: [FieldPath]? {
        guard mode == .inclusion, !isPositional else { return nil }
        var paths: [FieldPath] = []
        guard collectPaths(0, [], &paths) else { return nil }
        return paths
    }

    private func collectPaths(_ node: Int, _ prefix: [[UInt8]], _ paths: inout [FieldPath]) -> Bool
    {
        for field in fields[nodes[node].first..<nodes[node].first + nodes[node].count] {
            let end = field.nameOffset + field.nameCount
            let name = prefix + [[UInt8](copying: names.bytes.extracting(field.nameOffset..<end))]
            switch field.rule {
            case .exclude, .nothing: break
            case .include, .slice, .elementMatch: paths.append(FieldPath(joining: name))
            case .compute(let index):
                guard let read = expressions[index].requiredPaths else { return false }
                paths += read
            case .nested(let below):
                guard collectPaths(below, name, &paths) else { return false }
            }
        }
        return true
    }
}

extension FieldPath {
    /// The path of these names.
    init(joining names: [[UInt8]]) {
        self.init(String(decoding: Array(names.joined(separator: [46])), as: UTF8.self))
    }
}
