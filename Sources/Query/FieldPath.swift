// Dotted paths, split once when a query is parsed.

/// A dotted path such as `a.b.0`.
package struct FieldPath: Hashable, Sendable, CustomStringConvertible {
    /// One name of a path.
    package struct Segment: Hashable, Sendable {
        /// The name in UTF-8.
        package let name: [UInt8]
        /// The name as an array position, where it is one: digits without leading zeros.
        package let arrayIndex: Int?

        /// A segment of that name.
        package init(_ name: some Sequence<UInt8>) {
            self.name = Array(name)
            arrayIndex = Self.index(of: self.name)
        }

        private static func index(of name: [UInt8]) -> Int? {
            guard !name.isEmpty, name.count <= 9, name.count == 1 || name[0] != 48 else {
                return nil
            }
            var index = 0
            for byte in name {
                guard byte >= 48, byte <= 57 else { return nil }
                index = index * 10 + Int(byte - 48)
            }
            return index
        }
    }

    /// The names between the dots; empty only in `wholeValue`.
    package let segments: [Segment]
    /// The path as written.
    package let dotted: String

    /// Splits at every dot; empty names are kept (they match nothing in queries).
    package init(_ dotted: String) {
        self.dotted = dotted
        segments = dotted.utf8.split(separator: 46, omittingEmptySubsequences: false).map {
            Segment($0)
        }
    }

    /// The path without names: the value itself, which conditions on array elements are about.
    package static let wholeValue = FieldPath(segments: [], dotted: "")

    /// A path of those names, written as `dotted`.
    init(segments: [Segment], dotted: String) {
        self.segments = segments
        self.dotted = dotted
    }

    /// The path as written.
    package var description: String { dotted }

    /// Whether `other` is this path or lies below it.
    package func isPrefix(of other: FieldPath) -> Bool {
        segments.count <= other.segments.count
            && zip(segments, other.segments).allSatisfy { $0.name == $1.name }
    }
}
