// $densify: documents for the values that a sequence misses.
//
// The input is sorted by partition and field. In each partition the sequence base, base + step, …
// runs beside the documents: what no document has is made, with the partition's fields and the
// value alone. Documents without the field come first, unchanged.

import BSON

final class DensifyStage: StageExecution {
    private let specification: DensifySpecification
    private let sorter: DocumentSorter
    private var context: EvaluationContext
    private var encoder = KeyEncoder()
    private var interrupts: InterruptMeter
    /// The least and the greatest value of all documents.
    private var least: OwnedValue?
    private var greatest: OwnedValue?
    /// The partition being densified.
    private var current: Partition?
    /// The next document; nil at the end.
    private var ahead: Item?
    private var madeCount = 0
    private var writer = DocumentWriter()
    private var other = DocumentWriter()

    private struct Item {
        let document: Document
        /// The document's value; nil for null and missing.
        let value: OwnedValue?
        let partition: [UInt8]
    }

    /// A partition and how far its sequence has come.
    private struct Partition {
        let key: [UInt8]
        /// Values of the partition's fields.
        let fields: [OwnedValue?]
        let base: OwnedValue
        /// How many steps the next value lies behind the base.
        var steps: Int64 = 0
        /// The next value of the sequence; nil behind the end.
        var next: OwnedValue?
        /// Where the sequence ends; nil for at the partition's last document.
        let end: OwnedValue?
        let includesEnd: Bool
    }

    init(
        _ specification: DensifySpecification, _ resources: ExecutionResources,
        _ next: StageExecution
    ) {
        self.specification = specification
        sorter = DocumentSorter("$densify", limit: nil, resources)
        context = EvaluationContext(resources.interrupt)
        interrupts = InterruptMeter(resources.interrupt)
        super.init(next)
    }

    override var memoryBytes: Int { sorter.byteCount }

    override func push(_ document: DocumentView, arrayPosition: Int?) throws(DBError) -> Bool {
        context.begin(document)
        let value = try value(of: document)
        if let value {
            if least.map({ value.view.compare($0.view, nil) < 0 }) ?? true { least = value }
            if greatest.map({ value.view.compare($0.view, nil) > 0 }) ?? true { greatest = value }
        }
        encodePartition()
        if let value { encoder.append(value.view) } else { encoder.appendNull() }
        try sorter.insert(document, key: encoder.bytes, arrayPosition: nil)
        return true
    }

    /// The field's value in the document that the context began.
    private func value(of document: DocumentView) throws(DBError) -> OwnedValue? {
        let value = specification.field.value(in: context.root, &context)
        if value.isNullish { return nil }
        let fits = specification.unit == nil ? Number(value) != nil : value.isType(.date)
        guard fits else {
            throw .location(
                specification.unit == nil ? 5_733_201 : 6_053_600,
                "PlanExecutor error: $densify field type must be numeric, or a date where 'unit' "
                    + "is given, found \(value.typeName)")
        }
        return OwnedValue(copying: value.view)
    }

    private func encodePartition() {
        encoder.removeAll()
        for path in specification.partitionBy {
            let value = path.value(in: context.root, &context)
            if value.isMissing {
                encoder.appendNull()
            } else {
                encoder.append(value.view, order: specification.collation)
            }
        }
    }

    override func endInput() throws(DBError) {
        try sorter.endInput()
        try takeAhead()
    }

    private func takeAhead() throws(DBError) {
        ahead = nil
        _ = try sorter.next { _, document, _ throws(DBError) in
            context.begin(document)
            encodePartition()
            ahead = Item(
                document: Document(copying: document), value: try value(of: document),
                partition: encoder.bytes)
        }
    }

    override func drainOne() throws(DBError) -> Bool {
        try interrupts.spend(16)
        guard let item = ahead else { return try makeNext(before: nil) }
        if item.partition != current?.key {
            // The rest of the partition before comes first.
            if try makeNext(before: nil) { return true }
            try begin(item)
        }
        if let value = item.value {
            if try makeNext(before: value) { return true }
            skip(value)
        }
        _ = try passOn(item.document.view, arrayPosition: nil)
        try takeAhead()
        return true
    }

