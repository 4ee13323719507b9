// MongoDB's order of values: one total order over every BSON value.
//
// Types come first (`BSONType.canonicalRank`). Numbers of all four types compare by their exact
// mathematical value, never by way of a rounding conversion; NaN is below every number and equal to
// itself, -0 equals 0. Strings and symbols compare by bytes of UTF-8, objects pairwise by rank,
// name and value, arrays element by element, binary data by length, subtype and bytes.
//
// `equals` is `compare == 0`, and equal values have equal hashes. Nothing here allocates.

extension ValueView {
    /// MongoDB's order: negative, zero or positive. O(bytes of the smaller value).
    public func compare(_ other: ValueView) -> Int {
        compare(other, depth: 0)
    }

    /// Whether `compare` finds no difference: 1, 1.0 and decimal 1.00 are equal.
    public func equals(_ other: ValueView) -> Bool {
        if type == other.type {
            if bytes.equals(other.bytes) { return true }
            switch type {
            case .double, .decimal128, .document, .array, .codeWithScope: break
            default: return false
            }
        } else if type.canonicalRank != other.type.canonicalRank {
            return false
        }
        return compare(other, depth: 0) == 0
    }

    /// Feeds `hasher` so that equal values agree.
    public func hash(into hasher: inout Hasher) {
        hash(into: &hasher, depth: 0)
    }

    func compare(_ other: ValueView, depth: Int) -> Int {
        let rank = type.canonicalRank
        let otherRank = other.type.canonicalRank
        guard rank == otherRank else { return Int(rank) - Int(otherRank) }
        switch type {
        case .int32, .int64, .double, .decimal128: return compareNumber(other)
        case .string, .symbol, .code: return textBytes(bytes).compareBytes(textBytes(other.bytes))
        case .document:
            return DocumentView(bytes).compare(
                DocumentView(other.bytes), comparesNames: true, depth: depth)
        case .array:
            return DocumentView(bytes).compare(
                DocumentView(other.bytes), comparesNames: false, depth: depth)
        case .binary, .dbPointer:
            // The payload is length, then subtype and bytes, or name and id.
            let order = bytes.byteCount - other.bytes.byteCount
            if order != 0 { return order }
            return afterLength(bytes).compareBytes(afterLength(other.bytes))
        case .objectID: return bytes.compareBytes(other.bytes)
        case .bool: return ((bool ?? false) ? 1 : 0) - ((other.bool ?? false) ? 1 : 0)
        case .date: return order(dateMillis ?? 0, other.dateMillis ?? 0)
        case .timestamp:
            return order(timestamp?.rawValue ?? 0, other.timestamp?.rawValue ?? 0)
        case .regex: return compareRegex(other)
        case .codeWithScope: return compareCodeWithScope(other, depth: depth)
        case .null, .undefined, .minKey, .maxKey: return 0
        }
    }

    private func compareRegex(_ other: ValueView) -> Int {
        guard let regex, let otherRegex = other.regex else {
            return bytes.compareBytes(other.bytes)
        }
        let order = regex.pattern.compareBytes(otherRegex.pattern)
        return order != 0 ? order : regex.options.compareBytes(otherRegex.options)
    }

    private func compareCodeWithScope(_ other: ValueView, depth: Int) -> Int {
        guard let parts = codeWithScope, let otherParts = other.codeWithScope else {
            return bytes.compareBytes(other.bytes)
        }
        let order = parts.code.compareBytes(otherParts.code)
        if order != 0 { return order }
        return parts.scope.compare(otherParts.scope, comparesNames: true, depth: depth)
    }

    func hash(into hasher: inout Hasher, depth: Int) {
        hasher.combine(type.canonicalRank)
        switch type {
        case .int32: hasher.combine(Int64(int32 ?? 0))
        case .int64: hasher.combine(int64 ?? 0)
        case .double: hashNumber(double ?? 0, into: &hasher)
        case .decimal128: decimal128?.hash(into: &hasher)
        case .string, .symbol, .code: hashBytes(textBytes(bytes), into: &hasher)
        case .document:
            DocumentView(bytes).hash(into: &hasher, includesNames: true, depth: depth)
        case .array:
            DocumentView(bytes).hash(into: &hasher, includesNames: false, depth: depth)
        case .bool: hasher.combine(bool ?? false)
        case .codeWithScope:
            guard let parts = codeWithScope else { return }
            hashBytes(parts.code, into: &hasher)
            parts.scope.hash(into: &hasher, includesNames: true, depth: depth)
        case .binary, .dbPointer, .objectID, .date, .timestamp, .regex:
            hashBytes(bytes, into: &hasher)
        case .null, .undefined, .minKey, .maxKey: break
        }
    }
}

extension DocumentView {
    /// MongoDB's order of objects: pairwise by rank, name and value; what ends first is smaller.
    public func compare(_ other: DocumentView) -> Int {
        compare(other, comparesNames: true, depth: 0)
    }

