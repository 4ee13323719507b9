// Paths of keys, prepared for lookups.

internal import BSON

/// The paths of a sort or an index, with all names in one pool.
struct PathTable: Sendable {
    /// A name on a path.
    struct Segment: Sendable {
        let name: FieldName
        /// The name as an array position; negative where it is none.
        let arrayIndex: Int
    }

    /// A path and its direction.
    struct Part: Sendable {
        /// The path's names in `segments`.
        let segments: Range<Int>
        let isDescending: Bool
    }

    private(set) var segments: [Segment] = []
    private(set) var parts: [Part] = []
    private(set) var pool: [UInt8] = []
    /// The order of strings in keys; nil for that of their bytes.
    let collation: Collation?

    init(_ collation: Collation? = nil) {
        self.collation = collation
    }

    /// Adds a part.
    mutating func append(_ path: FieldPath, isDescending: Bool) {
        let start = segments.count
        for segment in path.segments {
            let offset = pool.count
            pool.append(contentsOf: segment.name)
            segments.append(
                Segment(
                    name: FieldName(at: offset, count: segment.name.count, in: pool),
                    arrayIndex: segment.arrayIndex ?? -1))
        }
        parts.append(Part(segments: start..<segments.count, isDescending: isDescending))
    }
}
