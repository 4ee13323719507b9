// $let $literal.

import BSON

enum VariableOperators {
    static let rows: [OperatorRow] = [
        .custom("$literal") { argument, program in program.constant(argument) },
        .custom("$const") { argument, program in program.constant(argument) },
        .custom("$let", parseLet),
    ]

    /// Children: the variables' values, then the body.
    private static let letOperator = LazyOperator { call, context throws(DBError) in
        let variables = call.count - 1
        for index in 0..<variables {
            let value = try call(index, &context)
            context.variables[call.slot + index] = value
        }
        return try call(variables, &context)
    }

    @Sendable
    private static func parseLet(
        _ argument: ValueView, _ program: inout ProgramBuilder
    ) throws(DBError) -> Int {
        guard let object = argument.document else {
            throw .location(16874, "$let only supports an object as its argument")
        }
        var elements = object.makeIterator()
        var hasIn = false
        var hasVars = false
        while let element = elements.next() {
            switch element.nameString {
            case "vars":
                hasVars = true
                guard element.value.type == .document else {
                    throw .location(
                        10065, "invalid parameter: expected an object (vars)")
                }
            case "in": hasIn = true
            case let name:
                throw .location(16875, "Unrecognized parameter to $let: \(name)")
            }
        }
        guard hasVars, let variables = object.value("vars")?.document else {
            throw .location(16876, "Missing 'vars' parameter to $let")
        }
        guard hasIn, let body = object.value("in") else {
            throw .location(16877, "Missing 'in' parameter to $let")
        }
        var names: [String] = []
        var arguments: [Int] = []
        var variable = variables.makeIterator()
        while let next = variable.next() {
            let name = next.nameString
            try ExpressionScope.checkUserName(name)
            // Values see the scope around, not each other.
            arguments.append(try program.parse(next.value))
            names.append(name)
        }
        let slot = program.allocateSlots(names.count)
        let bound = names.enumerated().map { (name: $1, slot: slot + $0) }
        arguments.append(try program.parse(body, binding: bound))
        return program.lazy(letOperator, arguments, slot: slot)
    }
}
