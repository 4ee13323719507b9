// Regular expressions. Firestore's are RE2; PCRE2 runs them here.
//
// What RE2 lacks is refused (back references, looking around, atomic groups, verbs), and `$` means
// the end of the text, not a place before its last newline. What remains means the same in both, but
// for \s (PCRE2's takes a vertical tab too). PCRE2 may need more than linear time; its steps are
// bounded, and a search that needs more is a failure.

package import BSON
internal import Query

/// A pattern, compiled to match whole texts and to be searched for.
package final class RulesPattern: Sendable {
    /// Matches the whole text or nothing.
    let whole: RegexPredicate
    /// Matches anywhere.
    let part: RegexPredicate

    /// Compiles a pattern; throws what is wrong with it.
    package init(_ pattern: String) throws(DBError) {
        let translated = try Self.translated(Array(pattern.utf8))
        // Alone first: a pattern must not close the group around it.
        part = try RegexPredicate(pattern: translated, options: [])
        whole = try RegexPredicate(
            pattern: Array("\\A(?:".utf8) + translated + Array(")\\z".utf8), options: [])
    }

    /// The pattern as PCRE2 has to read it.
    private static func translated(_ pattern: [UInt8]) throws(DBError) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(pattern.count)
        var index = 0
        var isInClass = false
        func byte(_ distance: Int) -> UInt8 {
            index + distance < pattern.count ? pattern[index + distance] : 0
        }
        let isMultiline = hasFlag(UInt8(ascii: "m"), pattern)
        while index < pattern.count {
            let current = pattern[index]
            switch current {
            case UInt8(ascii: "\\"):
                let next = byte(1)
                if !isInClass, next == UInt8(ascii: "C") || 49...57 ~= next {
                    throw unknown("back references and \\C")
                }
                if next == UInt8(ascii: "g") || next == UInt8(ascii: "k")
                    || next == UInt8(ascii: "K") || next == UInt8(ascii: "G")
                    || next == UInt8(ascii: "R") || next == UInt8(ascii: "X")
                {
                    throw unknown("\\g, \\k, \\K, \\G, \\R and \\X")
                }
                result.append(current)
                if index + 1 < pattern.count { result.append(next) }
                index += 2
                continue
            case UInt8(ascii: "["):
                if !isInClass {
                    isInClass = true
                    result.append(current)
                    index += 1
                    if byte(0) == UInt8(ascii: "^") {
                        result.append(byte(0))
                        index += 1
                    }
                    // The first bracket stands for itself.
                    if byte(0) == UInt8(ascii: "]") {
                        result.append(contentsOf: [UInt8(ascii: "\\"), UInt8(ascii: "]")])
                        index += 1
                    }
                    continue
                }
                if byte(1) == UInt8(ascii: ":"), let end = classNameEnd(pattern, index + 2) {
                    result.append(contentsOf: pattern[index..<end])
                    index = end
                    continue
                }
                result.append(UInt8(ascii: "\\"))
            case UInt8(ascii: "]"): isInClass = false
            case UInt8(ascii: "$") where !isInClass && !isMultiline:
                result.append(contentsOf: Array("\\z".utf8))
                index += 1
                continue
            case UInt8(ascii: "(") where !isInClass:
                if byte(1) == UInt8(ascii: "*") { throw unknown("(*…)") }
                if byte(1) == UInt8(ascii: "?") {
                    let kind = byte(2)
                    let isNamed =
                        kind == UInt8(ascii: "<") && byte(3) != UInt8(ascii: "=")
                        && byte(3) != UInt8(ascii: "!")
                        || kind == UInt8(ascii: "P") && byte(3) == UInt8(ascii: "<")
                    let isFlag = "imsU-:".utf8.contains(kind)
                    guard isNamed || isFlag else {
                        throw unknown("looking around, atomic groups and conditions")
                    }
                }
            default: break
            }
            result.append(current)
            index += 1
        }
        return result
    }

    /// Whether some `(?…)` sets a flag.
    private static func hasFlag(_ flag: UInt8, _ pattern: [UInt8]) -> Bool {
        guard pattern.count > 3 else { return false }
        for index in 0..<pattern.count - 2
        where pattern[index] == UInt8(ascii: "(") && pattern[index + 1] == UInt8(ascii: "?") {
            for letter in pattern[(index + 2)...] {
                if letter == flag { return true }
                guard "imsU-".utf8.contains(letter) else { break }
            }
        }
        return false
    }

    /// The place behind `name:]`; nil where there is none.
    private static func classNameEnd(_ pattern: [UInt8], _ start: Int) -> Int? {
        var index = start
        while index < pattern.count, 97...122 ~= pattern[index] || pattern[index] == 94 {
            index += 1
        }
        guard index + 1 < pattern.count, pattern[index] == UInt8(ascii: ":"),
            pattern[index + 1] == UInt8(ascii: "]")
        else { return nil }
        return index + 2
    }

    private static func unknown(_ what: String) -> DBError {
        DBError(.badValue, "Rules' regular expressions (RE2) have no \(what)")
    }

    // MARK: Use

    /// Whether the whole text matches.
    func matches(_ text: String) throws(DBError) -> Bool {
        let search = try RegexSearch(whole)
        let bytes = Array(text.utf8)
        return try search.find(in: bytes.span.bytes, from: 0)
    }

    /// Where matches lie, from left to right, none touching another, with the places of their
    /// groups. `most` bounds their number.
    func ranges(in bytes: [UInt8], most: Int) throws(DBError) -> [[Range<Int>?]] {
        let search = try RegexSearch(part)
        var found: [[Range<Int>?]] = []
        var start = 0
        while start <= bytes.count, found.count < most,
            try search.find(in: bytes.span.bytes, from: start)
        {
            let groups = (0...search.groupCount).map { search.range(ofGroup: $0) }
            guard let whole = groups[0] else { break }
            found.append(groups)
            start = whole.upperBound
            if whole.isEmpty {
                start += 1
                while start < bytes.count, bytes[start] & 0xC0 == 0x80 { start += 1 }
            }
        }
        return found
    }
}
