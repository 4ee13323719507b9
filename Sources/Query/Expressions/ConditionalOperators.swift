// $and $or $not $cond $ifNull $switch: they evaluate only what they need.

import BSON

enum ConditionalOperators {
    static let rows: [OperatorRow] = [
        .lazy("$and", OperatorTable.any) { call, context throws(DBError) in
            for index in 0..<call.count where !(try call(index, &context).isTruthy) {
                return context.make(false)
            }
            return context.make(true)
        },
        .lazy("$or", OperatorTable.any) { call, context throws(DBError) in
            for index in 0..<call.count where try call(index, &context).isTruthy {
                return context.make(true)
            }
            return context.make(false)
        },
        .list("$not", 1...1, .passed) { arguments, context in
            context.make(!arguments(0, context).isTruthy)
        },
        .custom("$cond", parseCondition),
        .custom("$ifNull", parseIfNull),
        .custom("$switch", parseSwitch),
    ]

    private static let condition = LazyOperator { call, context throws(DBError) in
        let isTrue = try call(0, &context).isTruthy
        return try call(isTrue ? 1 : 2, &context)
    }

    @Sendable
    private static func parseCondition(
        _ argument: ValueView, _ program: inout ProgramBuilder
    ) throws(DBError) -> Int {
        var parts: [Int?] = [nil, nil, nil]
        let names: [StaticString] = ["if", "then", "else"]
        if let list = argument.array, list.count == 3 {
            var index = 0
            var elements = list.makeIterator()
            while let element = elements.next() {
                parts[index] = try parsePart(element.value, index, parts[0], &program)
                index += 1
            }
            return program.lazy(condition, parts.compactMap { $0 })
        }
        guard let object = argument.document else {
            let arguments = try OperatorTable.parseList("$cond", argument, 3...3, &program)
            return program.lazy(condition, arguments)
        }
        var elements = object.makeIterator()
        while let element = elements.next() {
            if names.contains(where: { element.name.equals($0) }) { continue }
            throw .location(17083, "Unrecognized parameter to $cond: \(element.nameString)")
        }
        for (index, name) in names.enumerated() {
            guard let value = object.value(name) else {
                throw .location(17080 + Int32(index), "Missing '\(name)' parameter to $cond")
            }
            parts[index] = try parsePart(value, index, parts[0], &program)
        }
        return program.lazy(condition, parts.compactMap { $0 })
    }

    /// The branch that a constant condition does not choose never counts.
    private static func parsePart(
        _ value: ValueView, _ index: Int, _ condition: Int?, _ program: inout ProgramBuilder
    ) throws(DBError) -> Int {
        let chosen = condition.flatMap { program.constantTruth($0) }
        let isTaken = chosen.map { $0 == (index == 1) } ?? true
        return try program.parse(value, isTaken: index == 0 || isTaken)
    }

    private static let ifNull = LazyOperator { call, context throws(DBError) in
        for index in 0..<call.count - 1 {
            let value = try call(index, &context)
            if !value.isNullish { return value }
        }
        return try call(call.count - 1, &context)
    }

    @Sendable
    private static func parseIfNull(
        _ argument: ValueView, _ program: inout ProgramBuilder
    ) throws(DBError) -> Int {
        let arguments = try OperatorTable.parseList(
            "$ifNull", argument, OperatorTable.any, &program)
        guard arguments.count >= 2 else {
            throw .location(
                1_257_300, "$ifNull needs at least two arguments, had: \(arguments.count)")
        }
        return program.lazy(ifNull, arguments)
    }

    /// Children: case, then, case, then, …, default (absent where not written).
    private static let switchOperator = LazyOperator { call, context throws(DBError) in
        let branches = (call.count - 1) / 2
        for branch in 0..<branches {
            if try call(branch * 2, &context).isTruthy {
                return try call(branch * 2 + 1, &context)
            }
        }
        let value = try call(call.count - 1, &context)
        if value.isAbsent {
            throw .location(
                40066,
                "$switch could not find a matching branch for an input, and no default was "
                    + "specified.")
        }
        return value
    }

    @Sendable
    private static func parseSwitch(
        _ argument: ValueView, _ program: inout ProgramBuilder
    ) throws(DBError) -> Int {
        guard let object = argument.document else {
            throw .location(
                40060, "$switch requires an object as an argument, found: \(argument.type.alias)")
        }
        var arguments: [Int] = []
        var otherwise: Int?
        // A case that is always true ends the search.
        var isOpen = true
        var elements = object.makeIterator()
        while let element = elements.next() {
            switch element.nameString {
            case "branches":
                guard let branches = element.value.array else {
                    throw .location(
                        40061,
                        "$switch expected an array for 'branches', found: "
                            + element.value.type.alias)
                }
                var branch = branches.makeIterator()
                while let next = branch.next() {
                    arguments += try parseBranch(next.value, isOpen: isOpen, &program)
                    if program.constantTruth(arguments[arguments.count - 2]) == true {
                        isOpen = false
                    }
                }
            case "default": otherwise = try program.parse(element.value)
            case let name: throw .location(40067, "$switch found an unknown argument: \(name)")
            }
        }
        guard !arguments.isEmpty else {
            throw .location(40068, "$switch requires at least one branch.")
        }
        if otherwise == nil, allCasesFalse(arguments, program) {
            throw .location(
                40069,
                "One cannot execute a switch statement where all the cases evaluate to false "
                    + "without a default.")
        }
        arguments.append(otherwise ?? program.add(.absent))
        return program.lazy(switchOperator, arguments)
    }

    private static func allCasesFalse(_ arguments: [Int], _ program: ProgramBuilder) -> Bool {
        for index in stride(from: 0, to: arguments.count, by: 2) {
            if program.constantTruth(arguments[index]) != false { return false }
        }
        return true
    }

    private static func parseBranch(
        _ value: ValueView, isOpen: Bool, _ program: inout ProgramBuilder
    ) throws(DBError) -> [Int] {
        guard let object = value.document else {
            throw .location(
                40062, "$switch expected each branch to be an object, found: \(value.type.alias)")
        }
        var elements = object.makeIterator()
        while let element = elements.next() {
            switch element.nameString {
            case "case", "then": continue
            case let name:
                throw .location(40063, "$switch found an unknown argument to a branch: \(name)")
            }
        }
        guard let condition = object.value("case") else {
            throw .location(40064, "$switch requires each branch have a 'case' expression")
        }
        guard let result = object.value("then") else {
            throw .location(40065, "$switch requires each branch have a 'then' expression.")
        }
        let conditionNode = try program.parse(condition, isTaken: isOpen)
        let isNeverTrue = program.constantTruth(conditionNode) == false
        return [
            conditionNode, try program.parse(result, isTaken: isOpen && !isNeverTrue),
        ]
    }
}
