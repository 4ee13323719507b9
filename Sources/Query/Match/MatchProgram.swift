// A filter's executable form and the walk that runs it.
//
// Instructions lie in preorder; `end` is the index behind an instruction and its operands, so
// skipping a branch is one load. Conditions on paths carry everything by value: where the path's
// names and the operand lie. A conjunction or disjunction of such conditions finds the first names
// of all paths in one walk (`locate`) and starts from there.
//
// The walk along a path (`walk`, `walkArray`, `leaf`) is the one place that knows how paths meet
// arrays:
//  - An array inside the path: every element that is an object is entered with the rest of the
//    path; where the next name is digits, that element is entered behind the name too. Elements
//    that are arrays are entered only by position. Nothing is offered by an array without such
//    elements, not even "missing".
//  - An array at the path's end offers its elements and then itself, unless the operator wants the
//    array alone or the last name was a position.
//  - Objects without the name, and scalars with path left, offer "missing".

internal import BSON

/// The compiled form of a `FilterNode`.
struct MatchProgram: Sendable {
    enum Opcode: UInt8, Sendable {
        case alwaysTrue
        case alwaysFalse
        // Of the instructions up to `end`.
        case all
        case any
        case none
        // Of the value at a path; `operand` says where the constant lies.
        case equal
        case less
        case lessOrEqual
        case greater
        case greaterOrEqual
        case membership
        // The same where the constant holds strings and the filter has a collation.
        case collatedComparison
        case collatedMembership
        case exists
        case type
        case regex
        case size
        case mod
        case bits
        case elementObject
        case elementValue
        case geo
        // Of the whole document.
        case expression
        case schema
        case sampleRate
        case text
    }

    struct Instruction: Sendable {
        var opcode: Opcode
        /// Whether the answer is turned round.
        var isNegated = false
        /// Whether an array at the end of the path offers its elements.
        var expandsArray = false
        /// Whether a missing value passes (before negation).
        var matchesMissing = false
        /// Which of the enclosing group's names begins the path; negative for none.
        var slot: Int8 = -1
        /// The path: `segments[first..<segmentsEnd]`. In a group: its names, `slotNames[…]`.
        var firstSegment: Int32 = 0
        var segmentsEnd: Int32 = 0
        /// Index into the table of the opcode's operands.
        var operand: Int32 = 0
        /// The index behind this instruction and its operands.
        var end: Int32 = 0
    }

    /// A name on a path.
    struct Segment: Sendable {
        var name: FieldName
        /// The name as an array position; negative where it is none.
        var arrayIndex: Int32
    }

    /// A constant with what makes comparing it fast.
    struct Constant: Sendable {
        var type: BSONType
        /// Where the payload lies in the pool.
        var offset: Int32
        var count: Int32
        /// The number, if it is an integer that fits.
        var integer: Int64 = 0
        var isInteger = false
        /// The number, if it is a double exactly and not NaN.
        var double: Double = 0
        var isDouble = false
        var isNaN = false
    }

    /// A comparison by the collation.
    struct CollatedComparison: Sendable {
        let opcode: Opcode
        /// Index into `constants`.
        let constant: Int32
    }

    /// Constants and patterns of a membership test: ranges of `constants` and `regexes`.
    struct Membership: Sendable {
        var constants: Range<Int32>
        var regexes: Range<Int32>
        /// Bit r: there is a constant of canonical rank r.
        var ranks: UInt32
    }

    var instructions: [Instruction] = []
    var segments: [Segment] = []
    var slotNames: [FieldName] = []
    var constants: [Constant] = []
    var collatedComparisons: [CollatedComparison] = []
    /// What the collated instructions go by.
    var collation: Collation?
    var memberships: [Membership] = []
    var regexes: [RegexPredicate] = []
    var typeSets: [TypeSet] = []
    var numbers: [Int64] = []
    var bitsTests: [BitsTest] = []
    var expressions: [ExpressionPredicate] = []
    var schemas: [JSONSchema] = []
    var rates: [Double] = []
    var geoPredicates: [GeoPredicate] = []
    var textPredicates: [TextPredicate] = []
    /// Bytes of names and constants.
    var pool: [UInt8] = []

    /// Whether the value (of a document: the document itself) matches.
    func matches(_ subject: ValueView, _ scratch: inout MatchScratch) throws(DBError) -> Bool {
        try evaluate(0, subject, &scratch)
    }

    /// Runs the instruction at `index` on a subject.
    func evaluate(
        _ index: Int, _ subject: ValueView, _ scratch: inout MatchScratch
    ) throws(DBError) -> Bool {
        let instruction = instructions[index]
        switch instruction.opcode {
        case .alwaysTrue: return !instruction.isNegated
        case .alwaysFalse: return instruction.isNegated
        case .all, .any, .none: return try evaluateGroup(index, instruction, subject, &scratch)
        case .expression, .schema, .sampleRate, .text:
            return try evaluateWhole(instruction, subject, &scratch) != instruction.isNegated
        default:
            let position = scratch.arrayPosition
            let matches = try find(index, instruction, subject, &scratch)
            guard instruction.isNegated else { return matches }
            scratch.arrayPosition = position
            return !matches
        }
    }

