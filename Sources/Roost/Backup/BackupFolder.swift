// A folder of backups: one folder each, named by when it was begun.
//
//     DEST/20261122T051000123Z-3f9a/manifest.json   what there is
//                                   data.rbk        entries, and the log up to their end
//                                   log-000001.rbk …  increments
//     DEST/….part/                                  one being made, or broken off

package import BSON
import Glibc

/// Backups of one place.
package struct BackupFolder: Sendable {
    /// One whole backup.
    package struct Entry: Sendable {
        /// Its name, which is also the hold's on the log.
        package let name: String
        /// Where it is.
        package let path: String
        /// What it has.
        package var manifest: BackupManifest
    }

    /// The suffix of what is not whole.
    package static let partSuffix = ".part"

    /// Where it is.
    package let path: String

    /// Names a folder, which need not be there.
    package init(path: String) {
        self.path = path
    }

    /// The whole backups, oldest first.
    /// - Throws: `dataCorruptionDetected` where a manifest is damaged; `DBError`.
    package func entries() throws(DBError) -> [Entry] {
        var entries: [Entry] = []
        for name in Self.names(in: path).sorted() where !name.hasSuffix(Self.partSuffix) {
            let folder = "\(path)/\(name)"
            guard access("\(folder)/\(BackupManifest.fileName)", F_OK) == 0 else { continue }
            entries.append(
                Entry(name: name, path: folder, manifest: try BackupManifest.read(from: folder)))
        }
        return entries
    }

    /// The names of backups that were broken off while they were made.
    package var broken: [String] {
        Self.names(in: path).filter { name in
            name.hasSuffix(Self.partSuffix) && name.first?.isNumber == true
        }.map { String($0.dropLast(Self.partSuffix.count)) }
    }

    /// Whether nothing at all is there.
    package var isEmpty: Bool { Self.names(in: path).isEmpty }

    /// Removes a backup, or what is left of one.
    package func remove(_ folder: String) {
        // Without its manifest it is none, however far this comes.
        unlink("\(folder)/\(BackupManifest.fileName)")
        for name in Self.names(in: folder) { unlink("\(folder)/\(name)") }
        rmdir(folder)
    }

    /// The names of a folder's files; none where it can't be read.
    package static func names(in path: String) -> [String] {
        guard let listing = opendir(path) else { return [] }
        defer { closedir(listing) }
        var names: [String] = []
        while let entry = readdir(listing) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// Makes a folder's names durable.
    /// - Throws: `DBError`.
    package static func sync(_ path: String) throws(DBError) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw BackupFailure.system("open '\(path)'") }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw BackupFailure.system("sync '\(path)'") }
    }
}

/// Which state a restore makes.
package struct RestorePoint: Sendable, Equatable {
    /// The last change in it.
    package let newest: Timestamp
    /// The end of that time where it was given as one; milliseconds since 1970.
    package let millis: Int64?

    /// Reads a time (ISO 8601, to the second: all of that second's changes), a cluster time
    /// (`SECONDS:INCREMENT`), or a change stream's resume token.
    /// - Throws: `failedToParse`.
    package init(_ text: String) throws(DBError) {
        if let millis = ISODate.parse(text), millis >= 0 {
            let seconds = UInt64(millis / 1000)
            newest = Timestamp(rawValue: seconds << 32 | UInt64(UInt32.max))
            self.millis = Int64(seconds) * 1000 + 999
            return
        }
        millis = nil
        let parts = text.split(separator: ":")
        if parts.count == 2, let seconds = UInt32(parts[0]), let increment = UInt32(parts[1]) {
            newest = Timestamp(rawValue: UInt64(seconds) << 32 | UInt64(increment))
            return
        }
        if text.hasPrefix("82"),
            let token = try? ResumeToken((["_data": .string(text)] as Document).view)
        {
            newest = token.position.sequence
            return
        }
        throw DBError(
            .failedToParse,
            "'\(text)' is no point in time: give 2026-11-22T05:10:00Z, a cluster time such as "
                + "1795324200:3, or a change stream's resume token")
    }
}

extension BackupFolder {
    /// The backup that a restore to that point, or to the newest state, begins from.
    /// - Throws: `noSuchKey` where there is none, and which times there are.
    package func entry(for point: RestorePoint?) throws(DBError) -> Entry {
        let entries = try entries()
        guard let last = entries.last else {
            throw DBError(.noSuchKey, "'\(path)' holds no backup")
        }
        guard let point else { return last }
        let fitting = entries.last { entry in
            guard let earliest = entry.manifest.earliest, let newest = entry.manifest.newest else {
                return false
            }
            let reaches =
                point.newest <= newest
                || point.millis.map { $0 <= entry.manifest.throughMillis } ?? false
            return earliest <= point.newest && reaches
        }
        if let fitting { return fitting }
        let spans = entries.map { entry in
            let from = Int64((entry.manifest.earliest?.rawValue ?? 0) >> 32) * 1000
            let times = [from, entry.manifest.throughMillis].map { ISODate.string(millis: $0) }
            return "\(times[0] ?? "?") to \(times[1] ?? "?")"
        }
        throw DBError(
            .noSuchKey,
            "no backup covers that point; there are: \(spans.joined(separator: ", "))")
    }

    /// What a restore read and made.
    package struct Restored: Sendable {
        /// What was restored.
        package var outcome: FolderRestore.Outcome
        /// Bytes of the backup's files that were read.
        package var byteCount = 0
    }

    /// Makes a database's folder at `target`, which must not be there, of a backup's files.
    ///
    /// All files are verified as they are read. Whoever calls removes what is left where it throws.
    /// - Throws: `dataCorruptionDetected`, naming file and place; `outOfDiskSpace`; `DBError`.
    package static func restore(
        _ entry: Entry, to target: String, point: RestorePoint?
    ) throws(DBError) -> Restored {
        let build = try FolderRestore(path: target, until: point?.newest)
        var byteCount = 0
        for file in entry.manifest.files {
            if build.isComplete { break }
            let path = "\(entry.path)/\(file.name)"
            var status = stat()
            guard stat(path, &status) == 0 else { throw BackupFailure.system("open '\(path)'") }
            guard Int(status.st_size) == file.byteCount else {
                throw BackupFailure.damage(
                    path, "it has \(status.st_size) bytes, not \(file.byteCount)")
            }
            byteCount += file.byteCount
            let reader = try BackupFileReader(path: path)
            while let chunk = try reader.next() {
                switch chunk.kind {
                case .entries: try build.add(entries: chunk.bytes)
                case .log: try build.add(log: chunk.bytes)
                case .end: break
                }
            }
        }
        return Restored(outcome: try build.finish(), byteCount: byteCount)
    }
}
