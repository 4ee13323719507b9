// Searches that say where a regular expression matched, and where its groups did.

package import BSON
internal import CPCRE2

/// A pattern with the memory of its searches. One for each execution; not shared.
package final class RegexSearch {
    let predicate: RegexPredicate
    /// Groups in the pattern.
    package let groupCount: Int
    private let memory: RegexMemory

    /// Memory for searches by a pattern.
    package init(_ predicate: RegexPredicate) throws(DBError) {
        self.predicate = predicate
        var count: UInt32 = 0
        pcre2_pattern_info_8(predicate.code, UInt32(PCRE2_INFO_CAPTURECOUNT), &count)
        groupCount = Int(count)
        memory = try RegexMemory(groups: count)
    }

    /// Finds the first match at or after `start`, whose places `range(ofGroup:)` then tells. A
    /// text is searched from 0 first: that checks its UTF-8, once.
    /// Throws 51156 when that takes too many steps.
    package func find(in utf8: RawSpan, from start: Int) throws(DBError) -> Bool {
        let status = utf8.withUnsafeBytes { bytes in
            // SAFETY: PCRE2 reads the subject only during the call; the memory is this object's.
            let subject = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
            let flags = start > 0 ? PCRE2_NO_UTF_CHECK : 0
            let status = pcre2_match_8(
                predicate.code, subject, bytes.count, start, flags, memory.data, memory.context)
            // Machine code works on a small stack; the interpreter takes what the limits allow.
            guard status == PCRE2_ERROR_JIT_STACKLIMIT else { return status }
            return pcre2_match_8(
                predicate.code, subject, bytes.count, start, PCRE2_NO_JIT | flags, memory.data,
                memory.context)
        }
        if status >= 0 { return true }
        if status == PCRE2_ERROR_NOMATCH { return false }
        throw RegexPredicate.tooManySteps(status)
    }

    /// Where the match (group 0) or a group of it lies; nil for groups without part in it.
    package func range(ofGroup group: Int) -> Range<Int>? {
        // SAFETY: the vector has two places for the match and for each group.
        guard group <= groupCount, let places = pcre2_get_ovector_pointer_8(memory.data) else {
            return nil
        }
        let (start, end) = (places[2 * group], places[2 * group + 1])
        // A group without part in the match has the largest unsigned number for places: -1 here.
        return start >= 0 && start <= end ? start..<end : nil
    }
}
