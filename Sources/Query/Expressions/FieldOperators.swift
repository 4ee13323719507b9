// $getField $setField $unsetField: fields by their whole names, which may hold dots and dollars.

import BSON

enum FieldOperators {
    static let rows: [OperatorRow] = [
        .custom("$getField", parseGet),
        .custom("$setField") { argument, program throws(DBError) in
            try parseSet("$setField", argument, &program)
        },
        .custom("$unsetField") { argument, program throws(DBError) in
            try parseSet("$unsetField", argument, &program)
        },
    ]

    // MARK: $getField

    /// Arguments: the name, the input.
    private static let get = StrictOperator(nullRule: .passed) {
        arguments, context throws(DBError) in
        let name = arguments(0, context)
        guard name.isType(.string) else {
            throw .location(
                3_041_704,
                "$getField requires 'field' to evaluate to type String, but got \(name.typeName)")
        }
        let input = arguments(1, context)
        guard input.isType(.document) else { return input.isNullish ? input : .missing }
        var elements = input.nested.makeIterator()
        while let element = elements.next() {
            if element.name.equals(name.utf8) { return ValueRef(element.value) }
        }
        return .missing
    }

    /// Either `{field, input}`, or the name alone for a field of the document.
    @Sendable
    private static func parseGet(
        _ argument: ValueView, _ program: inout ProgramBuilder
    ) throws(DBError) -> Int {
        guard let object = argument.document,
            object.first?.name.starts(with: RawSpan("$")) != true
        else {
            let field = try parseName(argument, &program)
            let current = OwnedValue(.string("$$CURRENT"))
            return try program.strict(get, [field, try program.parse(current.view)])
        }
        var elements = object.makeIterator()
        while let element = elements.next() {
            if element.name.equals("field") || element.name.equals("input") { continue }
            throw .location(
                3_041_701, "$getField found an unknown argument: \(element.nameString)")
        }
        guard let field = object.value("field") else {
            throw .location(3_041_702, "$getField requires 'field' to be specified")
        }
        guard let input = object.value("input") else {
            throw .location(3_041_703, "$getField requires 'input' to be specified")
        }
        let name = try parseName(field, &program)
        return try program.strict(get, [name, try program.parse(input)])
    }

    private static func parseName(
        _ value: ValueView, _ program: inout ProgramBuilder
    ) throws(DBError) -> Int {
        if let text = value.string, text.hasPrefix("$") {
            throw .location(
                5_654_600,
                "'\(text)' is a field path reference which is not allowed in this context. "
                    + "Did you mean {$literal: '\(text)'}?")
        }
        let node = try program.parse(value)
        if let constant = program.constantValue(node), constant.type != .string {
            throw .location(
                5_654_602,
                "$getField requires 'field' to evaluate to type String, but got "
                    + constant.type.alias)
        }
        return node
    }

    // MARK: $setField, $unsetField

    /// Arguments: the name, the input, the value; a missing value removes the field.
    private static func set(_ operatorName: String) -> StrictOperator {
        StrictOperator(nullRule: .passed) { arguments, context throws(DBError) in
            let input = arguments(1, context)
            if input.isNullish { return .null }
            guard input.isType(.document) else {
                throw .location(
                    4_161_105,
                    "\(operatorName) requires 'input' to evaluate to type Object, but got "
                        + input.typeName)
            }
            let name = ValueRef(.string, arguments(0, context).utf8)
            let value = arguments(2, context)
            let start = context.stack.count
            let namesStart = context.names.count
            var isSet = false
            var elements = input.nested.makeIterator()
            while let element = elements.next() {
                let isMeant = element.name.equals(name.bytes)
                if isMeant { isSet = true }
                context.stack.append(isMeant ? value : ValueRef(element.value))
                context.names.append(ValueRef(.string, element.name))
            }
            if !isSet {
                context.stack.append(value)
                context.names.append(name)
            }
            return context.makeDocument(fromStack: start, names: namesStart)
        }
    }

    private static func parseSet(
        _ operatorName: String, _ argument: ValueView, _ program: inout ProgramBuilder
    ) throws(DBError) -> Int {
        guard let object = argument.document else {
            throw .location(
                4_161_100, "\(operatorName) only supports an object as its argument")
        }
        let takesValue = operatorName == "$setField"
        var elements = object.makeIterator()
        while let element = elements.next() {
            switch element.nameString {
            case "field", "input": continue
            case "value" where takesValue: continue
            case let name:
                throw .location(4_161_101, "\(operatorName) found an unknown argument: \(name)")
            }
        }
        guard let field = object.value("field") else {
            throw .location(4_161_102, "\(operatorName) requires 'field' to be specified")
        }
        if takesValue, object.value("value") == nil {
            throw .location(4_161_103, "\(operatorName) requires 'value' to be specified")
        }
        guard let input = object.value("input") else {
            throw .location(4_161_109, "\(operatorName) requires 'input' to be specified")
        }
        let inputNode = try program.parse(input)
        var valueNode = program.add(.missing)
        if let value = object.value("value") { valueNode = try program.parse(value) }
        let name = try parseConstantName(operatorName, field, &program)
        return try program.strict(set(operatorName), [name, inputNode, valueNode])
    }

    /// The name, which must be a constant string.
    private static func parseConstantName(
        _ operatorName: String, _ value: ValueView, _ program: inout ProgramBuilder
    ) throws(DBError) -> Int {
        if let text = value.string, text.hasPrefix("$") {
            throw .location(
                4_161_108,
                "'\(text)' is a field path reference which is not allowed in this context. "
                    + "Did you mean {$literal: '\(text)'}?")
        }
        let node = try program.parse(value)
        // An object or array is an expression even where all its parts are constants.
        let isLiteral = value.document?.first?.name.starts(with: RawSpan("$")) ?? true
        guard let constant = program.constantValue(node),
            isLiteral && value.type != .array
        else {
            throw .location(
                4_161_106,
                "\(operatorName) requires 'field' to evaluate to a constant, but got a "
                    + "non-constant argument")
        }
        guard let name = constant.view.string else {
            throw .location(
                4_161_107,
                "\(operatorName) requires 'field' to evaluate to type String, but got "
                    + constant.type.alias)
        }
        guard !name.utf8.contains(0) else {
            throw .location(
                9_534_700, "\(operatorName): 'field' cannot contain an embedded null byte")
        }
        return node
    }
}
