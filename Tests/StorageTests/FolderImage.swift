import Glibc

@testable import Storage

/// The bytes of a store's files at some instant, to be put into other folders.
struct FolderImage {
    /// By path inside the folder; locks are left out.
    var files: [String: [UInt8]] = [:]

    static let data = Environment.dataName
    static let checkpoint = CheckpointFile.name

    /// Reads a folder's files; what is written meanwhile may be in it or not.
    init(_ folder: String) {
        let log = LogFolder(of: folder).list().paths.map { String($0.dropFirst(folder.count + 1)) }
        for name in [Self.data, Self.checkpoint] + log {
            if let bytes = Self.read("\(folder)/\(name)") { files[name] = bytes }
        }
    }

    /// The names of the log's segments.
    var segments: [String] { files.keys.filter { $0.hasPrefix(LogFolder.name) }.sorted() }

    /// A new folder with these files.
    func place() -> TemporaryFolder {
        let folder = TemporaryFolder()
        mkdir(LogFolder(of: folder.path).path, 0o700)
        for (name, bytes) in files { Self.write(bytes, "\(folder.path)/\(name)") }
        return folder
    }

    static func read(_ path: String) -> [UInt8]? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 18)
        while true {
            let count = fread(&chunk, 1, chunk.count, file)
            if count == 0 { return bytes }
            bytes.append(contentsOf: chunk[..<count])
        }
    }

    static func write(_ bytes: [UInt8], _ path: String) {
        guard let file = fopen(path, "w") else { return }
        defer { fclose(file) }
        fwrite(bytes, 1, bytes.count, file)
    }
}
