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
        guard let object = argument.document else {
            let arguments = try OperatorTable.parseList("$cond", argument, 3...3, &program)
            return program.lazy(condition, arguments)
        }
        var parts: [Int?] = [nil, nil, nil]
        let names = ["if", "then", "else"]
        var elements = object.makeIterator()
        while let element = elements.next() {
            let name = element.nameString
            guard let index = names.firstIndex(of: name) else {
                throw .location(17083, "Unrecognized parameter to $cond: \(name)")
            }
            parts[index] = try program.parse(element.value)
        }
        var arguments: [Int] = []
        for (index, part) in parts.enumerated() {
            guard let part else {
                throw .location(
                    17080 + Int32(index), "Missing '\(names[index])' parameter to $cond")
            }
            arguments.append(part)
        }
        return program.lazy(condition, arguments)
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
                    arguments += try parseBranch(next.value, &program)
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
            guard let value = program.constantValue(arguments[index]), !value.view.isTruthy else {
                return false
            }
        }
        return true
    }

    private static func parseBranch(
        _ value: ValueView, _ program: inout ProgramBuilder
    ) throws(DBError) -> [Int] {
        guard let object = value.document else {
            throw .location(
                40062, "$switch expected each branch to be an object, found: \(value.type.alias)")
        }
        var condition: Int?
        var result: Int?
        var elements = object.makeIterator()
        while let element = elements.next() {
            switch element.nameString {
            case "case": condition = try program.parse(element.value)
            case "then": result = try program.parse(element.value)
            case let name:
                throw .location(40063, "$switch found an unknown argument to a branch: \(name)")
            }
        }
        guard let condition else {
            throw .location(40064, "$switch requires each branch have a 'case' expression")
        }
        guard let result else {
            throw .location(40065, "$switch requires each branch have a 'then' expression.")
        }
        return [condition, result]
    }
}
