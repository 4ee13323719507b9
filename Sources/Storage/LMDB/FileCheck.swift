import Glibc

/// What must hold before LMDB maps the files of a folder: it trusts them, and a page that isn't
/// there ends the process with SIGBUS.
enum FileCheck {
    /// Beside the data once a fault in the map has ended the process: the next opening looks at
    /// every page.
    static let faultName = "fault"

    /// Checks the pages of the data file where that is cheap (a small file) or called for (a file
    /// shorter than its header says, an earlier fault).
    ///
    /// Throws `damaged` where nothing could be read; damage of single trees is in the report.
    static func checkPages(
        folder: String, _ options: LMDBStore.Options
    ) throws(StorageError) -> PageReport {
        let path = "\(folder)/\(Environment.dataName)"
        let mark = "\(folder)/\(faultName)"
        let bytes = UInt64(clamping: FileSystem.size(path) ?? 0)
        let hadFault = access(mark, F_OK) == 0
        guard
            options.checksAllPages || hadFault || bytes <= options.checkedBytesMax
                || isCut(path)
        else { return PageReport() }
        let report = PageCheck.run(path)
        if report.isUnreadable { throw .damaged(reason: report.summary) }
        if hadFault, report.isSound { unlink(mark) }
        return report
    }

    /// Whether the file is shorter than the pages that its newest header speaks of. Pages at the
    /// end that a commit allocated and did not need are never written, so it may be all the same.
    private static func isCut(_ path: String) -> Bool {
        guard let file = PageFile(path) else { return false }
        do throws(PageFault) {
            return try file.newestMeta().lastPage >= file.pageCount
        } catch {
            return true
        }
    }

    /// The lock file's room on the disk: it is written through a map, where a full disk would end
    /// the process. Answers whether it is there.
    static func reserveLock(folder: String, readersMax: Int) -> Bool {
        let descriptor = Glibc.open("\(folder)/lock.mdb", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return posix_fallocate(descriptor, 0, lockHeaderBytes + readersMax * lockSlotBytes) == 0
    }

    /// The lock file: LMDB's header and a slot for each reader, with room to spare.
    private static let lockHeaderBytes = 8192
    private static let lockSlotBytes = 64
}
