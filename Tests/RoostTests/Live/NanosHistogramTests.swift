import TestSupport
import Testing

@testable import Roost

/// Percentiles of times, against the sorted times.
@Suite struct NanosHistogramTests {
    @Test(arguments: [1, 3, 100, 4_000])
    func quantilesAreKnownToAFifth(count: Int) {
        var random = RandomSource(seed: UInt64(count))
        var histogram = NanosHistogram()
        var times: [UInt64] = []
        for _ in 0..<count {
            let time = UInt64(random.below(1 << (1 + random.below(40))))
            times.append(time)
            histogram.add(time)
        }
        times.sort()
        for share in [0.01, 0.5, 0.99, 1] {
            let rank = max(1, Int((Double(count) * share).rounded(.up)))
            let exact = times[rank - 1]
            let found = histogram.quantile(share)
            #expect(found >= exact && Double(found) <= Double(exact) * 1.25 + 1)
        }
    }

    @Test func withoutTimesItIsZero() {
        #expect(NanosHistogram().quantile(0.99) == 0)
    }
}
