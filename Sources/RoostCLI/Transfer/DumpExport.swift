// Writing all collections of a server, or of a database, as mongodump does: a folder with
// DATABASE/COLLECTION.bson and COLLECTION.metadata.json, or an archive.

import BSON
import Client
import Glibc

/// Dumps collections.
struct DumpExport {
    let uri: String
    /// The one database; nil for all.
    let database: String?
    let gzip: Bool
    let isQuiet: Bool

    private struct Source {
        let name: DumpName
        let metadata: Document
        let isView: Bool

        var metadataText: String {
            ExtendedJSON.string(of: metadata.view, canonical: true)
        }
    }

    /// Writes a folder; each file has its name when it is whole.
    func write(folder: String) async throws {
        let connection = try await connect()
        defer { connection.close() }
        var progress = TransferProgress("dumped", isQuiet: isQuiet)
        let suffix = gzip ? ".gz" : ""
        try Self.make(folder)
        for source in try await sources(connection) {
            let base = "\(folder)/\(source.name.database)"
            try Self.make(base)
            let path = "\(base)/\(source.name.fileName)"
            if !source.isView {
                let output = try ByteOutput(path: "\(path).bson\(suffix)", gzip: gzip)
                var cursor = try await documents(source.name, connection)
                while let document = try await cursor.next() {
                    try output.write(document.bytes)
                    progress.add(1, share: nil)
                }
                try output.finish()
            }
            let output = try ByteOutput(path: "\(path).metadata.json\(suffix)", gzip: gzip)
            try output.write(Array(source.metadataText.utf8))
            try output.finish()
        }
        progress.finish()
    }

    /// Writes an archive; `-` is standard output.
    func write(archive: String) async throws {
        let connection = try await connect()
        defer { connection.close() }
        var progress = TransferProgress("dumped", isQuiet: isQuiet)
        let output = try ByteOutput(path: archive, gzip: gzip)
        let build = try await connection.run(["buildInfo": 1], database: "admin")
        let header: Document = [
            "concurrent_collections": 1, "version": "0.1",
            "server_version": build["version"] ?? "", "tool_version": "roost",
        ]
        try output.write(ArchivePiece.magic + header.bytes)
        let sources = try await sources(connection)
        for source in sources {
            let entry: Document = [
                "db": .string(source.name.database),
                "collection": .string(source.name.collection),
                "metadata": .string(source.metadataText), "size": 0,
                "type": source.metadata["type"] ?? "collection",
            ]
            try output.write(entry.bytes)
        }
        try output.write(ArchivePiece.terminator)
        for source in sources where !source.isView {
            var sum = CRC64()
            var isOpen = false
            var cursor = try await documents(source.name, connection)
            while let document = try await cursor.next() {
                if !isOpen { try output.write(ArchivePiece.header(source.name, end: nil)) }
                isOpen = true
                sum.add(document.bytes)
                try output.write(document.bytes)
                progress.add(1, share: nil)
            }
            if isOpen { try output.write(ArchivePiece.terminator) }
            try output.write(ArchivePiece.header(source.name, end: sum))
            try output.write(ArchivePiece.terminator)
        }
        try output.finish()
        progress.finish()
    }

    private func connect() async throws(DBError) -> Connection {
        let connection = try await Connection.open(ConnectionString(uri))
        try await connection.greet(appName: "roost export")
        return connection
    }

    private func documents(
        _ name: DumpName, _ connection: Connection
    ) async throws(DBError) -> Cursor {
        try await Cursor(
            ["find": .string(name.collection), "batchSize": 1_000], database: name.database,
            on: connection, batchSize: 1_000)
    }

    private func sources(_ connection: Connection) async throws -> [Source] {
        var databases: [String] = []
        if let database {
            databases = [database]
        } else {
            let reply = try await connection.run(
                ["listDatabases": 1, "nameOnly": true], database: "admin")
            guard case .array(let list)? = reply["databases"] else { return [] }
            for case .document(let entry) in list {
                if case .string(let name)? = entry["name"], name != "local" {
                    databases.append(name)
                }
            }
        }
        var sources: [Source] = []
        for database in databases.sorted() {
            var cursor = try await Cursor(
                ["listCollections": 1], database: database, on: connection)
            var found: [Source] = []
            while let entry = try await cursor.next() {
                if let source = try await source(entry, database, connection) {
                    found.append(source)
                }
            }
            sources += found.sorted { $0.name.collection < $1.name.collection }
        }
        return sources
    }

    private func source(
        _ entry: Document, _ database: String, _ connection: Connection
    ) async throws -> Source? {
        guard case .string(let collection)? = entry["name"],
            case .string(let type)? = entry["type"], !collection.hasPrefix("system.")
        else { return nil }
        let name = DumpName(database: database, collection: collection)
        var indexes: [Value] = []
        if type != "view" {
            var cursor = try await Cursor(
                ["listIndexes": .string(collection)], database: database, on: connection)
            while let index = try await cursor.next() { indexes.append(.document(index)) }
        }
        var uuid = ""
        if case .document(let info)? = entry["info"],
            case .binary(_, let bytes)? = info["uuid"]
        {
            uuid = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        }
        let metadata: Document = [
            "indexes": .array(indexes), "uuid": .string(uuid),
            "collectionName": .string(collection), "type": .string(type),
            "options": entry["options"] ?? .document(Document()),
        ]
        return Source(name: name, metadata: metadata, isView: type == "view")
    }

    private static func make(_ folder: String) throws(TransferFailure) {
        if mkdir(folder, 0o777) != 0, errno != EEXIST {
            throw TransferFailure("cannot make '\(folder)': \(String(cString: strerror(errno)))")
        }
    }
}
