// $rankFusion at work: reads each input pipeline, notes ranks, hands documents on by their scores.

internal import BSON

/// $rankFusion at work. Its own input is not read: the pipelines read the collection.
final class RankFusionStage: StageExecution {
    private let specification: RankFusionSpecification
    private let resources: ExecutionResources
    private let sorter: DocumentSorter
    /// Numbers the documents by their `_id`.
    private var identities = KeyTable()
    private var documents = DocumentBatch()
    /// The ranks of each document, an input behind the other; 0 where an input doesn't give it.
    private var ranks: [Int32] = []

    /// What keeps the first ranks from outweighing all others.
    private static let rankConstant = 60.0

    init(
        _ specification: RankFusionSpecification, _ resources: ExecutionResources,
        _ next: StageExecution
    ) {
        self.specification = specification
        self.resources = resources
        sorter = DocumentSorter("$rankFusion", limit: nil, resources)
        super.init(next)
    }

    override var memoryBytes: Int { heldBytes + sorter.byteCount }

    private var heldBytes: Int { identities.byteCount + documents.byteCount + ranks.count * 4 }

    override func push(_ document: DocumentView, arrayPosition: Int?) throws(DBError) -> Bool {
        false
    }

    override func endInput() throws(DBError) {
        for index in specification.inputs.indices { try read(index) }
        var writer = DocumentWriter()
        var key: [UInt8] = []
        for number in 0..<identities.count {
            let score = score(number)
            key.removeAll(keepingCapacity: true)
            // Scores are no less than zero: the highest comes first where the bits are turned over.
            let order = ~score.bitPattern
            for shift in stride(from: 56, through: 0, by: -8) {
                key.append(UInt8(truncatingIfNeeded: order >> UInt64(shift)))
            }
            identities.appendKey(number, to: &key)
            writer.removeAll()
            write(number, score, &writer)
            let bytes = writer.bytes
            try sorter.insert(DocumentView(bytes.span.bytes), key: key, arrayPosition: nil)
        }
        identities = KeyTable()
        documents = DocumentBatch()
        ranks = []
        try sorter.endInput()
    }

    override func drainOne() throws(DBError) -> Bool {
        try sorter.next { _, document, position throws(DBError) in
            _ = try passOn(document, arrayPosition: position)
        }
    }

    /// Notes the ranks that an input gives; documents with equal sort keys share one.
    private func read(_ index: Int) throws(DBError) {
        let inputs = specification.inputs
        let source = inputs[index].source
        let order = inputs[index].order
        var batch = DocumentBatch()
        var identity = KeyEncoder()
        var key = KeyEncoder()
        var previous: [UInt8] = []
        var position: Int32 = 0
        var rank: Int32 = 0
        try resources.forEach(source.collection, source.compiled, &batch) {
            document throws(DBError) in
            position += 1
            if let order {
                key.removeAll()
                try order.appendKey(of: document, to: &key)
                if position == 1 || key.bytes != previous {
                    rank = position
                    previous = key.bytes
                }
            } else {
                rank = position
            }
            identity.removeAll()
            if let id = document.value("_id") { identity.append(id) }
            let (number, isNew) = identities.insert(identity.bytes)
            if isNew {
                documents.append(document)
                ranks.append(contentsOf: repeatElement(0, count: inputs.count))
            }
            let place = number * inputs.count + index
            if ranks[place] == 0 { ranks[place] = rank }
            guard heldBytes <= resources.memoryBytesMax else {
                throw DocumentSorter.exceeded("$rankFusion", resources.memoryBytesMax)
            }
            return true
        }
    }

    private func score(_ number: Int) -> Double {
        var sum = 0.0
        for (index, input) in specification.inputs.enumerated() {
            let rank = ranks[number * specification.inputs.count + index]
            if rank > 0 { sum += 1 / (Double(rank) + Self.rankConstant) * input.weight }
        }
        return sum
    }

    private func write(_ number: Int, _ score: Double, _ writer: inout DocumentWriter) {
        let start = writer.openDocument()
        let batch = documents
        writer.appendFields(of: batch[number])
        if specification.carriesScore { writer.append(MetadataField.score, score) }
        if specification.carriesDetails {
            let details = writer.openDocument(MetadataField.scoreDetails)
            writer.append("value", score)
            writer.append("description", Self.description)
            writeInputs(number, &writer)
            writer.close(details)
        }
        writer.close(start)
    }

    private func writeInputs(_ number: Int, _ writer: inout DocumentWriter) {
        let list = writer.openArray("details")
        for (index, input) in specification.inputs.enumerated() {
            let rank = ranks[number * specification.inputs.count + index]
            let entry = writer.openDocument(String(index))
            writer.append("inputPipelineName", input.name)
            if rank > 0 { writer.append("rank", rank) } else { writer.append("rank", "NA") }
            writer.append("weight", input.weight)
            if rank > 0 { writer.append("details", .array([])) }
            writer.close(entry)
        }
        writer.close(list)
    }

    private static let description =
        "reciprocal rank fusion: the sum of weight * (1 / (60 + rank)) over the input pipelines "
        + "that give this document"
}
