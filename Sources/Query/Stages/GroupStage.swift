// $group.
//
// The key expression's value is encoded (KeyEncoder: equal values encode equal, whatever their
// numeric type) and looked up in a hash table, which gives the group's number. Each accumulator
// keeps its state for all groups in arrays by that number, so a document costs no allocation; sums,
// which are the most used, lie in one array (GroupState), the others in columns (Accumulators.swift).
// The first-seen form of a key is what comes out.

import BSON

final class GroupStage: StageExecution {
    private let specification: GroupSpecification
    private let memoryBytesMax: Int
    private var state: GroupState
    private var writer = DocumentWriter()
    private var emitted = 0

    init(
        _ specification: GroupSpecification, memoryBytesMax: Int, _ interrupt: Interrupt?,
        _ next: StageExecution
    ) {
        self.specification = specification
        self.memoryBytesMax = memoryBytesMax
        state = GroupState(specification, interrupt)
        super.init(next)
    }

    override var memoryBytes: Int { state.byteCount }

    override func push(_ document: DocumentView, arrayPosition: Int?) throws(DBError) -> Bool {
        let isCheckDue = try state.push(document)
        if isCheckDue, memoryBytes > memoryBytesMax { throw memoryExceeded() }
        return true
    }

    private func memoryExceeded() -> DBError {
        let growing = specification.outputs.first {
            $0.accumulator == .push || $0.accumulator == .addToSet
        }
        if let growing, state.count == 1 {
            return DBError(
                .exceededMemoryLimit,
                "\(growing.accumulator.rawValue) used too much memory and cannot spill to disk. "
                    + "Memory limit: \(memoryBytesMax) bytes")
        }
        return DBError(
            .queryExceededMemoryLimitNoDiskUseAllowed,
            "Exceeded memory limit for $group (\(memoryBytesMax) bytes)")
    }

    override func drainOne() throws(DBError) -> Bool {
        guard emitted < state.count else { return false }
        let group = emitted
        emitted += 1
        writer.removeAll()
        let start = writer.openDocument()
        state.write(group, specification, &writer)
        writer.close(start)
        let bytes = writer.bytes
        return try passOn(DocumentView(bytes.span.bytes), arrayPosition: nil)
    }
}

/// All that a group stage keeps while documents come in.
struct GroupState: ~Copyable {
    /// An accumulator: its place in `sums` or in `columns`, and its input.
    private struct Place {
        let isSum: Bool
        /// Whether each document counts one, whatever the input.
        let isCount: Bool
        let index: Int
    }

    private let inputs: GroupInputs
    private let collation: Collation?
    private var context: EvaluationContext
    private var encoder = KeyEncoder()
    private var groups = KeyTable()
    /// The keys as they came first.
    private var keys = ValueColumn()
    private var places: [Place] = []
    /// Sums of all groups: group × `sumCount` + place.
    private var sums: [NumberSum] = []
    private var sumCount = 0
    private var columns: [AccumulatorColumn] = []
    private var pushesUntilCheck = 0

    init(_ specification: GroupSpecification, _ interrupt: Interrupt?) {
        context = EvaluationContext(interrupt)
        inputs = GroupInputs(specification)
        collation = specification.collation
        context.usesCompiledCodes = true
        for output in specification.outputs {
            switch output.accumulator {
            case .sum, .average, .count:
                let isCount = output.accumulator == .count
                places.append(Place(isSum: true, isCount: isCount, index: sumCount))
                sumCount += 1
            case let other:
                places.append(Place(isSum: false, isCount: false, index: columns.count))
                columns.append(AccumulatorColumn.make(other, specification.collation))
            }
        }
    }

    /// The number of groups.
    var count: Int { groups.count }

    /// Bytes of memory, about.
    var byteCount: Int {
        let own = groups.byteCount + keys.byteCount + sums.count * MemoryLayout<NumberSum>.stride
        return columns.reduce(own) { $0 + $1.byteCount }
    }

    /// Takes a document in; true now and then: time to compare `byteCount` with its bound.
    mutating func push(_ document: DocumentView) throws(DBError) -> Bool {
        context.begin(document)
        let slots = inputs.locate(document)
        let key = try inputs.value(0, document, slots, &context)
        encoder.removeAll()
        if let collation {
            encoder.append(key.view, order: collation)
        } else {
            encoder.append(key.view)
        }
        let (group, isNew) = groups.insert(encoder.bytes)
        if isNew { addGroup(key) }
        for index in places.indices {
            let value = try inputs.value(index + 1, document, slots, &context)
            let place = places[index]
            if place.isSum {
                let sum = group &* sumCount &+ place.index
                if place.isCount { sums[sum].add(.int32(1)) } else { sums[sum].add(value) }
            } else {
                try columns[place.index].add(value, to: group)
            }
        }
        pushesUntilCheck -= 1
        if pushesUntilCheck > 0 { return false }
        pushesUntilCheck = 64
        return true
    }

    private mutating func addGroup(_ key: ValueRef) {
        // A missing key's group prints null.
        keys.append(key.isMissing ? .null : key)
        for _ in 0..<sumCount { sums.append(NumberSum()) }
        for column in columns { column.addGroup() }
    }

    /// Writes a group's fields.
    func write(
        _ group: Int, _ specification: GroupSpecification, _ writer: inout DocumentWriter
    ) {
        keys.write("_id", group, &writer)
        for (place, output) in zip(places, specification.outputs) {
            guard place.isSum else {
                columns[place.index].write(output.name, group, &writer)
                continue
            }
            let sum = sums[group * sumCount + place.index]
            if output.accumulator != .average {
                writer.append(output.name, sum.total)
            } else if let average = sum.average {
                writer.append(output.name, average)
            } else {
                writer.appendNull(output.name)
            }
        }
    }
}
