// $zip $sortArray.

import BSON

enum ArrayArrangementOperators {
    static let rows: [OperatorRow] = [
        .custom("$zip", parseZip), .custom("$sortArray", parseSort),
    ]

    // MARK: $zip

    /// Children: the inputs, then as many defaults if there are any.
    private static func zip(inputs count: Int, toLongest: Bool) -> StrictOperator {
        StrictOperator(nullRule: .passed) { arguments, context throws(DBError) in
            var length = toLongest ? 0 : Int.max
            for index in 0..<count {
                let input = arguments(index, context)
                if input.isNullish { return .null }
                guard input.isType(.array) else {
                    throw .location(
                        34468,
                        "$zip found a non-array expression in input: \(input.typeName)")
                }
                let size = input.nested.count
                length = toLongest ? max(length, size) : min(length, size)
            }
            // All values, input by input; then taken crosswise.
            let start = context.stack.count
            for index in 0..<count {
                var elements = arguments(index, context).nested.makeIterator()
                for _ in 0..<length {
                    var value = arguments(count + index, context)
                    if let element = elements.next() { value = ValueRef(element.value) }
                    context.stack.append(value)
                }
                try context.checkBounds()
            }
            let rows = context.stack.count
            for place in 0..<length {
                let row = context.stack.count
                for index in 0..<count {
                    context.stack.append(context.stack[start + index * length + place])
                }
                let array = context.makeArray(fromStack: row)
                context.stack.append(array)
                try context.checkBounds()
            }
            let result = context.makeArray(fromStack: rows)
            context.stack.removeSubrange(start...)
            return result
        }
    }

    @Sendable
    private static func parseZip(
        _ argument: ValueView, _ program: inout ProgramBuilder
    ) throws(DBError) -> Int {
        guard let object = argument.document else {
            throw .location(
                34460, "$zip only supports an object as an argument, found \(argument.type.alias)")
        }
        var inputs: [Int] = []
        var defaults: [Int] = []
        var toLongest = false
        var elements = object.makeIterator()
        while let element = elements.next() {
            switch element.nameString {
            case "inputs":
                inputs = try list(element.value, "inputs", 34461, &program)
            case "defaults":
                defaults = try list(element.value, "defaults", 34462, &program)
            case "useLongestLength":
                guard let truth = element.value.bool else {
                    throw .location(
                        34463,
                        "useLongestLength must be a bool, found \(element.value.type.alias)")
                }
                toLongest = truth
            case let name: throw .location(34464, "$zip found an unknown argument: \(name)")
            }
        }
        guard !inputs.isEmpty else {
            throw .location(34465, "$zip requires at least one input array")
        }
        guard defaults.isEmpty || toLongest else {
            throw .location(
                34466, "cannot specify defaults unless useLongestLength is true")
        }
        guard defaults.isEmpty || defaults.count == inputs.count else {
            throw .location(
                34467, "defaults and inputs must have the same length")
        }
        return try program.strict(
            zip(inputs: inputs.count, toLongest: toLongest), inputs + defaults)
    }

    private static func list(
        _ value: ValueView, _ name: String, _ code: Int32, _ program: inout ProgramBuilder
    ) throws(DBError) -> [Int] {
        guard let list = value.array else {
            throw .location(
                code, "\(name) must be an array of expressions, found \(value.type.alias)")
        }
        var nodes: [Int] = []
        var elements = list.makeIterator()
        while let element = elements.next() { nodes.append(try program.parse(element.value)) }
        return nodes
    }

    // MARK: $sortArray

    private static func sort(by order: PushSort) -> StrictOperator {
        StrictOperator(nullRule: .nullIfAny) { arguments, context throws(DBError) in
            let input = arguments(0, context)
            guard input.isType(.array) else {
                throw .location(
                    2_942_504,
                    "The input argument to $sortArray must be an array, but was of type: "
                        + input.typeName)
            }
            let start = context.stack.count
            ArrayOperators.pushElements(of: input, &context)
            let collation = context.collation
            try context.sortStack(from: start) { order.compare($0.view, $1.view, collation) }
            return context.makeArray(fromStack: start)
        }
    }

    @Sendable
    private static func parseSort(
        _ argument: ValueView, _ program: inout ProgramBuilder
    ) throws(DBError) -> Int {
        guard let object = argument.document else {
            throw .location(
                2_942_500,
                "$sortArray requires an object as an argument, found: \(argument.type.alias)")
        }
        var input: Int?
        var order: PushSort?
        var elements = object.makeIterator()
        while let element = elements.next() {
            switch element.nameString {
            case "input": input = try program.parse(element.value)
            case "sortBy": order = try PushSort(element.value)
            case let name:
                throw .location(2_942_501, "$sortArray found an unknown argument: \(name)")
            }
        }
        guard let input else {
            throw .location(2_942_502, "$sortArray requires 'input' to be specified")
        }
        guard let order else {
            throw .location(2_942_503, "$sortArray requires 'sortBy' to be specified")
        }
        return try program.strict(sort(by: order), [input])
    }
}
