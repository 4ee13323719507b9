// `roost restore`: a database's folder out of a backup, and a proof that it is good.

import ArgumentParser
import BSON
import Glibc
import Logging
import Roost

struct RestoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "Make a database's folder from a backup.",
        discussion: """
            Makes DIR, which must not be there, and verifies every byte of the backup as
            it is read. The folder has its name only when it is whole. Resume tokens of
            the database that was backed up are not good for the restored one.

            --to takes a time (2026-11-22T05:10:00Z: all changes of that second), a
            cluster time (SECONDS:INCREMENT), or a change stream's resume token.

            --drill restores into a temporary folder beside the backup, verifies the
            result as `roost verify` does, says what it found, and removes it.

            EXAMPLES
              roost restore /backups/shop ./data
              roost restore /backups/shop ./data --to 2026-11-22T05:10:00Z
              roost restore --drill /backups/shop
            """)

    @Argument(help: "The folder of the backups.")
    var source: String

    @Argument(help: "The folder to make.")
    var folder: String?

    @Option(help: ArgumentHelp("The point in time.", valueName: "time|token"))
    var to: String?

    @Flag(help: "Only prove that the backup is good.")
    var drill = false

    func validate() throws {
        if drill == (folder != nil) {
            throw ValidationError("give the folder to make, or --drill without one")
        }
    }

    func run() async throws {
        do throws(DBError) {
            try restore()
        } catch {
            throw FailureMessage(description: error.message)
        }
    }

    private func restore() throws(DBError) {
        let point = try to.map { (text) throws(DBError) in try RestorePoint(text) }
        let entry = try BackupFolder(path: source).entry(for: point)
        guard let folder else { return try drill(entry, point) }
        if rmdir(folder) != 0, errno != ENOENT {
            throw DBError(.operationFailed, "'\(folder)' is there already and is not empty")
        }
        let part = "\(folder).part"
        FolderRemoval.remove(part)
        do throws(DBError) {
            let restored = try BackupFolder.restore(entry, to: part, point: point)
            guard rename(part, folder) == 0 else {
                throw DBError(
                    .operationFailed,
                    "cannot rename '\(part)': \(String(cString: strerror(errno)))")
            }
            try BackupFolder.sync(FolderRemoval.parent(of: folder))
            Terminal.writeLine(
                "restored '\(folder)' from \(entry.name); \(Self.newest(restored.outcome))")
        } catch {
            FolderRemoval.remove(part)
            throw error
        }
    }

    private func drill(_ entry: BackupFolder.Entry, _ point: RestorePoint?) throws(DBError) {
        let part = "\(source)/drill-\(getpid()).part"
        FolderRemoval.remove(part)
        defer { FolderRemoval.remove(part) }
        let start = ContinuousClock.now
        let restored = try BackupFolder.restore(entry, to: part, point: point)
        let took = start.duration(to: .now)
        var logger = Logger(label: "roost")
        logger.logLevel = .error
        var options = EngineOptions()
        options.checksAllPages = true
        options.tidiesUp = false
        let engine = try RoostEngine(path: part, options: options, logger: logger)
        defer { engine.close() }
        let report = try engine.verify()
        for fault in report.faults { Terminal.writeLine("\(fault)") }
        let through = ISODate.string(millis: entry.manifest.throughMillis) ?? "?"
        Terminal.writeLine(
            """
            backup       \(entry.name), \(entry.manifest.files.count) files, \
            \(restored.byteCount) bytes read, every checksum right
            covers       everything up to \(through)
            restored in  \(took.formatted)
            state        \(Self.newest(restored.outcome))
            holds        \(report.collections) collections, \(report.documents) documents, \
            \(report.entries) index entries, \(report.changes) changes
            verdict      \(report.faults.isEmpty ? "good" : "damaged")
            """)
        if !report.faults.isEmpty {
            throw DBError(.dataCorruptionDetected, "the restored database is not sound")
        }
    }

    private static func newest(_ outcome: FolderRestore.Outcome) -> String {
        guard let newest = outcome.newest else { return "no changes are logged in it" }
        let seconds = newest.rawValue >> 32
        let time = ISODate.string(millis: Int64(seconds) * 1000) ?? "?"
        return "its newest change is of \(time) "
            + "(\(seconds):\(newest.rawValue & UInt64(UInt32.max)))"
    }
}

extension Duration {
    /// Seconds with two digits.
    fileprivate var formatted: String {
        let hundredths =
            components.seconds * 100 + components.attoseconds / 10_000_000_000_000_000
        let rest = hundredths % 100
        return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest) s"
    }
}

/// Removing a folder that was not finished.
enum FolderRemoval {
    /// Removes a folder with all that is in it, if it is there.
    static func remove(_ path: String) {
        for name in BackupFolder.names(in: path) {
            let child = "\(path)/\(name)"
            if unlink(child) != 0 { remove(child) }
        }
        rmdir(path)
    }

    /// The folder that a path's last part is in.
    static func parent(of path: String) -> String {
        guard let slash = path.dropLast().lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}
