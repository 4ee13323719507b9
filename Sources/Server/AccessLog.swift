// The access log: what app users ask and what the rules say, a line of JSON each, appended to a file.
//
// The file may be moved away at any time: before each batch its name is looked up, and where it is
// no longer the open file a new one is made. A line is never cut in two: a batch is one append. Who
// is recorded never waits; when more than 16 MiB wait, lines are dropped, and `{"lost": n}` says how
// many.

import BSON
import Glibc
import Logging
import NIOPosix
import Roost
import Synchronization

/// Appends records to a file. Safe from any thread.
final class AccessLog: Sendable {
    /// Most bytes that wait.
    private static let waitingBytesMax = 16 << 20

    private struct State {
        var waiting: [UInt8] = []
        var lost: Int64 = 0
        var isScheduled = false
    }

    private let path: String
    private let logger: Logger
    private let state = Mutex(State())
    private let thread = NIOThreadPool(numberOfThreads: 1)
    /// The open file, -1 before the first; only the thread uses it.
    private let descriptor = Mutex<Int32>(-1)

    /// - Throws: 2 BadValue where the file can't be opened.
    init(_ path: String, _ logger: Logger) throws(DBError) {
        self.path = path
        self.logger = logger
        guard openFile() else {
            throw DBError(
                .badValue,
                "--access-log: cannot write '\(path)': \(String(cString: strerror(errno)))")
        }
    }

    func start() { thread.start() }

    /// Writes what waits, and closes the file.
    func stop() async {
        try? await thread.shutdownGracefully()
        flush()
        descriptor.withLock { file in
            close(file)
            file = -1
        }
    }

    /// Appends a record, soon.
    func append(_ record: Document) {
        var line = Array(ExtendedJSON.string(of: record.view).utf8)
        line.append(UInt8(ascii: "\n"))
        let mustSchedule = state.withLock { state in
            guard state.waiting.count + line.count <= Self.waitingBytesMax else {
                state.lost += 1
                return false
            }
            state.waiting += line
            defer { state.isScheduled = true }
            return !state.isScheduled
        }
        if mustSchedule { thread.submit { [self] _ in flush() } }
    }

    private func flush() {
        let batch = state.withLock { state in
            var batch = state.waiting
            if state.lost > 0 { batch += Array("{\"lost\": \(state.lost)}\n".utf8) }
            state = State()
            return batch
        }
        guard !batch.isEmpty, followName() else { return }
        let file = descriptor.withLock { $0 }
        let written = batch.withUnsafeBytes { bytes in
            // SAFETY: the buffer lives for the call.
            write(file, bytes.baseAddress, bytes.count)
        }
        if written != batch.count {
            logger.error(
                "the access log lacks lines",
                metadata: ["file": "\(path)", "reason": "\(String(cString: strerror(errno)))"])
        }
    }

    /// Opens the file anew where the name stands for another one.
    private func followName() -> Bool {
        var (named, opened) = (stat(), stat())
        let file = descriptor.withLock { $0 }
        if stat(path, &named) == 0, fstat(file, &opened) == 0, named.st_ino == opened.st_ino,
            named.st_dev == opened.st_dev
        {
            return true
        }
        if openFile() { return true }
        logger.error(
            "the access log can't be opened",
            metadata: ["file": "\(path)", "reason": "\(String(cString: strerror(errno)))"])
        return false
    }

    /// Readable by this user alone: lines hold documents.
    private func openFile() -> Bool {
        let file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { return false }
        descriptor.withLock { old in
            if old >= 0 { close(old) }
            old = file
        }
        return true
    }
}
