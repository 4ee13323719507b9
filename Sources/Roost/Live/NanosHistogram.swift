// Times in buckets a quarter of an octave wide, so that a percentile is known to 19 %.

/// Counts times of up to a second and more.
struct NanosHistogram {
    /// Four for each power of two.
    private var counts = InlineArray<256, UInt64>(repeating: 0)
    private(set) var count: UInt64 = 0

    /// Counts a time.
    mutating func add(_ nanos: UInt64) {
        counts[Self.bucket(nanos)] += 1
        count += 1
    }

    /// A time that a share of all don't pass: the end of its bucket. Zero without any.
    func quantile(_ share: Double) -> UInt64 {
        let wanted = UInt64((Double(count) * share).rounded(.up))
        var seen: UInt64 = 0
        for bucket in 0..<counts.count {
            seen += counts[bucket]
            if seen >= wanted, seen > 0 { return Self.end(bucket) }
        }
        return 0
    }

    private static func bucket(_ nanos: UInt64) -> Int {
        if nanos < 4 { return Int(nanos) }
        let octave = 63 - nanos.leadingZeroBitCount
        return octave * 4 + Int(nanos >> UInt64(octave - 2) & 3)
    }

    private static func end(_ bucket: Int) -> UInt64 {
        if bucket < 8 { return UInt64(bucket) }
        return UInt64(4 + bucket % 4 + 1) << UInt64(bucket / 4 - 2) - 1
    }
}
