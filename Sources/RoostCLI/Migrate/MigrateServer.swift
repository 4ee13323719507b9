// The server as `roost migrate` asks it: a group is begun, and then step after step.

import BSON
import Client
import Glibc
import Roost

/// A server whose database is migrated.
struct MigrateServer {
    private let connection: Connection
    private let database: String
    private let target: MigrateTarget
    private let owner: String

    init(_ target: MigrateTarget) async throws {
        self.target = target
        do throws(DBError) {
            let server = try ConnectionString(target.uri)
            database = server.database
            connection = try await Connection.open(server)
            try await connection.greet(appName: "roost migrate")
        } catch {
            throw FailureMessage(description: error.message)
        }
        var name = [CChar](repeating: 0, count: 256)
        gethostname(&name, name.count - 1)
        let host = String(decoding: name.prefix { $0 != 0 }.map(UInt8.init), as: UTF8.self)
        owner = "roost migrate, process \(getpid()) on \(host)"
    }

    func close() { connection.close() }

    /// The folder's migrations.
    static func files(_ folder: String) throws -> [MigrationFile] {
        do throws(DBError) {
            return try MigrationFile.folder(folder)
        } catch {
            throw FailureMessage(description: error.message)
        }
    }

    /// Sends a part of the command, with the folder's files where it needs them.
    func ask(
        _ part: String, files: Bool = false, _ fields: Document = Document()
    ) async throws -> Document {
        let list = files ? try Self.files(target.dir) : []
        do throws(DBError) {
            return try await send(part, list, fields)
        } catch {
            throw FailureMessage(description: error.message)
        }
    }

    private func send(
        _ part: String, _ files: [MigrationFile], _ fields: Document
    ) async throws(DBError) -> Document {
        let command = Document { writer in
            writer.append("migrate", part)
            writer.append("owner", owner)
            if !files.isEmpty { writer.append("files", .array(files.map(Self.value))) }
            writer.appendFields(of: fields.view)
        }
        return try await connection.run(command, database: database)
    }

    private static func value(_ file: MigrationFile) -> Value {
        .document([
            "name": .string(file.name), "text": .string(file.text),
            "attachments": .array(
                file.attachments.sorted { $0.key < $1.key }.map {
                    .document(["name": .string($0.key), "text": .string($0.value)])
                }),
        ])
    }

    // MARK: Running

    /// Shows what would be done.
    static func plan(_ target: MigrateTarget, action: String, to: Int?) async throws {
        let server = try await MigrateServer(target)
        defer { server.close() }
        let reply = try await server.ask(
            "plan", files: true,
            Document { writer in
                writer.append("action", action)
                if let to { writer.append("to", Int64(to)) }
            })
        MigrateText.printPlan(reply)
    }

    /// Runs migrations to their end.
    static func run(
        _ action: String, _ target: MigrateTarget, _ options: MigrateOptions
    ) async throws {
        if options.dryRun {
            return try await plan(target, action: action, to: options.to)
        }
        let server = try await MigrateServer(target)
        defer { server.close() }
        try await server.run(action, options)
    }

    private func run(_ action: String, _ options: MigrateOptions) async throws {
        let wish = Document { writer in
            writer.append("action", action)
            if let to = options.to { writer.append("to", Int64(to)) }
            writer.append("leaseMillis", Int64(options.lease) * 1_000)
        }
        var progress: MigrationProgress
        repeat {
            progress = MigrationProgress(try await begin(wish, waitSeconds: options.wait))
            if progress.state == .done { return print("nothing to do") }
            if progress.isResumed {
                Terminal.writeError("first the group that was left: \(progress.group.listed)\n")
            }
            try await runGroup(progress, options)
        } while progress.isResumed && !Self.isWish(action, progress.group)
    }

    /// Whether a group that was left is what is asked for now: then it isn't done a second time.
    private static func isWish(_ action: String, _ group: [String]) -> Bool {
        let downs = group.filter { $0.hasPrefix("down ") }.count
        return switch action {
        case "down": downs == group.count
        case "redo": downs > 0 && downs < group.count
        default: false
        }
    }

    /// Runs a group that was begun to its end.
    private func runGroup(
        _ begun: MigrationProgress, _ options: MigrateOptions
    ) async throws {
        var progress = begun
        var shown = TransferProgress("documents changed", isQuiet: options.quiet)
        var pace = MigrationPace(rate: options.rate, batchMax: options.batch)
        while progress.state != .done, progress.state != .failed {
            let reply = try await ask(
                "step",
                [
                    "batchSize": .int64(Int64(pace.batchMax)),
                    "leaseMillis": .int64(Int64(options.lease) * 1_000),
                ])
            progress = MigrationProgress(reply)
            let share =
                progress.total > 0 ? Double(progress.scanned) / Double(progress.total) : nil
            shown.add(Int(progress.changed), share: share)
            let rest = pace.rest(after: progress)
            if rest > 0 { try await Task.sleep(for: .milliseconds(rest)) }
        }
        if let error = progress.error {
            throw FailureMessage(description: DBError.takenBack(error).message)
        }
        if !options.quiet { shown.finish() }
        for line in begun.group { print(line) }
    }

    private func ask(_ part: String, _ fields: Document) async throws -> Document {
        try await ask(part, files: false, fields)
    }

    /// Begins a group; where another holds the lock, tries again for a while.
    private func begin(_ wish: Document, waitSeconds: Int) async throws -> Document {
        let files = try Self.files(target.dir)
        let end = ContinuousClock.now + .seconds(waitSeconds)
        while true {
            do throws(DBError) {
                return try await send("begin", files, wish)
            } catch {
                guard error.code == .conflictingOperationInProgress, ContinuousClock.now < end
                else { throw FailureMessage(description: error.message) }
            }
            try await Task.sleep(for: .milliseconds(500))
        }
    }
}
