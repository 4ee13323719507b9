// What an update changed, as change streams tell it: fields that got values, fields that are gone,
// arrays that became shorter. Found by comparing the documents before and after, so it does not
// depend on how the update was written: applied to the document before, it gives the one after.
//
// A nested document or array is described by its parts while that is shorter than its whole. It is
// given whole where parts can't say it: fields that changed their order, names with a dot.

import BSON

/// Compares documents. Reusable; allocates for what differs.
struct UpdateDescription: ~Copyable {
    /// The fields of `updatedFields`, without the document's frame.
    private var updated = DocumentWriter()
    private var removed: [[UInt8]] = []
    private var truncated: [(path: [UInt8], size: Int)] = []
    /// Paths that more than one thing could be meant by.
    private var ambiguous: [(path: [UInt8], steps: [Step])] = []
    /// The path to what is compared, dotted, and its steps.
    private var path: [UInt8] = []
    private var steps: [Step] = []

    /// A step of a path.
    private enum Step {
        case field([UInt8])
        case element(Int)
    }

    /// Where a description stood, to go back to.
    private struct Mark {
        let updated: Int
        let removed: Int
        let truncated: Int
        let ambiguous: Int
        let cost: Int
    }

    /// About how many bytes the description has.
    private var cost = 0

    init() {}

    /// Describes how `before` became `after`.
    mutating func compare(_ before: DocumentView, _ after: DocumentView) {
        rollBack(to: Mark(updated: 0, removed: 0, truncated: 0, ambiguous: 0, cost: 0))
        path.removeAll(keepingCapacity: true)
        steps.removeAll(keepingCapacity: true)
        _ = compareFields(before, after, isTop: true)
    }

    /// Appends `updatedFields`, `removedFields` and `truncatedArrays`.
    func write(into writer: inout DocumentWriter, showsAmbiguity: Bool) {
        let fields = writer.openDocument("updatedFields")
        writer.appendRaw(copying: updated.bytes.span.bytes)
        writer.close(fields)
        let gone = writer.openArray("removedFields")
        for (index, path) in removed.enumerated() {
            writer.appendHeader(.string, index: index)
            writer.appendString(utf8: path.span.bytes)
        }
        writer.close(gone)
        let arrays = writer.openArray("truncatedArrays")
        for (index, array) in truncated.enumerated() {
            writer.appendHeader(.document, index: index)
            let item = writer.openDocument()
            writer.appendHeader(.string, "field")
            writer.appendString(utf8: array.path.span.bytes)
            writer.append("newSize", Int32(clamping: array.size))
            writer.close(item)
        }
        writer.close(arrays)
        if showsAmbiguity, !ambiguous.isEmpty { writeAmbiguous(into: &writer) }
    }

    private func writeAmbiguous(into writer: inout DocumentWriter) {
        let paths = writer.openDocument("disambiguatedPaths")
        for (path, steps) in ambiguous {
            writer.appendHeader(.array, path.span.bytes)
            let list = writer.openDocument()
            for (index, step) in steps.enumerated() {
                switch step {
                case .field(let name):
                    writer.appendHeader(.string, index: index)
                    writer.appendString(utf8: name.span.bytes)
                case .element(let element):
                    writer.append(index: index, .int32(Int32(clamping: element)))
                }
            }
            writer.close(list)
        }
        writer.close(paths)
    }

    // MARK: Comparing

    /// Describes two documents at `path` by their fields. False where fields can't say it; what was
    /// noted is wrong then.
    private mutating func compareFields(
        _ before: DocumentView, _ after: DocumentView, isTop: Bool
    ) -> Bool {
        let mark = mark
        var old = before.makeIterator()
        var new = after.makeIterator()
        // Nearly always both have the same fields in the same order, and new ones at the end.
        while let left = old.next() {
            guard let right = new.next(), left.name.equals(right.name) else {
                rollBack(to: mark)
                return compareShuffled(before, after, isTop: isTop)
            }
            if !compareField(left.name, left.value, right.value, isTop: isTop) { return false }
        }
        while let right = new.next() {
            if !isTop, right.name.hasDot { return false }
            noteUpdated(right.name, right.value)
        }
        // Of two fields of one name a path means the first.
        return isTop || cost == mark.cost || FieldPlaces(after).areDistinct
    }

    /// As `compareFields`, where fields went, came or moved.
    private mutating func compareShuffled(
        _ before: DocumentView, _ after: DocumentView, isTop: Bool
    ) -> Bool {
        let oldFields = FieldPlaces(before)
        let newFields = FieldPlaces(after)
        guard isTop || oldFields.areDistinct && newFields.areDistinct else { return false }
        var old = before.makeIterator()
        while let field = old.next() {
            guard newFields[field.name] == nil else { continue }
            if !isTop, field.name.hasDot { return false }
            noteRemoved(field.name)
        }
        var new = after.makeIterator()
        var lastKept = -1
        while let field = new.next() {
            guard let place = oldFields[field.name] else {
                if !isTop, field.name.hasDot { return false }
                noteUpdated(field.name, field.value)
                lastKept = .max
                continue
            }
            // A new field goes to the end, and kept ones stay in their order: else only the whole
            // tells the order. At the top there is no whole.
            if !isTop, place.ordinal < lastKept { return false }
            lastKept = max(lastKept, place.ordinal)
            let value = ValueView(type: place.type, bytes: before.bytes.extracting(place.range))
            if !compareField(field.name, value, field.value, isTop: isTop) { return false }
        }
        return true
    }

