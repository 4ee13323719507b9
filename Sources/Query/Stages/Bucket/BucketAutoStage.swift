// $bucketAuto: sorts by the value to group by and cuts the sequence into buckets of about the same
// size; equal values stay together, and with `granularity` boundaries are preferred numbers.

import BSON

/// A compiled $bucketAuto.
struct BucketAutoSpecification: StagePlan {
    let groupBy: Expression
    let bucketsMax: Int
    let granularity: Granularity?
    /// The outputs, over a constant key.
    let group: GroupSpecification

    var dependsOnOrder: Bool { group.outputs.contains { $0.accumulator.kind.dependsOnOrder } }
    var multiplies: Bool { groupBy.loops || group.loops }

    func execution(_ next: StageExecution, _ resources: ExecutionResources) -> StageExecution {
        BucketAutoStage(self, resources, next)
    }

    /// Compiles the argument of $bucketAuto.
    ///
    /// Throws 40239 to 40246, 40257 and 40261 for the fields, and what $group throws for `output`.
    static func parse(
        _ value: ValueView, _ scope: ExpressionScope
    ) throws(DBError) -> BucketAutoSpecification {
        guard let object = value.document else {
            throw .location(
                40240,
                "The argument to $bucketAuto must be an object, but found type: "
                    + value.type.alias)
        }
        var groupBy: Expression?
        var buckets: Int?
        var outputs = Document()
        var granularity: Granularity?
        var elements = object.makeIterator()
        while let element = elements.next() {
            switch element.nameString {
            case "groupBy":
                guard BucketKey.isExpression(element.value) else {
                    throw .location(
                        40239,
                        "The $bucketAuto 'groupBy' field must be defined as a $-prefixed path or "
                            + "an expression object")
                }
                groupBy = try Expression.parse(element.value, scope)
            case "buckets": buckets = try parseCount(element.value)
            case "output":
                guard let object = element.value.document else {
                    throw .location(
                        40244,
                        "The $bucketAuto 'output' field must be an object, but found type: "
                            + element.value.type.alias)
                }
                outputs = Document(copying: object)
            case "granularity": granularity = try parseGranularity(element.value)
            case let name:
                throw .location(40245, "Unrecognized option to $bucketAuto: \(name).")
            }
        }
        guard let groupBy, let buckets else {
            throw .location(
                40246, "$bucketAuto requires 'groupBy' and 'buckets' to be specified")
        }
        return BucketAutoSpecification(
            groupBy: groupBy, bucketsMax: buckets, granularity: granularity,
            group: try parseOutputs(outputs, scope))
    }

    private static func parseCount(_ value: ValueView) throws(DBError) -> Int {
        guard let number = Number(ValueRef(value)) else {
            throw .location(
                40241,
                "The $bucketAuto 'buckets' field must be a numeric value, but found type: "
                    + value.type.alias)
        }
        guard let count = number.exactInt64.flatMap({ Int32(exactly: $0) }) else {
            throw .location(
                40242, "The $bucketAuto 'buckets' field must be representable as a 32-bit integer")
        }
        guard count > 0 else {
            throw .location(
                40243, "The $bucketAuto 'buckets' field must be greater than 0, but found: \(count)"
            )
        }
        return Int(count)
    }

    private static func parseGranularity(_ value: ValueView) throws(DBError) -> Granularity {
        guard let name = value.string else {
            throw .location(
                40261,
                "The $bucketAuto 'granularity' field must be a string, but found type: "
                    + value.type.alias)
        }
        guard let granularity = Granularity(name) else {
            throw .location(40257, "Unknown rounding granularity '\(name)'")
        }
        return granularity
    }

    private static func parseOutputs(
        _ outputs: Document, _ scope: ExpressionScope
    ) throws(DBError) -> GroupSpecification {
        let argument = Document { writer in
            writer.appendNull("_id")
            if outputs.isEmpty {
                writer.append("count", BucketKey.countOutput)
            } else {
                writer.appendFields(of: outputs.view)
            }
        }
        let value = OwnedValue(.document(argument))
        return try GroupSpecification.parse(value.view, scope)
    }
}

/// $bucketAuto at work.
final class BucketAutoStage: StageExecution {
    /// A document taken from the sorted input.
    private struct Item {
        let value: OwnedValue
        let document: Document
    }

    private let specification: BucketAutoSpecification
    private let interrupt: Interrupt?
    private let sorter: DocumentSorter
    private var context: EvaluationContext
    private var encoder = KeyEncoder()
    private var count = 0
    private var madeCount = 0
    /// The document behind the bucket made last.
    private var ahead: Item?
    /// Where the bucket made last ends, with granularity.
    private var lastBoundary: OwnedValue?
    private var writer = DocumentWriter()

