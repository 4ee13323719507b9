import Glibc

/// The folder of the redo log's segments, beside the data file.
struct LogFolder {
    static let name = "redo"
    private static let suffix = ".log"

    let path: String

    init(of folder: String) {
        path = "\(folder)/\(Self.name)"
    }

    /// Makes the folder where there is none, durably.
    func make(in parent: String) throws(StorageError) {
        if access(path, F_OK) == 0 { return }
        try FileSystem.makeFolder(path)
        try FileSystem.sync(parent)
    }

    /// The path of a segment's file, named by the number under which it was made.
    func segmentPath(_ number: UInt64) -> String {
        "\(path)/\(number)\(Self.suffix)"
    }

    /// The paths of all segments' files, and the first number above those in their names.
    func list() -> (paths: [String], nextNumber: UInt64) {
        var found: (paths: [String], nextNumber: UInt64) = ([], 1)
        guard let listing = opendir(path) else { return found }
        defer { closedir(listing) }
        while let entry = readdir(listing) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard name.hasSuffix(Self.suffix),
                let number = UInt64(name.dropLast(Self.suffix.count))
            else { continue }
            found.paths.append("\(path)/\(name)")
            found.nextNumber = max(found.nextNumber, number + 1)
        }
        return found
    }

    /// Removes all segments: what belonged to data that is gone.
    func clear() {
        for path in list().paths { unlink(path) }
    }
}
