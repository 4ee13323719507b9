// $group.
//
// The key expression's value is encoded (KeyEncoder: equal values encode equal, whatever their
// numeric type) and looked up in a hash table, which gives the group's number; values met lately are
// known by their bytes (RecentKeys). Each accumulator
// keeps its state for all groups in arrays by that number, so a document costs no allocation; sums,
// which are the most used, lie in one array (GroupState), the others in columns (Accumulators.swift).
// The first-seen form of a key is what comes out.

import BSON

final class GroupStage: StageExecution {
    private let specification: GroupSpecification
    private let resources: ExecutionResources
    private var state: GroupState
    private var writer = DocumentWriter()
    private var emitted = 0
    /// Groups that went to temporary files, each run in the order of the keys.
    private var runs: [SpillRun] = []
    private var merge: SpillMerge?

    init(
        _ specification: GroupSpecification, _ resources: ExecutionResources,
        _ next: StageExecution
    ) {
        self.specification = specification
        self.resources = resources
        state = GroupState(specification, resources.interrupt)
        super.init(next)
    }

    override var memoryBytes: Int { state.byteCount }

    override func push(_ document: DocumentView, arrayPosition: Int?) throws(DBError) -> Bool {
        let isCheckDue = try state.push(document)
        if isCheckDue, memoryBytes > resources.memoryBytesMax { try spillSlowPath() }
        return true
    }

    override func endInput() throws(DBError) {
        guard !runs.isEmpty else { return }
        try writeRun()
        merge = try SpillMerge(runs)
        runs = []
    }

    override func drainOne() throws(DBError) -> Bool {
        if merge != nil {
            guard try takeMerged() else { return false }
            return try emit(0)
        }
        guard emitted < state.count else { return false }
        emitted += 1
        return try emit(emitted - 1)
    }

    private func emit(_ group: Int) throws(DBError) -> Bool {
        writer.removeAll()
        let start = writer.openDocument()
        state.write(group, specification, &writer)
        writer.close(start)
        let bytes = writer.bytes
        _ = try passOn(DocumentView(bytes.span.bytes), arrayPosition: nil)
        return true
    }

    // MARK: Parts

    override var takesParts: Bool { specification.takesParts }

    override func append(_ later: StageExecution) throws(DBError) -> Bool {
        guard let later = later as? GroupStage, runs.isEmpty, later.runs.isEmpty,
            state.takesExactly(later.state)
        else { return false }
        try state.append(later.state)
        if memoryBytes > resources.memoryBytesMax { try spillSlowPath() }
        return true
    }

    // MARK: Spilling

    @inline(never)
    private func spillSlowPath() throws(DBError) {
        let limit = resources.memoryBytesMax
        let growing = specification.outputs.first { $0.accumulator.kind.grows }
        if let growing, state.count == 1 {
            throw DBError(
                .exceededMemoryLimit,
                "\(growing.accumulator.kind.rawValue) used too much memory and cannot spill to "
                    + "disk. Memory limit: \(limit) bytes")
        }
        guard resources.spillFolder != nil else {
            throw DBError(
                .queryExceededMemoryLimitNoDiskUseAllowed,
                "$group exceeded its memory limit of \(limit) bytes, and allowDiskUse is false. "
                    + "Allow it, or group by fewer values.")
        }
        try writeRun()
    }

    private func writeRun() throws(DBError) {
        guard let folder = resources.spillFolder, state.count > 0 else { return }
        runs.append(try state.spill(specification, to: folder))
        state = GroupState(specification, resources.interrupt)
    }

