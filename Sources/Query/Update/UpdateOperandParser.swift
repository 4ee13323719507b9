// The operand of each update operator: what it may be, and the error where it is not.

import BSON

/// The update operators.
enum UpdateOperator: String, CaseIterable {
    case set = "$set"
    case setOnInsert = "$setOnInsert"
    case unset = "$unset"
    case increment = "$inc"
    case multiply = "$mul"
    case minimum = "$min"
    case maximum = "$max"
    case rename = "$rename"
    case currentDate = "$currentDate"
    case bit = "$bit"
    case push = "$push"
    case addToSet = "$addToSet"
    case pop = "$pop"
    case pull = "$pull"
    case pullAll = "$pullAll"
}

/// Parses operands of update operators.
struct UpdateOperandParser {
    /// How conditions of `$pull` are parsed.
    let filterOptions: FilterOptions

    /// The operation of an operator with `operand` at the field `path`; nil for `$rename`, which
    /// has two paths.
    func parse(_ name: UpdateOperator, _ operand: ValueView, path: UpdatePath) throws(DBError)
        -> UpdateOperation?
    {
        switch name {
        case .set: .set(OwnedValue(copying: operand))
        case .setOnInsert: .setOnInsert(OwnedValue(copying: operand))
        case .unset: .unset
        case .increment: .increment(try number(operand, "increment", path))
        case .multiply: .multiply(try number(operand, "multiply", path))
        case .minimum: .minimum(OwnedValue(copying: operand), filterOptions.collation)
        case .maximum: .maximum(OwnedValue(copying: operand), filterOptions.collation)
        case .currentDate: try currentDate(operand)
        case .bit: try bit(operand)
        case .push: .push(try push(operand))
        case .addToSet: try addToSet(operand)
        case .pop: try pop(operand)
        case .pull: .pull(try ElementCondition(pull: operand, filterOptions))
        case .pullAll: try pullAll(operand)
        case .rename: nil
        }
    }

    private func number(
        _ operand: ValueView, _ verb: StaticString, _ path: UpdatePath
    ) throws(DBError) -> OwnedValue {
        guard operand.isNumeric else {
            throw DBError(
                .typeMismatch,
                "Cannot \(verb) with non-numeric argument: {\(path.dotted): \(operand.type.alias)}")
        }
        return OwnedValue(copying: operand)
    }

    private func currentDate(_ operand: ValueView) throws(DBError) -> UpdateOperation {
        if operand.type == .bool { return .currentDate }
        guard let document = operand.document else {
            throw DBError(
                .badValue,
                "\(operand.type.alias) is not valid type for $currentDate. Please use a boolean "
                    + "('true') or a $type expression ({$type: 'timestamp/date'}).")
        }
        var result: UpdateOperation?
        var elements = document.makeIterator()
        while let element = elements.next() {
            guard element.name.equals("$type") else {
                throw DBError(
                    .badValue, "Unrecognized $currentDate option: \(element.nameString)")
            }
            switch element.value.string {
            case "date": result = .currentDate
            case "timestamp": result = .currentTimestamp
            default: result = nil
            }
            if result == nil { break }
        }
        guard let result else {
            throw DBError(
                .badValue,
                "The '$type' string field is required to be 'date' or 'timestamp': "
                    + "{$currentDate: {field : {$type: 'date'}}}")
        }
        return result
    }

    private func bit(_ operand: ValueView) throws(DBError) -> UpdateOperation {
        guard let document = operand.document else {
            throw DBError(
                .badValue,
                "The $bit modifier is not compatible with a \(operand.type.alias). You must pass "
                    + "in an embedded document: {$bit: {field: {and/or/xor: #}}")
        }
        var steps: [UpdateOperation.BitStep] = []
        var elements = document.makeIterator()
        while let element = elements.next() {
            let kind: UpdateOperation.BitStep.Kind
            switch element.nameString {
            case "and": kind = .and
            case "or": kind = .or
            case "xor": kind = .xor
            default:
                throw DBError(
                    .badValue,
                    "The $bit modifier only supports 'and', 'or', and 'xor', not "
                        + "'\(element.nameString)' which is an unknown operator")
            }
            let value = element.value
            guard let number = value.int64 ?? value.int32.map({ Int64($0) }) else {
                throw DBError(
                    .badValue,
                    "The $bit modifier field must be an Integer(32/64 bit); a "
                        + "'\(value.type.alias)' is not supported here")
            }
            steps.append(.init(kind: kind, operand: number, isWide: value.type == .int64))
        }
        guard !steps.isEmpty else {
            throw DBError(
                .badValue,
                "You must pass in at least one bitwise operation. The format is: "
                    + "{$bit: {field: {and/or/xor: #}}")
        }
        return .bit(steps)
    }

    // MARK: Arrays

    private func push(_ operand: ValueView) throws(DBError) -> PushOperation {
        guard let document = operand.document, let each = document.value("$each") else {
            var writer = DocumentWriter()
            let start = writer.openDocument()
            writer.append(index: 0, operand)
            writer.close(start)
            return PushOperation(each: Document(unchecked: writer.take()))
        }
        guard let eachElements = each.array else {
            throw DBError(
                .badValue,
                "The argument to $each in $push must be an array but it was of type: "
                    + each.type.alias)
        }
        var push = PushOperation(each: Document(copying: eachElements))
        var elements = document.makeIterator()
        while let element = elements.next() {
            switch element.nameString {
            case "$each": break
            case "$slice": push.slice = try integer(element.value, "$slice")
            case "$position": push.position = try integer(element.value, "$position")
            case "$sort":
                push.sort = try PushSort(element.value)
                push.collation = filterOptions.collation
            default:
                throw DBError(
                    .badValue, "Unrecognized clause in $push: \(element.nameString)")
            }
        }
        return push
    }

    private func integer(_ value: ValueView, _ name: String) throws(DBError) -> Int {
        guard let integer = value.exactInteger else {
            throw DBError(
                .badValue,
                "The value for \(name) must be an integer value but was given type: "
                    + value.type.alias)
        }
        return Int(clamping: integer)
    }

    private func addToSet(_ operand: ValueView) throws(DBError) -> UpdateOperation {
        guard let document = operand.document, let first = document.first,
            first.name.equals("$each")
        else { return .addToSet(ValueSet(only: operand, filterOptions.collation)) }
        guard let each = first.value.array else {
            throw DBError(
                .typeMismatch,
                "The argument to $each in $addToSet must be an array but it was of type "
                    + first.value.type.alias)
        }
        guard document.count == 1 else {
            throw DBError(.badValue, "Found unexpected fields after $each in $addToSet")
        }
        return .addToSet(ValueSet(each, filterOptions.collation))
    }

    private func pop(_ operand: ValueView) throws(DBError) -> UpdateOperation {
        guard operand.isNumeric else {
            throw DBError(
                .failedToParse, "Expected a number in: $pop, but got \(operand.type.alias)")
        }
        switch operand.exactInteger {
        case 1: return .pop(first: false)
        case -1: return .pop(first: true)
        default: throw DBError(.failedToParse, "$pop expects 1 or -1")
        }
    }

    private func pullAll(_ operand: ValueView) throws(DBError) -> UpdateOperation {
        guard let array = operand.array else {
            throw DBError(
                .badValue,
                "$pullAll requires an array argument but was given a \(operand.type.alias)")
        }
        return .pull(.among(ValueSet(array, filterOptions.collation)))
    }
}
