// Joining many documents of $lookup by one read of the other collection.
//
// Documents whose local field is one plain value wait in a batch. The batch's distinct values make
// one filter ({$in: values}), which an index answers by one cursor and a scan answers by one pass;
// what is found is put under each of its keys, as an index would have them. So joining costs one
// planned read a batch instead of one a document. Other documents wait along, for their order's
// sake, and are joined alone.

import BSON

/// Local documents and what belongs to them. Reused from batch to batch. An object, since a look at
/// a part of so large a value, where it is optional, may copy all of it.
final class JoinBatch {
    /// The documents that are joined to others, in order.
    private(set) var local = DocumentBatch()
    /// The number of each local document's value; -1 for one that is joined alone.
    private var numbers: [Int32] = []
    private var values = KeyTable()
    /// The distinct values, as an array.
    private var list = DocumentWriter()

    private var foreign = DocumentBatch()
    /// For each value the first link of what was found, and the last; -1 for nothing.
    private var firsts: [Int32] = []
    private var lasts: [Int32] = []
    /// Documents found, by value: number of the document, and the next link.
    private var links: [(document: Int32, next: Int32)] = []

    private let pattern: IndexKeyPattern
    private let path: FieldPath
    private let collation: Collation?
    private let needs: LookupNeeds
    private var buffer = DocumentWriter()
    private var encoder = KeyEncoder()
    private var keys = IndexKeys()

    /// Most bytes of documents that a batch may find; more are joined one by one.
    static let foreignBytesMax = 16 << 20
    /// Most documents and bytes that wait.
    static let documentsMax = 1_024
    private static let bytesMax = 1 << 20

    /// Batches for one $lookup; nil where its documents must be joined one by one: `pipeline` does
    /// more than the join, or the path may step through an array by position.
    init?(_ specification: LookupSpecification, _ needs: LookupNeeds) {
        let source = specification.source
        guard let equality = specification.equality, specification.variables.isEmpty,
            !source.hasViewStages, source.compiled.stages.isEmpty,
            !source.compiled.isCollectionless,
            !equality.foreignField.segments.contains(where: { $0.arrayIndex != nil })
        else { return nil }
        path = equality.foreignField
        self.needs = needs
        collation = specification.collation
        pattern = IndexKeyPattern(
            [IndexPart(path: path, descending: false)], collation: specification.collation)
    }

    var count: Int { numbers.count }

    /// Whether the batch should be joined before more are taken.
    var isFull: Bool { count >= Self.documentsMax || local.byteCount >= Self.bytesMax }

    /// Bytes of memory, about.
    var byteCount: Int {
        local.byteCount + foreign.byteCount + values.byteCount + list.count + links.count * 8
    }

    /// Whether equality with a value is what keys say: no null, which is missing too, and nothing
    /// that holds others.
    static func isPlain(_ value: ValueView) -> Bool {
        switch value.type {
        case .double, .string, .objectID, .bool, .date, .int32, .int64, .timestamp, .decimal128,
            .binary:
            true
        default: false
        }
    }

    /// Takes a document with its value; without one it is to be joined alone.
    func append(_ document: DocumentView) {
        local.append(document)
        numbers.append(-1)
    }

    /// Takes a document with its plain value.
    func append(_ document: DocumentView, _ value: ValueView) {
        local.append(document, keeping: needs.local, &buffer)
        encoder.removeAll()
        encoder.append(value, order: collation)
        let (number, isNew) = values.insert(encoder.bytes)
        if isNew { list.append(index: number, value) }
        numbers.append(Int32(truncatingIfNeeded: number))
    }

    /// The number of the value of a local document; nil for one that is joined alone.
    func value(of index: Int) -> Int? { numbers[index] < 0 ? nil : Int(numbers[index]) }

    /// The filter for all values; nil where there is none.
    var filter: Document? {
        guard values.count > 0 else { return nil }
        let listed = list.bytes
        return Document { writer in
            let inner = writer.openDocument(path.dotted)
            let array = writer.openArray("$in")
            writer.appendRaw(copying: listed.span.bytes)
            writer.close(array)
            writer.close(inner)
        }
    }

    /// Gets ready for what the filter finds.
    func beginForeign() {
        foreign.removeAll()
        links.removeAll(keepingCapacity: true)
        firsts = Array(repeating: -1, count: values.count)
        lasts = firsts
    }

    /// Takes a document that was found. False: there are too many to be kept.
    /// - Throws: what `IndexKeyPattern.keys` throws.
    func take(foreign document: DocumentView) throws(DBError) -> Bool {
        try pattern.keys(of: document, sparse: false, into: &keys)
        let number = Int32(truncatingIfNeeded: foreign.count)
        foreign.append(document, keeping: needs.foreign, &buffer)
        // Held apart from the object, whose parts can't be lent.
        let keys = keys
        for index in 0..<keys.count {
            guard let value = values.number(of: keys[index]) else { continue }
            let link = Int32(truncatingIfNeeded: links.count)
            links.append((number, -1))
            if lasts[value] < 0 {
                firsts[value] = link
            } else {
                links[Int(lasts[value])].next = link
            }
            lasts[value] = link
        }
        return foreign.byteCount <= Self.foreignBytesMax
    }

    /// Gives up on joining the batch at once: all are to be joined alone.
    func separate() {
        for index in numbers.indices { numbers[index] = -1 }
        beginForeign()
    }

    /// Writes what belongs to a value as the elements of an array.
    func write(joinedTo value: Int, into writer: inout DocumentWriter) {
        let foreign = foreign
        var link = firsts[value]
        var index = 0
        while link >= 0 {
            let document = foreign[Int(links[Int(link)].document)]
            writer.append(index: index, ValueView(type: .document, bytes: document.bytes))
            index += 1
            link = links[Int(link)].next
        }
    }

    /// Forgets everything, keeps the memory.
    func removeAll() {
        local.removeAll()
        foreign.removeAll()
        numbers.removeAll(keepingCapacity: true)
        links.removeAll(keepingCapacity: true)
        list.removeAll()
        values = KeyTable()
    }
}
