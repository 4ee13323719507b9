// The documents of one partition of $setWindowFields, in order, and their sort keys.

import BSON

/// A partition held in memory.
struct WindowPartition {
    private(set) var documents = DocumentBatch()
    /// The sort keys, one behind the other.
    private var keys: [UInt8] = []
    private var keyEnds: [Int] = []
    /// The field that the only key of the sort names; nil for several or none.
    let sortPath: FieldPath?

    init(sortBy: SortPattern?) {
        sortPath = sortBy?.parts.count == 1 ? sortBy?.parts.first?.path : nil
    }

    var count: Int { documents.count }

    /// Bytes of memory, about.
    var byteCount: Int { documents.byteCount + keys.count + keyEnds.count * 8 }

    mutating func append(_ document: DocumentView, key: RawSpan) {
        documents.append(document)
        keys.append(copying: key)
        keyEnds.append(keys.count)
    }

    mutating func removeAll() {
        documents.removeAll()
        keys.removeAll(keepingCapacity: true)
        keyEnds.removeAll(keepingCapacity: true)
    }

    /// Appends a copy of a document's bytes to `writer`.
    func copyDocument(_ index: Int, to writer: inout DocumentWriter) {
        writer.appendRaw(copying: documents[index].bytes)
    }

    /// Whether a document has the sort key of the one before it.
    func isTied(_ index: Int) -> Bool {
        guard index > 0 else { return false }
        let middle = keyEnds[index - 1]
        let start = index > 1 ? keyEnds[index - 2] : 0
        let span = keys.span.bytes
        return span.extracting(start..<middle).equals(span.extracting(middle..<keyEnds[index]))
    }

    /// The values of an expression for all documents.
    func values(
        of expression: Expression, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueColumn {
        var values = ValueColumn()
        for index in 0..<count {
            values.append(try expression.evaluate(documents[index], &context))
            try context.checkBounds()
        }
        return values
    }

    /// The values of the sort's only field.
    func sortValues(_ context: inout EvaluationContext) -> ValueColumn {
        var values = ValueColumn()
        guard let sortPath else { return values }
        for index in 0..<count {
            context.begin(documents[index])
            values.append(sortPath.value(in: context.root, &context))
        }
        return values
    }

    /// The sort's only field as numbers, dates in units; `acceptsNumbers`: also where there is one.
    ///
    /// Throws `codes.date` for a date without a unit, `codes.number` for a number with one, and
    /// `codes.other` for anything else.
    func sortNumbers(
        unit: DateStep?, _ codes: (date: Int32, number: Int32, other: Int32), _ name: String,
        _ context: inout EvaluationContext, acceptsNumbers: Bool = false
    ) throws(DBError) -> [Double] {
        let values = sortValues(&context)
        var numbers: [Double] = []
        numbers.reserveCapacity(count)
        for index in 0..<count {
            guard let value = values.view(index) else {
                throw .location(
                    codes.other, "\(name) needs a number or a date in the sortBy field: it misses")
            }
            if let date = value.dateMillis {
                guard let unit, let millis = unit.millis else {
                    throw .location(
                        codes.date, "\(name) where the sortBy is a Date requires a 'unit'")
                }
                numbers.append(Double(date) / Double(millis))
            } else if let number = Number(ValueRef(value)) {
                guard unit == nil || acceptsNumbers else {
                    throw .location(
                        codes.number,
                        "\(name) with 'unit' expects the sortBy field to be a Date")
                }
                numbers.append(number.double)
            } else {
                throw .location(
                    codes.other,
                    "\(name) needs a number or a date in the sortBy field, found "
                        + value.type.alias)
            }
        }
        return numbers
    }
}

/// The windows of the documents of a partition, one after another. Ends never move back, since the
/// documents are in order, so all of them together cost two passes.
struct WindowEnds {
    private let bounds: WindowBounds
    private let count: Int
    /// Where range bounds begin and end, by document; empty for bounds by position.
    private var ranges: [Range<Int>] = []

    /// Throws 5429413, 5429414 and 5429513 where range bounds meet values that they don't fit.
    init(
        _ bounds: WindowBounds, _ partition: WindowPartition,
        _ context: inout EvaluationContext
    ) throws(DBError) {
        self.bounds = bounds
        count = partition.count
        guard !bounds.isWhole, case .range(let lower, let upper, let unit) = bounds.kind else {
            return
        }
        let values = partition.sortValues(&context)
        var start = 0
        var end = 0
        for index in 0..<count {
            let value = try Self.checked(values.view(index), unit)
            if case .offset(let offset) = lower {
                let least = try Self.sum(value, offset, unit)
                while start < count, let other = values.view(start),
                    other.compare(least.view, nil) < 0
                {
                    start += 1
                }
            }
            if case .offset(let offset) = upper {
                let greatest = try Self.sum(value, offset, unit)
                while end < count, let other = values.view(end),
                    other.compare(greatest.view, nil) <= 0
                {
                    end += 1
                }
            } else {
                end = count
            }
            ranges.append(start..<max(start, end))
            try context.checkBounds()
        }
    }

    /// The window of the document at `index`.
    func range(_ index: Int) -> Range<Int> {
        guard case .documents(let lower, let upper) = bounds.kind else {
            return bounds.isWhole ? 0..<count : ranges[index]
        }
        var start = 0
        var end = count
        if case .offset(let offset) = lower { start = min(max(0, index + offset), count) }
        if case .offset(let offset) = upper { end = min(max(0, index + offset + 1), count) }
        return start..<max(start, end)
    }

    private static func checked(
        _ value: ValueView?, _ unit: DateStep?
    ) throws(DBError) -> OwnedValue {
        let alias = value?.type.alias ?? "missing"
        if unit != nil {
            guard let value, value.type == .date else {
                throw .location(
                    5_429_513,
                    "Invalid range: Expected the sortBy field to be a Date, but it was \(alias)")
            }
            return OwnedValue(copying: value)
        }
        guard let value, value.type != .date else {
            throw .location(
                value == nil ? 5_429_414 : 5_429_413,
                "For windows that involve date or time ranges, a unit must be provided.")
        }
        guard value.type.isNumeric else {
            throw .location(
                5_429_414,
                "Invalid range: Expected the sortBy field to be a number, but it was \(alias)")
        }
        return OwnedValue(copying: value)
    }

    private static func sum(
        _ value: OwnedValue, _ offset: OwnedValue, _ unit: DateStep?
    ) throws(DBError) -> OwnedValue {
        if let unit, let date = value.view.dateMillis {
            let amount = Number(ValueRef(offset.view))?.exactInt64 ?? 0
            guard let moved = unit.adding(amount, to: date) else {
                return OwnedValue(amount < 0 ? .minKey : .maxKey)
            }
            return OwnedValue(.date(moved))
        }
        var sum = NumberSum()
        sum.add(ValueRef(value.view))
        sum.add(ValueRef(offset.view))
        return OwnedValue(sum.total.value)
    }
}

extension Number {
    /// The number as a BSON value.
    var value: Value {
        switch self {
        case .int32(let number): .int32(number)
        case .int64(let number): .int64(number)
        case .double(let number): .double(number)
        case .decimal(let number): .decimal128(low: number.low, high: number.high)
        }
    }
}