    /// Whether `compare` finds no difference.
    public func equals(_ other: DocumentView) -> Bool {
        bytes.equals(other.bytes) || compare(other, comparesNames: true, depth: 0) == 0
    }

    /// Feeds `hasher` so that equal documents agree.
    public func hash(into hasher: inout Hasher) {
        hash(into: &hasher, includesNames: true, depth: 0)
    }

    /// - Parameter text: the order of strings in it, where it is not that of their bytes.
    func compare(
        _ other: DocumentView, comparesNames: Bool, depth: Int, text: (any TextOrder)? = nil
    ) -> Int {
        // Validation refuses what is nested deeper, so this only guards the stack.
        guard depth <= Limits.nestingDepthMax else { return bytes.compareBytes(other.bytes) }
        var elements = makeIterator()
        var otherElements = other.makeIterator()
        while let element = elements.next() {
            guard let otherElement = otherElements.next() else { return 1 }
            if comparesNames {
                let rank = element.value.type.canonicalRank
                let otherRank = otherElement.value.type.canonicalRank
                if rank != otherRank { return Int(rank) - Int(otherRank) }
                let order = element.name.compareBytes(otherElement.name)
                if order != 0 { return order }
            }
            let order =
                if let text {
                    element.value.compareText(otherElement.value, text, depth: depth + 1)
                } else {
                    element.value.compare(otherElement.value, depth: depth + 1)
                }
            if order != 0 { return order }
        }
        return otherElements.next() == nil ? 0 : -1
    }

    func hash(into hasher: inout Hasher, includesNames: Bool, depth: Int) {
        guard depth <= Limits.nestingDepthMax else { return }
        var elements = makeIterator()
        var count = 0
        while let element = elements.next() {
            if includesNames { hashBytes(element.name, into: &hasher) }
            element.value.hash(into: &hasher, depth: depth + 1)
            count += 1
        }
        hasher.combine(count)
    }
}

// MARK: Numbers

extension ValueView {
    /// The number of an int32 or int64, else nil.
    @inline(__always)
    var integer: Int64? {
        if let int32 { return Int64(int32) }
        return int64
    }

    /// Exact order of two values that are known to be numbers.
    private func compareNumber(_ other: ValueView) -> Int {
        if let left = integer {
            if let right = other.integer { return order(left, right) }
            if let right = other.double { return compareExactly(left, right) }
            return -(other.decimal128?.compare(Decimal128(left)) ?? 0)
        }
        if let left = double {
            if let right = other.double { return compareDoubles(left, right) }
            if let right = other.integer { return -compareExactly(right, left) }
            return -(other.decimal128?.compare(left) ?? 0)
        }
        guard let left = decimal128 else { return 0 }
        if let right = other.integer { return left.compare(Decimal128(right)) }
        if let right = other.double { return left.compare(right) }
        return left.compare(other.decimal128 ?? .nan)
    }
}

@inline(__always)
private func order<T: Comparable>(_ left: T, _ right: T) -> Int {
    left < right ? -1 : (left > right ? 1 : 0)
}

/// NaN is below every number and equal to itself.
private func compareDoubles(_ left: Double, _ right: Double) -> Int {
    if left < right { return -1 }
    if left > right { return 1 }
    if left == right { return 0 }
    return (left.isNaN ? 0 : 1) - (right.isNaN ? 0 : 1)
}

/// Exact order of an integer and a double.
package func compareExactly(_ left: Int64, _ right: Double) -> Int {
    if right.isNaN || right < -0x1p63 { return 1 }
    if right >= 0x1p63 { return -1 }
    let whole = Int64(right)
    if left != whole { return left < whole ? -1 : 1 }
    // Of a double with a fraction, the whole part is below 2^53: the difference is exact.
    let fraction = right - Double(whole)
    return fraction > 0 ? -1 : (fraction < 0 ? 1 : 0)
}

/// Integers hash as Int64 whatever their type; what is none, by its bits.
func hashNumber(_ number: Double, into hasher: inout Hasher) {
    if let integer = Int64(exactly: number) {
        hasher.combine(integer)
    } else {
        hasher.combine(number.isNaN ? 0 : number.bitPattern)
    }
}

// MARK: Parts of payloads

/// The UTF-8 of a string's payload.
@inline(__always)
@_lifetime(copy payload)
func textBytes(_ payload: RawSpan) -> RawSpan {
    payload.extracting(unchecked: 4..<payload.byteCount - 1)
}

@inline(__always)
@_lifetime(copy payload)
private func afterLength(_ payload: RawSpan) -> RawSpan {
    payload.extracting(unchecked: 4..<payload.byteCount)
}

func hashBytes(_ bytes: RawSpan, into hasher: inout Hasher) {
    hasher.combine(bytes.byteCount)
    bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
}
