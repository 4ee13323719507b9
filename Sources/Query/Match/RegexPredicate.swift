// Regular expressions by PCRE2, compiled once per filter and translated to machine code where the
// processor allows.
//
// Patterns are UTF-8 without Unicode properties for \w \d \b, as in MongoDB. Subjects that are not
// UTF-8 are safe: parts that are not simply don't match. Steps and memory of a search are bounded.

package import BSON
internal import CPCRE2

/// A compiled pattern. Immutable, so searches on any thread share it.
package final class RegexPredicate: @unchecked Sendable {
    // Unchecked: `code` is never written after `init`; PCRE2 lets threads share it.

    /// Longest pattern, in bytes (MongoDB's bound).
    static let patternBytesMax = 16_384

    /// The pattern in UTF-8.
    package let pattern: [UInt8]
    /// The option letters as given.
    package let options: [UInt8]
    /// What every match begins with, where the pattern says so (`^abc`): for index bounds.
    package let literalPrefix: [UInt8]?
    /// Whether every string that begins with `literalPrefix` matches.
    package let isPrefixOnly: Bool

    /// The program that PCRE2 made of the pattern.
    let code: OpaquePointer

    /// Compiles a pattern. Errors: 51091 does not compile or is too long, 51108 unknown option.
    package init(pattern: [UInt8], options: [UInt8]) throws(DBError) {
        guard pattern.count <= Self.patternBytesMax else {
            throw DBError(
                .invalidRegex,
                "Regular expression is too long: \(pattern.count) bytes, at most "
                    + "\(Self.patternBytesMax)")
        }
        guard !pattern.contains(0) else {
            throw DBError(.badValue, "Regular expression cannot contain an embedded null byte")
        }
        var flags = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF
        for option in options {
            switch option {
            case UInt8(ascii: "i"): flags |= PCRE2_CASELESS
            case UInt8(ascii: "m"): flags |= PCRE2_MULTILINE
            case UInt8(ascii: "s"): flags |= PCRE2_DOTALL
            case UInt8(ascii: "x"): flags |= PCRE2_EXTENDED
            case UInt8(ascii: "u"): break
            default:
                throw DBError(
                    DBError.Code(rawValue: 51108),
                    "invalid flag in regex options: "
                        + String(decoding: [option], as: UTF8.self) + "; known are i, m, s, x, u")
            }
        }
        code = try Self.compile(pattern, flags)
        self.pattern = pattern
        self.options = options
        (literalPrefix, isPrefixOnly) = Self.literalPrefix(of: pattern, options: options)
    }

    deinit {
        pcre2_code_free_8(code)
    }

    private static func compile(
        _ pattern: [UInt8], _ flags: UInt32
    ) throws(DBError) -> OpaquePointer {
        var errorNumber: Int32 = 0
        var errorOffset = 0
        // SAFETY: PCRE2 reads the pattern only during the call.
        let code = pattern.withUnsafeBufferPointer { bytes in
            pcre2_compile_8(
                bytes.baseAddress, bytes.count, flags, &errorNumber, &errorOffset, nil)
        }
        guard let code else {
            var message = [UInt8](repeating: 0, count: 256)
            let length = message.withUnsafeMutableBufferPointer { buffer in
                pcre2_get_error_message_8(errorNumber, buffer.baseAddress, buffer.count)
            }
            let text = String(decoding: message.prefix(Int(max(length, 0))), as: UTF8.self)
            throw DBError(
                .invalidRegex, "Regular expression is invalid: \(text) at offset \(errorOffset)")
        }
        // Without JIT the interpreter runs: slower, same answers.
        _ = pcre2_jit_compile_8(code, PCRE2_JIT_COMPLETE)
        return code
    }

    /// Whether the value is a string or symbol in which the pattern is found, or a regex with the
    /// same pattern and options.
    func matches(_ value: ValueView, _ scratch: inout MatchScratch) throws(DBError) -> Bool {
        switch value.type {
        case .string, .symbol:
            guard let utf8 = value.utf8 else { return false }
            return try matches(utf8: utf8, &scratch)
        case .regex:
            guard let regex = value.regex else { return false }
            let (pattern, options) = (pattern, options)
            return regex.pattern.equals(pattern.span.bytes)
                && regex.options.equals(options.span.bytes)
        default: return false
        }
    }

    /// Whether the pattern is found in the text. Error: 51156 when the search takes too many steps.
    package func matches(
        utf8: RawSpan, _ scratch: inout MatchScratch
    ) throws(DBError) -> Bool {
        if isPrefixOnly, let literalPrefix { return utf8.starts(with: literalPrefix.span.bytes) }
        let memory = try scratch.regexMemory()
        let status = utf8.withUnsafeBytes { bytes in
            // SAFETY: PCRE2 reads the subject only during the call; `memory` is the caller's alone.
            let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
            let status = pcre2_match_8(
                code, start, bytes.count, 0, 0, memory.data, memory.context)
            // Machine code works on a small stack; the interpreter takes what the limits allow.
            guard status == PCRE2_ERROR_JIT_STACKLIMIT else { return status }
            return pcre2_match_8(
                code, start, bytes.count, 0, PCRE2_NO_JIT, memory.data, memory.context)
        }
        if status >= 0 { return true }
        if status == PCRE2_ERROR_NOMATCH { return false }
        throw Self.tooManySteps(status)
    }

    /// The error of a search that its bounds ended.
    static func tooManySteps(_ status: Int32) -> DBError {
        DBError(
            DBError.Code(rawValue: 51156),
            "Error occurred while executing the regular expression: it takes too many steps "
                + "(PCRE2 error \(status))")
    }

    // MARK: Prefix

    /// The literal that every match begins with, and whether nothing more is asked.
    private static func literalPrefix(
        of pattern: [UInt8], options: [UInt8]
    ) -> (prefix: [UInt8]?, isAll: Bool) {
        let none: ([UInt8]?, Bool) = (nil, false)
        if options.contains(where: { $0 == UInt8(ascii: "i") || $0 == UInt8(ascii: "x") }) {
            return none
        }
        var rest = pattern[...]
        if rest.first == UInt8(ascii: "^"), !options.contains(UInt8(ascii: "m")) {
            rest = rest.dropFirst()
        } else if rest.starts(with: Array("\\A".utf8)) {
            rest = rest.dropFirst(2)
        } else {
            return none
        }
        if pattern.contains(UInt8(ascii: "|")) { return none }
        var prefix: [UInt8] = []
        var lastStart = 0
        scan: while let byte = rest.first {
            var literal = byte
            var size = 1
            switch byte {
            case UInt8(ascii: "*"), UInt8(ascii: "?"), UInt8(ascii: "{"):
                // The last character may be absent.
                prefix.removeSubrange(lastStart...)
                break scan
            case UInt8(ascii: "\\"):
                guard let escaped = rest.dropFirst().first, escaped < 0x80,
                    !isWordByte(escaped)
                else { break scan }
                literal = escaped
                size = 2
            case UInt8(ascii: "."), UInt8(ascii: "["), UInt8(ascii: "("), UInt8(ascii: ")"),
                UInt8(ascii: "$"), UInt8(ascii: "+"), UInt8(ascii: "^"):
                break scan
            default: break
            }
            // A quantifier takes away a whole character, not a byte of it.
            if literal & 0xC0 != 0x80 { lastStart = prefix.count }
            prefix.append(literal)
            rest = rest.dropFirst(size)
        }
        if prefix.isEmpty { return none }
        return (prefix, rest.isEmpty || rest.elementsEqual(".*".utf8))
    }

    private static func isWordByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: false
        }
    }
}

