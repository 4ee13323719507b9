// The tests that a value at the end of a path is put to.

internal import BSON

extension MatchProgram {
    /// Whether a value passes the instruction's test.
    @inline(__always)
    func test(
        _ index: Int, _ instruction: Instruction, _ value: ValueView,
        _ scratch: inout MatchScratch
    ) throws(DBError) -> Bool {
        switch instruction.opcode {
        case .equal, .less, .lessOrEqual, .greater, .greaterOrEqual:
            return compare(instruction.opcode, value, constants[Int(instruction.operand)])
        default:
            return try testOther(index, instruction, value, &scratch)
        }
    }

    @inline(never)
    private func testOther(
        _ index: Int, _ instruction: Instruction, _ value: ValueView,
        _ scratch: inout MatchScratch
    ) throws(DBError) -> Bool {
        let operand = Int(instruction.operand)
        switch instruction.opcode {
        case .membership: return try isMember(value, memberships[operand], &scratch)
        case .collatedComparison: return compareCollated(value, collatedComparisons[operand])
        case .collatedMembership:
            return try isCollatedMember(value, memberships[operand], &scratch)
        case .exists: return true
        case .type: return typeSets[operand].contains(value.type)
        case .regex: return try regexes[operand].matches(value, &scratch)
        case .size:
            guard let array = value.array else { return false }
            return array.count == Int(numbers[operand])
        case .mod: return hasRemainder(value, numbers[operand], numbers[operand + 1])
        case .geo: return geoPredicates[operand].matches(value)
        case .bits: return bitsTests[operand].matches(value)
        case .elementObject, .elementValue:
            return try testElements(index, instruction, value, &scratch)
        default: return false
        }
    }

    /// $elemMatch: whether an element of the array passes what follows the instruction.
    private func testElements(
        _ index: Int, _ instruction: Instruction, _ value: ValueView,
        _ scratch: inout MatchScratch
    ) throws(DBError) -> Bool {
        guard let array = value.array else { return false }
        let wantsObject = instruction.opcode == .elementObject
        var elements = array.makeIterator()
        var position = 0
        let conditions = Int(instruction.end) - index
        while let element = elements.next() {
            try scratch.evaluation.interrupts.spend(conditions)
            if !wantsObject || element.value.nested != nil,
                try evaluate(index + 1, element.value, &scratch)
            {
                scratch.arrayPosition = position
                return true
            }
            position += 1
        }
        return false
    }

    /// $mod: fields are cut toward zero; the remainder has the sign of the field.
    private func hasRemainder(_ value: ValueView, _ divisor: Int64, _ remainder: Int64) -> Bool {
        guard let number = value.truncatedInt64 else { return false }
        // INT64_MIN % -1 overflows the quotient; the remainder is 0.
        let (result, overflow) = number.remainderReportingOverflow(dividingBy: divisor)
        return (overflow ? 0 : result) == remainder
    }

    // MARK: Comparison

    @_lifetime(borrow self)
    func view(of constant: Constant) -> ValueView {
        let start = Int(constant.offset)
        return ValueView(
            type: constant.type,
            bytes: pool.span.bytes.extracting(unchecked: start..<start + Int(constant.count)))
    }

    @inline(__always)
    private func compare(_ opcode: Opcode, _ value: ValueView, _ constant: Constant) -> Bool {
        if constant.isInteger {
            if let number = value.int32 {
                return holds(opcode, Int64(number), constant.integer)
            }
            if let number = value.int64 { return holds(opcode, number, constant.integer) }
        }
        if constant.isDouble, let number = value.double {
            return number.isNaN ? false : holds(opcode, number, constant.double)
        }
        return compareSlowPath(opcode, value, constant)
    }

    @inline(never)
    private func compareSlowPath(
        _ opcode: Opcode, _ value: ValueView, _ constant: Constant
    ) -> Bool {
        let rank = value.type.canonicalRank
        let constantRank = constant.type.canonicalRank
        if rank != constantRank {
            // Values compare within their class alone, but for the two ends of the order.
            switch constant.type {
            case .minKey: return opcode == .greater || opcode == .greaterOrEqual
            case .maxKey: return opcode == .less || opcode == .lessOrEqual
            default: return false
            }
        }
        if opcode == .equal { return value.equals(view(of: constant)) }
        if constant.isNaN || value.isNaN {
            return constant.isNaN && value.isNaN && opcode != .less && opcode != .greater
        }
        return holds(opcode, value.compare(view(of: constant)), 0)
    }

    @inline(__always)
    private func holds<T: Comparable>(_ opcode: Opcode, _ left: T, _ right: T) -> Bool {
        switch opcode {
        case .equal: left == right
        case .less: left < right
        case .lessOrEqual: left <= right
        case .greater: left > right
        default: left >= right
        }
    }

    /// $in: binary search among the constants, then the patterns.
    private func isMember(
        _ value: ValueView, _ membership: Membership, _ scratch: inout MatchScratch
    ) throws(DBError) -> Bool {
        if isConstant(value, membership, nil) { return true }
        return try matchesPattern(value, membership, &scratch)
    }

    /// Whether the value is among the constants, which lie in the collation's order.
    private func isConstant(
        _ value: ValueView, _ membership: Membership, _ collation: Collation?
    ) -> Bool {
        guard membership.ranks >> UInt32(value.type.canonicalRank) & 1 != 0 else { return false }
        var low = Int(membership.constants.lowerBound)
        var high = Int(membership.constants.upperBound)
        while low < high {
            let middle = (low + high) / 2
            let order = value.compare(view(of: constants[middle]), collation)
            if order == 0 { return true }
            if order < 0 { high = middle } else { low = middle + 1 }
        }
        return false
    }

    private func matchesPattern(
        _ value: ValueView, _ membership: Membership, _ scratch: inout MatchScratch
    ) throws(DBError) -> Bool {
        for regex in membership.regexes {
            if try regexes[Int(regex)].matches(value, &scratch) { return true }
        }
        return false
    }

    // MARK: Comparison by a collation

    private func compareCollated(_ value: ValueView, _ comparison: CollatedComparison) -> Bool {
        let constant = constants[Int(comparison.constant)]
        guard value.type.canonicalRank == constant.type.canonicalRank else { return false }
        return holds(comparison.opcode, value.compare(view(of: constant), collation), 0)
    }

    /// $in under a collation.
    private func isCollatedMember(
        _ value: ValueView, _ membership: Membership, _ scratch: inout MatchScratch
    ) throws(DBError) -> Bool {
        if isConstant(value, membership, collation) { return true }
        return try matchesPattern(value, membership, &scratch)
    }
}
