// $arrayElemAt $first $last $size $in $isArray $concatArrays $slice $range $reverseArray
// $indexOfArray.

import BSON

enum ArrayOperators {
    static let rows: [OperatorRow] = [
        .list("$arrayElemAt", 2...2, .nullIfAny, elementAt),
        .unary("$first") { arguments, context throws(DBError) in
            try element(arguments(0, context), at: 0, "$first")
        },
        .unary("$last") { arguments, context throws(DBError) in
            try element(arguments(0, context), at: -1, "$last")
        },
        .list("$size", 1...1, .passed) { arguments, context throws(DBError) in
            let value = arguments(0, context)
            guard value.isType(.array) else {
                throw .location(
                    17124,
                    "The argument to $size must be an array, but was of type: "
                        + value.typeName)
            }
            return context.make(Int32(truncatingIfNeeded: value.nested.count))
        },
        .list("$isArray", 1...1, .passed) { arguments, context in
            context.make(arguments(0, context).isType(.array))
        },
        .list("$in", 2...2, .passed, isIn),
        .list("$concatArrays", OperatorTable.any, .passed, concatArrays),
        .list("$slice", 2...3, .nullIfAny, slice),
        .list("$range", 2...3, .passed, range),
        .unary("$reverseArray", reversed),
        .list("$indexOfArray", 2...4, .passed, indexOf),
    ]

    @Sendable
    private static func elementAt(
        _ arguments: Arguments, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        let array = arguments(0, context)
        try checkArray(array, "$arrayElemAt")
        let index = try Coercion.wholeInt32(
            arguments(1, context), "$arrayElemAt's second argument", notNumeric: 28690,
            notWhole: 28691)
        return try element(array, at: index, "$arrayElemAt")
    }

    private static func checkArray(_ value: ValueRef, _ name: String) throws(DBError) {
        guard value.isType(.array) else {
            throw .location(
                28689, "\(name)'s first argument must be an array, but is \(value.typeName)")
        }
    }

    /// The element at a position, negative ones from the end; missing out of range.
    private static func element(
        _ array: ValueRef, at index: Int, _ name: String
    ) throws(DBError) -> ValueRef {
        try checkArray(array, name)
        let wanted = index < 0 ? array.nested.count + index : index
        guard wanted >= 0 else { return .missing }
        var elements = array.nested.makeIterator()
        var position = 0
        while let element = elements.next() {
            if position == wanted { return ValueRef(element.value) }
            position += 1
        }
        return .missing
    }

    @Sendable
    private static func isIn(
        _ arguments: Arguments, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        let wanted = arguments(0, context)
        let array = arguments(1, context)
        guard array.isType(.array) else {
            throw .location(
                40081, "$in requires an array as a second argument, found: \(array.typeName)")
        }
        var elements = array.nested.makeIterator()
        while let element = elements.next() {
            if ValueRef(element.value).compare(wanted, context.collation) == 0 {
                return context.make(true)
            }
        }
        return context.make(false)
    }

    @Sendable
    private static func concatArrays(
        _ arguments: Arguments, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        for index in 0..<arguments.count {
            let value = arguments(index, context)
            if value.isNullish { return .null }
            guard value.isType(.array) else {
                throw .location(
                    28664, "$concatArrays only supports arrays, not \(value.typeName)")
            }
        }
        let start = context.stack.count
        var size = 0
        for index in 0..<arguments.count {
            let array = arguments(index, context)
            size += Int(array.length)
            try context.checkBounds(growth: size)
            pushElements(of: array, &context)
        }
        return context.makeArray(fromStack: start)
    }

    /// Puts all elements on the stack.
    static func pushElements(of array: ValueRef, _ context: inout EvaluationContext) {
        var elements = array.nested.makeIterator()
        while let element = elements.next() { context.stack.append(ValueRef(element.value)) }
    }

    @Sendable
    private static func slice(
        _ arguments: Arguments, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        let array = arguments(0, context)
        for index in 0..<arguments.count where arguments(index, context).isNullish { return .null }
        guard array.isType(.array) else {
            throw .location(
                28724,
                "First argument to $slice must be an array, but is of type: "
                    + array.typeName)
        }
        let second = try Coercion.wholeInt32(
            arguments(1, context), "Second argument to $slice", notNumeric: 28725, notWhole: 28726)
        let size = array.nested.count
        var from = 0
        var end = size
        if arguments.count == 2 {
            if second >= 0 { end = min(size, second) } else { from = max(0, size + second) }
        } else {
            let third = try Coercion.wholeInt32(
                arguments(2, context), "Third argument to $slice", notNumeric: 28727,
                notWhole: 28728)
            guard third > 0 else {
                throw .location(28729, "Third argument to $slice must be positive: \(third)")
            }
            from = second < 0 ? max(0, size + second) : min(size, second)
            end = min(size, from + third)
        }
        let start = context.stack.count
        var elements = array.nested.makeIterator()
        var position = 0
        while position < end, let element = elements.next() {
            if position >= from { context.stack.append(ValueRef(element.value)) }
            position += 1
        }
        return context.makeArray(fromStack: start)
    }

    @Sendable
    private static func range(
        _ arguments: Arguments, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        let start = try Coercion.wholeInt32(
            arguments(0, context), "$range's starting value", notNumeric: 34443, notWhole: 34444)
        let end = try Coercion.wholeInt32(
            arguments(1, context), "$range's ending value", notNumeric: 34445, notWhole: 34446)
        var step = 1
        if arguments.count > 2 {
            step = try Coercion.wholeInt32(
                arguments(2, context), "$range's step value", notNumeric: 34447, notWhole: 34448)
        }
        guard step != 0 else { throw .location(34449, "$range requires a non-zero step value") }
        let base = context.stack.count
        for value in stride(from: start, to: end, by: step) {
            let number = context.make(Int32(truncatingIfNeeded: value))
            context.stack.append(number)
            try context.checkBounds()
        }
        return context.makeArray(fromStack: base)
    }

    @Sendable
    private static func reversed(
        _ arguments: Arguments, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        let array = arguments(0, context)
        guard array.isType(.array) else {
            throw .location(
                34435,
                "The argument to $reverseArray must be an array, but was of type: "
                    + array.typeName)
        }
        let start = context.stack.count
        pushElements(of: array, &context)
        context.stack[start...].reverse()
        return context.makeArray(fromStack: start)
    }

    @Sendable
    private static func indexOf(
        _ arguments: Arguments, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        let array = arguments(0, context)
        if array.isNullish { return .null }
        guard array.isType(.array) else {
            throw .location(
                40090,
                "$indexOfArray requires an array as a first argument, found: "
                    + array.typeName)
        }
        let wanted = arguments(1, context)
        let start = arguments.count > 2 ? try bound(arguments(2, context), "starting") : 0
        let end = arguments.count > 3 ? try bound(arguments(3, context), "ending") : Int.max
        var elements = array.nested.makeIterator()
        var position = 0
        while position < end, let element = elements.next() {
            if position >= start, ValueRef(element.value).compare(wanted, context.collation) == 0 {
                return context.make(Int32(truncatingIfNeeded: position))
            }
            position += 1
        }
        return context.make(Int32(-1))
    }

    private static func bound(_ value: ValueRef, _ which: String) throws(DBError) -> Int {
        if value.isNullish {
            throw .location(
                9_711_600, "$indexOfArray requires an integral \(which) index, found null")
        }
        return try StringSearchOperators.position(value, "$indexOfArray", which)
    }
}
