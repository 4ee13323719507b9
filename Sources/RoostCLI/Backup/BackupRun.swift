// Taking a backup: a whole one, or the log since the last.

import BSON
import Glibc
import Roost

/// Takes backups of one source into one folder.
struct BackupRun {
    let source: BackupSource
    let folder: BackupFolder
    let isQuiet: Bool

    /// What was done.
    struct Outcome {
        var name = ""
        var isWhole = false
        /// Bytes of files written.
        var byteCount = 0
        var throughMillis: Int64 = 0
    }

    // MARK: A whole one

    /// Copies everything. Only when all is durable the backup has its name.
    func takeWhole() async throws(DBError) -> Outcome {
        let name = Self.newName()
        let path = "\(folder.path)/\(name)"
        let part = path + BackupFolder.partSuffix
        guard mkdir(part, 0o700) == 0 else {
            throw DBError(.operationFailed, "cannot make '\(part)': \(Self.reason)")
        }
        do throws(DBError) {
            return try await takeWhole(name, part, path)
        } catch {
            folder.remove(part)
            // The server may be gone, and forgets it by itself when it keeps too much.
            try? await source.release(name, before: nil)
            throw error
        }
    }

    private func takeWhole(
        _ name: String, _ part: String, _ path: String
    ) async throws(DBError) -> Outcome {
        let start = try await source.begin(name)
        var manifest = BackupManifest(
            identity: start.identity, startedMillis: LogicalClock.wallMillis)
        let writer = try BackupFileWriter(path: "\(part)/data.rbk")
        var progress = TransferProgress("MiB copied", isQuiet: isQuiet)
        var copiedBytes = 0
        for tree in start.trees {
            var last: [UInt8]?
            repeat {
                let entries = try await source.copy(tree, after: last)
                if entries.bytes.isEmpty { break }
                try writer.append(.entries, entries.bytes)
                copiedBytes += entries.bytes.count
                progress.add(copiedBytes >> 20 - progress.records, share: nil)
                last = entries.last
            } while last != nil
        }
        let file = try await ship(
            name, from: start.place.sequence, newest: start.newest, writer, "data.rbk")
        manifest.files = [file]
        try manifest.write(to: part)
        guard rename(part, path) == 0 else {
            throw DBError(.operationFailed, "cannot rename '\(part)': \(Self.reason)")
        }
        try BackupFolder.sync(folder.path)
        try await source.release(name, before: file.nextSequence)
        return Outcome(
            name: name, isWhole: true, byteCount: file.byteCount,
            throughMillis: file.throughMillis)
    }

    // MARK: Increments

    /// Adds the log since the last file to a backup; nil where nothing was written meanwhile.
    ///
    /// Throws `changeStreamHistoryLost` where the server keeps that log no longer.
    func addIncrement(to entry: BackupFolder.Entry) async throws(DBError) -> Outcome? {
        var manifest = entry.manifest
        guard let last = manifest.files.last else { return nil }
        for name in BackupFolder.names(in: entry.path) {
            // What a broken run left.
            if !manifest.files.contains(where: { $0.name == name }),
                name.hasSuffix(".rbk")
                    || name.hasSuffix(BackupFolder.partSuffix)
            {
                unlink("\(entry.path)/\(name)")
            }
        }
        let digits = String(manifest.files.count)
        let zeros = String(repeating: "0", count: max(0, 6 - digits.count))
        let name = "log-\(zeros)\(digits).rbk"
        let writer = try BackupFileWriter(path: "\(entry.path)/\(name)")
        let file = try await ship(
            entry.name, from: last.nextSequence, newest: last.newest, writer, name)
        if file.nextSequence == last.nextSequence {
            unlink("\(entry.path)/\(name)")
            // Nothing happened up to now: that much is known.
            manifest.files[manifest.files.count - 1].throughMillis = file.throughMillis
            try manifest.write(to: entry.path)
            return nil
        }
        manifest.files.append(file)
        try manifest.write(to: entry.path)
        try await source.release(entry.name, before: file.nextSequence)
        return Outcome(
            name: entry.name, byteCount: file.byteCount, throughMillis: file.throughMillis)
    }

    /// Reads the log to its end as it is now into a file, which is then whole.
    private func ship(
        _ name: String, from sequence: UInt64, newest: Timestamp, _ writer: BackupFileWriter,
        _ fileName: String
    ) async throws(DBError) -> BackupManifest.File {
        var place = BackupPlace(sequence: sequence)
        var newest = newest
        // Up to the end as it is now: what is written meanwhile waits for the next increment.
        var end: (sequence: UInt64, millis: Int64)?
        repeat {
            let part = try await source.log(name, from: place)
            end = end ?? (part.log.end, part.nowMillis)
            try writer.append(.log, part.log.bytes)
            if let found = part.log.newest { newest = max(newest, found) }
            place = part.log.next
        } while place.sequence < end?.sequence ?? 0 || place.offset > 0
        let (byteCount, crc) = try writer.finish()
        return BackupManifest.File(
            name: fileName, byteCount: byteCount, crc: crc, newest: newest,
            throughMillis: end?.millis ?? 0, nextSequence: place.sequence)
    }

    // MARK: What is left over

    /// Removes what earlier runs left that were broken off.
    func tidyUp() async {
        for name in folder.broken {
            try? await source.release(name, before: nil)
            folder.remove("\(folder.path)/\(name)\(BackupFolder.partSuffix)")
        }
    }

    /// Removes old backups: all but the newest `count`, and those whose times ended before
    /// `beforeMillis`; the newest stays in any case. Answers the names removed.
    func retire(keep count: Int?, beforeMillis: Int64?) async throws(DBError) -> [String] {
        let entries = try folder.entries()
        var removed: [String] = []
        for (index, entry) in entries.enumerated().dropLast() {
            let isSurplus = count.map { entries.count - index > $0 } ?? false
            let isOld = beforeMillis.map { entry.manifest.throughMillis < $0 } ?? false
            guard isSurplus || isOld else { continue }
            try? await source.release(entry.name, before: nil)
            folder.remove(entry.path)
            removed.append(entry.name)
        }
        return removed
    }

    /// A name by the millisecond, so that names are in the order of their backups.
    private static func newName() -> String {
        let now = LogicalClock.wallMillis
        let seconds = (ISODate.string(millis: now) ?? "0").prefix(19)
        let digits = seconds.filter { $0 != "-" && $0 != ":" }
        let millis = String(1_000 + now % 1_000).dropFirst()
        let random = String(UInt32.random(in: 0x1000...0xFFFF), radix: 16)
        return "\(digits)\(millis)Z-\(random)"
    }

    private static var reason: String { String(cString: strerror(errno)) }
}
