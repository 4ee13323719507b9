// $group.
//
// The key expression's value is encoded (KeyEncoder: equal values encode equal, whatever their
// numeric type) and looked up in a hash table, which gives the group's number. Each accumulator
// keeps its state for all groups in arrays by that number (Accumulators.swift), so a document costs
// no allocation. The first-seen form of a key is what comes out.

import BSON

final class GroupStage: StageExecution {
    private let specification: GroupSpecification
    private let memoryBytesMax: Int
    private var context = EvaluationContext()
    private var encoder = KeyEncoder()
    private var groups = KeyTable()
    /// The keys as they came first.
    private var keys = ValueColumn()
    private let columns: [AccumulatorColumn]
    /// Where the key and the accumulators' arguments come from, the key first.
    private let inputs: GroupInputs
    private var writer = DocumentWriter()
    private var emitted = 0
    private var pushesUntilCheck = 0

    init(_ specification: GroupSpecification, memoryBytesMax: Int, _ next: StageExecution) {
        self.specification = specification
        self.memoryBytesMax = memoryBytesMax
        columns = specification.outputs.map { AccumulatorColumn.make($0.accumulator) }
        inputs = GroupInputs(specification)
        context.usesCompiledCodes = true
        super.init(next)
    }

    override var memoryBytes: Int {
        columns.reduce(groups.byteCount + keys.byteCount) { $0 + $1.byteCount }
    }

    override func push(_ document: DocumentView, arrayPosition: Int?) throws(DBError) -> Bool {
        context.begin(document)
        let slots = inputs.locate(document)
        let key = try inputs.value(0, document, slots, &context)
        encoder.removeAll()
        encoder.append(key.view)
        let (group, isNew) = groups.insert(encoder.bytes)
        if isNew {
            // The view of a missing key is null, which is what such a group prints.
            keys.append(key.isMissing ? .null : key)
            for column in columns { column.addGroup() }
        }
        for index in columns.indices {
            let value = try inputs.value(index + 1, document, slots, &context)
            try columns[index].add(value, to: group)
        }
        try checkMemory()
        return true
    }

    private func checkMemory() throws(DBError) {
        pushesUntilCheck -= 1
        if pushesUntilCheck > 0 { return }
        pushesUntilCheck = 64
        guard memoryBytes > memoryBytesMax else { return }
        let growing = specification.outputs.first {
            $0.accumulator == .push || $0.accumulator == .addToSet
        }
        if let growing, groups.count == 1 {
            throw DBError(
                .exceededMemoryLimit,
                "\(growing.accumulator.rawValue) used too much memory and cannot spill to disk. "
                    + "Memory limit: \(memoryBytesMax) bytes")
        }
        throw DBError(
            .queryExceededMemoryLimitNoDiskUseAllowed,
            "Exceeded memory limit for $group (\(memoryBytesMax) bytes)")
    }

    override func drainOne() throws(DBError) -> Bool {
        guard emitted < groups.count else { return false }
        let group = emitted
        emitted += 1
        writer.removeAll()
        let start = writer.openDocument()
        keys.write("_id", group, &writer)
        for index in columns.indices {
            columns[index].write(specification.outputs[index].name, group, &writer)
        }
        writer.close(start)
        let bytes = writer.bytes
        return try passOn(DocumentView(bytes.span.bytes), arrayPosition: nil)
    }
}
