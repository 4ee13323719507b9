// The accumulators of $group beside sums: each keeps the state of all groups, by group number.

import BSON
import Glibc

/// The states of one accumulator.
class AccumulatorColumn {
    /// Makes the column of an accumulator.
    static func make(_ accumulator: Accumulator) -> AccumulatorColumn {
        let collation = accumulator.collation
        return switch accumulator.kind {
        case .min: ExtremeColumn(sign: -1, collation)
        case .max: ExtremeColumn(sign: 1, collation)
        case .first: PlacedColumn(takesFirst: true)
        case .last: PlacedColumn(takesFirst: false)
        case .push: PushColumn(isSet: false, collation)
        case .addToSet: PushColumn(isSet: true, collation)
        case .concatArrays: PushColumn(isSet: false, collation, arraysOf: "$concatArrays")
        case .setUnion: PushColumn(isSet: true, collation, arraysOf: "$setUnion")
        case .mergeObjects: MergeColumn()
        case .populationDeviation: DeviationColumn(isSample: false)
        case .sampleDeviation: DeviationColumn(isSample: true)
        case .firstN, .lastN, .minN, .maxN, .top, .topN, .bottom, .bottomN:
            RankedColumn(accumulator)
        case .median, .percentile: PercentileColumn(accumulator)
        // GroupState keeps these itself.
        case .sum, .average, .count: SumColumn(accumulator.kind)
        }
    }

    /// Starts the next group.
    func addGroup(_ key: ValueRef) throws(DBError) {}

    /// Takes the value that the argument has for a document in.
    func add(_ value: ValueRef, to group: Int, of document: DocumentView) throws(DBError) {}

    /// Writes a group's result as field `name`.
    func write(_ name: String, _ group: Int, _ writer: inout DocumentWriter) {}

    /// Writes a group's state as an array's element, for a temporary file.
    func writeState(_ group: Int, index: Int, _ writer: inout DocumentWriter) {}

    /// Adds a state that `writeState` wrote, of documents behind those taken in so far.
    func absorb(_ state: ValueRef, into group: Int) throws(DBError) {}

    /// Forgets all groups.
    func removeAll() {}

    /// Bytes of memory, about.
    var byteCount: Int { 0 }
}

extension DocumentWriter {
    /// Appends a number of whichever type it has.
    mutating func append(_ name: String, _ number: Number) {
        switch number {
        case .int32(let value): append(name, value)
        case .int64(let value): append(name, value)
        case .double(let value): append(name, value)
        case .decimal(let value): append(name, .decimal128(low: value.low, high: value.high))
        }
    }
}

/// An accumulator that keeps one of the values it is given.
class ChoiceColumn: AccumulatorColumn {
    fileprivate var values = ValueColumn()

    /// Keeps `value` for the group, or what is kept already.
    fileprivate func choose(_ value: ValueRef, _ group: Int) {}

    override func addGroup(_ key: ValueRef) throws(DBError) { values.append(.missing) }

    override func write(_ name: String, _ group: Int, _ writer: inout DocumentWriter) {
        values.write(name, group, &writer)
    }

    override func writeState(_ group: Int, index: Int, _ writer: inout DocumentWriter) {
        values.writeState(group, index: index, &writer)
    }

    override func absorb(_ state: ValueRef, into group: Int) throws(DBError) {
        var elements = state.nested.makeIterator()
        while let element = elements.next() { choose(ValueRef(element.value), group) }
    }

    override func removeAll() { values.removeAll() }

    override var byteCount: Int { values.byteCount }
}

/// $min, $max: null and missing don't count.
final class ExtremeColumn: ChoiceColumn {
    private let sign: Int
    private let collation: Collation?

    init(sign: Int, _ collation: Collation?) {
        self.sign = sign
        self.collation = collation
    }

    override func add(
        _ value: ValueRef, to group: Int, of document: DocumentView
    ) throws(DBError) {
        if !value.isNullish { choose(value, group) }
    }

    override fileprivate func choose(_ value: ValueRef, _ group: Int) {
        if !values.hasValue(group) || values.compare(group, value, collation) * sign < 0 {
            values.set(group, value)
        }
    }
}

/// $first, $last: a missing value counts as null.
final class PlacedColumn: ChoiceColumn {
    private let takesFirst: Bool

    init(takesFirst: Bool) {
        self.takesFirst = takesFirst
    }

    override func add(
        _ value: ValueRef, to group: Int, of document: DocumentView
    ) throws(DBError) {
        choose(value.isMissing ? .null : value, group)
    }

    override fileprivate func choose(_ value: ValueRef, _ group: Int) {
        if takesFirst, values.hasValue(group) { return }
        values.set(group, value)
    }
}

/// $push, $addToSet: missing values are passed over, nulls kept. $concatArrays, $setUnion: the same
/// for the elements of arrays.
final class PushColumn: AccumulatorColumn {
    /// The elements of one group's array, as BSON.
    private struct Elements {
        var writer = DocumentWriter()
        var count = 0
    }

    private let isSet: Bool
    private let collation: Collation?
    /// The name of an accumulator that takes arrays apart; nil for one that does not.
    private let arrayOperator: String?
    private var groups: [Elements] = []
    private var elementBytes = 0
    /// What the sets hold: group number, then the value's key.
    private var members = KeyTable()
    private var encoder = KeyEncoder()

    init(isSet: Bool, _ collation: Collation?, arraysOf arrayOperator: String? = nil) {
        self.isSet = isSet
        self.collation = collation
        self.arrayOperator = arrayOperator
    }

    override func addGroup(_ key: ValueRef) throws(DBError) { groups.append(Elements()) }