extension RegexPredicate: Hashable {
    /// The same pattern and options.
    package static func == (left: RegexPredicate, right: RegexPredicate) -> Bool {
        left.pattern == right.pattern && left.options == right.options
    }

    /// Hashes pattern and options.
    package func hash(into hasher: inout Hasher) {
        hasher.combine(pattern)
        hasher.combine(options)
    }
}

extension DBError.Code {
    /// 51091: a regular expression that does not compile.
    static let invalidRegex = DBError.Code(rawValue: 51091)
}

/// What searches write to: one per scratch, freed with it.
struct RegexMemory: ~Copyable {
    /// Most steps of one search.
    static let stepsMax: UInt32 = 500_000
    /// Deepest nesting of backtracking points.
    static let depthMax: UInt32 = 100_000
    /// Most memory of one search, in KiB.
    static let heapKiBMax: UInt32 = 20_000

    let data: OpaquePointer
    let context: OpaquePointer

    /// Room for the places of the match and of as many groups.
    init(groups: UInt32 = 0) throws(DBError) {
        guard let data = pcre2_match_data_create_8(groups + 1, nil) else { throw Self.noMemory }
        guard let context = pcre2_match_context_create_8(nil) else {
            pcre2_match_data_free_8(data)
            throw Self.noMemory
        }
        pcre2_set_match_limit_8(context, Self.stepsMax)
        pcre2_set_depth_limit_8(context, Self.depthMax)
        pcre2_set_heap_limit_8(context, Self.heapKiBMax)
        self.data = data
        self.context = context
    }

    deinit {
        pcre2_match_data_free_8(data)
        pcre2_match_context_free_8(context)
    }

    private static var noMemory: DBError {
        DBError(.exceededMemoryLimit, "No memory for the search of a regular expression")
    }
}
