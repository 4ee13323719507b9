import BSON
import Testing
import TestSupport

@testable import Query

/// Searching for bytes in bytes, against a search that tries every place.
@Suite struct TextSearchTests {
    @Test(arguments: 1...40 as ClosedRange<UInt64>)
    func equalsTryingEveryPlace(seed: UInt64) {
        var random = RandomSource(seed: seed)
        // Few letters and repetition: what makes a search go back.
        let period = (0..<Int.random(in: 1...9, using: &random)).map { _ in
            UInt8.random(in: 97...98, using: &random)
        }
        var text: [UInt8] = []
        while text.count < 3_000 {
            text += Bool.random(using: &random) ? period : period.reversed()
        }
        for _ in 0..<50 {
            let start = Int.random(in: 0..<text.count, using: &random)
            var needle = Array(
                text[start..<min(text.count, start + Int.random(in: 0...400, using: &random))])
            if Bool.random(using: &random), !needle.isEmpty {
                needle[Int.random(in: 0..<needle.count, using: &random)] ^= 3
            }
            let from = Int.random(in: 0...text.count, using: &random)
            #expect(
                text.span.bytes.firstOffset(of: needle.span.bytes, from: from)
                    == naive(needle, text, from))
        }
    }

    /// So much would be compared in vain that the search changes its way.
    @Test(arguments: [0, 1, 50_000, 99_999])
    func longNeedles(differingAt place: Int) {
        let text = [UInt8](repeating: 97, count: 300_000) + [98, 97]
        var needle = [UInt8](repeating: 97, count: 100_000)
        #expect(text.span.bytes.firstOffset(of: needle.span.bytes, from: 7) == 7)
        needle[place] = 98
        #expect(
            text.span.bytes.firstOffset(of: needle.span.bytes, from: 7)
                == naive(needle, text, 200_000))
    }

    private func naive(_ needle: [UInt8], _ text: [UInt8], _ from: Int) -> Int? {
        if from + needle.count > text.count { return nil }
        return (from...text.count - needle.count).first {
            text[$0..<$0 + needle.count].elementsEqual(needle)
        }
    }
}
