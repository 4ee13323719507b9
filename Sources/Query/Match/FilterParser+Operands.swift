// Reads the operands of $type, $size, $mod and the operators on bits.

internal import BSON

extension FilterParser {
    // MARK: $type

    /// The types that a code, an alias or an array of them names. Errors: 2 unknown, 9 empty
    /// array, 14 neither number nor string.
    static func parseTypeSet(_ value: ValueView, _ name: String) throws(DBError) -> TypeSet {
        guard let list = value.array else { return try parseType(value, name) }
        var types = TypeSet()
        var elements = list.makeIterator()
        while let element = elements.next() {
            types.formUnion(try parseType(element.value, name))
        }
        if list.isEmpty { throw DBError(.failedToParse, "\(name) must match at least one type") }
        return types
    }

    private static func parseType(_ value: ValueView, _ name: String) throws(DBError) -> TypeSet {
        if value.type == .string {
            let alias = value.text
            if alias == "number" { return .numbers }
            guard let type = BSONType.allCases.first(where: { $0.alias == alias }) else {
                throw DBError(.badValue, "Unknown type name alias: \(alias)")
            }
            return TypeSet(type)
        }
        guard value.isNumeric else {
            throw DBError(
                .typeMismatch, "argument to \(name) is not a number or a string")
        }
        // As MongoDB reads it, a decimal names no type at all.
        if value.type == .decimal128 { return TypeSet() }
        guard let code = value.wholeInt64, let type = type(code: code) else {
            throw DBError(.badValue, "Invalid numerical type code: \(value.numberText)")
        }
        return TypeSet(type)
    }

    private static func type(code: Int64) -> BSONType? {
        if code == -1 { return .minKey }
        return UInt8(exactly: code).flatMap { $0 == 0xFF ? nil : BSONType(rawValue: $0) }
    }

    // MARK: $size, $mod

    func parseSize(_ value: ValueView) throws(DBError) -> Int {
        guard value.isNumeric else {
            throw DBError(
                .badValue, "Failed to parse $size. Expected a number, found \(value.type.alias)")
        }
        guard let size = value.wholeInt64 else {
            throw DBError(
                .badValue, "Failed to parse $size. Expected an integer: \(value.numberText)")
        }
        guard size >= 0 else {
            throw DBError(
                .badValue, "Failed to parse $size. Expected a non-negative number: \(size)")
        }
        guard size <= Int32.max else {
            throw DBError(
                .badValue, "Failed to parse $size. Expected a number of at most 32 bits: \(size)")
        }
        return Int(size)
    }

    func parseMod(_ path: FieldPath, _ value: ValueView) throws(DBError) -> FilterNode {
        guard let list = value.array else {
            throw DBError(.badValue, "malformed mod, needs to be an array")
        }
        var numbers: [Int64] = []
        var elements = list.makeIterator()
        while let element = elements.next() {
            let part = numbers.isEmpty ? "divisor" : "remainder"
            if numbers.count == 2 {
                throw DBError(.badValue, "malformed mod, too many elements")
            }
            guard element.value.isNumeric else {
                throw DBError(.badValue, "malformed mod, \(part) not a number")
            }
            guard let number = element.value.truncatedInt64 else {
                throw DBError(
                    .badValue,
                    "malformed mod, \(part) value is invalid: \(element.value.numberText)")
            }
            numbers.append(number)
        }
        guard numbers.count == 2 else {
            throw DBError(.badValue, "malformed mod, not enough elements")
        }
        if numbers[0] == 0 { throw DBError(.badValue, "divisor cannot be 0") }
        return .mod(path, divisor: numbers[0], remainder: numbers[1])
    }

    // MARK: Bits

    func parseBits(
        _ kind: BitsTest.Kind, _ name: String, _ value: ValueView
    ) throws(DBError) -> BitsTest {
        if let list = value.array {
            return BitsTest(kind, positions: try parsePositions(name, list))
        }
        if let binary = value.binary {
            var positions: [UInt32] = []
            for (index, byte) in [UInt8](copying: binary.content).enumerated() {
                for bit in 0..<8 where byte >> UInt8(bit) & 1 == 1 {
                    positions.append(UInt32(truncatingIfNeeded: index * 8 + bit))
                }
            }
            return BitsTest(kind, positions: positions)
        }
        guard value.isNumeric else {
            throw DBError(
                .badValue,
                "\(name) takes an Array, a number, or a BinData but received: "
                    + value.type.alias)
        }
        guard let mask = value.wholeInt64 else {
            throw DBError(
                .badValue,
                "Expected an integer that fits in 64 bits in \(name): "
                    + value.numberText)
        }
        guard mask >= 0 else {
            throw DBError(.badValue, "Expected a non-negative number in \(name): \(mask)")
        }
        return BitsTest(kind, positions: (0..<63).filter { mask >> Int64($0) & 1 == 1 })
    }

    private func parsePositions(
        _ name: String, _ list: DocumentView
    ) throws(DBError) -> [UInt32] {
        var positions: [UInt32] = []
        var elements = list.makeIterator()
        while let element = elements.next() {
            guard element.value.isNumeric, let position = element.value.wholeInt64 else {
                throw DBError(
                    .badValue, "Failed to parse bit position in \(name). Expected an integer")
            }
            guard position >= 0, let position = Int32(exactly: position) else {
                throw DBError(
                    .badValue,
                    "Failed to parse bit position in \(name): \(position) is not within "
                        + "0 and \(Int32.max)")
            }
            positions.append(UInt32(position))
        }
        return positions
    }
}

extension ValueView {
    /// A number as text, for messages.
    var numberText: String {
        switch type {
        case .int32: String(int32 ?? 0)
        case .int64: String(int64 ?? 0)
        case .double: String(double ?? 0)
        case .decimal128: decimal128.map { String(describing: $0) } ?? ""
        default: type.alias
        }
    }
}
