// From the tree of a filter to its program.

internal import BSON

/// Appends instructions in preorder.
struct MatchCompiler {
    private var program = MatchProgram()

    /// The program of a tree. O(size of the tree).
    static func compile(_ root: FilterNode, _ collation: Collation? = nil) -> MatchProgram {
        var compiler = MatchCompiler()
        compiler.program.collation = collation
        compiler.append(root, isNegated: false, inElement: false)
        return compiler.program
    }

    /// Appends a node. `inElement`: whole-value conditions are about an array's element, which is
    /// not looked into.
    private mutating func append(_ node: FilterNode, isNegated: Bool, inElement: Bool) {
        switch node {
        case .alwaysTrue: appendPlain(.alwaysTrue, isNegated)
        case .alwaysFalse: appendPlain(.alwaysFalse, isNegated)
        case .not(let inner): append(inner, isNegated: !isNegated, inElement: inElement)
        case .and(let nodes): appendGroup(.all, nodes, isNegated, inElement)
        case .or(let nodes): appendGroup(.any, nodes, isNegated, inElement)
        case .nor(let nodes): appendGroup(.none, nodes, isNegated, inElement)
        case .expression(let expression):
            program.expressions.append(expression)
            appendPlain(.expression, isNegated, operand: program.expressions.count - 1)
        case .schema(let schema):
            program.schemas.append(schema)
            appendPlain(.schema, isNegated, operand: program.schemas.count - 1)
        case .text(let text):
            program.textPredicates.append(text)
            appendPlain(.text, isNegated, operand: program.textPredicates.count - 1)
        case .sampleRate(let rate):
            program.rates.append(rate)
            appendPlain(.sampleRate, isNegated, operand: program.rates.count - 1)
        default:
            if let path = node.path { appendCondition(node, path, isNegated, inElement) }
        }
    }

    private mutating func appendPlain(
        _ opcode: MatchProgram.Opcode, _ isNegated: Bool, operand: Int = 0
    ) {
        program.instructions.append(
            MatchProgram.Instruction(
                opcode: opcode, isNegated: isNegated, operand: Int32(operand),
                end: Int32(program.instructions.count + 1)))
    }

    // MARK: Groups

    private mutating func appendGroup(
        _ opcode: MatchProgram.Opcode, _ nodes: [FilterNode], _ isNegated: Bool, _ inElement: Bool
    ) {
        let index = program.instructions.count
        appendPlain(opcode, isNegated)
        let names = sharedNames(of: nodes)
        let firstName = program.slotNames.count
        for name in names { program.slotNames.append(pooled(name)) }
        for node in nodes {
            let child = program.instructions.count
            append(node, isNegated: false, inElement: inElement)
            if let name = Self.condition(of: node)?.segments.first?.name,
                let slot = names.firstIndex(of: name)
            {
                program.instructions[child].slot = Int8(slot)
            }
        }
        program.instructions[index].firstSegment = Int32(firstName)
        program.instructions[index].segmentsEnd = Int32(program.slotNames.count)
        program.instructions[index].end = Int32(program.instructions.count)
    }

    /// The first names of the conditions among `nodes`, where finding them together pays.
    private func sharedNames(of nodes: [FilterNode]) -> [[UInt8]] {
        var names: [[UInt8]] = []
        var count = 0
        for node in nodes {
            guard let name = Self.condition(of: node)?.segments.first?.name else { continue }
            count += 1
            if !names.contains(name), names.count < FieldSlots.countMax { names.append(name) }
        }
        return count > 1 ? names : []
    }

    /// The path of a condition, negated or not.
    private static func condition(of node: FilterNode) -> FieldPath? {
        if case .not(let inner) = node { return condition(of: inner) }
        return node.path
    }

    // MARK: Conditions