    private func evaluateGroup(
        _ index: Int, _ group: Instruction, _ subject: ValueView, _ scratch: inout MatchScratch
    ) throws(DBError) -> Bool {
        let position = scratch.arrayPosition
        // What every child must say for the walk to go on.
        let goesOn = group.opcode == .all
        let usesSlots = group.segmentsEnd > group.firstSegment && subject.nested != nil
        let document = DocumentView(subject.bytes)
        let slots =
            usesSlots
            ? document.locate(
                slotNames.span.extracting(Int(group.firstSegment)..<Int(group.segmentsEnd)),
                in: pool.span.bytes) : FieldSlots()
        var child = index + 1
        while child < Int(group.end) {
            let instruction = instructions[child]
            let matches: Bool
            if usesSlots, instruction.slot >= 0 {
                let before = scratch.arrayPosition
                if let value = document.value(slots, Int(instruction.slot)) {
                    matches = try walk(
                        child, instruction, value, Int(instruction.firstSegment) + 1, &scratch)
                } else {
                    matches = instruction.matchesMissing
                }
                if instruction.isNegated { scratch.arrayPosition = before }
                if (matches != instruction.isNegated) != goesOn {
                    return finish(group, stopped: true, position, &scratch)
                }
            } else {
                matches = try evaluate(child, subject, &scratch)
                if matches != goesOn {
                    return finish(group, stopped: true, position, &scratch)
                }
            }
            child = Int(instruction.end)
        }
        return finish(group, stopped: false, position, &scratch)
    }

    /// The answer of a group. Whatever did not lead to a match leaves no array position.
    @inline(__always)
    private func finish(
        _ group: Instruction, stopped: Bool, _ position: Int?, _ scratch: inout MatchScratch
    ) -> Bool {
        let matches = (group.opcode == .any) == stopped
        if !matches || group.opcode == .none || group.isNegated {
            scratch.arrayPosition = position
        }
        return matches != group.isNegated
    }

    private func evaluateWhole(
        _ instruction: Instruction, _ subject: ValueView, _ scratch: inout MatchScratch
    ) throws(DBError) -> Bool {
        let operand = Int(instruction.operand)
        switch instruction.opcode {
        case .expression:
            return try expressions[operand].test(DocumentView(subject.bytes), &scratch)
        case .schema:
            return try schemas[operand].accepts(subject, &scratch)
        case .text:
            return try textPredicates[operand].score(of: DocumentView(subject.bytes)) != nil
        default:
            return scratch.nextRandom() < rates[operand]
        }
    }

    // MARK: The walk along a path

    /// Whether some value at the instruction's path passes its test.
    @inline(__always)
    private func find(
        _ index: Int, _ instruction: Instruction, _ subject: ValueView,
        _ scratch: inout MatchScratch
    ) throws(DBError) -> Bool {
        let segment = Int(instruction.firstSegment)
        if segment == Int(instruction.segmentsEnd) {
            return try leaf(index, instruction, subject, &scratch)
        }
        guard subject.nested != nil else { return instruction.matchesMissing }
        let document = DocumentView(subject.bytes)
        guard let value = document.value(segments[segment].name, in: pool.span.bytes) else {
            return instruction.matchesMissing
        }
        return try walk(index, instruction, value, segment + 1, &scratch)
    }

    /// Goes on from `value`, with the path from `segment` on left.
    private func walk(
        _ index: Int, _ instruction: Instruction, _ start: ValueView, _ firstSegment: Int,
        _ scratch: inout MatchScratch
    ) throws(DBError) -> Bool {
        var value = start
        var segment = firstSegment
        while segment < Int(instruction.segmentsEnd) {
            switch value.type {
            case .document:
                let document = DocumentView(value.bytes)
                guard let next = document.value(segments[segment].name, in: pool.span.bytes)
                else { return instruction.matchesMissing }
                value = next
                segment += 1
            case .array:
                return try walkArray(
                    index, instruction, DocumentView(value.bytes), segment, &scratch)
            default: return instruction.matchesMissing
            }
        }
        return try leaf(index, instruction, value, &scratch)
    }

    /// Goes on through an array, with the path from `segment` on left.
    private func walkArray(
        _ index: Int, _ instruction: Instruction, _ array: DocumentView, _ segment: Int,
        _ scratch: inout MatchScratch
    ) throws(DBError) -> Bool {
        let name = segments[segment]
        try scratch.spend(byteCount: array.bytes.byteCount)
        var elements = array.makeIterator()
        var position: Int32 = 0
        while let element = elements.next() {
            let value = element.value
            if value.type == .document {
                if try walk(index, instruction, value, segment, &scratch) {
                    scratch.arrayPosition = Int(position)
                    return true
                }
            }
            if position == name.arrayIndex {
                if segment + 1 == Int(instruction.segmentsEnd) {
                    if try test(index, instruction, value, &scratch) { return true }
                } else if value.type == .document || value.type == .array {
                    if try walk(index, instruction, value, segment + 1, &scratch) { return true }
                }
            }
            position += 1
        }
        return false
    }

    /// Tests the value at the end of the path, and the elements of an array.
    @inline(__always)
    private func leaf(
        _ index: Int, _ instruction: Instruction, _ value: ValueView,
        _ scratch: inout MatchScratch
    ) throws(DBError) -> Bool {
        if value.type == .array, instruction.expandsArray {
            try scratch.spend(byteCount: value.bytes.byteCount)
            var elements = DocumentView(value.bytes).makeIterator()
            var position = 0
            while let element = elements.next() {
                if try test(index, instruction, element.value, &scratch) {
                    scratch.arrayPosition = position
                    return true
                }
                position += 1
            }
        }
        return try test(index, instruction, value, &scratch)
    }
}
