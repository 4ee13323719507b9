// An import at work: batches of records become commands, two of which are on their way at a time.

import BSON
import Client
import NIOCore

/// Sends a file's documents to a collection.
final class ImportRun {
    /// Where documents go, and how.
    struct Target {
        let uri: String
        let collection: String
        /// The field whose value tells which document to replace; nil to insert.
        let upsertBy: String?
    }

    /// Records that go in one command.
    private struct Batch {
        var records: [TransferRecord] = []
        var documents: [Document] = []
        /// The place in `records` of each document.
        var places: [Int] = []
        var byteCount = 0

        static let recordsMax = 1_000
        static let byteCountMax = 8 << 20

        var isFull: Bool { records.count >= Self.recordsMax || byteCount >= Self.byteCountMax }
    }

    private struct Sent {
        let batch: Batch
        /// Nil where no record of the batch could be sent.
        let reply: EventLoopFuture<Document>?
        let share: Double?
    }

    /// Commands on their way at a time: one is made while the server works on the other.
    private static let sentMax = 2

    private let connection: Connection
    private let database: String
    private let target: Target
    private var state: ImportState
    private let errorsPath: String
    private var errors: ErrorFile
    private var progress: TransferProgress
    private var sent: [Sent] = []
    /// Records before this number may be stored already, from the import that was broken off.
    private let doubtEnd: Int64

    /// Connects.
    init(
        _ target: Target, _ state: ImportState, errorsPath: String, isQuiet: Bool
    ) async throws {
        let server: ConnectionString
        do throws(DBError) {
            server = try ConnectionString(target.uri)
            connection = try await Connection.open(server)
            try await connection.greet(appName: "roost import")
        } catch {
            throw TransferFailure(error.message)
        }
        database = server.database
        self.target = target
        self.state = state
        self.errorsPath = errorsPath
        errors = ErrorFile(path: errorsPath, byteCount: state.errorBytes)
        progress = TransferProgress("imported", isQuiet: isQuiet)
        doubtEnd =
            state.isResumed ? state.records + Int64(Self.sentMax * Batch.recordsMax) : 0
    }

    /// Drops the collection.
    func drop() async throws {
        do throws(DBError) {
            _ = try await connection.run(
                ["drop": .string(target.collection)], database: database)
        } catch {
            // MongoDB 7 and older say so where there is none.
            if error.code != .namespaceNotFound { throw TransferFailure(error.message) }
        }
    }

    /// Imports all records and says how many failed.
    func go(_ input: ByteInput, _ records: consuming RecordReader) async throws -> Int64 {
        for _ in 0..<state.records {
            guard try records.next() != nil else {
                throw TransferFailure("the file is shorter than what was imported of it")
            }
        }
        var batch = Batch()
        while let record = try records.next() {
            add(record, to: &batch)
            guard batch.isFull else { continue }
            try await send(batch, share: share(input))
            batch = Batch()
        }
        if !batch.records.isEmpty { try await send(batch, share: 1) }
        while !sent.isEmpty { try await takeReply() }
        try errors.finish()
        state.remove()
        connection.close()
        let rest =
            state.failed > 0
            ? "; \(state.failed) failed, see \(errorsPath)"
            : state.isResumed ? "; \(state.records) in all" : ""
        progress.finish(rest)
        return state.failed
    }

    private func share(_ input: ByteInput) -> Double? {
        input.byteCount.map { Double(input.offset) / Double(max(1, $0)) }
    }

    // MARK: Batches

    private func add(_ record: TransferRecord, to batch: inout Batch) {
        let inFlight = sent.reduce(0) { $0 + $1.batch.records.count }
        let number = state.records + Int64(inFlight + batch.records.count)
        batch.records.append(record)
        guard case .success(let document) = record.document else { return }
        let isReplacement = target.upsertBy.map { field in
            CSVColumns.value(of: document, at: field.split(separator: ".")) != nil
        }
        let whole = isReplacement == true ? document : withID(document, number)
        batch.places.append(batch.records.count - 1)
        batch.documents.append(whole)
        batch.byteCount += whole.bytes.count
    }

    /// The document as the server stores it: with an `_id`, and that first.
    private func withID(_ document: Document, _ number: Int64) -> Document {
        if document.view.first?.name.equals("_id") == true { return document }
        let id = document["_id"] ?? .objectID(state.id(ofRecord: number))
        return Document { writer in
            writer.append("_id", id)
            var elements = document.view.makeIterator()
            while let element = elements.next() {
                if !element.name.equals("_id") { writer.append(element) }
            }
        }
    }

    private func send(_ batch: Batch, share: Double?) async throws {
        if sent.count == Self.sentMax { try await takeReply() }
        // From here on something may be stored that only the state tells of.
        state.save()
        let reply =
            batch.documents.isEmpty ? nil : connection.send(command(batch), database: database)
        sent.append(Sent(batch: batch, reply: reply, share: share))
    }

