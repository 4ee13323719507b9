// Turns a filter into ranges of an index's keys.
//
// Guarantees: ranges are disjoint and ascending in the index's byte order; every matching document
// that the index holds has an entry in one of them. They may cover more: the executor applies the
// filter again unless the bounds are exact.

import BSON
import Query

/// How the values of a part became keys.
enum ShapePart: Sendable {
    /// In their order.
    case ordered
    case hashed
    case sphere
    case plane(PlaneGrid)
    case text
    /// The path of a wildcard index, which is always this one.
    case wildcardPath(String)
    /// The path of a wildcard index, which is this one or below it.
    case wildcardTree(String)
    /// Any path and value of a wildcard index.
    case unknown
}

/// What the planner needs to know of an index, or of the collection's own table.
struct IndexShape {
    /// The paths, in key order.
    let paths: [FieldPath]
    /// Which of them are stored in descending order.
    let descending: [Bool]
    /// How each part's values became keys.
    let kinds: [ShapePart]
    /// Bit n: some document has an array along path n.
    let multikeyParts: UInt64
    /// How much of a key keeps the order of values when it was cut.
    let prefixBytesMax: Int
    /// The order of strings in its keys.
    var collation: Collation?

    /// Whether a part's keys are in the order of its values.
    func isOrdered(_ part: Int) -> Bool {
        if case .ordered = kinds[part] { true } else { false }
    }

    func isMultikey(_ part: Int) -> Bool { multikeyParts >> UInt64(part) & 1 != 0 }

    /// The path of the keys of records.
    static let recordPath = FieldPath("_id")

    /// The table of a time series, whose keys begin with a date.
    static func chronological(_ time: FieldPath) -> IndexShape {
        IndexShape(
            paths: [time], descending: [false], multikeyParts: 0,
            prefixBytesMax: RecordKey.prefixBytes)
    }

    /// The collection's table, clustered by `_id`, which is never an array.
    static func clustered(_ collation: Collation?) -> IndexShape {
        var shape = IndexShape(
            paths: [recordPath], descending: [false], multikeyParts: 0,
            prefixBytesMax: RecordKey.prefixBytes)
        shape.collation = collation
        return shape
    }

    init(
        paths: [FieldPath], descending: [Bool], multikeyParts: UInt64, prefixBytesMax: Int
    ) {
        self.paths = paths
        kinds = paths.map { _ in .ordered }
        self.descending = descending
        self.multikeyParts = multikeyParts
        self.prefixBytesMax = prefixBytesMax
    }

    /// A secondary index as it is now; read after the snapshot was taken.
    init(_ index: IndexEntry) {
        self.init(index, wildcard: nil)
    }

    /// The same; of a wildcard index, as far as the values of one path are concerned.
    init(_ index: IndexEntry, wildcard: WildcardChoice?) {
        let flags = index.flags.multikeyParts
        if index.pattern.isOrdered {
            paths = index.pattern.parts.map(\.path)
            descending = index.pattern.parts.map(\.descending)
            kinds = paths.map { _ in .ordered }
            multikeyParts = flags
        } else {
            var parts = SpecialParts(index.pattern, flags, wildcard)
            parts.takeAll()
            (paths, descending, kinds, multikeyParts) = (
                parts.paths, parts.descending, parts.kinds, parts.multikeyParts
            )
        }
        prefixBytesMax = IndexEntryKey.prefixBytes
        collation = index.pattern.collation
    }
}

/// The bounds of a filter on one index.
struct IndexBounds {
    /// For each part the values that matching documents' entries have.
    let parts: [KeyIntervalSet]
    /// Whether an entry within the bounds implies that its document matches the whole filter.
    let impliesMatch: Bool

    /// Bounds that were worked out elsewhere.
    init(parts: [KeyIntervalSet], impliesMatch: Bool) {
        self.parts = parts
        self.impliesMatch = impliesMatch
    }