    private mutating func appendCondition(
        _ node: FilterNode, _ path: FieldPath, _ isNegated: Bool, _ inElement: Bool
    ) {
        let index = program.instructions.count
        var instruction = MatchProgram.Instruction(opcode: .exists, isNegated: isNegated)
        instruction.expandsArray = !(inElement && path.segments.isEmpty)
        instruction.firstSegment = Int32(program.segments.count)
        for segment in path.segments {
            program.segments.append(
                MatchProgram.Segment(
                    name: pooled(segment.name),
                    arrayIndex: segment.arrayIndex.flatMap { Int32(exactly: $0) } ?? -1))
        }
        instruction.segmentsEnd = Int32(program.segments.count)
        var element: FilterNode?
        switch node {
        case .compare(_, let comparison, let value):
            instruction.opcode = Self.opcode(comparison)
            instruction.operand = appendConstant(value)
            if program.collation != nil, value.type.mayHoldText {
                program.collatedComparisons.append(
                    MatchProgram.CollatedComparison(
                        opcode: instruction.opcode, constant: instruction.operand))
                instruction.opcode = .collatedComparison
                instruction.operand = Int32(program.collatedComparisons.count - 1)
            }
            instruction.matchesMissing = Self.matchesMissing(comparison, value.type)
        case .in(_, let values, let regexes):
            if let collation = program.collation, values.contains(where: { $0.type.mayHoldText }) {
                instruction.opcode = .collatedMembership
                let sorted = values.sorted { $0.view.compare($1.view, collation) < 0 }
                instruction.operand = appendMembership(sorted, regexes)
            } else {
                instruction.opcode = .membership
                instruction.operand = appendMembership(values, regexes)
            }
            instruction.matchesMissing = values.contains { $0.type == .null }
        case .exists:
            instruction.opcode = .exists
            instruction.expandsArray = false
        case .type(_, let types):
            instruction.opcode = .type
            program.typeSets.append(types)
            instruction.operand = Int32(program.typeSets.count - 1)
        case .regex(_, let regex):
            instruction.opcode = .regex
            program.regexes.append(regex)
            instruction.operand = Int32(program.regexes.count - 1)
        case .size(_, let size):
            instruction.opcode = .size
            instruction.expandsArray = false
            instruction.operand = appendNumbers(Int64(size))
        case .mod(_, let divisor, let remainder):
            instruction.opcode = .mod
            instruction.operand = appendNumbers(divisor, remainder)
        case .bits(_, let bits):
            instruction.opcode = .bits
            program.bitsTests.append(bits)
            instruction.operand = Int32(program.bitsTests.count - 1)
        case .geo(_, let predicate):
            instruction.opcode = .geo
            program.geoPredicates.append(predicate)
            instruction.operand = Int32(program.geoPredicates.count - 1)
        case .elementObject(_, let inner):
            instruction.opcode = .elementObject
            instruction.expandsArray = false
            element = inner
        case .elementValue(_, let inner):
            instruction.opcode = .elementValue
            instruction.expandsArray = false
            element = inner
        default: instruction.opcode = .alwaysFalse
        }
        program.instructions.append(instruction)
        if let element { append(element, isNegated: false, inElement: true) }
        program.instructions[index].end = Int32(program.instructions.count)
    }

    private static func opcode(_ comparison: ComparisonOperator) -> MatchProgram.Opcode {
        switch comparison {
        case .equal: .equal
        case .less: .less
        case .lessOrEqual: .lessOrEqual
        case .greater: .greater
        case .greaterOrEqual: .greaterOrEqual
        }
    }

    /// A missing value equals null and lies between MinKey and MaxKey.
    private static func matchesMissing(_ comparison: ComparisonOperator, _ type: BSONType) -> Bool {
        switch type {
        case .null: comparison != .less && comparison != .greater
        case .minKey: comparison == .greater || comparison == .greaterOrEqual
        case .maxKey: comparison == .less || comparison == .lessOrEqual
        default: false
        }
    }

    // MARK: Operands

    private mutating func pooled(_ name: [UInt8]) -> FieldName {
        let offset = program.pool.count
        program.pool.append(contentsOf: name)
        return FieldName(at: offset, count: name.count, in: program.pool)
    }

    private mutating func appendNumbers(_ numbers: Int64...) -> Int32 {
        program.numbers.append(contentsOf: numbers)
        return Int32(program.numbers.count - numbers.count)
    }

    private mutating func appendConstant(_ value: OwnedValue) -> Int32 {
        var constant = MatchProgram.Constant(
            type: value.type, offset: Int32(program.pool.count), count: Int32(value.payload.count))
        program.pool.append(contentsOf: value.payload)
        if let integer = value.view.wholeInt64 {
            constant.integer = integer
            constant.isInteger = true
        }
        if let double = value.view.double ?? Self.exactDouble(value.view), !double.isNaN {
            constant.double = double
            constant.isDouble = true
        }
        constant.isNaN = value.view.isNaN
        program.constants.append(constant)
        return Int32(program.constants.count - 1)
    }

    private static func exactDouble(_ value: ValueView) -> Double? {
        if let integer = value.wholeInt64 { return Double(exactly: integer) }
        return value.decimal128?.exactDouble
    }

    private mutating func appendMembership(
        _ values: [OwnedValue], _ regexes: [RegexPredicate]
    ) -> Int32 {
        let firstConstant = Int32(program.constants.count)
        let firstRegex = Int32(program.regexes.count)
        var ranks: UInt32 = 0
        for value in values {
            _ = appendConstant(value)
            ranks |= 1 << UInt32(value.type.canonicalRank)
        }
        program.regexes.append(contentsOf: regexes)
        program.memberships.append(
            MatchProgram.Membership(
                constants: firstConstant..<Int32(program.constants.count),
                regexes: firstRegex..<Int32(program.regexes.count), ranks: ranks))
        return Int32(program.memberships.count - 1)
    }
}