    private mutating func compareField(
        _ name: RawSpan, _ before: ValueView, _ after: ValueView, isTop: Bool
    ) -> Bool {
        if before.type == after.type, before.bytes.equals(after.bytes) { return true }
        if !isTop, name.hasDot { return false }
        let end = push(name)
        compareValues(before, after)
        pop(to: end)
        return true
    }

    /// Describes two arrays at `path` by their elements.
    private mutating func compareElements(_ before: DocumentView, _ after: DocumentView) {
        var old = before.makeIterator()
        var new = after.makeIterator()
        var index = 0
        while let right = new.next() {
            let left = old.next()
            if let left, left.value.type == right.value.type,
                left.value.bytes.equals(right.value.bytes)
            {
                index += 1
                continue
            }
            let end = push(index)
            if let left {
                compareValues(left.value, right.value)
            } else {
                noteUpdatedHere(right.value)
            }
            pop(to: end)
            index += 1
        }
        guard old.next() != nil else { return }
        truncated.append((path, index))
        cost += path.count
        noteAmbiguity()
    }

    /// Describes two values at `path` that differ.
    private mutating func compareValues(_ before: ValueView, _ after: ValueView) {
        let mark = mark
        let isSaid: Bool
        if let old = before.document, let new = after.document {
            isSaid = compareFields(old, new, isTop: false)
        } else if let old = before.array, let new = after.array {
            compareElements(old, new)
            isSaid = true
        } else {
            isSaid = false
        }
        if isSaid, cost - mark.cost <= path.count + after.bytes.byteCount { return }
        rollBack(to: mark)
        noteUpdatedHere(after)
    }

    // MARK: Noting

    private mutating func noteUpdated(_ name: RawSpan, _ value: ValueView) {
        let end = push(name)
        noteUpdatedHere(value)
        pop(to: end)
    }

    private mutating func noteUpdatedHere(_ value: ValueView) {
        Self.append(path, value, to: &updated)
        cost += path.count + value.bytes.byteCount
        noteAmbiguity()
    }

    private static func append(
        _ path: [UInt8], _ value: ValueView, to writer: inout DocumentWriter
    ) {
        writer.append(path.span.bytes, value)
    }

    private mutating func noteRemoved(_ name: RawSpan) {
        let end = push(name)
        removed.append(path)
        cost += path.count
        noteAmbiguity()
        pop(to: end)
    }

    private mutating func noteAmbiguity() {
        let isAmbiguous = steps.contains { step in
            if case .field(let name) = step { name.isAmbiguousStep } else { false }
        }
        if isAmbiguous { ambiguous.append((path, steps)) }
    }

    private var mark: Mark {
        Mark(
            updated: updated.count, removed: removed.count, truncated: truncated.count,
            ambiguous: ambiguous.count, cost: cost)
    }

    private mutating func rollBack(to mark: Mark) {
        updated.truncate(to: mark.updated)
        removed.removeSubrange(mark.removed...)
        truncated.removeSubrange(mark.truncated...)
        ambiguous.removeSubrange(mark.ambiguous...)
        cost = mark.cost
    }

    // MARK: Paths

    /// Goes down to a field; answers where `pop` goes back to.
    private mutating func push(_ name: RawSpan) -> Int {
        let end = path.count
        if !steps.isEmpty { path.append(UInt8(ascii: ".")) }
        path.append(copying: name)
        steps.append(.field([UInt8](copying: name)))
        return end
    }

    private mutating func push(_ element: Int) -> Int {
        let end = path.count
        path.append(UInt8(ascii: "."))
        path.append(contentsOf: String(element).utf8)
        steps.append(.element(element))
        return end
    }

    private mutating func pop(to end: Int) {
        path.removeSubrange(end...)
        steps.removeLast()
    }
}

/// Where the fields of a document lie, by name.
private struct FieldPlaces {
    struct Place {
        let ordinal: Int
        let type: BSONType
        /// The payload, in the document's bytes.
        let range: Range<Int>
    }

    private var places: [[UInt8]: Place] = [:]
    /// Whether no name comes twice.
    private(set) var areDistinct = true

    init(_ document: DocumentView) {
        var fields = document.makeIterator()
        var ordinal = 0
        var offset = 4
        while let field = fields.next() {
            let start = offset + 1 + field.name.byteCount + 1
            offset = start + field.value.bytes.byteCount
            let name = [UInt8](copying: field.name)
            if places[name] == nil {
                places[name] = Place(
                    ordinal: ordinal, type: field.value.type, range: start..<offset)
            } else {
                areDistinct = false
            }
            ordinal += 1
        }
    }

    subscript(_ name: RawSpan) -> Place? { places[[UInt8](copying: name)] }
}

extension RawSpan {
    /// Whether the name, below the top, can't be a step of a dotted path.
    fileprivate var hasDot: Bool {
        withUnsafeBytes { $0.isEmpty || $0.contains(UInt8(ascii: ".")) }
    }
}

extension [UInt8] {
    /// Whether a step of that name could be taken for an array's index or for two steps.
    fileprivate var isAmbiguousStep: Bool {
        contains(UInt8(ascii: ".")) || !isEmpty && allSatisfy { (48...57).contains($0) }
    }
}
