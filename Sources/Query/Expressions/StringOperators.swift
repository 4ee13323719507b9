// $concat $toLower $toUpper $substr $substrBytes $substrCP $strLenBytes $strLenCP $strcasecmp $split.

import BSON

enum StringOperators {
    static let rows: [OperatorRow] = [
        .list("$concat", OperatorTable.any, .passed, concat),
        .list("$toLower", 1...1, .passed) { arguments, context throws(DBError) in
            try mapASCII(arguments(0, context), "$toLower", 65...90, &context)
        },
        .list("$toUpper", 1...1, .passed) { arguments, context throws(DBError) in
            try mapASCII(arguments(0, context), "$toUpper", 97...122, &context)
        },
        .list("$substr", 3...3, .passed, substringBytes),
        .list("$substrBytes", 3...3, .passed, substringBytes),
        .list("$substrCP", 3...3, .passed, substringCodePoints),
        .list("$strLenBytes", 1...1, .passed) { arguments, context throws(DBError) in
            let value = arguments(0, context)
            guard value.isType(.string) else {
                throw .location(
                    34473, "$strLenBytes requires a string argument, found: \(value.typeName)")
            }
            return context.make(Int32(truncatingIfNeeded: value.utf8.byteCount))
        },
        .list("$strLenCP", 1...1, .passed) { arguments, context throws(DBError) in
            let value = arguments(0, context)
            guard value.isType(.string) else {
                throw .location(
                    34471, "$strLenCP requires a string argument, found: \(value.typeName)")
            }
            return context.make(Int32(truncatingIfNeeded: value.utf8.codePointCount))
        },
        .list("$strcasecmp", 2...2, .passed, compareFolded),
        .list("$split", 2...2, .passed, split),
    ]

    @Sendable
    private static func concat(
        _ arguments: Arguments, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        var byteCount = 0
        for index in 0..<arguments.count {
            let value = arguments(index, context)
            if value.isNullish { return .null }
            guard value.isType(.string) else {
                throw .location(16702, "$concat only supports strings, not \(value.typeName)")
            }
            byteCount += value.utf8.byteCount
        }
        try checkSize(byteCount)
        var builder = StringBuilder(&context, byteCount: byteCount)
        for index in 0..<arguments.count { builder.append(arguments(index, context).utf8) }
        return builder.value
    }

    /// Refuses strings that no document could hold.
    static func checkSize(_ byteCount: Int) throws(DBError) {
        guard byteCount <= Limits.documentBytesMax else {
            throw DBError(
                .bsonObjectTooLarge,
                "A string expression's result of \(byteCount) bytes is larger "
                    + "than a document may be")
        }
    }

    /// Moves the letters in `letters` to the other case; only ASCII ones.
    private static func mapASCII(
        _ value: ValueRef, _ name: String, _ letters: ClosedRange<UInt8>,
        _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        let utf8 = try text(value, name, &context).utf8
        var builder = StringBuilder(&context, byteCount: utf8.byteCount)
        for index in 0..<utf8.byteCount {
            let byte = utf8.unsafeLoad(fromByteOffset: index, as: UInt8.self)
            builder.append(letters.contains(byte) ? byte ^ 0x20 : byte)
        }
        return builder.value
    }

    /// A string for operators that take numbers and dates as text: null gives "".
    static func text(
        _ value: ValueRef, _ name: String, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        if value.isNullish { return context.make("") }
        switch value.type {
        case .string, .symbol, .code: return value
        case .int32, .int64, .double, .decimal128, .date, .timestamp:
            return context.make(TextConversion.coercedText(value) ?? "")
        default:
            throw .location(
                16007, "can't convert from BSON type \(value.typeName) to String")
        }
    }

    // MARK: Substrings

