// $setUnion $setIntersection $setDifference $setEquals $setIsSubset $allElementsTrue
// $anyElementTrue: arrays as sets of values, equal as comparisons see it.
//
// The elements lie on the evaluation's stack, where runs of them are sorted; of equal values the
// first one stays.

import BSON

enum SetOperators {
    static let rows: [OperatorRow] = [
        .list("$setUnion", OperatorTable.any, .nullIfAny, union),
        .list("$setIntersection", OperatorTable.any, .nullIfAny, intersection),
        .list("$setDifference", 2...2, .nullIfAny, difference),
        .custom("$setEquals", parseEquals),
        .list("$setIsSubset", 2...2, .passed, isSubset),
        .list("$allElementsTrue", 1...1, .passed) { arguments, context throws(DBError) in
            let value = arguments(0, context)
            try checkArray(value, "$allElementsTrue's argument", 17040)
            return context.make(!hasElement(value, thatIs: false))
        },
        .list("$anyElementTrue", 1...1, .passed) { arguments, context throws(DBError) in
            let value = arguments(0, context)
            try checkArray(value, "$anyElementTrue's argument", 17041)
            return context.make(hasElement(value, thatIs: true))
        },
    ]

    private static func checkArray(
        _ value: ValueRef, _ what: String, _ code: Int32
    ) throws(DBError) {
        guard value.isType(.array) else {
            throw .location(code, "\(what) must be an array, but is \(value.typeName)")
        }
    }

    private static func hasElement(_ array: ValueRef, thatIs truth: Bool) -> Bool {
        var elements = array.nested.makeIterator()
        while let element = elements.next() {
            if element.value.isTruthy == truth { return true }
        }
        return false
    }

    // MARK: Sorted runs

    /// Sorts the values on the stack from `start` on and drops all but the first of equal ones.
    private static func makeSet(
        _ start: Int, _ context: inout EvaluationContext
    ) throws(DBError) {
        let collation = context.collation
        // The first of equal values comes first.
        try context.sortStack(from: start) { $0.compare($1, collation) }
        var end = start
        for index in start..<context.stack.count {
            let value = context.stack[index]
            if end > start, context.stack[end - 1].compare(value, collation) == 0 { continue }
            context.stack[end] = value
            end += 1
        }
        context.stack.removeSubrange(end...)
    }

    /// Whether a value is in the sorted run.
    private static func contains(
        _ run: Range<Int>, _ value: ValueRef, _ context: borrowing EvaluationContext
    ) -> Bool {
        var low = run.lowerBound
        var high = run.upperBound
        while low < high {
            let middle = (low + high) / 2
            let order = context.stack[middle].compare(value, context.collation)
            if order == 0 { return true }
            if order < 0 { low = middle + 1 } else { high = middle }
        }
        return false
    }

    // MARK: Operators

    @Sendable
    private static func union(
        _ arguments: Arguments, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        for index in 0..<arguments.count {
            try checkArray(arguments(index, context), "Each operand of $setUnion", 17043)
        }
        let start = context.stack.count
        for index in 0..<arguments.count {
            ArrayOperators.pushElements(of: arguments(index, context), &context)
            try context.checkBounds()
        }
        try makeSet(start, &context)
        return context.makeArray(fromStack: start)
    }

    @Sendable
    private static func intersection(
        _ arguments: Arguments, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        for index in 0..<arguments.count {
            try checkArray(arguments(index, context), "Each operand of $setIntersection", 17047)
        }
        let start = context.stack.count
        guard arguments.count > 0 else { return context.makeArray(fromStack: start) }
        ArrayOperators.pushElements(of: arguments(0, context), &context)
        try makeSet(start, &context)
        for index in 1..<max(arguments.count, 1) {
            let end = context.stack.count
            ArrayOperators.pushElements(of: arguments(index, context), &context)
            try makeSet(end, &context)
            let run = end..<context.stack.count
            var kept = start
            for place in start..<end where contains(run, context.stack[place], context) {
                context.stack[kept] = context.stack[place]
                kept += 1
            }
            context.stack.removeSubrange(kept...)
            try context.checkBounds()
        }
        return context.makeArray(fromStack: start)
    }