    // MARK: The sequence

    private func begin(_ item: Item) throws(DBError) {
        context.begin(item.document.view)
        let fields = specification.partitionBy.map { path -> OwnedValue? in
            let value = path.value(in: context.root, &context)
            return value.isMissing ? nil : OwnedValue(copying: value.view)
        }
        var base = item.value
        var end: OwnedValue?
        var includesEnd = false
        switch specification.bounds {
        case .partition: break
        case .full:
            base = least
            end = greatest
            includesEnd = true
        case .between(let low, let high):
            base = low
            end = high
        }
        guard let base else {
            // No value yet: the partition begins where one comes.
            current = nil
            return
        }
        current = Partition(
            key: item.partition, fields: fields, base: base, next: base, end: end,
            includesEnd: includesEnd)
    }

    /// Makes the next document of the sequence if its value lies before `limit` and before the
    /// sequence's end; false if there is none.
    private func makeNext(before limit: OwnedValue?) throws(DBError) -> Bool {
        guard let partition = current, let next = partition.next else { return false }
        if let limit {
            guard next.view.compare(limit.view, nil) < 0 else { return false }
        } else if partition.end == nil {
            return false
        }
        if let end = partition.end {
            let order = next.view.compare(end.view, nil)
            guard order < 0 || (order == 0 && partition.includesEnd) else { return false }
        }
        madeCount += 1
        guard madeCount <= DensifySpecification.madeMax else {
            throw .location(
                5_897_900,
                "Generated \(madeCount) documents in $densify, which is over the limit of "
                    + "\(DensifySpecification.madeMax). Use a larger step or narrower bounds.")
        }
        advance()
        try emit(next, partition)
        return true
    }

    /// Passes the sequence over a value that a document has.
    private func skip(_ value: OwnedValue) {
        guard let next = current?.next, next.view.compare(value.view, nil) == 0 else { return }
        advance()
    }

    private func advance() {
        guard var partition = current else { return }
        partition.steps += 1
        partition.next = value(partition.base, steps: partition.steps)
        current = partition
    }

    private func value(_ base: OwnedValue, steps: Int64) -> OwnedValue? {
        if let unit = specification.unit, let date = base.view.dateMillis {
            guard let size = specification.step.exactInt64 else { return nil }
            let (amount, overflow) = size.multipliedReportingOverflow(by: steps)
            return overflow ? nil : unit.adding(amount, to: date).map { OwnedValue(.date($0)) }
        }
        guard let number = Number(ValueRef(base.view)) else { return nil }
        var sum = NumberSum()
        sum.add(number)
        switch specification.step {
        case .double(let size): sum.add(.double(size * Double(steps)))
        case .decimal(let size): sum.add(.decimal(size.multiply(Decimal128(steps))))
        case let size:
            let (product, overflow) = (size.exactInt64 ?? 1).multipliedReportingOverflow(by: steps)
            if overflow { return nil }
            sum.add(.integer(product, narrow: size.isInt32))
        }
        return OwnedValue(sum.total.value)
    }

    private func emit(_ value: OwnedValue, _ partition: Partition) throws(DBError) {
        writer.removeAll()
        let start = writer.openDocument()
        writer.close(start)
        for (path, field) in zip(specification.partitionBy, partition.fields) {
            if let field { set(path, field) }
        }
        set(specification.field, value)
        let bytes = writer.bytes
        _ = try passOn(DocumentView(bytes.span.bytes), arrayPosition: nil)
    }

    private func set(_ path: FieldPath, _ value: OwnedValue) {
        let bytes = writer.bytes
        other.removeAll()
        other.write(DocumentView(bytes.span.bytes), setting: path, to: ValueRef(value.view))
        swap(&writer, &other)
    }
}
