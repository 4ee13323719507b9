// $graphLookup: breadth first. Each round asks for the documents whose field `connectToField` has
// one of the values that the round before found; a document is visited once (by _id), a value asked
// for once.

import BSON

final class GraphLookupStage: StageExecution {
    private let specification: GraphLookupSpecification
    private let resources: ExecutionResources
    private var context: EvaluationContext
    private var encoder = KeyEncoder()
    private var batch = DocumentBatch()
    private var writer = DocumentWriter()
    /// The documents found for one input, as an array.
    private var found = DocumentWriter()
    private var foundCount = 0
    private var deepened = DocumentWriter()

    init(
        _ specification: GraphLookupSpecification, _ resources: ExecutionResources,
        _ next: StageExecution
    ) {
        self.specification = specification
        self.resources = resources
        context = EvaluationContext(resources.interrupt)
        super.init(next)
    }

    override var memoryBytes: Int { found.count + batch.byteCount }

    override func push(_ document: DocumentView, arrayPosition: Int?) throws(DBError) -> Bool {
        found.removeAll()
        foundCount = 0
        let start = found.openDocument()
        try search(from: document)
        found.close(start)
        writer.removeAll()
        let array = found.bytes
        writer.write(
            document, setting: specification.output, to: ValueRef(.array, array.span.bytes))
        let bytes = writer.bytes
        return try passOn(DocumentView(bytes.span.bytes), arrayPosition: nil)
    }

    /// Values to ask for, as an array; those asked for before are left out.
    private struct Frontier {
        private var asked = KeyTable()
        private var writer = DocumentWriter()
        private(set) var count = 0

        init() { _ = writer.openDocument() }

        mutating func add(
            _ value: ValueView, _ encoder: inout KeyEncoder, _ collation: Collation?
        ) {
            encoder.removeAll()
            encoder.append(value, order: collation)
            guard asked.insert(encoder.bytes).isNew else { return }
            writer.append(index: count, value)
            count += 1
        }

        /// Hands the values out and begins anew.
        mutating func take() -> [UInt8] {
            writer.close(0)
            count = 0
            let bytes = writer.take()
            _ = writer.openDocument()
            return bytes
        }

        var byteCount: Int { asked.byteCount + writer.count }
    }

    private func search(from document: DocumentView) throws(DBError) {
        let collation = specification.scope.collation
        var frontier = Frontier()
        let first = try specification.startWith.evaluate(document, &context)
        if first.isType(.array) {
            var elements = first.nested.makeIterator()
            while let element = elements.next() {
                frontier.add(element.value, &encoder, collation)
            }
        } else if !first.isMissing {
            frontier.add(first.view, &encoder, collation)
        }
        var visited = KeyTable()
        var depth: Int64 = 0
        while frontier.count > 0 {
            let pipeline = try pipeline(anyOf: frontier.take())
            let isLast = specification.depthMax.map { depth >= $0 } ?? false
            try resources.forEach(specification.source, pipeline, &batch) { next throws(DBError) in
                guard isNew(next, &visited) else { return true }
                append(next, depth)
                if !isLast { try addNeighbours(of: next, &frontier) }
                if found.count + visited.byteCount + frontier.byteCount
                    > resources.memoryBytesMax
                {
                    throw .location(
                        40099,
                        "$graphLookup reached maximum memory consumption of "
                            + "\(resources.memoryBytesMax) bytes; restrict it by maxDepth or "
                            + "restrictSearchWithMatch")
                }
                return true
            }
            if isLast { return }
            depth += 1
        }
    }

    private func isNew(_ document: DocumentView, _ visited: inout KeyTable) -> Bool {
        encoder.removeAll()
        if let id = document.value("_id") { encoder.append(id) } else { encoder.appendNull() }
        return visited.insert(encoder.bytes).isNew
    }

    private func addNeighbours(
        of document: DocumentView, _ frontier: inout Frontier
    ) throws(DBError) {
        let collation = specification.scope.collation
        var values = DistinctValues(specification.connectFrom, collation: collation)
        try values.add(document)
        var list = DocumentWriter()
        let start = list.openDocument()
        values.write(into: &list)
        list.close(start)
        let bytes = list.bytes
        var elements = DocumentView(bytes.span.bytes).makeIterator()
        while let element = elements.next() { frontier.add(element.value, &encoder, collation) }
    }

    private func append(_ document: DocumentView, _ depth: Int64) {
        if let depthField = specification.depthField {
            deepened.removeAll()
            let value = OwnedValue(.int64(depth))
            deepened.write(document, setting: depthField, to: ValueRef(value.view))
            let bytes = deepened.bytes
            found.append(
                index: foundCount, ValueView(type: .document, bytes: bytes.span.bytes))
        } else {
            found.append(
                index: foundCount, ValueView(type: .document, bytes: document.bytes))
        }
        foundCount += 1
    }

    private func pipeline(anyOf values: [UInt8]) throws(DBError) -> Pipeline {
        var conditions: [Value] = [
            .document(LookupCondition.document(specification.connectTo, anyOf: values))
        ]
        if let restriction = specification.restriction { conditions.append(.document(restriction)) }
        let source = specification.source
        let stages = source.viewStages + [["$match": ["$and": .array(conditions)]]]
        let list = OwnedValue(.array(stages))
        return try Pipeline.parse(DocumentView(list.view.bytes), specification.scope)
    }
}
