// $sort, and find's sort: in memory, bounded; with a limit only the first documents are kept.

import BSON

final class SortStage: StageExecution {
    private let pattern: SortPattern
    private let memoryBytesMax: Int
    private var encoder = KeyEncoder()
    private var buffer: SortBuffer
    private var emitted = 0

    /// `limit`: how many documents are wanted of the sort; nil for all.
    init(_ pattern: SortPattern, limit: Int?, memoryBytesMax: Int, _ next: StageExecution) {
        self.pattern = pattern
        self.memoryBytesMax = memoryBytesMax
        buffer = SortBuffer(limit: limit)
        super.init(next)
    }

    override var memoryBytes: Int { buffer.byteCount }

    override func push(_ document: DocumentView, arrayPosition: Int?) throws(DBError) -> Bool {
        encoder.removeAll()
        try pattern.appendKey(of: document, to: &encoder)
        buffer.insert(document, key: encoder.bytes, arrayPosition: arrayPosition)
        if buffer.byteCount > memoryBytesMax { try refuseUnlessCompacted() }
        return true
    }

    private func refuseUnlessCompacted() throws(DBError) {
        buffer.compact()
        guard buffer.byteCount > memoryBytesMax else { return }
        throw DBError(
            .queryExceededMemoryLimitNoDiskUseAllowed,
            "Sort exceeded memory limit of \(memoryBytesMax) bytes. Use an index that gives the "
                + "order, or a limit.")
    }

    override func endInput() throws(DBError) {
        buffer.sort()
    }

    override func drainOne() throws(DBError) -> Bool {
        guard emitted < buffer.entries.count else {
            buffer.removeAll()
            emitted = 0
            return false
        }
        let entry = buffer.entries[emitted]
        emitted += 1
        let bytes = buffer.bytes
        let document = DocumentView(bytes.span.bytes.extracting(entry.documentRange))
        return try passOn(
            document, arrayPosition: entry.arrayPosition < 0 ? nil : Int(entry.arrayPosition))
    }
}
