import CLMDB

/// How much more the data may grow. The map is far larger than the data should get, so the quota is
/// ours: pages up to the last one ever used, less the free ones that no reader still sees. At 95 %
/// (75 % of the smallest) ordinary operations are refused before they start; those that free space
/// go on.
struct SpaceBudget {
    private static let pageBytes: UInt64 = 4096
    /// The reserve of small quotas, but for a quarter of them.
    private static let reserveBytesMin: UInt64 = 512 << 10
    /// How long a count of the free pages holds, in nanoseconds.
    private static let recountNanos: UInt64 = 100_000_000

    let quotaBytes: UInt64
    /// Above this, operations without leave to use the reserve are refused.
    let softBytes: UInt64
    /// An operation that began below `softBytes` may go on to here.
    private let ordinaryBytes: UInt64
    /// Whether the operation at hand may use the reserve.
    var mayUseReserve = false
    private let diskReserveBytes: UInt64
    private var usedBytes: UInt64 = 0
    private var chargedBytes: UInt64 = 0
    private var reusableBytes: UInt64 = 0
    private var countedAt: UInt64 = 0
    private var diskCheckedAt: UInt64 = 0
    private var diskCheckedFileBytes: UInt64 = 0
    private var isDiskFull = false

    init(_ environment: Environment) {
        // The map is the quota, where there is one.
        quotaBytes =
            environment.options.quotaBytes == nil
            ? environment.mapBytes / 10 * 9 : environment.mapBytes
        // What frees space needs some pages itself, however small the quota.
        softBytes = quotaBytes - max(quotaBytes / 20, min(Self.reserveBytesMin, quotaBytes / 4))
        ordinaryBytes = softBytes + (quotaBytes - softBytes) / 2
        // A small file system keeps a twentieth, so that there is room beside the reserve.
        let diskBytes = LMDBCode.diskBytes(environment.path) ?? .max
        diskReserveBytes = min(environment.options.diskReserveBytes, diskBytes / 20)
    }

    /// Looks at the file anew, before a group.
    mutating func refresh(_ environment: Environment) {
        let fileBytes = environment.info().pages * Self.pageBytes
        let now = Clock.nanos()
        let isStale = now - countedAt > Self.recountNanos || usedBytes + chargedBytes >= softBytes
        if fileBytes >= softBytes, isStale {
            reusableBytes = Self.reusablePages(environment) * Self.pageBytes
            countedAt = now
            chargedBytes = 0
        }
        if fileBytes < softBytes { chargedBytes = 0 }
        usedBytes = fileBytes - min(fileBytes, fileBytes < softBytes ? 0 : reusableBytes)
        let growth = fileBytes - min(fileBytes, diskCheckedFileBytes)
        if now - diskCheckedAt > 1_000_000_000 || growth > diskReserveBytes / 4 || isDiskFull {
            diskCheckedAt = now
            diskCheckedFileBytes = fileBytes
            let free = LMDBCode.freeDiskBytes(environment.path) ?? .max
            isDiskFull = false
            if free < diskReserveBytes {
                // Free pages inside the file need no disk.
                reusableBytes = Self.reusablePages(environment) * Self.pageBytes
                countedAt = now
                isDiskFull = reusableBytes < diskReserveBytes
            }
        }
    }

    /// Whether pages that a checkpoint would set free matter.
    var isTight: Bool { isDiskFull || usedBytes + chargedBytes >= softBytes }

    /// Why an operation may not start; nil if it may.
    mutating func refusal(mayUseReserve: Bool) -> StorageError? {
        self.mayUseReserve = mayUseReserve
        if mayUseReserve { return nil }
        if isDiskFull { return .diskFull }
        return usedBytes + chargedBytes >= softBytes ? exceeded : nil
    }

    /// Counts what one change takes; false if that is more than there is.
    mutating func charge(_ byteCount: Int) -> Bool {
        // Beyond half a page a value has pages of its own.
        let bytes = UInt64(byteCount) + 16
        chargedBytes +=
            bytes < Self.pageBytes / 2
            ? bytes : (bytes + Self.pageBytes - 1) / Self.pageBytes * Self.pageBytes
        return usedBytes + chargedBytes <= (mayUseReserve ? quotaBytes : ordinaryBytes)
    }

    /// The error that says how full it is.
    var exceeded: StorageError {
        .quotaExceeded(usedBytes: usedBytes + chargedBytes, quotaBytes: quotaBytes)
    }

    /// Free pages that a commit may use: those freed before the oldest snapshot in use.
    private static func reusablePages(_ environment: Environment) -> UInt64 {
        freePages(environment, ofCommits: 0..<environment.oldestSnapshot)
    }

    /// Free pages that only the last checkpoint keeps from being used.
    static func pagesKept(_ environment: Environment) -> UInt64 {
        guard let commit = environment.redo?.pins.heldCommit,
            environment.oldestSnapshot == commit
        else { return 0 }
        return freePages(environment, ofCommits: commit..<UInt64.max)
    }

    /// All free pages.
    static func freePages(_ environment: Environment) -> UInt64 {
        freePages(environment, ofCommits: 0..<UInt64.max)
    }

    /// Pages that those commits freed. Walks LMDB's free list, whose entries map a commit's number
    /// to a count and that many page numbers.
    private static func freePages(
        _ environment: Environment, ofCommits commits: Range<UInt64>
    ) -> UInt64 {
        var transaction: OpaquePointer?
        let flags = UInt32(MDB_RDONLY)
        guard mdb_txn_begin(environment.handle, nil, flags, &transaction) == 0 else { return 0 }
        defer { mdb_txn_abort(transaction) }
        var cursor: OpaquePointer?
        guard mdb_cursor_open(transaction, 0, &cursor) == 0 else { return 0 }
        defer { mdb_cursor_close(cursor) }
        var pages: UInt64 = 0
        var key = MDB_val()
        var value = MDB_val()
        // SAFETY: the views live until the transaction ends, below.
        while mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0 {
            guard key.mv_size == 8, value.mv_size >= 8, let id = key.mv_data,
                let count = value.mv_data, commits.contains(id.loadUnaligned(as: UInt64.self))
            else { continue }
            pages += count.loadUnaligned(as: UInt64.self)
        }
        return pages
    }
}
