import Glibc

/// What happens when a page of the data file can't be read through the map: the file was cut or the
/// disk fails (SIGBUS), or damaged pages lead outside of it (SIGSEGV). Nothing can go on then, so
/// the process says why, leaves a mark for the next opening to look at every page, and ends.
///
/// One file of a process can be guarded. Faults elsewhere are what they were.
package enum MapFault {
    /// The status that the process ends with (EX_IOERR).
    package static let exitStatus: Int32 = 74

    // SAFETY (all three): written by `explain` before the handler that reads them is installed, and
    // never again; the bytes are never freed.
    nonisolated(unsafe) private static var map: Range<UInt> = 0..<0
    nonisolated(unsafe) private static var message: UnsafeBufferPointer<CChar>?
    nonisolated(unsafe) private static var mark: UnsafePointer<CChar>?

    /// Guards the open store in a folder, which must be the only one; without an effect where its
    /// map can't be found.
    package static func explain(folder: String) {
        guard mark == nil, let path = realpath("\(folder)/\(Environment.dataName)", nil) else {
            return
        }
        defer { free(path) }
        let name = String(cString: path)
        guard let found = mapped(name) else { return }
        map = found
        message = kept(
            "roost: \(name) can't be read: it was cut, the disk fails, or its pages are damaged. "
                + "'roost verify' says what is damaged; restore a backup.\n")
        mark = kept("\(folder)/\(FileCheck.faultName)")?.baseAddress
        for number in [SIGBUS, SIGSEGV] {
            var action = sigaction()
            sigemptyset(&action.sa_mask)
            action.sa_flags = SA_SIGINFO
            action.__sigaction_handler.sa_sigaction = { number, info, _ in
                MapFault.handle(number, info)
            }
            sigaction(number, &action, nil)
        }
    }

    /// Calls only what may be called in a signal handler.
    private static func handle(_ number: Int32, _ info: UnsafeMutablePointer<siginfo_t>?) {
        let address = UInt(bitPattern: info?.pointee._sifields._sigfault.si_addr)
        guard map.contains(address), let message, let mark else {
            // The instruction runs again and ends the process as if this handler weren't there.
            signal(number, SIG_DFL)
            return
        }
        write(STDERR_FILENO, message.baseAddress, message.count)
        let descriptor = open(mark, O_CREAT | O_WRONLY | O_CLOEXEC, 0o600)
        if descriptor >= 0 { close(descriptor) }
        _exit(exitStatus)
    }

    /// The text with its final zero, kept for good; the count leaves the zero out.
    private static func kept(_ text: String) -> UnsafeBufferPointer<CChar>? {
        strdup(text).map { UnsafeBufferPointer(start: UnsafePointer($0), count: text.utf8.count) }
    }

    /// Where the file is mapped.
    private static func mapped(_ path: String) -> Range<UInt>? {
        guard let maps = fopen("/proc/self/maps", "r") else { return nil }
        defer { fclose(maps) }
        var line: UnsafeMutablePointer<CChar>?
        var room = 0
        defer { free(line) }
        while getline(&line, &room, maps) > 0, let bytes = line {
            let fields = String(cString: bytes).split(
                maxSplits: 5, whereSeparator: { $0 == " " || $0 == "\n" })
            guard fields.count == 6, fields[5].drop(while: { $0 == " " }) == path + "\n" else {
                continue
            }
            let ends = fields[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
            if ends.count == 2, ends[0] < ends[1] { return ends[0]..<ends[1] }
        }
        return nil
    }
}

/// Leaves the process's signals to other threads than the calling one, except those of a fault in
/// the map, which belong to the thread that meets it.
func blockSignals() {
    var signals = sigset_t()
    sigfillset(&signals)
    for number in [SIGBUS, SIGSEGV] { sigdelset(&signals, number) }
    pthread_sigmask(SIG_BLOCK, &signals, nil)
}
