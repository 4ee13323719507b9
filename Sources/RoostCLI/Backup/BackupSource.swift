// What a backup is taken of: a running server, or a folder that none uses.

import BSON
import Client
import Logging
import Roost

/// Gives out a database's entries and log.
enum BackupSource {
    case server(Connection)
    case folder(RoostEngine)

    /// Part of the log.
    struct Part {
        var log: BackupLog
        /// All that was acknowledged by then is in the log up to `log.end`; milliseconds since 1970.
        var nowMillis: Int64
    }

    /// What one answer holds, about.
    private static let batchBytes = 1 << 20

    /// Where the data is.
    enum Place {
        case server(ConnectionString)
        case folder(String)
    }

    /// The server that a connection string names; asks for a password that it lacks.
    static func target(_ uri: String) throws(DBError) -> ConnectionString {
        var target = try ConnectionString(uri)
        if let user = target.user, target.password == nil {
            target.password = PasswordPrompt.ask("Password of \(user): ")
        }
        return target
    }

    /// Connects to a server, or opens a folder.
    static func open(_ place: Place) async throws(DBError) -> BackupSource {
        switch place {
        case .folder(let path): return try open(folder: path)
        case .server(let target):
            let connection = try await Connection.open(target)
            try await connection.greet(appName: "roost backup")
            return .server(connection)
        }
    }

    /// Whether the connection has ended.
    var isLost: Bool {
        switch self {
        case .server(let connection): connection.isClosed
        case .folder: false
        }
    }

    /// Opens a folder.
    private static func open(folder: String) throws(DBError) -> BackupSource {
        guard RoostEngine.exists(at: folder) else {
            throw DBError(.noSuchKey, "'\(folder)' holds no database")
        }
        var logger = Logger(label: "roost")
        logger.logLevel = .error
        var options = EngineOptions()
        options.tidiesUp = false
        return .folder(try RoostEngine(path: folder, options: options, logger: logger))
    }

    /// Lets go of it.
    func close() {
        switch self {
        case .server(let connection): connection.close()
        case .folder(let engine): engine.close()
        }
    }

    private static func command(_ connection: Connection, _ command: Document) async throws(DBError)
        -> Document
    {
        do throws(DBError) {
            return try await connection.run(command, database: "admin")
        } catch  where error.code == .commandNotFound {
            throw DBError(.commandNotFound, "the server is no Roost, or older than backups are")
        }
    }

    /// Begins a backup of that name.
    func begin(_ name: String) async throws(DBError) -> BackupStart {
        switch self {
        case .folder(let engine): return try engine.beginBackup(name)
        case .server(let connection):
            let reply = try await Self.command(
                connection, ["roostBackup": "begin", "name": .string(name)])
            guard case .binary(_, let identity)? = reply["identity"],
                case .int64(let sequence)? = reply["sequence"],
                case .array(let trees)? = reply["trees"],
                case .timestamp(let newest)? = reply["newest"]
            else { throw Self.unexpected }
            return BackupStart(
                identity: identity, place: BackupPlace(sequence: UInt64(bitPattern: sequence)),
                trees: trees.compactMap { tree in
                    if case .int64(let number) = tree { UInt64(bitPattern: number) } else { nil }
                }, newest: newest)
        }
    }

    /// Copies entries of a tree behind a key.
    func copy(_ tree: UInt64, after key: [UInt8]?) async throws(DBError) -> BackupEntries {
        switch self {
        case .folder(let engine):
            return try engine.copyEntries(of: tree, after: key, bytesMax: Self.batchBytes)
        case .server(let connection):
            let command = Document { writer in
                writer.append("roostBackup", "copy")
                writer.append("tree", Int64(bitPattern: tree))
                if let key { writer.append("after", .binary(subtype: 0, key)) }
            }
            let reply = try await Self.command(connection, command)
            guard case .binary(_, let entries)? = reply["entries"] else { throw Self.unexpected }
            guard case .binary(_, let last)? = reply["last"] else {
                return BackupEntries(bytes: entries, last: nil)
            }
            return BackupEntries(bytes: entries, last: last)
        }
    }

    /// Reads the log.
    func log(_ name: String, from place: BackupPlace) async throws(DBError) -> Part {
        switch self {
        case .folder(let engine):
            let now = LogicalClock.wallMillis
            return Part(
                log: try engine.backupLog(name, from: place, bytesMax: Self.batchBytes),
                nowMillis: now)
        case .server(let connection):
            let reply = try await Self.command(
                connection,
                [
                    "roostBackup": "log", "name": .string(name),
                    "sequence": .int64(Int64(bitPattern: place.sequence)),
                    "offset": .int64(Int64(place.offset)),
                ])
            guard case .binary(_, let bytes)? = reply["log"],
                case .int64(let sequence)? = reply["sequence"],
                case .int64(let offset)? = reply["offset"],
                case .int64(let end)? = reply["end"], case .date(let now)? = reply["now"]
            else { throw Self.unexpected }
            var newest: Timestamp?
            if case .timestamp(let time)? = reply["newest"] { newest = time }
            return Part(
                log: BackupLog(
                    bytes: bytes,
                    next: BackupPlace(
                        sequence: UInt64(bitPattern: sequence), offset: Int(clamping: offset)),
                    end: UInt64(bitPattern: end), newest: newest), nowMillis: now)
        }
    }

    /// Lets the log before a record go; nil ends the backup.
    func release(_ name: String, before sequence: UInt64?) async throws(DBError) {
        switch self {
        case .folder(let engine): try engine.releaseBackupLog(name, before: sequence)
        case .server(let connection):
            let command = Document { writer in
                writer.append("roostBackup", "release")
                writer.append("name", name)
                if let sequence { writer.append("sequence", Int64(bitPattern: sequence)) }
            }
            _ = try await Self.command(connection, command)
        }
    }

    private static let unexpected = DBError(
        .failedToParse, "the server's answer is not what this release expects")
}
