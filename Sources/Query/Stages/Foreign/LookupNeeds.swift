// What the stages behind a $lookup read of the documents that it makes, so that it copies no more.

import BSON

/// Fields that are kept of the documents that are joined, and of those that are joined to them.
struct LookupNeeds {
    /// Names of the top level; nil for all.
    let local: [[UInt8]]?
    let foreign: [[UInt8]]?

    /// What is needed of the results of a $lookup that stands at `place`, if that is known.
    init(
        _ output: FieldPath, _ equality: LookupSpecification.Equality?,
        _ place: (pipeline: Pipeline, count: Int)?
    ) {
        guard let place, let equality, output.segments.count == 1,
            let paths = place.pipeline.requiredPaths(after: place.count, withArray: output)
        else {
            local = nil
            foreign = nil
            return
        }
        // The field to join by serves where a batch is joined one by one after all; what is
        // replaced by the result gives it its place among the fields.
        var local: Set = [equality.localField.segments[0].name, output.segments[0].name]
        var foreign: Set<[UInt8]> = []
        var readsWhole = false
        for path in paths {
            if path.segments[0].name != output.segments[0].name {
                local.insert(path.segments[0].name)
            } else if path.segments.count > 1, path.segments[1].arrayIndex == nil {
                foreign.insert(path.segments[1].name)
            } else {
                readsWhole = true
            }
        }
        self.local = Array(local)
        self.foreign = readsWhole ? nil : Array(foreign)
    }
}

extension DocumentBatch {
    /// Copies the fields of a document that `names` lists, in the document's order; all of it for
    /// nil. The buffer is used again.
    mutating func append(
        _ document: DocumentView, keeping names: [[UInt8]]?, _ buffer: inout DocumentWriter
    ) {
        guard let names else { return append(document) }
        buffer.removeAll()
        let start = buffer.openDocument()
        var foundCount = 0
        for name in names where foundCount < 2 {
            guard let value = document.value(name.span.bytes) else { continue }
            foundCount += 1
            if foundCount == 1 { buffer.append(name.span.bytes, value) }
        }
        guard foundCount < 2 else { return appendInOrder(document, names, &buffer) }
        buffer.close(start)
        let bytes = buffer.bytes
        append(DocumentView(bytes.span.bytes))
    }

    private mutating func appendInOrder(
        _ document: DocumentView, _ names: [[UInt8]], _ buffer: inout DocumentWriter
    ) {
        buffer.removeAll()
        let start = buffer.openDocument()
        var elements = document.makeIterator()
        while let element = elements.next() {
            for name in names where element.name.equals(name.span.bytes) {
                buffer.append(element)
            }
        }
        buffer.close(start)
        let bytes = buffer.bytes
        append(DocumentView(bytes.span.bytes))
    }
}
