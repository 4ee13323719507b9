// How far an import has come, in a small file beside the imported one.
//
// It also holds the first bytes of the `_id`s that the import gives to documents without one, and
// the rest of such an `_id` is the record's number: a batch that is sent again after a break has the
// same `_id`s, and what of it was stored before is noticed.

import BSON
import Glibc

/// The progress of one import, written down after each batch.
struct ImportState {
    /// How many records of the file are done.
    var records: Int64 = 0
    /// Of these, how many could not be stored.
    var failed: Int64 = 0
    /// Bytes of the file of errors that tell of them.
    var errorBytes: Int64 = 0
    /// Whether an import goes on that was broken off.
    let isResumed: Bool
    /// The time and the random bytes that generated `_id`s begin with.
    private let idHead: UInt64
    private let path: String?
    private let fileBytes: Int64

    /// The state of importing `file`: a new one, or the one that a broken-off import left.
    /// - Throws: where such a state is there but not wanted, or wanted but not there.
    static func open(_ file: String, resumes: Bool) throws(TransferFailure) -> ImportState {
        if file == "-" { return ImportState(path: nil, fileBytes: 0, idHead: nil) }
        var status = stat()
        let bytes = stat(file, &status) == 0 ? Int64(status.st_size) : 0
        let path = file + ".import"
        let left = try? ByteInput(path: path)
        guard resumes else {
            if left != nil {
                throw TransferFailure(
                    "an import of '\(file)' was broken off: go on with --resume, or remove "
                        + "'\(path)' to begin anew")
            }
            return ImportState(path: path, fileBytes: bytes, idHead: nil)
        }
        guard let left else {
            throw TransferFailure(
                "there is nothing to resume: no '\(path)' was left; import without --resume")
        }
        var content: [UInt8] = []
        while try left.read(into: &content) {}
        guard let state = try? ExtendedJSON.parse(utf8: content.span.bytes),
            case .int64(let records)? = state["records"],
            case .int64(let failed)? = state["failed"], case .int64(bytes)? = state["bytes"],
            case .int64(let head)? = state["ids"]
        else {
            throw TransferFailure(
                "'\(path)' is not of this file: it has changed since, or that is another's; "
                    + "remove '\(path)' to begin anew")
        }
        var resumed = ImportState(
            path: path, fileBytes: bytes, idHead: UInt64(bitPattern: head))
        resumed.records = records
        resumed.failed = failed
        if case .int64(let bytes)? = state["errors"] { resumed.errorBytes = bytes }
        return resumed
    }

    private init(path: String?, fileBytes: Int64, idHead: UInt64?) {
        self.path = path
        self.fileBytes = fileBytes
        isResumed = idHead != nil
        let seconds = UInt64(UInt32(truncatingIfNeeded: time(nil)))
        self.idHead = idHead ?? seconds << 32 | UInt64(UInt32.random(in: 0 ... .max))
    }

    /// The `_id` of a record without one.
    func id(ofRecord number: Int64) -> ObjectID {
        ObjectID(head: idHead, tail: UInt32(truncatingIfNeeded: number))
    }

    /// Writes it down; an import beside which nothing can be written just can't be resumed. Not
    /// durably, since a sync for each batch takes longer than the batch: after a power cut the state
    /// may be gone, and the import begins anew.
    func save() {
        guard let path else { return }
        let text = ExtendedJSON.string(
            of: ([
                "records": .int64(records), "failed": .int64(failed),
                "errors": .int64(errorBytes), "bytes": .int64(fileBytes),
                "ids": .int64(Int64(bitPattern: idHead)),
            ] as Document).view, canonical: true)
        guard let output = try? ByteOutput(path: path, gzip: false) else { return }
        try? output.write(Array(text.utf8))
        try? output.finish(isDurable: false)
    }

    /// Forgets it: the import is done.
    func remove() {
        if let path { unlink(path) }
    }
}