    /// Puts the next group together from the runs; false if there is none.
    private func takeMerged() throws(DBError) -> Bool {
        guard let first = try merge?.next() else {
            merge = nil
            state = GroupState(specification, resources.interrupt)
            emitted = 0
            return false
        }
        state = GroupState(specification, resources.interrupt)
        try state.absorb(DocumentView(first.payload))
        while merge?.nextHasKey(first.key) ?? false, let more = try merge?.next() {
            try state.absorb(DocumentView(more.payload))
        }
        return true
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
    private var recent = RecentKeys()
    /// The keys as they came first.
    private var keys = ValueColumn()
    private var places: [Place] = []
    /// Sums of all groups: group × `sumCount` + place.
    private var sums: [NumberSum] = []
    private var sumCount = 0
    private var columns: [AccumulatorColumn] = []
    private var pushesUntilCheck = 0

    /// `usesCompiledCodes`: as MongoDB's compiled plans, which run $group, report errors.
    init(
        _ specification: GroupSpecification, _ interrupt: Interrupt?,
        usesCompiledCodes: Bool = true
    ) {
        context = EvaluationContext(interrupt)
        inputs = GroupInputs(specification)
        collation = specification.collation
        context.usesCompiledCodes = usesCompiledCodes
        for output in specification.outputs {
            switch output.accumulator.kind {
            case .sum, .average, .count:
                let isCount = output.accumulator.kind == .count
                places.append(Place(isSum: true, isCount: isCount, index: sumCount))
                sumCount += 1
            default:
                places.append(Place(isSum: false, isCount: false, index: columns.count))
                columns.append(AccumulatorColumn.make(output.accumulator))
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
        if inputs.areEvaluated { context.begin(document) }
        let slots = inputs.locate(document)
        let key = try inputs.value(0, document, slots, &context)
        let group = try self.group(key)
        for index in places.indices {
            let value = try inputs.value(index + 1, document, slots, &context)
            let place = places[index]
            if place.isSum {
                let sum = group &* sumCount &+ place.index
                if place.isCount { sums[sum].add(.int32(1)) } else { sums[sum].add(value) }
            } else {
                try columns[place.index].add(value, to: group, of: document)
            }
        }
        pushesUntilCheck -= 1
        if pushesUntilCheck > 0 { return false }
        pushesUntilCheck = 64
        return true
    }

    /// The number of the group of that key, which is added if it is new.
    @inline(__always)
    private mutating func group(_ key: ValueRef) throws(DBError) -> Int {
        let value = key.view
        guard let slot = recent.slot(of: value) else { return try encodedGroup(key) }
        if let group = recent.group(slot, value) { return group }
        let group = try encodedGroup(key)
        recent.keep(value, group, in: slot)
        return group
    }

    private mutating func encodedGroup(_ key: ValueRef) throws(DBError) -> Int {
        encoder.removeAll()
        if let collation {
            encoder.append(key.view, order: collation)
        } else {
            encoder.append(key.view)
        }
        let (group, isNew) = groups.insert(encoder.bytes)
        if isNew { try addGroup(key) }
        return group
    }

    private mutating func addGroup(_ key: ValueRef) throws(DBError) {
        // A missing key's group prints null.
        keys.append(key.isMissing ? .null : key)
        for _ in 0..<sumCount { sums.append(NumberSum()) }
        for column in columns { try column.addGroup(key) }
    }

    /// Writes a group's fields.
    func write(
        _ group: Int, _ specification: GroupSpecification, _ writer: inout DocumentWriter
    ) {
        keys.write("_id", group, &writer)
        writeOutputs(group, specification, &writer)
    }

    /// Writes a group's fields but for the key.
    func writeOutputs(
        _ group: Int, _ specification: GroupSpecification, _ writer: inout DocumentWriter
    ) {
        for (place, output) in zip(places, specification.outputs) {
            if place.isSum {
                sums[group * sumCount + place.index]
                    .write(output.name, as: output.accumulator.kind, &writer)
            } else {
                columns[place.index].write(output.name, group, &writer)
            }
        }
    }

    // MARK: Parts

    /// Whether sums of these documents and of those behind them, `later`, add up to what they would
    /// together. O(groups of `later`).
    func takesExactly(_ later: borrowing GroupState) -> Bool {
        guard sumCount > 0 else { return true }
        for number in 0..<later.count {
            let group = groups.number(of: later.groups.key(number))
            for place in 0..<sumCount {
                var sum = later.sums[number * sumCount + place]
                if let group { sum.add(sums[group * sumCount + place]) }
                if !sum.isIndependentOfParts { return false }
            }
        }
        return true
    }

    /// Adds the groups of the documents behind those taken in so far. O(groups of `later`).
    mutating func append(_ later: borrowing GroupState) throws(DBError) {
        var payload = DocumentWriter()
        for number in 0..<later.count {
            let (group, isNew) = groups.insert(later.groups.key(number))
            if isNew { try addGroup(later.keys.reference(number)) }
            for place in 0..<sumCount {
                sums[group * sumCount + place].add(later.sums[number * sumCount + place])
            }
            for (own, other) in zip(columns, later.columns) {
                payload.removeAll()
                let start = payload.openDocument()
                other.writeState(number, index: 0, &payload)
                payload.close(start)
                let bytes = payload.bytes
                guard let state = DocumentView(bytes.span.bytes).first?.value else { continue }
                try own.absorb(ValueRef(state), into: group)
            }
        }
    }

    // MARK: Spilling

    /// Writes all groups to a temporary file, in the order of their keys.
    func spill(
        _ specification: GroupSpecification, to folder: String
    ) throws(DBError) -> SpillRun {
        var run = try SpillWriter(folder: folder)
        var payload = DocumentWriter()
        for group in groups.order {
            payload.removeAll()
            let start = payload.openDocument()
            keys.write("_id", group, &payload)
            for (index, place) in places.enumerated() {
                if place.isSum {
                    let sum = sums[group * sumCount + place.index]
                    payload.append(index: index, .binary(subtype: 0, sum.encoded))
                } else {
                    columns[place.index].writeState(group, index: index, &payload)
                }
            }
            payload.close(start)
            let head = SpillRecord.head(groups.key(group))
            let bytes = payload.bytes
            try run.append(head.span.bytes, bytes.span.bytes)
        }
        return try run.finish()
    }

    /// Adds a state that `spill` wrote to the only group.
    mutating func absorb(_ state: DocumentView) throws(DBError) {
        var elements = state.makeIterator()
        guard let key = elements.next() else { return }
        if keys.isEmpty { try addGroup(ValueRef(key.value)) }
        for place in places {
            guard let element = elements.next() else { return }
            if !place.isSum {
                try columns[place.index].absorb(ValueRef(element.value), into: 0)
            } else if let bytes = element.value.binary {
                sums[place.index].add(NumberSum(encoded: bytes.content))
            }
        }
    }
}
