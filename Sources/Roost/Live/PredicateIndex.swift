// Which live queries may be concerned by a document: an index of their predicates.
//
// Each group is registered under its anchor (Anchor.swift): single values in a hash table, ranges
// in an interval tree, one of each for a path. A document is looked up by its keys at the paths that
// have anchors; the fields at its top are found in one walk. What has no anchor is asked about every
// change, so there may be few of those.

import BSON
import Query

/// The groups of one collection.
struct PredicateIndex {
    /// Most groups without an anchor.
    static let restMax = 100

    /// What is registered for one path.
    private struct Path {
        let path: FieldPath
        let pattern: IndexKeyPattern
        /// Its place in the one walk over the document; nil where the path is found by itself.
        var slot: Int?
        var points: [UInt64: [LiveGroup]] = [:]
        var ranges = IntervalTree()
        var count = 0

        init(_ path: FieldPath) {
            self.path = path
            pattern = IndexKeyPattern([IndexPart(path: path, descending: false)])
        }
    }

    private var paths: [Path] = []
    private var places: [FieldPath: Int] = [:]
    private var rest: [LiveGroup] = []
    /// Groups whose filter nothing can match.
    private var never: [LiveGroup] = []
    private var encoder = KeyEncoder(reserving: 64)
    private var keys = IndexKeys()
    /// The names that one walk finds.
    private var names: [FieldName] = []
    private var pool: [UInt8] = []

    // MARK: Groups

    /// Adds a group.
    /// - Throws: `badValue` (2) where it has no anchor and too many others have none.
    mutating func insert(_ group: LiveGroup) throws(DBError) {
        guard let anchor = choose(group.filter) else {
            guard rest.count < Self.restMax else { throw Self.refusal(group) }
            rest.append(group)
            return
        }
        group.anchor = anchor
        if anchor.places.isEmpty { never.append(group) }
        for place in anchor.places {
            let number = number(of: place.path)
            paths[number].count += 1
            for interval in place.intervals {
                if interval.isPoint {
                    paths[number].points[Self.hash(interval.low.bytes.span.bytes), default: []]
                        .append(group)
                } else {
                    paths[number].ranges.insert(
                        low: IntervalTree.prefix(interval.low.bytes.span.bytes),
                        high: IntervalTree.prefix(interval.high.bytes.span.bytes), group)
                }
            }
        }
    }

    /// The anchor that a filter would get now.
    func choose(_ filter: Filter) -> Anchor? {
        Anchor.choose(filter) { path, key in
            guard let number = places[path] else { return 0 }
            return paths[number].points[Self.hash(key)]?.count ?? 0
        }
    }

    private static func refusal(_ group: LiveGroup) -> DBError {
        DBError(
            .badValue,
            "The collection \(group.request.namespace) has \(restMax) live queries already that must "
                + "be asked about every change, since no condition of theirs picks documents by a "
                + "value. Add a filter to this one that compares a field with a value, by equality, "
                + "$in, or a range (conditions by $ne, $nin, $exists, $expr or an unanchored "
                + "pattern alone do not pick)")
    }

    private mutating func number(of path: FieldPath) -> Int {
        if let known = places[path] { return known }
        places[path] = paths.count
        paths.append(Path(path))
        let number = paths.count - 1
        if path.segments.count == 1, names.count < FieldSlots.countMax {
            let name = path.segments[0].name
            paths[number].slot = names.count
            pool += name
            names.append(FieldName(at: pool.count - name.count, count: name.count, in: pool))
        }
        return number
    }

    /// Removes a group.
    mutating func remove(_ group: LiveGroup) {
        guard let anchor = group.anchor else { return rest.removeAll { $0 === group } }
        if anchor.places.isEmpty { never.removeAll { $0 === group } }
        for place in anchor.places {
            guard let number = places[place.path] else { continue }
            paths[number].count -= 1
            for interval in place.intervals {
                if interval.isPoint {
                    let hash = Self.hash(interval.low.bytes.span.bytes)
                    paths[number].points[hash]?.removeAll { $0 === group }
                    if paths[number].points[hash]?.isEmpty == true {
                        paths[number].points[hash] = nil
                    }
                } else {
                    paths[number].ranges.remove(
                        low: IntervalTree.prefix(interval.low.bytes.span.bytes), group)
                }
            }
        }
    }

    /// How many groups have no anchor.
    var restCount: Int { rest.count }

    // MARK: Documents

    /// Appends the groups that may match a document and don't have the mark yet, which they get.
    mutating func find(
        _ document: DocumentView, _ mark: UInt64, into found: inout [LiveGroup]
    ) {
        for group in rest where group.mark != mark {
            group.mark = mark
            found.append(group)
        }
        if paths.isEmpty { return }
        let slots = document.locate(names.span, in: pool.span.bytes)
        for number in paths.indices where paths[number].count > 0 {
            guard let slot = paths[number].slot, let value = document.value(slots, slot),
                value.type != .array
            else {
                findKeys(document, number, mark, &found)
                continue
            }
            encoder.removeAll()
            encoder.append(value)
            find(encoder.bytes.span.bytes, number, mark, &found)
        }
    }

    /// Looks a document up by all its keys at a path: of arrays, of fields below the top, of
    /// fields that are missing.
    private mutating func findKeys(
        _ document: DocumentView, _ number: Int, _ mark: UInt64, _ found: inout [LiveGroup]
    ) {
        do throws(DBError) {
            try paths[number].pattern.keys(of: document, sparse: false, into: &keys)
        } catch {
            // No index could hold the document; ask everyone.
            paths[number].ranges.find(0, .max, mark, into: &found)
            for groups in paths[number].points.values { Self.add(groups, mark, &found) }
            return
        }
        guard keys.count > 0 else { return }
        if !paths[number].points.isEmpty {
            for index in 0..<keys.count {
                if let groups = paths[number].points[Self.hash(keys[index])] {
                    Self.add(groups, mark, &found)
                }
            }
        }
        paths[number].ranges.find(
            IntervalTree.prefix(keys[0]), IntervalTree.prefix(keys[keys.count - 1]), mark,
            into: &found)
    }

    private func find(
        _ key: RawSpan, _ number: Int, _ mark: UInt64, _ found: inout [LiveGroup]
    ) {
        if !paths[number].points.isEmpty, let groups = paths[number].points[Self.hash(key)] {
            Self.add(groups, mark, &found)
        }
        if paths[number].ranges.count > 0 {
            let prefix = IntervalTree.prefix(key)
            paths[number].ranges.find(prefix, prefix, mark, into: &found)
        }
    }

    private static func add(
        _ groups: [LiveGroup], _ mark: UInt64, _ found: inout [LiveGroup]
    ) {
        for group in groups where group.mark != mark {
            group.mark = mark
            found.append(group)
        }
    }

    /// Of a key; two keys with one hash only cost a look.
    private static func hash(_ key: RawSpan) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for index in 0..<key.byteCount {
            // SAFETY: the index is below the span's size.
            hash ^= UInt64(key.unsafeLoad(fromByteOffset: index, as: UInt8.self))
            hash = hash &* 0x0000_0100_0000_01B3
        }
        return hash
    }
}
