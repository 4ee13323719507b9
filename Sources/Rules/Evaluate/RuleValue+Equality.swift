// When values are equal, and how they are ordered.

extension RuleValue {
    /// How numbers of different types compare inside of others.
    enum Strictness {
        /// `1 == 1.0`: operands of `==`, and what sets and differences of maps hold.
        case byValue
        /// `[1] != [1.0]`: what lists and maps hold.
        case byType
    }

    /// Whether two values are equal; values of different types aren't. Lists and maps compare
    /// their numbers by type unless `everywhere` says otherwise. O(n) in their size, which is at
    /// most the documents'; nesting is bounded by BSON's.
    func equals(
        _ other: RuleValue, _ strictness: Strictness = .byValue,
        inside: Strictness = .byType
    ) -> Bool {
        switch (self, other) {
        case (.null, .null): return true
        case (.bool(let left), .bool(let right)): return left == right
        case (.int(let left), .int(let right)): return left == right
        case (.float(let left), .float(let right)): return left == right
        case (.int(let left), .float(let right)), (.float(let right), .int(let left)):
            return strictness == .byValue && Self.compare(left, right) == 0
        case (.string(let left), .string(let right)):
            return left.utf8.elementsEqual(right.utf8)
        case (.bytes(let left), .bytes(let right)): return left == right
        case (.timestamp(let left), .timestamp(let right)): return left == right
        case (.duration(let left), .duration(let right)): return left == right
        case (.latlng(let left), .latlng(let right)): return left == right
        case (.path(let left), .path(let right)):
            return left.segments.count == right.segments.count
                && zip(left.segments, right.segments).allSatisfy {
                    $0.utf8.elementsEqual($1.utf8)
                }
        case (.set(let left), .set(let right)):
            guard left.count == right.count else { return false }
            let index = RuleMembership(right, .byValue)
            return left.allSatisfy { index.contains($0) }
        case (.mapDiff(let left), .mapDiff(let right)):
            return left.added == right.added && left.removed == right.removed
                && left.changed == right.changed && left.unchanged == right.unchanged
        case (.request, .request): return true
        default: break
        }
        if let left = elements, let right = other.elements {
            return left.count == right.count
                && zip(left, right).allSatisfy { $0.equals($1, inside, inside: inside) }
        }
        if isMap, other.isMap, let left = entries, let right = other.entries {
            guard left.count == right.count else { return false }
            return left.allSatisfy { entry in
                other.value(ofKey: entry.key).map {
                    entry.value.equals($0, inside, inside: inside)
                } ?? false
            }
        }
        return false
    }

    /// Below, at or above zero as an int compares with a float; nil for NaN. Exact.
    static func compare(_ int: Int64, _ float: Double) -> Int? {
        if float.isNaN { return nil }
        // 2^63 and beyond are above every int; -2^63 is one.
        if float >= 0x1p63 { return -1 }
        if float < -0x1p63 { return 1 }
        let whole = Int64(float)
        if int != whole { return int < whole ? -1 : 1 }
        let rest = float - Double(whole)
        return rest > 0 ? -1 : rest < 0 ? 1 : 0
    }

    /// What comes of comparing two values' order.
    enum Order {
        case less
        case equal
        case greater
        /// A NaN: no comparison holds.
        case none

        init<T: Comparable>(_ left: T, _ right: T) {
            self = left < right ? .less : left == right ? .equal : left > right ? .greater : .none
        }
    }

    /// How two values are ordered; nil where their types have no order. O(n) for texts.
    func order(_ other: RuleValue) -> Order? {
        switch (self, other) {
        case (.int(let left), .int(let right)): return Order(left, right)
        case (.float(let left), .float(let right)): return Order(left, right)
        case (.int(let left), .float(let right)):
            return Self.compare(left, right).map { Order($0, 0) } ?? Order.none
        case (.float(let left), .int(let right)):
            return Self.compare(right, left).map { Order(0, $0) } ?? Order.none
        case (.string(let left), .string(let right)):
            if left.utf8.elementsEqual(right.utf8) { return .equal }
            return left.utf8.lexicographicallyPrecedes(right.utf8) ? .less : .greater
        case (.timestamp(let left), .timestamp(let right)): return Order(left.nanos, right.nanos)
        case (.duration(let left), .duration(let right)): return Order(left.nanos, right.nanos)
        default: return nil
        }
    }

    /// Hashes what `equals` compares: equal values hash alike, whichever the strictness.
    func hashContent(into hasher: inout Hasher) {
        switch self {
        case .null: hasher.combine(0)
        case .bool(let value): hasher.combine(value)
        case .int(let value): hasher.combine(Double(value))
        case .float(let value): hasher.combine(value)
        case .string(let text): for unit in text.utf8 { hasher.combine(unit) }
        case .bytes(let bytes): hasher.combine(bytes)
        case .timestamp(let value): hasher.combine(value)
        case .duration(let value): hasher.combine(value)
        case .latlng(let value): hasher.combine(value)
        case .path(let path): hasher.combine(path.segments.count)
        case .set(let elements): hasher.combine(elements.count)
        case .list, .storedList:
            let elements = elements ?? []
            hasher.combine(elements.count)
            for element in elements.prefix(8) { element.hashContent(into: &hasher) }
        case .map, .storedMap, .resource: hasher.combine(entries?.count ?? 0)
        case .mapDiff, .request: hasher.combine(1)
        }
    }
}

/// Values by their hash, so that looking for each of many among many takes linear time.
struct RuleMembership {
    private let elements: [RuleValue]
    private let strictness: RuleValue.Strictness
    private var places: [Int: [Int]] = [:]

    init(_ elements: [RuleValue], _ strictness: RuleValue.Strictness) {
        self.elements = elements
        self.strictness = strictness
        // A walk over few is cheaper than a table.
        guard elements.count > 8 else { return }
        for (index, element) in elements.enumerated() {
            places[Self.hash(element), default: []].append(index)
        }
    }

    func contains(_ value: RuleValue) -> Bool {
        guard elements.count > 8 else {
            return elements.contains { $0.equals(value, strictness, inside: strictness) }
        }
        return places[Self.hash(value)]?.contains {
            elements[$0].equals(value, strictness, inside: strictness)
        } ?? false
    }

    private static func hash(_ value: RuleValue) -> Int {
        var hasher = Hasher()
        value.hashContent(into: &hasher)
        return hasher.finalize()
    }

    /// Each of the elements once.
    static func distinct(_ elements: [RuleValue]) -> [RuleValue] {
        var kept: [RuleValue] = []
        var places: [Int: [Int]] = [:]
        for element in elements {
            let hash = hash(element)
            let isKnown =
                places[hash]?.contains { kept[$0].equals(element, inside: .byValue) } ?? false
            if isKnown { continue }
            places[hash, default: []].append(kept.count)
            kept.append(element)
        }
        return kept
    }
}