    override func add(
        _ value: ValueRef, to group: Int, of document: DocumentView
    ) throws(DBError) {
        if value.isMissing { return }
        guard let arrayOperator else { return take(value, group) }
        guard value.isType(.array) else {
            throw DBError(
                .typeMismatch,
                "\(arrayOperator) requires array inputs, but input is of type "
                    + value.typeName)
        }
        try absorb(value, into: group)
    }

    private func take(_ value: ValueRef, _ group: Int) {
        if isSet {
            encoder.removeAll()
            for shift in stride(from: 0, to: 32, by: 8) {
                encoder.append(byte: UInt8(truncatingIfNeeded: group >> shift))
            }
            encoder.append(value.view, order: collation)
            guard members.insert(encoder.bytes).isNew else { return }
        }
        let before = groups[group].writer.count
        groups[group].writer.append(index: groups[group].count, value.view)
        groups[group].count += 1
        elementBytes += groups[group].writer.count - before
    }

    override func write(_ name: String, _ group: Int, _ writer: inout DocumentWriter) {
        let start = writer.openArray(name)
        let elements = groups[group].writer.bytes
        writer.appendRaw(copying: elements.span.bytes)
        writer.close(start)
    }

    override func writeState(_ group: Int, index: Int, _ writer: inout DocumentWriter) {
        writer.appendHeader(.array, index: index)
        let start = writer.openDocument()
        let elements = groups[group].writer.bytes
        writer.appendRaw(copying: elements.span.bytes)
        writer.close(start)
    }

    override func absorb(_ state: ValueRef, into group: Int) throws(DBError) {
        var elements = state.nested.makeIterator()
        while let element = elements.next() { take(ValueRef(element.value), group) }
    }

    override func removeAll() {
        groups.removeAll(keepingCapacity: true)
        members = KeyTable()
        elementBytes = 0
    }

    override var byteCount: Int {
        elementBytes + groups.count * 48 + (isSet ? members.byteCount : 0)
    }
}

/// $mergeObjects: later fields win, names keep their first place.
final class MergeColumn: AccumulatorColumn {
    private var documents: [Document] = []
    private var context = EvaluationContext()
    private var totalBytes = 0

    override func addGroup(_ key: ValueRef) throws(DBError) { documents.append(Document()) }

    override func add(
        _ value: ValueRef, to group: Int, of document: DocumentView
    ) throws(DBError) {
        if value.isNullish { return }
        guard value.isType(.document) else {
            throw .location(
                5_911_200,
                "$mergeObjects requires object inputs, but input is of type "
                    + value.typeName)
        }
        let before = documents[group]
        if before.isEmpty {
            documents[group] = Document(copying: value.nested)
        } else {
            context.begin(before.view)
            var fields = FieldSet(context)
            for part in [ValueRef(before.view), value] {
                var elements = part.nested.makeIterator()
                while let element = elements.next() {
                    fields.set(ValueRef(.string, element.name), ValueRef(element.value), &context)
                }
            }
            documents[group] = Document(copying: fields.finish(&context).nested)
        }
        totalBytes += documents[group].bytes.count - before.bytes.count
    }

    override func write(_ name: String, _ group: Int, _ writer: inout DocumentWriter) {
        writer.append(name, documents[group])
    }

    override func writeState(_ group: Int, index: Int, _ writer: inout DocumentWriter) {
        writer.append(index: index, .document(documents[group]))
    }

    override func absorb(_ state: ValueRef, into group: Int) throws(DBError) {
        try add(state, to: group, of: state.nested)
    }

    override func removeAll() {
        documents.removeAll(keepingCapacity: true)
        totalBytes = 0
    }

    override var byteCount: Int { totalBytes + documents.count * 16 }
}

/// $stdDevPop, $stdDevSamp by Welford's method; numbers only.
class DeviationColumn: AccumulatorColumn {
    struct State {
        var count = 0.0
        var mean = 0.0
        var squares = 0.0
    }

    final let isSample: Bool
    private(set) final var states: [State] = []

    init(isSample: Bool) {
        self.isSample = isSample
    }

    override func addGroup(_ key: ValueRef) throws(DBError) { states.append(State()) }

    override func add(
        _ value: ValueRef, to group: Int, of document: DocumentView
    ) throws(DBError) {
        guard let number = Number(value)?.double else { return }
        var state = states[group]
        state.count += 1
        let delta = number - state.mean
        if delta != 0 {
            state.mean += delta / state.count
            state.squares += delta * (number - state.mean)
        }
        states[group] = state
    }

    override func write(_ name: String, _ group: Int, _ writer: inout DocumentWriter) {
        let state = states[group]
        let divisor = isSample ? state.count - 1 : state.count
        guard divisor > 0 else { return writer.appendNull(name) }
        writer.append(name, (state.squares / divisor).squareRoot())
    }

    override func writeState(_ group: Int, index: Int, _ writer: inout DocumentWriter) {
        let state = states[group]
        writer.append(
            index: index,
            .array([.double(state.count), .double(state.mean), .double(state.squares)]))
    }

    /// The parallel form of the method: Chan, Golub and LeVeque.
    override func absorb(_ state: ValueRef, into group: Int) throws(DBError) {
        var elements = state.nested.makeIterator()
        guard let count = elements.next()?.value.double, let mean = elements.next()?.value.double,
            let squares = elements.next()?.value.double, count > 0
        else { return }
        let own = states[group]
        let total = own.count + count
        let delta = mean - own.mean
        states[group] = State(
            count: total, mean: own.mean + delta * count / total,
            squares: own.squares + squares + delta * delta * own.count * count / total)
    }

    override func removeAll() { states.removeAll(keepingCapacity: true) }

    override var byteCount: Int { states.count * MemoryLayout<State>.stride }
}
