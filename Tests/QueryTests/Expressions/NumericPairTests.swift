import BSON
import TestSupport
import Testing

@testable import Query

@Suite struct NumericPairTests {
    static let integers: [Int64] = [
        0, 1, -1, 2, 1 << 31, -(1 << 31), (1 << 31) - 1, 1 << 53, (1 << 53) + 1, .max, .min,
        .max - 1,
    ]

    static let numbers: [Value] =
        integers.flatMap { integer -> [Value] in
            var forms: [Value] = [.int64(integer), .double(Double(integer))]
            if let small = Int32(exactly: integer) { forms.append(.int32(small)) }
            forms.append(Value(Decimal128(integer)))
            return forms
        } + [.double(.infinity), .double(-.infinity), .double(.nan), -0.0, 0.5]

    private func integer(_ value: Value) -> (value: Int64, isInt32: Bool)? {
        switch value {
        case .int32(let number): (Int64(number), true)
        case .int64(let number): (number, false)
        default: nil
        }
    }

    /// Integer pairs: exact in 128 bits, the narrowest type from the arguments' on, else a double.
    @Test(arguments: ["$add", "$subtract", "$multiply"])
    func integerPairs(_ name: String) {
        for left in Self.numbers {
            for right in Self.numbers {
                guard let first = integer(left), let second = integer(right) else { continue }
                let exact: Int128 =
                    switch name {
                    case "$add": Int128(first.value) + Int128(second.value)
                    case "$subtract": Int128(first.value) - Int128(second.value)
                    default: Int128(first.value) * Int128(second.value)
                    }
                let call: Value = .document(Document { $0.append(name, .array([left, right])) })
                guard let fitting = Int64(exactly: exact) else {
                    let expected: Double =
                        switch name {
                        case "$add": Double(exact)
                        case "$subtract": Double(first.value) - Double(second.value)
                        default: Double(first.value) * Double(second.value)
                        }
                    #expect(evaluate(call) == .value(.double(expected)))
                    continue
                }
                let narrow = first.isInt32 && second.isInt32
                let expected: Value =
                    narrow
                    ? Int32(exactly: fitting).map { .int32($0) } ?? .int64(fitting)
                    : .int64(fitting)
                #expect(evaluate(call) == .value(expected), "\(left) \(name) \(right)")
            }
        }
    }

    /// The type of every pair's result, and that a field gives what a constant does.
    @Test(arguments: ["$add", "$subtract", "$multiply", "$divide", "$mod", "$pow", "$cmp", "$eq"])
    func typesAndFields(_ name: String) {
        for left in Self.numbers.enumerated().filter({ $0.offset % 2 == 0 }).map({ $0.element }) {
            for right in Self.numbers {
                let constant: Value = .document(
                    Document { $0.append(name, .array([left, right])) })
                let fields: Value = .document(Document { $0.append(name, .array(["$l", "$r"])) })
                let document = Document {
                    $0.append("l", left)
                    $0.append("r", right)
                }
                let outcome = evaluate(constant)
                let other = evaluate(fields, document)
                #expect("\(outcome)" == "\(other)", "\(name) \(left) \(right)")
                guard name.count > 4, case .value(let value) = outcome else { continue }
                if left.type == .decimal128 || right.type == .decimal128 {
                    #expect(value.type == .decimal128)
                } else if left.type == .double || right.type == .double {
                    #expect(value.type == .double)
                }
            }
        }
    }

    /// A compensated sum: what plain addition gets wrong in the last digits.
    @Test func compensatedSum() {
        let tenths = Value.array(Array(repeating: 0.1, count: 100))
        #expect(evaluate(["$sum": [tenths]]) == .value(10.0))
        #expect(evaluate(["$sum": [[1e100, 1.0, -1e100]]]) == .value(1.0))
        #expect(evaluate(["$avg": [tenths]]) == .value(0.1))
        #expect(evaluate(["$sum": [[.int64(.max), .int64(.max)]]]) == .value(.double(0x1p64)))
    }
}
