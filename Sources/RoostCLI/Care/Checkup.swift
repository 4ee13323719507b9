// What `roost doctor` looks at: each check says what it found, whether that is good enough, and what
// to do where it isn't.

import BSON
import Glibc
import Roost

/// What one check found.
struct Finding {
    enum Grade: String {
        /// As it should be.
        case good = "ok"
        /// Works, and may hurt.
        case doubtful = "warning"
        /// Will lose data, fail, or be slow.
        case bad = "problem"
    }

    /// What was looked at.
    let subject: String
    let grade: Grade
    /// What was found.
    let text: String
    /// What to do; empty where nothing is.
    var advice = ""
}

/// Checks of the machine for a database in a folder.
struct Checkup {
    /// The folder, which need not be there yet.
    let folder: String
    /// The nearest folder above it that is there.
    private let place: String

    init(folder: String) {
        self.folder = folder
        var place = folder
        while access(place, F_OK) != 0, let slash = place.lastIndex(of: "/") {
            place = slash == place.startIndex ? "/" : String(place[..<slash])
        }
        self.place = access(place, F_OK) == 0 ? place : "."
    }

    /// All checks of the machine, in the order in which they matter.
    func run() -> [Finding] {
        [
            fileSystem, room, syncSpeed, openFiles, processes, memory, hugePages, swappiness, clock,
            timeZones,
        ].compactMap { $0 }
    }

    // MARK: Disk

    /// What is wrong with file systems that can't be trusted with a map and locks, by kind.
    private static let unfit: [String: String] = [
        "tmpfs": "it is memory: everything is gone when the machine stops",
        "ramfs": "it is memory: everything is gone when the machine stops",
        "nfs": "maps and locks over a network don't keep what they promise",
        "nfs4": "maps and locks over a network don't keep what they promise",
        "cifs": "maps and locks over a network don't keep what they promise",
        "smb3": "maps and locks over a network don't keep what they promise",
        "9p": "maps and locks over a shared folder don't keep what they promise",
        "virtiofs": "maps and locks over a shared folder don't keep what they promise",
        "overlay": "a container's own layer goes away with it; mount a volume",
        "vfat": "it has no journal, and files of 4 GiB at most",
    ]

    private var fileSystem: Finding? {
        guard access(place, W_OK) == 0 else {
            return Finding(
                subject: "folder", grade: .bad,
                text: "'\(place)' can't be written to: \(Self.reason)",
                advice: "Run as its owner, or change the owner: chown -R \(getuid()) '\(place)'.")
        }
        guard let kind = MountTable.kind(of: place) else { return nil }
        if let problem = Self.unfit[kind] {
            return Finding(
                subject: "file system", grade: .bad, text: "\(kind): \(problem)",
                advice: "Put the folder on a local disk with ext4 or xfs.")
        }
        if kind.hasPrefix("fuse") {
            return Finding(
                subject: "file system", grade: .doubtful,
                text: "\(kind): whether syncs reach the disk is up to its driver",
                advice: "Put the folder on a local disk with ext4 or xfs.")
        }
        return Finding(subject: "file system", grade: .good, text: kind)
    }

    private var room: Finding? {
        var status = statvfs()
        guard statvfs(place, &status) == 0 else { return nil }
        let free = Double(status.f_bavail) * Double(status.f_frsize)
        let total = Double(status.f_blocks) * Double(status.f_frsize)
        let text = "\(Figure.bytes(free)) of \(Figure.bytes(total)) are free"
        let files = status.f_files > 0 && status.f_favail < 100
        if files {
            return Finding(
                subject: "disk room", grade: .bad, text: "\(text), and no more files can be made",
                advice: "Remove files: the file system has run out of inodes.")
        }
        let grade: Finding.Grade =
            free < 256 * 1_048_576 ? .bad : free < 0.1 * total ? .doubtful : .good
        return Finding(
            subject: "disk room", grade: grade, text: text,
            advice: grade == .good
                ? "" : "Make room, or set --quota so that the disk is not filled by the data.")
    }

