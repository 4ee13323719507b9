// $setWindowFields at work: documents are sorted by partition and sort key (on disk where they are
// many), then one partition after another is held in memory and its functions computed.

import BSON

final class WindowStage: StageExecution {
    private let specification: WindowSpecification
    private let memoryBytesMax: Int
    private let sorter: DocumentSorter
    private var context: EvaluationContext
    private var encoder = KeyEncoder()
    private var computation: WindowComputation
    private var partition: WindowPartition
    private var results: [ValueColumn] = []
    private var position = 0
    /// The first document of the next partition, its key, and the length of the partition's part.
    private var ahead: (document: Document, key: [UInt8], partitionLength: Int)?
    private var writer = DocumentWriter()
    private var other = DocumentWriter()

    init(
        _ specification: WindowSpecification, _ resources: ExecutionResources,
        _ next: StageExecution
    ) {
        self.specification = specification
        memoryBytesMax = resources.memoryBytesMax
        sorter = DocumentSorter("$setWindowFields", limit: nil, resources)
        context = EvaluationContext(resources.interrupt)
        computation = WindowComputation(resources.interrupt)
        partition = WindowPartition(sortBy: specification.sortBy)
        super.init(next)
    }

    override var memoryBytes: Int {
        sorter.byteCount + partition.byteCount + results.reduce(0) { $0 + $1.byteCount }
    }

    override func push(_ document: DocumentView, arrayPosition: Int?) throws(DBError) -> Bool {
        _ = try encodePartition(of: document)
        try specification.sortBy?.appendKey(of: document, to: &encoder)
        try sorter.insert(document, key: encoder.bytes, arrayPosition: nil)
        return true
    }

    /// Encodes what a document is partitioned by; missing and null are one. Returns the length.
    private func encodePartition(of document: DocumentView) throws(DBError) -> Int {
        encoder.removeAll()
        guard let partitionBy = specification.partitionBy else { return 0 }
        let value = try partitionBy.evaluate(document, &context)
        guard !value.isType(.array) else {
            throw DBError(
                .typeMismatch,
                "An expression used to partition cannot evaluate to value of type array")
        }
        if value.isMissing {
            encoder.appendNull()
        } else {
            encoder.append(value.view, order: specification.collation)
        }
        return encoder.count
    }

    override func endInput() throws(DBError) {
        try sorter.endInput()
        try takeAhead()
    }

    private func takeAhead() throws(DBError) {
        ahead = nil
        _ = try sorter.next { key, document, _ throws(DBError) in
            ahead = (
                Document(copying: document), [UInt8](copying: key),
                try encodePartition(of: document)
            )
        }
    }

    override func drainOne() throws(DBError) -> Bool {
        if position == partition.count, try !loadPartition() { return false }
        let index = position
        position += 1
        writer.removeAll()
        partition.copyDocument(index, to: &writer)
        for (output, values) in zip(specification.outputs, results) {
            other.removeAll()
            let value = values.reference(index)
            let bytes = writer.bytes
            other.write(DocumentView(bytes.span.bytes), setting: output.path, to: value)
            swap(&writer, &other)
        }
        let bytes = writer.bytes
        _ = try passOn(DocumentView(bytes.span.bytes), arrayPosition: nil)
        return true
    }

    /// Loads the next partition and computes its functions; false if there is none.
    private func loadPartition() throws(DBError) -> Bool {
        partition.removeAll()
        results = []
        position = 0
        guard let first = ahead else { return false }
        let length = first.partitionLength
        while let next = ahead, next.partitionLength == length,
            next.key[..<length] == first.key[..<length]
        {
            partition.append(
                next.document.view,
                key: next.key.span.bytes.extracting(length..<next.key.count))
            guard partition.byteCount <= memoryBytesMax else {
                throw DBError(
                    .exceededMemoryLimit,
                    "A partition of $setWindowFields exceeds \(memoryBytesMax) bytes; partition by "
                        + "more, or $project the fields that are needed first")
            }
            try takeAhead()
        }
        for output in specification.outputs {
            results.append(
                try computation.results(of: output.function, over: partition))
            guard memoryBytes <= 4 * memoryBytesMax else {
                throw DBError(
                    .exceededMemoryLimit,
                    "The windows of a partition of $setWindowFields exceed "
                        + "\(4 * memoryBytesMax) bytes; use smaller windows")
            }
        }
        return true
    }
}