    /// Keeps the order of the first operand.
    @Sendable
    private static func difference(
        _ arguments: Arguments, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        try checkArray(arguments(0, context), "The first operand of $setDifference", 17048)
        try checkArray(arguments(1, context), "The second operand of $setDifference", 17049)
        let start = context.stack.count
        ArrayOperators.pushElements(of: arguments(1, context), &context)
        try makeSet(start, &context)
        let run = start..<context.stack.count
        let kept = context.stack.count
        var elements = arguments(0, context).nested.makeIterator()
        while let element = elements.next() {
            let value = ValueRef(element.value)
            if !contains(run, value, context) { context.stack.append(value) }
        }
        dropRepeated(kept, &context)
        let result = context.makeArray(fromStack: kept)
        context.stack.removeSubrange(start...)
        return result
    }

    /// Drops values from `start` on that equal an earlier one, and keeps the order of the others.
    private static func dropRepeated(_ start: Int, _ context: inout EvaluationContext) {
        let collation = context.collation
        let values = Array(context.stack[start...])
        var order = Array(values.indices)
        order.sort {
            let order = values[$0].compare(values[$1], collation)
            return order == 0 ? $0 < $1 : order < 0
        }
        var isRepeated = Array(repeating: false, count: values.count)
        for (first, second) in zip(order, order.dropFirst())
        where values[first].compare(values[second], collation) == 0 { isRepeated[second] = true }
        context.stack.removeSubrange(start...)
        for (index, value) in values.enumerated() where !isRepeated[index] {
            context.stack.append(value)
        }
    }

    private static let equals = StrictOperator(nullRule: .passed) {
        arguments, context throws(DBError) in
        for index in 0..<arguments.count {
            try checkArray(arguments(index, context), "Each operand of $setEquals", 17044)
        }
        let start = context.stack.count
        ArrayOperators.pushElements(of: arguments(0, context), &context)
        try makeSet(start, &context)
        let size = context.stack.count - start
        var areEqual = true
        for index in 1..<arguments.count where areEqual {
            let next = context.stack.count
            ArrayOperators.pushElements(of: arguments(index, context), &context)
            try makeSet(next, &context)
            areEqual = context.stack.count - next == size
            for offset in 0..<size where areEqual {
                let order = context.stack[start + offset].compare(
                    context.stack[next + offset], context.collation)
                areEqual = order == 0
            }
            context.stack.removeSubrange(next...)
        }
        context.stack.removeSubrange(start...)
        return context.make(areEqual)
    }

    @Sendable
    private static func parseEquals(
        _ argument: ValueView, _ program: inout ProgramBuilder
    ) throws(DBError) -> Int {
        let nodes = try OperatorTable.parseList(
            "$setEquals", argument, OperatorTable.any, &program)
        guard nodes.count >= 2 else {
            throw .location(17045, "$setEquals needs at least two arguments, had: \(nodes.count)")
        }
        return try program.strict(equals, nodes)
    }

    @Sendable
    private static func isSubset(
        _ arguments: Arguments, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        try checkArray(arguments(0, context), "The first operand of $setIsSubset", 17046)
        try checkArray(arguments(1, context), "The second operand of $setIsSubset", 17042)
        let start = context.stack.count
        ArrayOperators.pushElements(of: arguments(1, context), &context)
        try makeSet(start, &context)
        let run = start..<context.stack.count
        var isSubset = true
        var elements = arguments(0, context).nested.makeIterator()
        while isSubset, let element = elements.next() {
            isSubset = contains(run, ValueRef(element.value), context)
        }
        context.stack.removeSubrange(start...)
        return context.make(isSubset)
    }
}
