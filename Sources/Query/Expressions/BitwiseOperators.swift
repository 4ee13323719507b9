// $bitAnd $bitOr $bitXor $bitNot, on int32 and int64.

import BSON

enum BitwiseOperators {
    static let rows: [OperatorRow] = [
        row("$bitAnd", identity: -1, &), row("$bitOr", identity: 0, |),
        row("$bitXor", identity: 0, ^),
        .unary("$bitNot") { arguments, context throws(DBError) in
            let value = arguments(0, context)
            switch try ArithmeticOperators.number(value, "$bitNot") {
            case .int32(let number): return context.make(~number)
            case .int64(let number): return context.make(~number)
            default: throw mismatch(value, "$bitNot")
            }
        },
    ]

    private static func row(
        _ name: String, identity: Int64,
        _ combine: @escaping @Sendable (Int64, Int64) -> Int64
    ) -> OperatorRow {
        .list(name, OperatorTable.any, .nullIfAny) { arguments, context throws(DBError) in
            var bits = identity
            var isWide = false
            for index in 0..<arguments.count {
                let value = arguments(index, context)
                guard let number = Number(value)?.integer else { throw mismatch(value, name) }
                if value.isType(.int64) { isWide = true }
                bits = combine(bits, number)
            }
            return context.make(isWide ? .int64(bits) : .int32(Int32(truncatingIfNeeded: bits)))
        }
    }

    private static func mismatch(_ value: ValueRef, _ name: String) -> DBError {
        DBError(
            .typeMismatch, "\(name) only supports int and long operands, not \(value.typeName)")
    }
}
