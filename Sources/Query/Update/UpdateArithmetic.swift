// $inc, $mul and $bit: the type rules of MongoDB's updates, which fail where expressions widen.

import BSON

/// A number as an update computes it, in its own type.
enum UpdateNumber {
    case int32(Int32)
    case int64(Int64)
    case double(Double)
    case decimal(Decimal128)

    /// The number of a value; nil for other types.
    init?(_ value: ValueView) {
        switch value.type {
        case .int32: self = .int32(value.int32 ?? 0)
        case .int64: self = .int64(value.int64 ?? 0)
        case .double: self = .double(value.double ?? 0)
        case .decimal128: self = .decimal(value.decimal128 ?? .zero)
        default: return nil
        }
    }

    /// The BSON type that holds it.
    var type: BSONType {
        switch self {
        case .int32: .int32
        case .int64: .int64
        case .double: .double
        case .decimal: .decimal128
        }
    }

    /// Zero in the same type.
    var zero: UpdateNumber {
        switch self {
        case .int32: .int32(0)
        case .int64: .int64(0)
        case .double: .double(0)
        case .decimal: .decimal(.zero)
        }
    }

    /// The sum; nil when int64 overflows. int32 widens to int64.
    func adding(_ other: UpdateNumber) -> UpdateNumber? {
        switch (self, other) {
        case (.decimal, _), (_, .decimal): return .decimal(decimal.add(other.decimal))
        case (.double, _), (_, .double): return .double(double + other.double)
        default: return narrowed(integer.addingReportingOverflow(other.integer), with: other)
        }
    }

    /// The product; nil when int64 overflows. int32 widens to int64.
    func multiplied(by other: UpdateNumber) -> UpdateNumber? {
        switch (self, other) {
        case (.decimal, _), (_, .decimal): return .decimal(decimal.multiply(other.decimal))
        case (.double, _), (_, .double): return .double(double * other.double)
        default:
            return narrowed(integer.multipliedReportingOverflow(by: other.integer), with: other)
        }
    }

    /// Whether both have one type and one value: then MongoDB sees no change and keeps what is
    /// stored, be it -0 for 0 or 1.0 for 1.00.
    func isIdentical(to other: UpdateNumber) -> Bool {
        switch (self, other) {
        case (.int32(let left), .int32(let right)): left == right
        case (.int64(let left), .int64(let right)): left == right
        case (.double(let left), .double(let right)):
            left == right || left.bitPattern == right.bitPattern
        case (.decimal(let left), .decimal(let right)): left == right
        default: false
        }
    }

    /// Writes the payload.
    func write(to writer: inout DocumentWriter) {
        switch self {
        case .int32(let number): writer.appendRaw(UInt32(bitPattern: number))
        case .int64(let number): writer.appendRaw(UInt64(bitPattern: number))
        case .double(let number): writer.appendRaw(number.bitPattern)
        case .decimal(let number):
            writer.appendRaw(number.low)
            writer.appendRaw(number.high)
        }
    }

    private func narrowed(
        _ result: (partialValue: Int64, overflow: Bool), with other: UpdateNumber
    ) -> UpdateNumber? {
        if result.overflow { return nil }
        if case .int32 = self, case .int32 = other,
            let narrow = Int32(exactly: result.partialValue)
        {
            return .int32(narrow)
        }
        return .int64(result.partialValue)
    }

    private var integer: Int64 {
        switch self {
        case .int32(let number): Int64(number)
        case .int64(let number): number
        case .double, .decimal: 0
        }
    }

    private var double: Double {
        switch self {
        case .int32(let number): Double(number)
        case .int64(let number): Double(number)
        case .double(let number): number
        case .decimal(let number): number.roundedDouble
        }
    }

    private var decimal: Decimal128 {
        switch self {
        case .int32(let number): Decimal128(number)
        case .int64(let number): Decimal128(number)
        case .double(let number): Decimal128(fifteenDigits: number)
        case .decimal(let number): number
        }
    }
}

extension UpdateOperation {
    /// Applies the steps of `$bit` to an integer; a missing field counts as int32 0.
    static func applyBits(_ steps: [BitStep], to value: UpdateNumber?) -> UpdateNumber? {
        var bits: Int64
        var isWide: Bool
        switch value {
        case nil: (bits, isWide) = (0, false)
        case .int32(let number)?: (bits, isWide) = (Int64(number), false)
        case .int64(let number)?: (bits, isWide) = (number, true)
        case .double?, .decimal?: return nil
        }
        for step in steps {
            isWide = isWide || step.isWide
            switch step.kind {
            case .and: bits &= step.operand
            case .or: bits |= step.operand
            case .xor: bits ^= step.operand
            }
        }
        // Sign extension keeps the result of int32 operands within int32.
        return isWide ? .int64(bits) : .int32(Int32(truncatingIfNeeded: bits))
    }
}
