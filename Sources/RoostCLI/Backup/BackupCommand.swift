// `roost backup`: a copy of a database, and of what changed since.

import ArgumentParser
import BSON
import Glibc
import Roost

struct BackupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup",
        abstract: "Copy a database, or what changed since the last copy, into a folder.",
        discussion: """
            Takes a whole backup where DEST holds none, else adds what was written since
            the last time; the server goes on working meanwhile. Files are compressed and
            checksummed, and have their names only when they are whole. With --follow it
            goes on adding until it is stopped: where that fails later on, because the
            server or the other end of uploads is away or a disk is full, it says so and
            tries again.

            With --upload-command each finished file is handed to a command of the shell,
            in whose environment ROOST_FILE is the file and ROOST_NAME its name below
            DEST; manifests come behind what they name.

            EXAMPLES
              roost backup /backups/shop
              roost backup /backups/shop --full --keep 7
              roost backup /backups/shop --follow --every 10
              roost backup /backups/shop --data ./data
              roost backup /backups/shop \\
                --upload-command 'aws s3 cp "$ROOST_FILE" "s3://bucket/shop/$ROOST_NAME"'
            """)

    @Argument(help: "The folder of the backups; it is made if there is none.")
    var destination: String

    @Option(help: "The running server; the account needs the role backup or root.")
    var uri = "mongodb://127.0.0.1:27017"

    @Option(help: ArgumentHelp("The folder of a stopped server, in its place.", valueName: "dir"))
    var data: String?

    @Flag(help: "Take a whole backup, whatever there is.")
    var full = false

    @Flag(help: "Only add to the last backup; fail where that can't be.")
    var incremental = false

    @Flag(help: "Go on adding what is written, until stopped.")
    var follow = false

    @Option(help: "With --follow: how often to add, in seconds.")
    var every = 10

    @Option(help: "Keep so many whole backups with what was added to them; remove older ones.")
    var keep: Int?

    @Option(help: "Remove backups whose times ended so many days ago; the newest stays.")
    var keepDays: Int?

    @Option(help: ArgumentHelp("Run for each finished file.", valueName: "command"))
    var uploadCommand: String?

    @Flag(help: "Show no progress.")
    var quiet = false

    func validate() throws {
        if full && incremental {
            throw ValidationError("--full and --incremental exclude each other")
        }
        if every < 1 { throw ValidationError("--every takes a number of seconds, at least 1") }
        if let keep, keep < 1 { throw ValidationError("--keep takes a number, at least 1") }
        if let keepDays, keepDays < 1 {
            throw ValidationError("--keep-days takes a number, at least 1")
        }
    }

    func run() async throws {
        do throws(DBError) {
            try await takeBackups()
        } catch {
            throw FailureMessage(description: error.message)
        }
    }

    private func takeBackups() async throws(DBError) {
        let lock = try BackupLock(destination)
        defer { lock.end() }
        let place: BackupSource.Place =
            if let data { .folder(data) } else { try .server(BackupSource.target(uri)) }
        var source = try await BackupSource.open(place)
        defer { source.close() }
        try await take(from: source, forcesWhole: full)
        while follow {
            do {
                try await Task.sleep(for: .seconds(every))
            } catch {
                return
            }
            do throws(DBError) {
                if source.isLost { source = try await BackupSource.open(place) }
                try await take(from: source, forcesWhole: false)
            } catch {
                Terminal.writeError("\(error.message); trying again in \(every) s\n")
            }
        }
    }

    private func take(from source: BackupSource, forcesWhole: Bool) async throws(DBError) {
        let run = BackupRun(
            source: source, folder: BackupFolder(path: destination), isQuiet: quiet)
        await run.tidyUp()
        try await take(run, forcesWhole: forcesWhole)
    }

    private func take(_ run: BackupRun, forcesWhole: Bool) async throws(DBError) {
        let last = try run.folder.entries().last
        var outcome: BackupRun.Outcome?
        if let last {
            do throws(DBError) {
                // Before a new one too, so that no time is between them.
                outcome = try await run.addIncrement(to: last)
            } catch  where error.code == .changeStreamHistoryLost && !incremental {
                say("the log since the last backup is gone; this one is whole")
                return try await takeWhole(run, after: nil)
            }
        } else if incremental {
            throw DBError(
                .noSuchKey, "'\(destination)' holds no backup to add to; leave --incremental out")
        }
        if last == nil || forcesWhole { return try await takeWhole(run, after: last) }
        if let outcome {
            tell(outcome)
        } else {
            say("nothing was written since")
        }
        try await finish(run)
    }

    private func takeWhole(
        _ run: BackupRun, after last: BackupFolder.Entry?
    ) async throws(DBError) {
        tell(try await run.takeWhole())
        if let last = try last.flatMap({ (last) throws(DBError) in
            try run.folder.entries().first { $0.name == last.name }
        }) {
            _ = try await run.addIncrement(to: last)
            try await run.source.release(last.name, before: nil)
        }
        try await finish(run)
    }

    private func finish(_ run: BackupRun) async throws(DBError) {
        let before = keepDays.map { LogicalClock.wallMillis - Int64($0) * 86_400_000 }
        for name in try await run.retire(keep: keep, beforeMillis: before) {
            say("removed \(name)")
        }
        if let uploadCommand {
            try Uploads(folder: run.folder, command: uploadCommand).run()
        }
    }

    private func tell(_ outcome: BackupRun.Outcome) {
        let through = ISODate.string(millis: outcome.throughMillis) ?? "?"
        say(
            "\(outcome.isWhole ? "whole backup" : "added to") \(outcome.name): "
                + "\(outcome.byteCount) bytes, everything up to \(through)")
    }

    private func say(_ text: String) {
        if !quiet { Terminal.writeLine(text) }
    }
}

/// One backup at a time into a folder.
private struct BackupLock {
    private let descriptor: Int32

    init(_ folder: String) throws(DBError) {
        if mkdir(folder, 0o700) != 0, errno != EEXIST {
            throw DBError(
                .operationFailed, "cannot make '\(folder)': \(String(cString: strerror(errno)))")
        }
        descriptor = open("\(folder)/.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw DBError(
                .operationFailed,
                "cannot write to '\(folder)': \(String(cString: strerror(errno)))")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw DBError(.conflictingOperationInProgress, "another backup into '\(folder)' runs")
        }
    }

    func end() { close(descriptor) }
}
