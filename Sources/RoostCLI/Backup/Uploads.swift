// Handing finished files to a command: each once, in an order that leaves nothing half-done at the
// other end.

import BSON
import Glibc
import Roost

/// Uploads what a folder of backups has and the other end hasn't.
struct Uploads {
    let folder: BackupFolder
    let command: String

    /// What was uploaded, a line each: name and size, or name and checksum.
    private var notePath: String { "\(folder.path)/.uploaded" }

    /// Runs the command for each file that it was not run for.
    ///
    /// Throws where it fails; the next run begins with that file.
    func run() throws(DBError) {
        var done = note()
        for entry in try folder.entries() {
            var names = entry.manifest.files.map { ($0.name, "\($0.crc)") }
            let version = entry.manifest.files.last
            names.append(
                ("manifest.json", "\(version?.crc ?? 0)-\(version?.throughMillis ?? 0)"))
            for (file, version) in names {
                let name = "\(entry.name)/\(file)"
                let line = "\(name) \(version)"
                if done.contains(line) { continue }
                try upload(name)
                done.insert(line)
                try save(done)
            }
        }
    }

    private func upload(_ name: String) throws(DBError) {
        setenv("ROOST_FILE", "\(folder.path)/\(name)", 1)
        setenv("ROOST_NAME", name, 1)
        var pid = pid_t()
        let words: [String] = ["sh", "-c", command]
        var arguments = words.map { strdup($0) }
        defer { for argument in arguments { free(argument) } }
        arguments.append(nil)
        // SAFETY: the arguments live until the process is begun, which copies them.
        guard posix_spawn(&pid, "/bin/sh", nil, nil, arguments, environ) == 0 else {
            throw DBError(.operationFailed, "cannot run the upload command")
        }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        guard status == 0 else {
            throw DBError(
                .operationFailed,
                "the upload command failed for '\(name)' (status \(status >> 8)); "
                    + "the next run tries again")
        }
    }

    private func note() -> Set<String> {
        var bytes: [UInt8] = []
        guard let input = try? ByteInput(path: notePath) else { return [] }
        while (try? input.read(into: &bytes)) == true {}
        return Set(
            String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init))
    }

    private func save(_ done: Set<String>) throws(DBError) {
        do throws(TransferFailure) {
            let output = try ByteOutput(path: notePath, gzip: false)
            try output.write(Array(done.sorted().map { "\($0)\n" }.joined().utf8))
            try output.finish()
        } catch {
            throw DBError(.operationFailed, error.description)
        }
    }
}
