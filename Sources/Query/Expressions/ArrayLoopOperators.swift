// $map $filter $reduce: each evaluates a body for every element, with the element in a variable.

import BSON

enum ArrayLoopOperators {
    static let rows: [OperatorRow] = [
        .custom("$map", parseMap),
        .custom("$filter", parseFilter),
        .custom("$reduce", parseReduce),
    ]

    /// The fields of an operator's document; `unknown` is the error for other names.
    private struct Fields: ~Escapable {
        let object: DocumentView

        @_lifetime(copy argument)
        init(
            _ name: String, _ argument: ValueView, _ names: [String], notObject: Int32,
            unknown: Int32
        ) throws(DBError) {
            guard let object = argument.document else {
                throw .location(notObject, "\(name) only supports an object as its argument")
            }
            var elements = object.makeIterator()
            while let element = elements.next() {
                if names.contains(element.nameString) { continue }
                throw .location(
                    unknown, "Unrecognized parameter to \(name): \(element.nameString)")
            }
            self.object = object
        }

        @_lifetime(copy self)
        func required(
            _ name: StaticString, _ called: String, _ code: Int32
        ) throws(DBError) -> ValueView {
            guard let value = object.value(name) else {
                throw .location(code, "Missing '\(name)' parameter to \(called)")
            }
            return value
        }

        /// The name of the element's variable.
        func variableName(_ called: String) throws(DBError) -> String {
            guard let value = object.value("as") else { return "this" }
            guard let name = value.string else {
                throw DBError(
                    .failedToParse, "\(called)'s 'as' must be a string, not \(value.type.alias)")
            }
            try ExpressionScope.checkUserName(name)
            return name
        }
    }

    // MARK: $map

    private static let map = LazyOperator { call, context throws(DBError) in
        let input = try call(0, &context)
        if input.isNullish { return .null }
        guard input.isType(.array) else {
            throw .location(16883, "input to $map must be an array not \(input.typeName)")
        }
        let start = context.stack.count
        var elements = input.nested.makeIterator()
        while let element = elements.next() {
            context.variables[call.slot] = ValueRef(element.value)
            let value = try call(1, &context)
            context.stack.append(value)
            try context.checkBounds()
        }
        return context.makeArray(fromStack: start)
    }

    @Sendable
    private static func parseMap(
        _ argument: ValueView, _ program: inout ProgramBuilder
    ) throws(DBError) -> Int {
        let fields = try Fields(
            "$map", argument, ["input", "as", "in"], notObject: 16878, unknown: 16879)
        let input = try program.parse(fields.required("input", "$map", 16880))
        let body = try fields.required("in", "$map", 16882)
        let slot = program.allocateSlots(1)
        let name = try fields.variableName("$map")
        let parsedBody = try program.parse(body, binding: [(name, slot)])
        return program.lazy(map, [input, parsedBody], slot: slot)
    }

    // MARK: $filter

    private static let filter = LazyOperator { call, context throws(DBError) in
        let input = try call(0, &context)
        if input.isNullish { return .null }
        guard input.isType(.array) else {
            throw .location(28651, "input to $filter must be an array not \(input.typeName)")
        }
        var limit = Int.max
        let limitValue = try call(2, &context)
        if !limitValue.isNullish {
            guard let number = Number(limitValue)?.exactInt64, Int32(exactly: number) != nil else {
                throw .location(
                    327_391, "$filter: limit must be represented as a 32-bit integral value")
            }
            guard number > 0 else {
                throw .location(327_392, "$filter: limit must be greater than 0: \(number)")
            }
            limit = Int(number)
        }
        let start = context.stack.count
        var elements = input.nested.makeIterator()
        while context.stack.count - start < limit, let element = elements.next() {
            let value = ValueRef(element.value)
            context.variables[call.slot] = value
            if try call(1, &context).isTruthy { context.stack.append(value) }
            try context.checkBounds()
        }
        return context.makeArray(fromStack: start)
    }

    @Sendable
    private static func parseFilter(
        _ argument: ValueView, _ program: inout ProgramBuilder
    ) throws(DBError) -> Int {
        let fields = try Fields(
            "$filter", argument, ["input", "as", "cond", "limit"], notObject: 28646,
            unknown: 28647)
        let input = try program.parse(fields.required("input", "$filter", 28648))
        let condition = try fields.required("cond", "$filter", 28650)
        let slot = program.allocateSlots(1)
        let name = try fields.variableName("$filter")
        let body = try program.parse(condition, binding: [(name, slot)])
        var limit = program.add(.absent)
        if let value = fields.object.value("limit") { limit = try program.parse(value) }
        return program.lazy(filter, [input, body, limit], slot: slot)
    }

    // MARK: $reduce

    private static let reduce = LazyOperator { call, context throws(DBError) in
        let input = try call(0, &context)
        if input.isNullish { return .null }
        guard input.isType(.array) else {
            throw .location(
                40080, "$reduce requires that 'input' be an array, found: \(input.typeName)")
        }
        var value = try call(1, &context)
        var elements = input.nested.makeIterator()
        while let element = elements.next() {
            context.variables[call.slot] = ValueRef(element.value)
            context.variables[call.slot + 1] = value
            value = try call(2, &context)
            try context.checkBounds()
        }
        return value
    }

    @Sendable
    private static func parseReduce(
        _ argument: ValueView, _ program: inout ProgramBuilder
    ) throws(DBError) -> Int {
        let fields = try Fields(
            "$reduce", argument, ["input", "initialValue", "in"], notObject: 40075, unknown: 40076)
        let input = try program.parse(fields.required("input", "$reduce", 40077))
        let initial = try program.parse(fields.required("initialValue", "$reduce", 40078))
        let body = try fields.required("in", "$reduce", 40079)
        let slot = program.allocateSlots(2)
        let parsedBody = try program.parse(
            body, binding: [("this", slot), ("value", slot + 1)])
        return program.lazy(reduce, [input, initial, parsedBody], slot: slot)
    }
}
