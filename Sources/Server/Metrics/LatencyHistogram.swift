// How long operations took, in buckets an octave wide: cheap to count, and fine enough to tell a
// page in memory from one on disk, and either from a sync.

/// Counts of times.
struct LatencyHistogram {
    /// Bucket i counts times below 2^i nanoseconds that no bucket before it counts; the last one
    /// all the rest.
    private var counts = InlineArray<36, UInt64>(repeating: 0)
    /// How many times were counted.
    private(set) var count: UInt64 = 0
    /// Their sum, in nanoseconds.
    private(set) var nanos: UInt64 = 0

    /// The buckets that figures show: from 8 microseconds to 17 seconds.
    static let shownBuckets = 13...34

    /// Counts a time.
    @inline(__always)
    mutating func add(_ time: UInt64) {
        counts[min(64 - time.leadingZeroBitCount, 35)] &+= 1
        count &+= 1
        nanos &+= time
    }

    /// Counts what another one counted.
    mutating func add(_ other: borrowing LatencyHistogram) {
        for bucket in 0..<counts.count { counts[bucket] &+= other.counts[bucket] }
        count &+= other.count
        nanos &+= other.nanos
    }

    /// How many times were below 2^`bucket` nanoseconds.
    func count(below bucket: Int) -> UInt64 {
        var sum: UInt64 = 0
        for index in 0...min(bucket, counts.count - 1) { sum &+= counts[index] }
        return sum
    }
}