    @Sendable
    private static func substringBytes(
        _ arguments: Arguments, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        let utf8 = try text(arguments(0, context), "$substrBytes", &context).utf8
        guard let start = Number(arguments(1, context)) else {
            throw .location(
                16034,
                "$substrBytes:  starting index must be a numeric type (is BSON type "
                    + "\(arguments(1, context).typeName))")
        }
        guard let length = Number(arguments(2, context)) else {
            throw .location(
                16035,
                "$substrBytes:  length must be a numeric type (is BSON type "
                    + "\(arguments(2, context).typeName))")
        }
        let from = try truncated(start)
        let size = try truncated(length)
        guard from >= 0 else {
            throw .location(
                50752, "$substrBytes:  starting index must be non-negative (got: \(from))")
        }
        let limit = Int64(utf8.byteCount)
        let isContinuation = { (offset: Int64) in
            offset < limit
                && utf8.unsafeLoad(fromByteOffset: Int(offset), as: UInt8.self) & 0xC0 == 0x80
        }
        if isContinuation(from) {
            throw .location(
                28656, "$substrBytes:  Invalid range, starting index is a UTF-8 continuation byte.")
        }
        guard from < limit else { return context.make("") }
        let end = size < 0 ? limit : min(limit, from + size)
        if isContinuation(end) {
            throw .location(
                28657,
                "$substrBytes:  Invalid range, ending index is in the middle of a UTF-8 "
                    + "character.")
        }
        return context.makeString(utf8.extracting(Int(from)..<Int(end)))
    }

    /// A position as MongoDB's substring takes it: truncated; 31109 out of int64's range.
    private static func truncated(_ number: Number) throws(DBError) -> Int64 {
        let whole: Int64? =
            switch number {
            case .int32(let value): Int64(value)
            case .int64(let value): value
            case .double(let value): Int64(exactly: value.rounded(.towardZero))
            // Decimals round to even, and what fits no int64 is its smallest.
            case .decimal(let value):
                value.rounded(.toNearestOrEven).exactInt64 ?? Int64.min
            }
        guard let whole else {
            throw .location(31109, "Can't coerce out of range value to long")
        }
        // Far beyond any string; keeps sums of two positions in range.
        return min(max(whole, -1 << 40), 1 << 40)
    }

    @Sendable
    private static func substringCodePoints(
        _ arguments: Arguments, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        let utf8 = try text(arguments(0, context), "$substrCP", &context).utf8
        let start = try Coercion.wholeInt32(
            arguments(1, context), "$substrCP's starting index", notNumeric: 34450, notWhole: 34451)
        let length = try Coercion.wholeInt32(
            arguments(2, context), "$substrCP's length", notNumeric: 34452, notWhole: 34453)
        guard length >= 0 else {
            throw .location(34454, "$substrCP's length must be non-negative")
        }
        guard start >= 0 else {
            throw .location(34455, "$substrCP's starting index must be non-negative")
        }
        let from = utf8.offset(ofCodePoint: start, from: 0)
        let end = utf8.offset(ofCodePoint: length, from: from)
        return context.makeString(utf8.extracting(from..<end))
    }

    // MARK: Comparing, splitting

    @Sendable
    private static func compareFolded(
        _ arguments: Arguments, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        let left = try text(arguments(0, context), "$strcasecmp", &context).utf8
        let right = try text(arguments(1, context), "$strcasecmp", &context).utf8
        for index in 0..<min(left.byteCount, right.byteCount) {
            let first = upper(left.unsafeLoad(fromByteOffset: index, as: UInt8.self))
            let second = upper(right.unsafeLoad(fromByteOffset: index, as: UInt8.self))
            if first != second { return context.make(Int32(first < second ? -1 : 1)) }
        }
        return context.make(Int32((left.byteCount - right.byteCount).signum()))
    }

    private static func upper(_ byte: UInt8) -> UInt8 {
        (97...122).contains(byte) ? byte - 32 : byte
    }

    @Sendable
    private static func split(
        _ arguments: Arguments, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        let input = arguments(0, context)
        let separator = arguments(1, context)
        if input.isNullish || separator.isNullish { return .null }
        guard input.isType(.string) else {
            throw .location(
                40085,
                "$split requires an expression that evaluates to a string as a first "
                    + "argument, found: \(input.typeName)")
        }
        guard separator.isType(.string) else {
            throw .location(
                40086,
                "$split requires an expression that evaluates to a string as a second "
                    + "argument, found: \(separator.typeName)")
        }
        let needle = separator.utf8
        guard needle.byteCount > 0 else {
            throw .location(40087, "$split requires a non-empty separator")
        }
        let start = context.stack.count
        let text = input.utf8
        var from = 0
        while true {
            let end = text.firstOffset(of: needle, from: from) ?? text.byteCount
            let part = context.makeString(text.extracting(from..<end))
            context.stack.append(part)
            if end == text.byteCount { break }
            from = end + needle.byteCount
            if from == text.byteCount {
                let empty = context.make("")
                context.stack.append(empty)
                break
            }
            try context.checkBounds()
        }
        return context.makeArray(fromStack: start)
    }
}
