// Changes documents without breaking BSON: names, values, operators and subtrees.

package import BSON
import TestSupport

/// Makes new documents of known ones; the same seed makes the same.
package struct DocumentMutator {
    private var random: RandomSource

    /// A document as a tree that is quick to change.
    private indirect enum Node {
        case leaf(Value)
        case object([(String, Node)])
        case array([Node])

        init(_ value: Value, depth: Int = 0) {
            switch value {
            case .document(let document) where depth < 400:
                self = .object(
                    FuzzTarget.fields(of: document.view).map {
                        ($0.0, Node($0.1, depth: depth + 1))
                    })
            case .array(let values) where depth < 400:
                self = .array(values.map { Node($0, depth: depth + 1) })
            default: self = .leaf(value)
            }
        }

        var value: Value {
            switch self {
            case .leaf(let value): value
            case .object(let fields):
                .document(
                    Document { writer in
                        for (name, node) in fields { writer.append(name, node.value) }
                    })
            case .array(let nodes): .array(nodes.map(\.value))
            }
        }

        var count: Int {
            switch self {
            case .leaf: 1
            case .object(let fields): fields.reduce(1) { $0 + $1.1.count }
            case .array(let nodes): nodes.reduce(1) { $0 + $1.count }
            }
        }

        /// The node at a place in depth-first order.
        func node(at place: Int) -> Node {
            if place == 0 { return self }
            var rest = place - 1
            let children: [Node] =
                switch self {
                case .leaf: []
                case .object(let fields): fields.map(\.1)
                case .array(let nodes): nodes
                }
            for child in children {
                let count = child.count
                if rest < count { return child.node(at: rest) }
                rest -= count
            }
            return self
        }

        /// The same tree with another node at a place.
        func replacing(at place: Int, _ change: (Node) -> Node) -> Node {
            if place == 0 { return change(self) }
            var rest = place - 1
            switch self {
            case .leaf: return self
            case .object(var fields):
                for index in fields.indices {
                    let count = fields[index].1.count
                    if rest < count {
                        fields[index].1 = fields[index].1.replacing(at: rest, change)
                        break
                    }
                    rest -= count
                }
                return .object(fields)
            case .array(var nodes):
                for index in nodes.indices {
                    let count = nodes[index].count
                    if rest < count {
                        nodes[index] = nodes[index].replacing(at: rest, change)
                        break
                    }
                    rest -= count
                }
                return .array(nodes)
            }
        }
    }

    package init(seed: UInt64) {
        random = RandomSource(seed: seed)
    }

    /// Another document, not larger than `bytesMax` if the first isn't; `other` lends subtrees.
    package mutating func mutate(
        _ document: DocumentView, with other: DocumentView, bytesMax: Int
    ) -> [UInt8] {
        let original = Document(copying: document)
        var tree = Node(.document(original))
        let donor = Node(.document(Document(copying: other)))
        for _ in 0..<1 + random.below(3) {
            let place = random.below(tree.count)
            let source = random.oneIn(3) ? donor : tree
            let piece = source.node(at: random.below(source.count))
            tree = tree.replacing(at: place) { change($0, piece) }
        }
        guard case .document(let result) = tree.value else { return original.bytes }
        return result.bytes.count <= bytesMax ? result.bytes : original.bytes
    }

    private mutating func pick<T>(_ list: [T]) -> T { list[random.below(list.count)] }

    private mutating func name() -> String {
        random.oneIn(2) ? pick(FuzzWords.operators) : pick(FuzzWords.names)
    }

    private mutating func leaf() -> Node {
        switch random.below(4) {
        case 0: return .leaf(.string(pick(FuzzWords.strings)))
        case 1: return .leaf(.int32(Int32(random.below(200)) - 20))
        default: return .leaf(pick(FuzzWords.values))
        }
    }

    /// A node in place of another; the top stays an object, because what isn't is dropped.
    private mutating func change(_ node: Node, _ piece: Node) -> Node {
        switch random.below(12) {
        case 0: return leaf()
        case 1: return .object([(pick(FuzzWords.operators), node)])
        case 2: return .object([(name(), node)])
        case 3: return .array([node])
        case 4: return piece
        case 5 where random.oneIn(8):
            // Deep nesting, near the limit and behind it.
            var deep = node
            let isArray = random.oneIn(2)
            let name = name()
            for _ in 0..<pick([20, 90, 99, 101, 190, 199, 201]) {
                deep = isArray ? .array([deep]) : .object([(name, deep)])
            }
            return deep
        default: break
        }
        switch node {
        case .leaf: return leaf()
        case .object(var fields):
            let place = random.below(fields.count + 1)
            switch random.below(5) {
            case 0 where place < fields.count: fields.remove(at: place)
            case 1 where place < fields.count: fields[place].0 = name()
            case 2 where place < fields.count: fields.swapAt(place, random.below(fields.count))
            case 3: fields.insert((name(), piece), at: place)
            default: fields.insert((name(), leaf()), at: place)
            }
            return .object(fields)
        case .array(var nodes):
            let place = random.below(nodes.count + 1)
            switch random.below(4) {
            case 0 where place < nodes.count: nodes.remove(at: place)
            case 1 where place < nodes.count: nodes.insert(nodes[place], at: place)
            case 2: nodes.insert(piece, at: place)
            default: nodes.insert(leaf(), at: place)
            }
            return .array(nodes)
        }
    }
}

/// Changes text and frames: bytes and tokens in, out, twice and elsewhere.
package struct TextMutator {
    private var random: RandomSource

    package init(seed: UInt64) {
        random = RandomSource(seed: seed)
    }

    /// Other bytes, at most `bytesMax`; `other` lends pieces.
    package mutating func mutate(
        _ bytes: [UInt8], with other: [UInt8], form: FuzzTarget.Form, bytesMax: Int
    ) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<1 + random.below(4) {
            let place = random.below(bytes.count + 1)
            let end = min(bytes.count, place + 1 + random.below(8))
            switch random.below(7) {
            case 0: bytes.removeSubrange(place..<end)
            case 1: bytes.insert(contentsOf: Array(bytes[place..<end]), at: place)
            case 2 where !other.isEmpty:
                let start = random.below(other.count)
                let piece = other[start..<min(other.count, start + 1 + random.below(40))]
                bytes.replaceSubrange(place..<end, with: Array(piece))
            case 3 where place < bytes.count:
                bytes[place] = UInt8(truncatingIfNeeded: random.next())
            case 4 where place < bytes.count: bytes[place] ^= 1 << UInt8(random.below(8))
            case 5 where random.oneIn(20):
                // Much of the same: depth and length.
                let piece = Array(bytes[place..<end])
                let count = 1 + random.below(600)
                bytes.insert(
                    contentsOf: (0..<count).flatMap { _ in piece }, at: place)
            default:
                if case .bytes = form {
                    bytes.insert(UInt8(random.below(4)), at: place)
                } else {
                    let token = FuzzWords.tokens[random.below(FuzzWords.tokens.count)]
                    bytes.insert(contentsOf: Array(token.utf8), at: place)
                }
            }
        }
        return Array(bytes.prefix(bytesMax))
    }
}
