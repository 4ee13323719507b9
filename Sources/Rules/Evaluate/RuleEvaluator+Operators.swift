// Operators on values. Types are strict: only ints and floats mix.

extension RuleEvaluator {
    func negated(_ value: RuleValue) throws(RuleFailure) -> RuleValue {
        switch value {
        case .int(let number):
            let (result, overflows) = (0 as Int64).subtractingReportingOverflow(number)
            guard !overflows else { throw failure(.overflow) }
            return .int(result)
        case .float(let number): return .float(-number)
        case .null: throw failure(.nullValue)
        default: throw failure(.unsupported("-\(value.typeName)", expected: "-int, -float"))
        }
    }

    /// Every operator but `&&` and `||`.
    mutating func combine(
        _ operation: BinaryOperator, _ left: RuleValue, _ right: RuleValue
    ) throws(RuleFailure) -> RuleValue {
        switch operation {
        case .equal: return .bool(left.equals(right))
        case .notEqual: return .bool(!left.equals(right))
        case .less, .lessOrEqual, .greater, .greaterOrEqual:
            return .bool(try compare(operation, left, right))
        case .isIn: return .bool(try isIn(left, right))
        case .add, .subtract, .multiply, .divide, .remainder:
            return try calculate(operation, left, right)
        case .or, .and: throw unsupported(operation, left, right, "bool")
        }
    }

    private func unsupported(
        _ operation: BinaryOperator, _ left: RuleValue, _ right: RuleValue, _ expected: String
    ) -> RuleFailure {
        if case .null = left { return failure(.nullValue) }
        if case .null = right { return failure(.nullValue) }
        return failure(
            .unsupported(
                "\(left.typeName) \(operation.rawValue) \(right.typeName)", expected: expected))
    }

    private func compare(
        _ operation: BinaryOperator, _ left: RuleValue, _ right: RuleValue
    ) throws(RuleFailure) -> Bool {
        guard let order = left.order(right) else {
            let types = ["int", "float", "string", "timestamp", "duration"]
            throw unsupported(
                operation, left, right,
                types.map { "\($0) \(operation.rawValue) \($0)" }.joined(separator: ", "))
        }
        switch (operation, order) {
        case (.less, .less), (.lessOrEqual, .less), (.lessOrEqual, .equal),
            (.greater, .greater), (.greaterOrEqual, .greater), (.greaterOrEqual, .equal):
            return true
        default: return false
        }
    }

    private func isIn(_ value: RuleValue, _ whole: RuleValue) throws(RuleFailure) -> Bool {
        switch whole {
        case .null: throw failure(.nullValue)
        case .list(let elements):
            return elements.contains { value.equals($0, .byType) }
        case .storedList(let stored):
            var isFound = false
            stored.forEach { _, element in
                isFound = value.equals(element, .byType)
                return !isFound
            }
            return isFound
        case .set(let elements):
            return elements.contains { value.equals($0, inside: .byValue) }
        case .map, .storedMap, .resource:
            guard case .string(let key) = value else {
                if case .null = value { throw failure(.nullValue) }
                throw failure(
                    .unsupported("\(value.typeName) in map", expected: "string in map"))
            }
            return whole.value(ofKey: key) != nil
        default: throw failure(.functionNotFound("in"))
        }
    }

    // MARK: Arithmetic

    private mutating func calculate(
        _ operation: BinaryOperator, _ left: RuleValue, _ right: RuleValue
    ) throws(RuleFailure) -> RuleValue {
        switch (left, right) {
        case (.int(let left), .int(let right)):
            return .int(try calculate(operation, left, right))
        case (.int, .float), (.float, .int), (.float, .float):
            guard let left = left.number, let right = right.number else { break }
            switch operation {
            case .add: return .float(left + right)
            case .subtract: return .float(left - right)
            case .multiply: return .float(left * right)
            case .divide:
                guard right != 0 else { throw failure(.divideByZero) }
                return .float(left / right)
            case .remainder:
                guard right != 0 else { throw failure(.divideByZero) }
                return .float(left.truncatingRemainder(dividingBy: right))
            default: break
            }
        case (.string(let left), .string(let right)) where operation == .add:
            try spend(textBytes: left.utf8.count + right.utf8.count)
            return .string(left + right)
        case (.timestamp(let time), .duration(let length)):
            if operation == .add { return try timestamp(time.nanos + length.nanos) }
            if operation == .subtract { return try timestamp(time.nanos - length.nanos) }
        case (.duration(let length), .timestamp(let time)) where operation == .add:
            return try timestamp(time.nanos + length.nanos)
        case (.timestamp(let left), .timestamp(let right)) where operation == .subtract:
            return try duration(left.nanos - right.nanos)
        case (.duration(let left), .duration(let right)):
            if operation == .add { return try duration(left.nanos + right.nanos) }
            if operation == .subtract { return try duration(left.nanos - right.nanos) }
        default: break
        }
        throw unsupported(operation, left, right, Self.expected(operation))
    }

