// Reading what mongodump wrote, a folder or an archive, into a server: collections with their
// options, then their documents, then indexes and views.

import BSON
import Client
import Roost

/// Loads a dump.
final class DumpImport {
    private let connection: Connection
    /// The one database; nil for all.
    private let database: String?
    private let drops: Bool
    private var progress: TransferProgress
    private var metadata: [DumpName: Document] = [:]
    private var made: Set<DumpName> = []
    private var pending: [Document] = []
    private var pendingBytes = 0
    private var pendingName: DumpName?
    /// Documents that the server refused.
    private(set) var failed = 0

    private static let batchDocuments = 1_000
    private static let batchBytes = 8 << 20

    /// Loads by a connection, which it closes at its end.
    init(_ connection: Connection, database: String?, drops: Bool, isQuiet: Bool) {
        self.connection = connection
        self.database = database
        self.drops = drops
        progress = TransferProgress("loaded", isQuiet: isQuiet)
    }

    deinit { connection.close() }

    /// Loads an archive, gzipped or not; `-` is standard input.
    func load(archive: String) async throws {
        var reader = try ArchiveReader(try ByteInput(path: archive))
        while let item = try reader.next() {
            switch item {
            case .metadata(let name, let document): metadata[name] = document
            case .document(let name, let document): try await add(document, to: name)
            case .end: try await flush()
            }
        }
        try await finish()
    }

    /// Loads a folder; or that of one database, where one is named.
    func load(folder: String) async throws {
        for database in BackupFolder.names(in: folder).sorted() {
            let base = "\(folder)/\(database)"
            let files = BackupFolder.names(in: base).sorted()
            for file in files {
                guard let name = Self.name(file, ".metadata.json", database) else { continue }
                var bytes: [UInt8] = []
                let input = try ByteInput(path: "\(base)/\(file)")
                while try input.read(into: &bytes) {}
                metadata[name] = try ExtendedJSON.parse(utf8: bytes.span.bytes)
            }
            for file in files {
                guard let name = Self.name(file, ".bson", database) else { continue }
                var reader = RecordReader(
                    try ByteInput(path: "\(base)/\(file)"), .bson, csv: CSVOptions())
                while let record = try reader.next() {
                    try await add(try record.document.get(), to: name)
                }
                try await flush()
            }
        }
        if metadata.isEmpty, made.isEmpty {
            throw TransferFailure(
                "'\(folder)' holds no DATABASE/COLLECTION.bson; give the folder that mongodump made"
            )
        }
        try await finish()
    }

    private static func name(_ file: String, _ suffix: String, _ database: String) -> DumpName? {
        var name = file
        if name.hasSuffix(".gz") { name.removeLast(3) }
        guard name.hasSuffix(suffix) else { return nil }
        name.removeLast(suffix.count)
        return DumpName.collection(fileName: name).map {
            DumpName(database: database, collection: $0)
        }
    }

    private func isWanted(_ name: DumpName) -> Bool {
        (database == nil || database == name.database) && !name.collection.hasPrefix("system.")
    }

    private func add(_ document: Document, to name: DumpName) async throws {
        guard isWanted(name) else { return }
        if name != pendingName { try await flush() }
        pendingName = name
        pending.append(document)
        pendingBytes += document.bytes.count
        if pending.count >= Self.batchDocuments || pendingBytes >= Self.batchBytes {
            try await flush()
        }
    }

    private func flush() async throws {
        guard let name = pendingName, !pending.isEmpty else { return }
        try await make(name)
        let documents = pending
        pending = []
        pendingBytes = 0
        let command = Document { writer in
            writer.append("insert", name.collection)
            writer.append("ordered", false)
            writer.append("bypassDocumentValidation", true)
            let list = writer.openArray("documents")
            for (index, document) in documents.enumerated() {
                writer.append(index: index, .document(document))
            }
            writer.close(list)
        }
        let reply = try await connection.run(command, database: name.database)
        var refused = 0
        if case .array(let errors)? = reply["writeErrors"] { refused = errors.count }
        failed += refused
        progress.add(documents.count - refused, share: nil)
    }

    /// Makes a collection with its options, once.
    private func make(_ name: DumpName) async throws {
        guard made.insert(name).inserted else { return }
        if drops {
            _ = try await connection.run(
                ["drop": .string(name.collection)], database: name.database)
        }
        var options = Document()
        if case .document(let given)? = metadata[name]?["options"] { options = given }
        let chosen = options
        let command = Document { writer in
            writer.append("create", name.collection)
            writer.appendFields(of: chosen.view)
        }
        do {
            _ = try await connection.run(command, database: name.database)
        } catch {
            // Documents are added to those of a collection that is there.
            guard error.code == .namespaceExists else { throw error }
        }
    }

    /// Makes what has no documents, the indexes, and views, which may need other collections.
    private func finish() async throws {
        try await flush()
        let names = metadata.keys.filter { isWanted($0) }
            .sorted { ($0.database, $0.collection) < ($1.database, $1.collection) }
        for name in names where metadata[name]?["type"] != .string("view") {
            try await make(name)
            guard case .array(let list)? = metadata[name]?["indexes"] else { continue }
            let indexes = list.filter { index in
                guard case .document(let index) = index else { return false }
                return index["name"] != .string("_id_") && index["clustered"] == nil
            }
            if indexes.isEmpty { continue }
            _ = try await connection.run(
                ["createIndexes": .string(name.collection), "indexes": .array(indexes)],
                database: name.database)
        }
        for name in names where metadata[name]?["type"] == .string("view") {
            try await make(name)
        }
        progress.finish(failed > 0 ? ", \(failed) refused" : "")
    }
}