    private func command(_ batch: Batch) -> Document {
        Document { writer in
            writer.append(target.upsertBy == nil ? "insert" : "update", target.collection)
            writer.append("ordered", false)
            let list = writer.openArray(target.upsertBy == nil ? "documents" : "updates")
            for (index, document) in batch.documents.enumerated() {
                guard let field = target.upsertBy else {
                    writer.append(index: index, .document(document))
                    continue
                }
                writer.append(
                    index: index,
                    [
                        "q": .document(Self.replaced(by: document, field)),
                        "u": .document(document), "upsert": true,
                    ])
            }
            writer.close(list)
        }
    }

    /// What the document to be replaced has: the same value there, and one at all, since null is
    /// also found where there is none. Without the field it is the document's own `_id`.
    private static func replaced(by document: Document, _ field: String) -> Document {
        guard let value = CSVColumns.value(of: document, at: field.split(separator: ".")) else {
            return ["_id": document["_id"] ?? .null]
        }
        return [field: ["$eq": value, "$exists": true]]
    }

    // MARK: Replies

    private func takeReply() async throws {
        let first = sent.removeFirst()
        var failures: [Int: DBError] = [:]
        for (place, record) in first.batch.records.enumerated() {
            if case .failure(let error) = record.document { failures[place] = error }
        }
        do {
            if let reply = try await first.reply?.get() {
                try await note(reply, first.batch, &failures)
            }
        } catch let error as DBError {
            throw brokenOff(error.message)
        }
        try note(failures, first.batch)
        state.errorBytes = errors.byteCount
        state.records += Int64(first.batch.records.count)
        state.failed += Int64(failures.count)
        state.save()
        progress.add(first.batch.records.count - failures.count, share: first.share)
    }

    /// Adds what the server could not store to `failures`.
    private func note(
        _ reply: Document, _ batch: Batch, _ failures: inout [Int: DBError]
    ) async throws {
        guard reply.view.value("ok")?.isTruthy == true else {
            let message = "the server refused a batch: \(Cell.text(reply["errmsg"] ?? .null))"
            // Nothing of it is stored, and nothing before or behind it: another try begins anew.
            if state.records == 0, sent.isEmpty {
                state.remove()
                errors.remove()
                throw TransferFailure(message)
            }
            throw brokenOff(message)
        }
        for (index, error) in Self.writeErrors(reply) where index < batch.places.count {
            let place = batch.places[index]
            if Self.isOfServer(error) { throw brokenOff(error.message) }
            if try await isStored(batch.documents[index], place, error) { continue }
            failures[place] = error
        }
    }

    private func brokenOff(_ reason: String) -> TransferFailure {
        TransferFailure(
            "\(reason); broken off after \(state.records) records. Go on with --resume when that is "
                + "mended")
    }

    /// Whether a document was refused for the server's state: its disk is full, it stops. The same
    /// document may be stored later.
    private static func isOfServer(_ error: DBError) -> Bool {
        [91, 11_600, 11_602, 14_031].contains(error.code.rawValue)
    }

    private static func writeErrors(_ reply: Document) -> [(Int, DBError)] {
        guard case .array(let list)? = reply["writeErrors"] else { return [] }
        return list.compactMap { entry in
            guard case .document(let error) = entry, case .int32(let index)? = error["index"],
                case .int32(let code)? = error["code"]
            else { return nil }
            let message = error["errmsg"].map { Cell.text($0) } ?? "refused"
            return (Int(index), DBError(DBError.Code(rawValue: code), message, details: error))
        }
    }

    /// Whether a refused document is there because the import that was broken off had stored it.
    private func isStored(
        _ document: Document, _ place: Int, _ error: DBError
    ) async throws(DBError) -> Bool {
        guard error.code == .duplicateKey, state.records + Int64(place) < doubtEnd,
            let id = document["_id"]
        else { return false }
        let reply = try await connection.run(
            [
                "find": .string(target.collection), "filter": ["_id": ["$eq": id]], "limit": 1,
                "singleBatch": true,
            ], database: database)
        guard case .document(let cursor)? = reply["cursor"],
            case .array(let found)? = cursor["firstBatch"]
        else { return false }
        return found.first == .document(document)
    }

    private func note(_ failures: [Int: DBError], _ batch: Batch) throws(TransferFailure) {
        guard !failures.isEmpty else { return }
        var lines: [UInt8] = []
        for (place, error) in failures.sorted(by: { $0.key < $1.key }) {
            let record = batch.records[place]
            let line = Document { writer in
                writer.append("line", Int64(record.line))
                writer.append("code", error.code.rawValue)
                writer.append("error", error.message)
                if let text = record.text {
                    writer.append("record", text)
                } else if case .success(let document) = record.document {
                    writer.append("document", document)
                }
            }
            lines += (ExtendedJSON.string(of: line.view) + "\n").utf8
        }
        try errors.append(lines)
    }
}
