// Sorting documents by encoded keys within a memory bound: $sort, $sample and the stages that need
// an order. Beyond the bound sorted runs go to temporary files (Spill/) and are merged in the end;
// where the disk may not be used, error 292 says what to do.

import BSON

/// Collects documents with keys and gives them back in the order of the keys; ties keep the order
/// of input. Used by one thread.
final class DocumentSorter {
    private let stage: String
    private let limit: Int?
    private let memoryBytesMax: Int
    private let spillFolder: String?
    private var interrupts: InterruptMeter
    private var buffer: SortBuffer
    private var runs: [SpillRun] = []
    private var merge: SpillMerge?
    private var emitted = 0

    /// `limit`: how many documents are wanted; nil for all. `stage` is what errors name.
    init(_ stage: String, limit: Int?, _ resources: ExecutionResources) {
        self.stage = stage
        self.limit = limit
        memoryBytesMax = resources.memoryBytesMax
        spillFolder = resources.spillFolder
        interrupts = InterruptMeter(resources.interrupt)
        buffer = SortBuffer(limit: limit)
    }

    /// Bytes of memory, about.
    var byteCount: Int { buffer.byteCount }

    /// Whether runs were written.
    var hasSpilled: Bool { !runs.isEmpty || merge != nil }

    /// Takes a document in.
    ///
    /// Throws 292 where the memory bound is passed and the disk may not be used.
    func insert(
        _ document: DocumentView, key: [UInt8], arrayPosition: Int?
    ) throws(DBError) {
        buffer.insert(document, key: key, arrayPosition: arrayPosition)
        if buffer.byteCount > memoryBytesMax { try spillSlowPath() }
    }

    /// The input has ended: puts the documents in order.
    func endInput() throws(DBError) {
        buffer.sort()
        guard !runs.isEmpty else { return }
        try writeRun()
        merge = try SpillMerge(runs)
        runs = []
    }

    /// Lends the next key, document and array position to `body`; false if there is none.
    func next(
        _ body: (RawSpan, DocumentView, Int?) throws(DBError) -> Void
    ) throws(DBError) -> Bool {
        if merge != nil { return try nextMerged(body) }
        guard emitted < buffer.entries.count else {
            buffer.removeAll()
            emitted = 0
            return false
        }
        let entry = buffer.entries[emitted]
        emitted += 1
        let bytes = buffer.bytes
        let key = bytes.span.bytes.extracting(entry.keyRange)
        let document = DocumentView(bytes.span.bytes.extracting(entry.documentRange))
        try body(key, document, entry.arrayPosition < 0 ? nil : Int(entry.arrayPosition))
        return true
    }

    private func nextMerged(
        _ body: (RawSpan, DocumentView, Int?) throws(DBError) -> Void
    ) throws(DBError) -> Bool {
        guard emitted < limit ?? .max, let record = try merge?.next() else {
            merge = nil
            return false
        }
        emitted += 1
        let payload = record.payload
        guard payload.byteCount > 4 else { return false }
        // SAFETY: the length was checked.
        let position = payload.unsafeLoadUnaligned(fromByteOffset: 0, as: Int32.self)
        let document = DocumentView(payload.extracting(4..<payload.byteCount))
        try body(record.key, document, position < 0 ? nil : Int(position))
        return true
    }

    // MARK: Spilling

    @inline(never)
    private func spillSlowPath() throws(DBError) {
        buffer.compact()
        guard buffer.byteCount > memoryBytesMax else { return }
        guard spillFolder != nil else { throw Self.exceeded(stage, memoryBytesMax) }
        buffer.sort()
        try writeRun()
    }

    private func writeRun() throws(DBError) {
        guard let spillFolder, !buffer.entries.isEmpty else { return }
        var writer = try SpillWriter(folder: spillFolder)
        let bytes = buffer.bytes
        for entry in buffer.entries {
            try interrupts.spend(16)
            var head = SpillRecord.head(bytes.span.bytes.extracting(entry.keyRange))
            for shift in stride(from: 0, to: 32, by: 8) {
                head.append(UInt8(truncatingIfNeeded: entry.arrayPosition >> Int32(shift)))
            }
            try writer.append(
                head.span.bytes, bytes.span.bytes.extracting(entry.documentRange))
        }
        runs.append(try writer.finish())
        buffer.removeAll()
    }

    /// The error for a sort that may not use the disk.
    static func exceeded(_ stage: String, _ memoryBytesMax: Int) -> DBError {
        DBError(
            .queryExceededMemoryLimitNoDiskUseAllowed,
            "\(stage) exceeded its memory limit of \(memoryBytesMax) bytes, and allowDiskUse is "
                + "false. Allow it, use an index that gives the order, or a $limit.")
    }
}