    /// Firestore's list of what an operator takes.
    private static func expected(_ operation: BinaryOperator) -> String {
        let sign = operation.rawValue
        var pairs = [("int", "int"), ("float", "float")]
        if operation == .add { pairs.append(("string", "string")) }
        if operation == .add || operation == .subtract {
            pairs += [("timestamp", "duration"), ("duration", "duration")]
        }
        if operation == .subtract { pairs.append(("timestamp", "timestamp")) }
        return pairs.map { "\($0.0) \(sign) \($0.1)" }.joined(separator: ", ")
    }

    private func calculate(
        _ operation: BinaryOperator, _ left: Int64, _ right: Int64
    ) throws(RuleFailure) -> Int64 {
        let (result, overflows): (Int64, Bool)
        switch operation {
        case .add: (result, overflows) = left.addingReportingOverflow(right)
        case .subtract: (result, overflows) = left.subtractingReportingOverflow(right)
        case .multiply: (result, overflows) = left.multipliedReportingOverflow(by: right)
        case .divide:
            guard right != 0 else { throw failure(.divideByZero) }
            (result, overflows) = left.dividedReportingOverflow(by: right)
        default:
            guard right != 0 else { throw failure(.divideByZero) }
            // The least int divided by -1 overflows; its rest is 0.
            (result, overflows) =
                right == -1
                ? (0, false) : left.remainderReportingOverflow(dividingBy: right)
        }
        guard !overflows else { throw failure(.overflow) }
        return result
    }

    /// A moment, if it lies in the years 1 to 9999.
    func timestamp(_ nanos: Int128) throws(RuleFailure) -> RuleValue {
        guard let time = RuleTimestamp(nanos: nanos) else {
            throw failure(.other("Timestamp out of range: the years 1 to 9999."))
        }
        return .timestamp(time)
    }

    /// A length of time, if it isn't longer than 10,000 years.
    func duration(_ nanos: Int128) throws(RuleFailure) -> RuleValue {
        guard let length = RuleDuration(nanos: nanos) else {
            throw failure(.other("Duration out of range: 10,000 years."))
        }
        return .duration(length)
    }

    // MARK: Indexes

    func element(of value: RuleValue, at index: RuleValue) throws(RuleFailure) -> RuleValue {
        if case .null = index { throw failure(.nullValue) }
        switch (value, index) {
        case (.null, _): throw failure(.nullValue)
        case (.list(let elements), .int(let index)):
            return elements[try position(index, size: elements.count)]
        case (.storedList(let stored), .int(let index)):
            let position = try position(index, size: stored.count)
            return stored.element(at: position) ?? .null
        case (.string(let text), .int(let index)):
            let units = Array(text.utf16)
            let position = try position(index, size: units.count)
            return .string(String(decoding: units[position...position], as: UTF16.self))
        case (.path(let path), .int(let index)):
            return .string(path.segments[try position(index, size: path.segments.count)])
        case (.map, .string(let key)), (.storedMap, .string(let key)),
            (.resource, .string(let key)):
            guard let found = value.value(ofKey: key) else {
                throw failure(.undefinedProperty(key))
            }
            return found
        default:
            throw failure(
                .unsupported(
                    "\(value.typeName)[\(index.typeName)]",
                    expected: "list[int], map[string], string[int], path[int]"))
        }
    }

    private func position(_ index: Int64, size: Int) throws(RuleFailure) -> Int {
        guard index >= 0, index < size else {
            throw failure(.indexOutOfBounds(index, size: size))
        }
        return Int(index)
    }

    /// `V[i:j]`: both bounds lie within, so that neither `[0:0]` nor an end beyond is one.
    func slice(
        of value: RuleValue, from start: RuleValue, to end: RuleValue
    ) throws(RuleFailure) -> RuleValue {
        if case .null = value { throw failure(.nullValue) }
        guard case .int(let start) = start, case .int(let end) = end else {
            throw failure(
                .unsupported(
                    "\(value.typeName)[\(start.typeName):\(end.typeName)]",
                    expected: "list[int:int], string[int:int]"))
        }
        func bounds(_ size: Int) throws(RuleFailure) -> Range<Int> {
            let first = try position(start, size: size)
            let (last, overflows) = end.subtractingReportingOverflow(1)
            guard !overflows else { throw failure(.overflow) }
            let stop = try position(last, size: size) + 1
            guard first <= stop else { throw failure(.illegalRange(start, end)) }
            return first..<stop
        }
        if case .string(let text) = value {
            let units = Array(text.utf16)
            return .string(String(decoding: units[try bounds(units.count)], as: UTF16.self))
        }
        guard let elements = value.elements else {
            throw failure(
                .unsupported(
                    "\(value.typeName)[int:int]", expected: "list[int:int], string[int:int]"))
        }
        return .list(Array(elements[try bounds(elements.count)]))
    }
}
