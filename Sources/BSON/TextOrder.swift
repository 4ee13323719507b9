// Orders of strings other than that of their bytes.
//
// A collation (Query) gives strings another order; everything else keeps its own. Comparison and
// key encoding under one are functions of their own beside the plain ones, so that queries without
// a collation pass through nothing that asks for it. Names of fields, code and patterns are never
// collated.

/// An order of strings. All functions may be called on several threads at once.
package protocol TextOrder: AnyObject, Sendable {
    /// Order of two strings of UTF-8: negative, zero or positive.
    func compare(_ left: RawSpan, _ right: RawSpan) -> Int

    /// Appends bytes without a zero whose memcmp order, ended by a zero, is this order; equal
    /// strings have equal ones.
    func appendSortKey(of utf8: RawSpan, to key: inout [UInt8])
}

extension BSONType {
    /// Whether values of this type may depend on the order of strings.
    package var mayHoldText: Bool {
        switch self {
        case .string, .symbol, .document, .array, .codeWithScope: true
        default: false
        }
    }
}

extension ValueView {
    /// MongoDB's order with strings in an order of their own, at any depth.
    package func compare(_ other: ValueView, _ order: (any TextOrder)?) -> Int {
        guard let order else { return compare(other) }
        return compareText(other, order, depth: 0)
    }

    /// Whether `compare` under this order finds no difference.
    package func equals(_ other: ValueView, _ order: (any TextOrder)?) -> Bool {
        guard let order else { return equals(other) }
        return compareText(other, order, depth: 0) == 0
    }

    func compareText(_ other: ValueView, _ order: any TextOrder, depth: Int) -> Int {
        let rank = type.canonicalRank
        guard rank == other.type.canonicalRank else { return compare(other, depth: depth) }
        switch type {
        case .string, .symbol: return order.compare(textBytes(bytes), textBytes(other.bytes))
        case .document, .array:
            return DocumentView(bytes).compare(
                DocumentView(other.bytes), comparesNames: type == .document, depth: depth,
                text: order)
        case .codeWithScope:
            guard let parts = codeWithScope, let otherParts = other.codeWithScope else {
                return compare(other, depth: depth)
            }
            let difference = parts.code.compareBytes(otherParts.code)
            if difference != 0 { return difference }
            return parts.scope.compare(
                otherParts.scope, comparesNames: true, depth: depth, text: order)
        default: return compare(other, depth: depth)
        }
    }
}

extension KeyEncoder {
    /// Appends the key of a value with strings in an order of their own, at any depth. Keys made
    /// under different orders must not be compared.
    package mutating func append(
        _ value: ValueView, descending: Bool = false, order: (any TextOrder)?
    ) {
        guard let order, value.type.mayHoldText else {
            return append(value, descending: descending)
        }
        let start = bytes.count
        encode(value, order, depth: 0)
        if descending { invert(from: start) }
    }

    private mutating func encode(_ value: ValueView, _ order: any TextOrder, depth: Int) {
        switch value.type {
        case .string, .symbol:
            bytes.append(header(.string))
            order.appendSortKey(of: textBytes(value.bytes), to: &bytes)
            bytes.append(0)
        case .document:
            bytes.append(header(.document))
            encodeFields(of: DocumentView(value.bytes), order, hasNames: true, depth: depth)
        case .array:
            bytes.append(header(.array))
            encodeFields(of: DocumentView(value.bytes), order, hasNames: false, depth: depth)
        case .codeWithScope:
            bytes.append(header(.codeWithScope))
            guard let parts = value.codeWithScope else { return }
            appendEscaped(parts.code)
            bytes.append(0)
            encodeFields(of: parts.scope, order, hasNames: true, depth: depth)
        default: encode(value, depth: depth)
        }
    }

    private mutating func encodeFields(
        of document: DocumentView, _ order: any TextOrder, hasNames: Bool, depth: Int
    ) {
        guard depth <= Limits.nestingDepthMax else { return bytes.append(0) }
        var elements = document.makeIterator()
        while let element = elements.next() {
            if hasNames {
                bytes.append(element.value.type.canonicalRank << 3)
                bytes.append(copying: element.name)
                bytes.append(0)
            }
            encode(element.value, order, depth: depth + 1)
        }
        bytes.append(0)
    }
}