    /// No condition at all.
    init(unbounded shape: IndexShape) {
        parts = shape.paths.map { _ in .all }
        impliesMatch = false
    }

    /// The bounds of conditions that all must hold, which compare strings by `collation`.
    init(_ conjuncts: [Conjunct], _ shape: IndexShape, _ collation: Collation?) {
        let comparesText = Collation.areSame(collation, shape.collation)
        var parts: [KeyIntervalSet] = []
        var isSaid = [Bool](repeating: false, count: conjuncts.count)
        /// For multikey parts, the condition that their bounds come from.
        var sources: [(part: Int, conjunct: Int)] = []
        for part in shape.paths.indices {
            let path = shape.paths[part]
            let isMultikey = shape.isMultikey(part)
            let builder = PathBoundsBuilder(
                path: path, isMultikey: isMultikey, collation: shape.collation,
                comparesText: comparesText, kind: shape.kinds[part])
            var best: PathBounds?
            var source: Int?
            for (index, conjunct) in conjuncts.enumerated() {
                guard let bounds = builder.bounds(of: conjunct.node, under: conjunct.prefix) else {
                    continue
                }
                guard isMultikey else {
                    best = builder.combine(best, bounds)
                    if bounds.isSound, conjunct.scopes.isEmpty { isSaid[index] = true }
                    continue
                }
                let compounds = sources.allSatisfy {
                    conjunct.mayCompound(path, with: conjuncts[$0.conjunct], shape.paths[$0.part])
                }
                guard compounds else { continue }
                if let chosen = best, !(BoundsRank(bounds.set) < BoundsRank(chosen.set)) {
                    continue
                }
                best = bounds
                source = index
            }
            if let source { sources.append((part, source)) }
            parts.append(best?.set ?? .all)
        }
        self.parts = parts
        impliesMatch =
            conjuncts.isEmpty || shape.multikeyParts == 0 && !isSaid.contains(false)
    }

    /// Whether no part restricts anything.
    var isUnbounded: Bool { parts.allSatisfy(\.isAll) }
    /// Whether no document can match.
    var isEmpty: Bool { parts.contains(where: \.isEmpty) }

    /// How many leading parts are single values.
    var equalityCount: Int { parts.prefix(while: \.isSinglePoint).count }
}

/// Ranges of keys in one buffer, ascending and disjoint: `low <= key < high`, where an empty high
/// means "to the end".
struct KeyRanges: Sendable {
    /// Most ranges that the values of several parts are multiplied to: that many are made in a few
    /// milliseconds.
    static let rangesMax = 20_000

    private var bytes: [UInt8] = []
    /// Two ends for each range: of its low bound and of its high one, which follows it.
    private var ends: [Int] = []
    /// Whether the ranges say exactly what the bounds do.
    private(set) var isExact = true

    var count: Int { ends.count / 2 }
    /// Whether this is the whole table.
    var isAll: Bool { ends == [0, 0] }

    /// The whole table.
    static let all: KeyRanges = {
        var ranges = KeyRanges()
        ranges.append(low: [], high: [])
        return ranges
    }()

    private init() {}

    /// One range.
    init(low: [UInt8], high: [UInt8]) {
        append(low: low, high: high)
    }

