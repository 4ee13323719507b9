// $group kept up to date: documents come and go, and each time only their groups change.
//
// Sums, means, counts, least and greatest values can be maintained; a pipeline with other
// accumulators can't, nor one with stages other than $match before $group (or $count). What stands
// behind $group is left to the caller, who runs it over the rows.

package import BSON

/// The groups of one pipeline over a changing set of documents. Confined to one thread at a time.
package final class MaintainedGroups {
    /// A row that may have changed.
    package enum Row {
        /// The group has documents; its row was written.
        case present
        /// The group has none.
        case absent
        /// The row can't be told from what is kept: read the documents anew.
        case unknown
    }

    private enum Aggregate {
        case sum(MaintainedSum)
        case extreme(MaintainedExtreme)
    }

    private struct Group {
        let key: OwnedValue
        let encoded: [UInt8]
        var documents = 0
        var isTouched = false
        var aggregates: [Aggregate]
    }

    /// How many stages are done here: those up to $group.
    package let stageCount: Int
    private let specification: GroupSpecification?
    private let inputs: GroupInputs?
    /// The field of `$count`, in place of a $group.
    private let countName: String
    private var numbers: [[UInt8]: Int] = [:]
    private var groups: [Group?] = []
    private var free: [Int] = []
    private var touched: [Int] = []
    private var context = EvaluationContext()
    private var encoder = KeyEncoder()
    private var extremeBytes = 0

    /// The groups of a pipeline, none yet; nil where it can't be maintained.
    package init?(_ pipeline: Pipeline) {
        let before = pipeline.leading.filterStageCount
        guard pipeline.stages.count > before else { return nil }
        stageCount = before + 1
        switch pipeline.stages[before] {
        case .group(let box):
            let kinds: Set<AccumulatorKind> = [.sum, .average, .count, .min, .max]
            guard box.specification.outputs.allSatisfy({ kinds.contains($0.accumulator.kind) })
            else { return nil }
            specification = box.specification
            inputs = GroupInputs(box.specification)
            countName = ""
        case .count(let name):
            specification = nil
            inputs = nil
            countName = name
        default: return nil
        }
    }

    /// Bytes of memory, about.
    package var byteCount: Int { groups.count * 256 + extremeBytes }

    // MARK: Documents

    /// Adds (1) or takes away (-1) a document.
    /// - Throws: what the expressions throw.
    package func change(_ document: DocumentView, by sign: Int) throws(DBError) {
        guard let inputs, let specification else {
            let number = number(of: .null, [])
            touch(number)
            groups[number]?.documents += sign
            return
        }
        context.begin(document)
        let slots = inputs.locate(document)
        let key = try inputs.value(0, document, slots, &context)
        let encoded = encode(key, specification.collation)
        let number = number(of: key.isMissing ? .null : key, encoded)
        touch(number)
        groups[number]?.documents += sign
        for (index, output) in specification.outputs.enumerated() {
            let value = try inputs.value(index + 1, document, slots, &context)
            try change(number, index, output.accumulator, value, sign)
        }
    }

    private func change(
        _ number: Int, _ index: Int, _ accumulator: Accumulator, _ value: ValueRef, _ sign: Int
    ) throws(DBError) {
        guard let aggregate = groups[number]?.aggregates[index] else { return }
        switch aggregate {
        case .sum(var sum):
            if accumulator.kind == .count {
                sum.count(by: sign)
            } else {
                sum.change(value, by: sign)
            }
            groups[number]?.aggregates[index] = .sum(sum)
        case .extreme(var extreme):
            // Taken out, so that the change is made in place.
            groups[number]?.aggregates[index] = .sum(MaintainedSum())
            extremeBytes -= extreme.byteCount
            let key = value.isNullish ? [] : encode(value, accumulator.collation)
            extreme.change(value, key, by: sign)
            extremeBytes += extreme.byteCount
            groups[number]?.aggregates[index] = .extreme(extreme)
        }
    }

    private func encode(_ value: ValueRef, _ collation: Collation?) -> [UInt8] {
        encoder.removeAll()
        if let collation {
            encoder.append(value.view, order: collation)
        } else {
            encoder.append(value.view)
        }
        return encoder.bytes
    }

    private func number(of key: ValueRef, _ encoded: [UInt8]) -> Int {
        if let known = numbers[encoded] { return known }
        let aggregates = (specification?.outputs ?? []).map { output -> Aggregate in
            switch output.accumulator.kind {
            case .min: .extreme(MaintainedExtreme(isGreatest: false))
            case .max: .extreme(MaintainedExtreme(isGreatest: true))
            default: .sum(MaintainedSum())
            }
        }
        let group = Group(
            key: OwnedValue(copying: key.view), encoded: encoded, aggregates: aggregates)
        let number: Int
        if let place = free.popLast() {
            groups[place] = group
            number = place
        } else {
            groups.append(group)
            number = groups.count - 1
        }
        numbers[encoded] = number
        return number
    }

    private func touch(_ number: Int) {
        if groups[number]?.isTouched == true { return }
        groups[number]?.isTouched = true
        touched.append(number)
    }

    // MARK: Rows

    /// The groups that changed since the last call, and their ids; those that have no documents
    /// are forgotten by `forgetEmpty`.
    package func takeTouched() -> [(number: Int, id: OwnedValue)] {
        defer { touched.removeAll(keepingCapacity: true) }
        return touched.compactMap { number in
            groups[number]?.isTouched = false
            return groups[number].map { (number, $0.key) }
        }
    }

    /// All groups that have documents.
    package var all: [(number: Int, id: OwnedValue)] {
        groups.enumerated().compactMap { number, group in
            group.flatMap { $0.documents > 0 ? (number, $0.key) : nil }
        }
    }

    /// Appends a group's row.
    package func writeRow(_ number: Int, into writer: inout DocumentWriter) -> Row {
        guard let group = groups[number], group.documents > 0 else { return .absent }
        let start = writer.openDocument()
        guard let specification else {
            if let small = Int32(exactly: group.documents) {
                writer.append(countName, small)
            } else {
                writer.append(countName, Int64(group.documents))
            }
            writer.close(start)
            return .present
        }
        writer.append("_id", group.key)
        for (output, aggregate) in zip(specification.outputs, group.aggregates) {
            switch aggregate {
            case .extreme(let extreme): extreme.write(output.name, &writer)
            case .sum(let sum):
                guard let sum = sum.sum else {
                    writer.truncate(to: start)
                    return .unknown
                }
                sum.write(output.name, as: output.accumulator.kind, &writer)
            }
        }
        writer.close(start)
        return .present
    }

    /// Forgets groups that changed, of those that have no documents.
    package func forgetEmptyTouched() {
        for (number, _) in takeTouched() { forgetEmpty(number) }
    }

    /// Forgets a group without documents.
    package func forgetEmpty(_ number: Int) {
        guard let group = groups[number], group.documents <= 0 else { return }
        numbers[group.encoded] = nil
        groups[number] = nil
        free.append(number)
    }
}