    init(
        _ specification: BucketAutoSpecification, _ resources: ExecutionResources,
        _ next: StageExecution
    ) {
        self.specification = specification
        interrupt = resources.interrupt
        sorter = DocumentSorter("$bucketAuto", limit: nil, resources)
        context = EvaluationContext(resources.interrupt)
        super.init(next)
    }

    override var memoryBytes: Int { sorter.byteCount }

    override func push(_ document: DocumentView, arrayPosition: Int?) throws(DBError) -> Bool {
        let value = try value(of: document)
        if specification.granularity != nil { try Self.check(value) }
        encoder.removeAll()
        encoder.append(value.view, order: specification.group.collation)
        try sorter.insert(document, key: encoder.bytes, arrayPosition: nil)
        count += 1
        return true
    }

    /// What a document is grouped by; null where there is nothing.
    private func value(of document: DocumentView) throws(DBError) -> ValueRef {
        let value = try specification.groupBy.evaluate(document, &context)
        return value.isMissing ? .null : value
    }

    private static func check(_ value: ValueRef) throws(DBError) {
        guard let number = Number(value) else {
            throw .location(
                40258,
                "$bucketAuto can specify a 'granularity' with numeric boundaries only, but found "
                    + "a value with type: \(value.typeName)")
        }
        guard !number.isNaN else {
            throw .location(
                40259, "$bucketAuto with a 'granularity' can't take NaN")
        }
        guard number.double >= 0 else {
            throw .location(
                40260, "$bucketAuto can specify a 'granularity' with non-negative values only")
        }
    }

    override func endInput() throws(DBError) {
        try sorter.endInput()
        ahead = try nextItem()
    }

    private func nextItem() throws(DBError) -> Item? {
        var item: Item?
        _ = try sorter.next { _, document, _ throws(DBError) in
            let value = try value(of: document)
            item = Item(
                value: OwnedValue(copying: value.view), document: Document(copying: document))
        }
        return item
    }

    override func drainOne() throws(DBError) -> Bool {
        guard let first = ahead else { return false }
        let size = max(
            1, Int((Double(count) / Double(specification.bucketsMax)).rounded()))
        let isLast = madeCount == specification.bucketsMax - 1
        var state = GroupState(specification.group, interrupt, usesCompiledCodes: false)
        var last = first
        var taken = 0
        while let item = ahead, isLast || taken < size {
            _ = try state.push(item.document.view)
            last = item
            taken += 1
            ahead = try nextItem()
        }
        let upper = try absorb(last.value, &state)
        let lower =
            lastBoundary ?? specification.granularity.map {
                Self.rounded(first.value, $0.below)
            } ?? first.value
        madeCount += 1
        if specification.granularity != nil { lastBoundary = upper }
        writer.removeAll()
        let start = writer.openDocument()
        let id = writer.openDocument("_id")
        writer.append("min", lower)
        writer.append("max", upper)
        writer.close(id)
        state.writeOutputs(0, specification.group, &writer)
        writer.close(start)
        let bytes = writer.bytes
        _ = try passOn(DocumentView(bytes.span.bytes), arrayPosition: nil)
        return true
    }

    /// Takes what belongs into the bucket that has `last` as its largest value so far; returns its
    /// upper end.
    private func absorb(
        _ last: OwnedValue, _ state: inout GroupState
    ) throws(DBError) -> OwnedValue {
        let collation = specification.group.collation
        guard let granularity = specification.granularity else {
            while let item = ahead, item.value.view.compare(last.view, collation) == 0 {
                _ = try state.push(item.document.view)
                ahead = try nextItem()
            }
            return ahead?.value ?? last
        }
        let upper = Self.rounded(last, granularity.above)
        // The series has nothing above zero, so zeros stay together.
        let isZero = (Number(ValueRef(upper.view))?.double ?? 0) == 0
        while let item = ahead {
            let order = item.value.view.compare(upper.view, collation)
            guard order < 0 || (isZero && order == 0) else { break }
            _ = try state.push(item.document.view)
            ahead = try nextItem()
        }
        return upper
    }

    private static func rounded(
        _ value: OwnedValue, _ round: (Double) -> Double
    ) -> OwnedValue {
        guard let number = Number(ValueRef(value.view)) else { return value }
        let rounded = round(number.double)
        guard number.isDecimal else { return OwnedValue(.double(rounded)) }
        let decimal = Decimal128(fifteenDigits: rounded)
        return OwnedValue(.decimal128(low: decimal.low, high: decimal.high))
    }
}
