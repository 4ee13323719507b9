// One stage at work. Documents are pushed through a chain: a stage looks at the lent bytes and
// pushes what it makes on to the next, which is done with it when the call returns. Blocking stages
// keep what they need; when the input has ended they hand their results on one by one (`drainOne`),
// so that a large result is never laid out twice.

import BSON

/// A stage of a running pipeline; the base class passes everything on.
///
/// Not thread-safe: an execution belongs to one thread at a time.
class StageExecution {
    /// The stage behind; nil only for the sink at the end.
    final let next: StageExecution?

    init(_ next: StageExecution?) {
        self.next = next
    }

    /// Takes a document, lent for the call. False: no further document changes the result.
    func push(_ document: DocumentView, arrayPosition: Int?) throws(DBError) -> Bool {
        try passOn(document, arrayPosition: arrayPosition)
    }

    /// Hands a document to the next stage.
    @inline(__always)
    final func passOn(_ document: DocumentView, arrayPosition: Int?) throws(DBError) -> Bool {
        guard let next else { return false }
        return try next.push(document, arrayPosition: arrayPosition)
    }

    /// The input has ended; blocking stages order their results.
    func endInput() throws(DBError) {}

    /// Hands one result of a blocking stage on; false when there is none left.
    func drainOne() throws(DBError) -> Bool { false }

    /// Bytes held for results to come.
    var memoryBytes: Int { 0 }

    /// Whether it holds its results back to the end and can take in what twins of it hold.
    var takesParts: Bool { false }

    /// Takes in what a twin holds that has seen the documents behind this stage's. False where that
    /// might differ from what this stage would hold after seeing them all.
    func append(_ later: StageExecution) throws(DBError) -> Bool { false }
}

/// The end of the chain: lays results out one after another until they are taken.
final class ResultSink: StageExecution {
    private(set) var writer = DocumentWriter()
    private var offsets: [Int] = []
    private var head = 0

    /// Most bytes of one result.
    private let resultBytesMax: Int

    init(resultBytesMax: Int) {
        self.resultBytesMax = resultBytesMax
        super.init(nil)
    }

    override func push(_ document: DocumentView, arrayPosition: Int?) throws(DBError) -> Bool {
        let start = writer.count
        writer.appendRaw(copying: document.bytes)
        try close(start)
        return true
    }

    /// Appends the result that `body` writes.
    @inline(__always)
    func append(
        _ body: (inout DocumentWriter) throws(DBError) -> Void
    ) throws(DBError) {
        let start = writer.count
        try body(&writer)
        try close(start)
    }

    private func close(_ start: Int) throws(DBError) {
        let size = writer.count - start
        guard size <= resultBytesMax else {
            writer.truncate(to: start)
            throw DBError(
                .bsonObjectTooLarge,
                "A result of \(size) bytes is larger than a document may be "
                    + "(\(Limits.documentBytesMax))")
        }
        guard writer.count <= Self.waitingBytesMax else { throw Self.tooManyWaiting }
        offsets.append(start)
    }

    /// Most bytes of results that one document may become.
    private static let waitingBytesMax = 256 * 1024 * 1024

    private static var tooManyWaiting: DBError {
        DBError(
            .exceededMemoryLimit,
            "The results that one document becomes exceed \(waitingBytesMax / 1_048_576) MiB")
    }

    /// Results waiting to be taken.
    var count: Int { offsets.count - head }

    override var memoryBytes: Int { writer.count }

    /// Lends the first waiting result; nil if there is none.
    func withFirst<Result>(
        _ body: (DocumentView) throws(DBError) -> Result
    ) throws(DBError) -> Result? {
        guard head < offsets.count else { return nil }
        let end = head + 1 < offsets.count ? offsets[head + 1] : writer.count
        let bytes = writer.bytes
        return try body(DocumentView(bytes.span.bytes.extracting(offsets[head]..<end)))
    }

    /// Takes the first waiting result off.
    func removeFirst() {
        guard head < offsets.count else { return }
        head += 1
        if head == offsets.count {
            writer.removeAll()
            offsets.removeAll(keepingCapacity: true)
            head = 0
        }
    }
}