    /// The ranges of bounds. Values of leading parts are multiplied out; the first part that is
    /// more than single values ends that, and what later parts say is left to the filter.
    init(_ bounds: IndexBounds, _ shape: IndexShape) {
        guard !bounds.isEmpty else { return }
        var prefixes: [[UInt8]] = [[]]
        var part = 0
        while part < bounds.parts.count {
            let set = bounds.parts[part]
            guard set.isPoints, prefixes.count * set.intervals.count <= Self.rangesMax else {
                break
            }
            let points = Self.ordered(set, descending: shape.descending[part])
            if points.count == 1 {
                for index in prefixes.indices { prefixes[index] += points[0].low }
            } else {
                prefixes = prefixes.flatMap { prefix in points.map { prefix + $0.low } }
            }
            part += 1
        }
        if part == bounds.parts.count {
            for prefix in prefixes {
                append(low: prefix, high: KeyBytes.successor(prefix), shape.prefixBytesMax)
            }
        } else {
            var last = Self.ordered(bounds.parts[part], descending: shape.descending[part])
            if prefixes.count * last.count > Self.rangesMax {
                // One range from the first to the last; the filter does the rest.
                last = [(last[0].low, last[last.count - 1].high)]
                isExact = false
            }
            for prefix in prefixes {
                for interval in last {
                    append(
                        low: prefix + interval.low,
                        high: interval.high.isEmpty
                            ? KeyBytes.successor(prefix) : prefix + interval.high,
                        shape.prefixBytesMax)
                }
            }
            isExact = isExact && bounds.parts[(part + 1)...].allSatisfy(\.isAll)
        }
    }

    /// The same ranges of keys that all begin with `prefix`.
    func behind(_ prefix: [UInt8]) -> KeyRanges {
        var ranges = KeyRanges()
        for index in 0..<count {
            let high = [UInt8](copying: high(index))
            ranges.append(
                low: prefix + [UInt8](copying: low(index)),
                high: high.isEmpty ? KeyBytes.successor(prefix) : prefix + high)
        }
        ranges.isExact = isExact
        return ranges
    }

    /// The intervals as the index orders them.
    private static func ordered(
        _ set: KeyIntervalSet, descending: Bool
    ) -> [(low: [UInt8], high: [UInt8])] {
        if !descending { return set.intervals.map { ($0.low.bytes, $0.high.bytes) } }
        return set.intervals.reversed().map { interval in
            // A point is followed by the other parts: its encoding is what they continue.
            if interval.isPoint {
                let encoded = interval.low.bytes.map(~)
                return (encoded, KeyBytes.successor(encoded))
            }
            return KeyBytes.inverted(low: interval.low.bytes, high: interval.high.bytes)
        }
    }

    /// Appends a range, widened where its bounds are longer than what cut keys keep.
    private mutating func append(low: [UInt8], high: [UInt8], _ bytesMax: Int) {
        guard low.count > bytesMax || high.count > bytesMax else {
            return append(low: low, high: high)
        }
        isExact = false
        let low = Array(low.prefix(bytesMax))
        let high = high.count > bytesMax ? KeyBytes.successor(Array(high.prefix(bytesMax))) : high
        // Widened ranges may meet the one before them.
        if let before = count > 0 ? count - 1 : nil {
            let highBefore = [UInt8](copying: self.high(before))
            if highBefore.isEmpty || !KeyBytes.isLess(highBefore, low) {
                let lowBefore = [UInt8](copying: self.low(before))
                bytes.removeLast(lowBefore.count + highBefore.count)
                ends.removeLast(2)
                let wider = KeyBytes.isLessAsHigh(highBefore, high) ? high : highBefore
                return append(low: min(lowBefore, low, by: KeyBytes.isLess), high: wider)
            }
        }
        append(low: low, high: high)
    }

    private mutating func append(low: [UInt8], high: [UInt8]) {
        bytes += low
        ends.append(bytes.count)
        bytes += high
        ends.append(bytes.count)
    }

    /// Where range `index` begins.
    @_lifetime(borrow self)
    func low(_ index: Int) -> RawSpan {
        bytes.span.bytes.extracting((index == 0 ? 0 : ends[2 * index - 1])..<ends[2 * index])
    }

    /// What range `index` ends before; empty: the end of the table.
    @_lifetime(borrow self)
    func high(_ index: Int) -> RawSpan {
        bytes.span.bytes.extracting(ends[2 * index]..<ends[2 * index + 1])
    }
}

private func min(
    _ left: [UInt8], _ right: [UInt8], by isLess: ([UInt8], [UInt8]) -> Bool
) -> [UInt8] {
    isLess(right, left) ? right : left
}
