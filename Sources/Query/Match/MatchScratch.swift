// What the matcher writes while it looks at a document.

internal import BSON

/// Memory of a matcher's runs, reused from document to document. One for each execution.
package struct MatchScratch: ~Copyable, @unchecked Sendable {
    // Unchecked: `regex` owns its memory alone, and the scratch is in one place at a time.

    /// After a match: the position of the element that satisfied the filter's array condition, for
    /// the positional operators; nil when no array was looked into.
    package var arrayPosition: Int?

    /// Intermediate values of `$expr`.
    var evaluation: EvaluationContext

    private var regex: RegexMemory?
    /// State of the generator behind `$sampleRate`; zero until the first number.
    private var randomState: UInt64 = 0

    /// An empty scratch; `interrupt` ends a match that takes long.
    package init(_ interrupt: Interrupt? = nil) {
        evaluation = EvaluationContext(interrupt)
    }

    /// Lets `interrupt` end the matches from now on; nil for none.
    package mutating func watch(_ interrupt: Interrupt?) {
        evaluation.interrupts = InterruptMeter(interrupt)
    }

    /// Counts a walk over so many bytes.
    @inline(__always)
    mutating func spend(byteCount: Int) throws(DBError) {
        try evaluation.interrupts.spend(byteCount &>> 3)
    }

    /// The memory of regex searches, made at the first one.
    mutating func regexMemory() throws(DBError) -> (data: OpaquePointer, context: OpaquePointer) {
        if regex == nil { regex = try RegexMemory() }
        guard let data = regex?.data, let context = regex?.context else {
            throw DBError(.internalError, "The memory of regular expressions is missing")
        }
        return (data, context)
    }

    /// A number in 0..<1 (xorshift64*; for sampling, not for secrets).
    mutating func nextRandom() -> Double {
        if randomState == 0 { randomState = UInt64.random(in: 1 ... .max) }
        randomState ^= randomState >> 12
        randomState ^= randomState << 25
        randomState ^= randomState >> 27
        return Double((randomState &* 0x2545_F491_4F6C_DD1D) >> 11) * 0x1p-53
    }
}
