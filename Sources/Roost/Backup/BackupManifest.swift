// `manifest.json` of a backup: what files it has, and what times they cover.
//
// Extended JSON on the first lines, `crc32c N` on the last. It is replaced as a whole, so it always
// names files that are whole; what it doesn't name is the rest of a run that was broken off.

package import BSON
import Glibc

/// What is in a backup's folder.
package struct BackupManifest: Sendable {
    /// One file.
    package struct File: Sendable, Equatable {
        /// Its name in the folder.
        package var name: String
        /// Its size.
        package var byteCount: Int
        /// The CRC-32C of all of it.
        package var crc: UInt32
        /// The cluster time of no change in it, or before, is later.
        package var newest: Timestamp
        /// All changes up to this time are in it, or before; milliseconds since 1970.
        package var throughMillis: Int64
        /// The number of the log's next record.
        package var nextSequence: UInt64

        /// A file.
        package init(
            name: String, byteCount: Int, crc: UInt32, newest: Timestamp, throughMillis: Int64,
            nextSequence: UInt64
        ) {
            self.name = name
            self.byteCount = byteCount
            self.crc = crc
            self.newest = newest
            self.throughMillis = throughMillis
            self.nextSequence = nextSequence
        }
    }

    static let fileName = "manifest.json"
    private static let format: Int32 = 1

    /// The data's name, as 32 hexadecimal digits.
    package var identity: String
    /// When it was begun; milliseconds since 1970.
    package var startedMillis: Int64
    /// The copied entries and the log up to their end, then the log's increments.
    package var files: [File] = []

    /// An empty one.
    package init(identity: [UInt8], startedMillis: Int64) {
        self.identity = Self.hexadecimal(identity)
        self.startedMillis = startedMillis
    }

    /// A name as digits.
    package static func hexadecimal(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// The earliest state that it can restore: nothing before its end is whole.
    package var earliest: Timestamp? { files.first?.newest }
    /// The newest change that it has.
    package var newest: Timestamp? { files.last?.newest }
    /// The time up to which it has all changes; milliseconds since 1970.
    package var throughMillis: Int64 { files.last?.throughMillis ?? 0 }

    /// Writes the manifest into a folder, durably.
    /// - Throws: `DBError`.
    package func write(to folder: String) throws(DBError) {
        let text =
            ExtendedJSON.string(
                of: ([
                    "format": .int32(Self.format), "identity": .string(identity),
                    "started": .date(startedMillis),
                    "files": .array(files.map { .document($0.document) }),
                ] as Document).view) + "\n"
        let bytes = Array(text.utf8)
        let all = bytes + Array("crc32c \(BackupChecksum.continuing(0, bytes))\n".utf8)
        let path = "\(folder)/\(Self.fileName)"
        let descriptor = open("\(path).part", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw BackupFailure.system("make '\(path)'") }
        defer { close(descriptor) }
        let count = all.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        guard count == all.count, fsync(descriptor) == 0, rename("\(path).part", path) == 0 else {
            throw BackupFailure.system("write '\(path)'")
        }
        try BackupFolder.sync(folder)
    }

    /// Reads a folder's manifest.
    /// - Throws: `dataCorruptionDetected`, `DBError`.
    package static func read(from folder: String) throws(DBError) -> BackupManifest {
        let path = "\(folder)/\(fileName)"
        guard let file = fopen(path, "r") else { throw BackupFailure.system("open '\(path)'") }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = fread(&chunk, 1, chunk.count, file)
            if count == 0 { break }
            bytes += chunk[..<count]
        }
        guard let end = bytes.dropLast().lastIndex(of: 0x0A) else {
            throw BackupFailure.damage(path, "it is cut")
        }
        let text = Array(bytes[...end])
        let last = String(decoding: bytes[(end + 1)...], as: UTF8.self)
        guard last == "crc32c \(BackupChecksum.continuing(0, text))\n" else {
            throw BackupFailure.damage(path, "its checksum is wrong")
        }
        guard let document = try? ExtendedJSON.parse(utf8: text.span.bytes),
            let manifest = BackupManifest(document)
        else { throw BackupFailure.damage(path, "this release doesn't understand it") }
        return manifest
    }

    private init?(_ document: Document) {
        guard document["format"] == .int32(Self.format),
            case .string(let identity)? = document["identity"],
            case .date(let started)? = document["started"],
            case .array(let list)? = document["files"]
        else { return nil }
        self.identity = identity
        startedMillis = started
        for value in list {
            guard case .document(let entry) = value, let file = File(entry) else { return nil }
            files.append(file)
        }
        if files.isEmpty { return nil }
    }
}

extension BackupManifest.File {
    fileprivate var document: Document {
        [
            "name": .string(name), "bytes": .int64(Int64(byteCount)), "crc32c": .int64(Int64(crc)),
            "newest": .timestamp(newest), "through": .date(throughMillis),
            "next": .int64(Int64(bitPattern: nextSequence)),
        ]
    }

    fileprivate init?(_ document: Document) {
        guard case .string(let name)? = document["name"], !name.contains("/"),
            let bytes = document.view.value("bytes")?.truncatedInteger,
            let crc = document.view.value("crc32c")?.truncatedInteger,
            case .timestamp(let newest)? = document["newest"],
            case .date(let through)? = document["through"],
            let next = document.view.value("next")?.truncatedInteger
        else { return nil }
        self.init(
            name: name, byteCount: Int(bytes), crc: UInt32(truncatingIfNeeded: crc),
            newest: newest, throughMillis: through, nextSequence: UInt64(bitPattern: next))
    }
}