    /// The median of some writes of one page, each synced.
    private var syncSpeed: Finding? {
        let path = "\(place)/.roost-doctor-\(getpid())"
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return nil }
        defer {
            close(descriptor)
            unlink(path)
        }
        let page = [UInt8](repeating: 0x52, count: 4_096)
        var times: [Double] = []
        let began = ContinuousClock.now
        while times.count < 50, began.duration(to: .now) < .seconds(2) {
            let start = ContinuousClock.now
            guard pwrite(descriptor, page, page.count, 0) == page.count, fdatasync(descriptor) == 0
            else {
                return Finding(
                    subject: "sync", grade: .bad, text: "a sync failed: \(Self.reason)",
                    advice: "The disk, or its driver, is broken: look into dmesg.")
            }
            let time = start.duration(to: .now).components
            times.append(Double(time.seconds) * 1e6 + Double(time.attoseconds) / 1e12)
        }
        let median = times.sorted()[times.count / 2]
        let text = "a write of one page is on disk after \(Figure.micros(median))"
        if median < 20 {
            return Finding(
                subject: "sync", grade: .doubtful, text: "\(text), sooner than disks can",
                advice: "If this is no disk with a protected cache, syncs are not passed on, and a "
                    + "power cut may lose acknowledged writes.")
        }
        return Finding(
            subject: "sync", grade: median > 20_000 ? .doubtful : .good, text: text,
            advice: median > 20_000
                ? "One client waits so long for each write; use a faster disk, more clients at "
                    + "once, or --durability relaxed." : "")
    }

    // MARK: Limits

    private var openFiles: Finding? {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
            return nil
        }
        let isEnough = limit.rlim_cur >= 10_240
        return Finding(
            subject: "open files", grade: isEnough ? .good : .doubtful,
            text: "\(limit.rlim_cur) at once (at most \(limit.rlim_max))",
            advice: isEnough
                ? ""
                : "Each connection takes one: 'ulimit -n 65536', or LimitNOFILE=65536 in the "
                    + "unit, or fewer --max-connections.")
    }

    private var processes: Finding? {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0 else { return nil }
        let isEnough = limit.rlim_cur > 1 << 41
        return Finding(
            subject: "address space", grade: isEnough ? .good : .bad,
            text: isEnough ? "not limited" : "limited to \(limit.rlim_cur >> 30) GiB",
            advice: isEnough
                ? ""
                : "The data file is mapped with room for 1 TiB of addresses (no memory): "
                    + "'ulimit -v unlimited'.")
    }

    private var memory: Finding? {
        let pages = Double(sysconf(Int32(_SC_PHYS_PAGES))) * Double(sysconf(Int32(_SC_PAGESIZE)))
        var limit = pages
        for path in ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"] {
            if let text = Self.text(path), let bytes = Double(text) { limit = min(limit, bytes) }
        }
        var text = "\(Figure.bytes(pages)) in the machine"
        if limit < pages { text += ", of which this control group may use \(Figure.bytes(limit))" }
        let grade: Finding.Grade = limit < 256 * 1_048_576 ? .doubtful : .good
        return Finding(
            subject: "memory", grade: grade, text: text,
            advice: grade == .good
                ? "" : "Sorts, transactions and subscribers may need more: allow 512 MiB.")
    }

    private var hugePages: Finding? {
        guard let text = Self.text("/sys/kernel/mm/transparent_hugepage/enabled") else {
            return nil
        }
        let isAlways = text.contains("[always]")
        return Finding(
            subject: "huge pages", grade: isAlways ? .doubtful : .good,
            text: isAlways ? "always made (transparent_hugepage)" : "not forced",
            advice: isAlways
                ? "Memory may grow in steps of 2 MiB: echo madvise > "
                    + "/sys/kernel/mm/transparent_hugepage/enabled." : "")
    }

    private var swappiness: Finding? {
        guard let text = Self.text("/proc/sys/vm/swappiness"), let value = Int(text),
            let swaps = Self.text("/proc/swaps"), swaps.contains("\n")
        else { return nil }
        return Finding(
            subject: "swap", grade: value > 60 ? .doubtful : .good, text: "swappiness \(value)",
            advice: value > 60 ? "sysctl vm.swappiness=10 keeps the server in memory." : "")
    }

    // MARK: Time

    private var clock: Finding? {
        let millis = LogicalClock.wallMillis
        guard millis > 1_735_689_600_000 else {
            return Finding(
                subject: "clock", grade: .bad, text: "it is before 2025",
                advice: "Set it: changes, tokens and expiry go by it.")
        }
        // What keeps the time leaves one of these.
        let signs = [
            "/run/systemd/timesync/synchronized", "/run/chrony/chronyd.pid", "/run/chronyd.pid",
            "/run/chrony", "/run/ntpd.pid", "/run/openntpd.pid",
        ]
        let isKept = signs.contains { access($0, F_OK) == 0 }
        return Finding(
            subject: "clock", grade: isKept ? .good : .doubtful,
            text: isKept ? "kept right by a service" : "no service that keeps it right is seen",
            advice: isKept
                ? ""
                : "Run chrony or systemd-timesyncd, where the machine around this one doesn't: "
                    + "tokens and expiry go by the clock.")
    }

    private var timeZones: Finding? {
        let isThere = access("/usr/share/zoneinfo/Europe/Berlin", R_OK) == 0
        return Finding(
            subject: "time zones", grade: isThere ? .good : .bad,
            text: isThere ? "/usr/share/zoneinfo is there" : "/usr/share/zoneinfo is missing",
            advice: isThere
                ? "" : "Install the package tzdata: dates in named zones can't be computed.")
    }

    // MARK: Reading

    /// The beginning of a small file of the kernel's, without the newline at the end.
    fileprivate static func text(_ path: String) -> String? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 262_144)
        let count = fread(&bytes, 1, bytes.count, file)
        let text = String(decoding: bytes[..<count], as: UTF8.self)
        return text.hasSuffix("\n") ? String(text.dropLast()) : text
    }

    private static var reason: String { String(cString: strerror(errno)) }
}

/// What is mounted where, as /proc/self/mountinfo tells it.
enum MountTable {
    /// The kind of the file system that a path is on; nil where that can't be told.
    static func kind(of path: String) -> String? {
        guard let resolved = realpath(path, nil), let text = Checkup.text("/proc/self/mountinfo")
        else { return nil }
        defer { free(resolved) }
        return kind(of: String(cString: resolved), in: text)
    }

    /// The kind of the file system that is mounted nearest above a path; of those on one place the
    /// last.
    static func kind(of path: String, in text: String) -> String? {
        var found: (length: Int, kind: String)?
        for line in text.split(separator: "\n") {
            // 36 35 98:0 /root /mount/point options... - type source options
            let fields = line.split(separator: " ")
            guard fields.count > 6, let dash = fields.firstIndex(of: "-"), dash + 1 < fields.count
            else { continue }
            let mount = fields[4]
            let isAbove = mount == "/" || path == mount || path.hasPrefix("\(mount)/")
            if isAbove, mount.utf8.count >= found?.length ?? 0 {
                found = (mount.utf8.count, String(fields[dash + 1]))
            }
        }
        return found?.kind
    }
}
