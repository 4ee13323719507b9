// What the kernel knows of this process.

import Glibc

/// Figures of the process at one moment.
struct ProcessFigures {
    var userMicros: Int64 = 0
    var systemMicros: Int64 = 0
    /// The most memory it ever had, in KiB.
    var residentMaxKilobytes: Int64 = 0
    /// Pages that had to be read.
    var pageFaults: Int64 = 0
    /// Blocks of 512 bytes read and written.
    var blocksRead: Int64 = 0
    var blocksWritten: Int64 = 0
    var threads = 0
    /// Open files and connections.
    var descriptors = 0
    /// How many there may be.
    var descriptorsMax: UInt64 = 0

    /// The figures now; what the kernel doesn't tell is 0. Costs some microseconds for each open
    /// file.
    static var now: ProcessFigures {
        var figures = ProcessFigures()
        var usage = rusage()
        if getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 {
            figures.userMicros = Self.micros(usage.ru_utime)
            figures.systemMicros = Self.micros(usage.ru_stime)
            figures.residentMaxKilobytes = Int64(usage.ru_maxrss)
            figures.pageFaults = Int64(usage.ru_majflt)
            figures.blocksRead = Int64(usage.ru_inblock)
            figures.blocksWritten = Int64(usage.ru_oublock)
        }
        figures.threads = Self.entries(of: "/proc/self/task")
        figures.descriptors = Self.entries(of: "/proc/self/fd")
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            figures.descriptorsMax = UInt64(limit.rlim_cur)
        }
        return figures
    }

    private static func micros(_ time: timeval) -> Int64 {
        Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_usec)
    }

    private static func entries(of folder: String) -> Int {
        guard let listing = opendir(folder) else { return 0 }
        defer { closedir(listing) }
        var count = 0
        while readdir(listing) != nil { count += 1 }
        return max(0, count - 2)
    }
}
