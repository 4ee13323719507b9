// $indexOfBytes $indexOfCP $replaceOne $replaceAll.

import BSON

enum StringSearchOperators {
    private static let replaceArguments: [NamedArgument] = [
        .required("input", 51749), .required("find", 51748), .required("replacement", 51747),
    ]

    static let rows: [OperatorRow] = [
        .list("$indexOfBytes", 2...4, .passed) { arguments, context throws(DBError) in
            try indexOf(arguments, "$indexOfBytes", codePoints: false, &context)
        },
        .list("$indexOfCP", 2...4, .passed) { arguments, context throws(DBError) in
            try indexOf(arguments, "$indexOfCP", codePoints: true, &context)
        },
        .named(
            "$replaceOne", replaceArguments, notObject: 51751, unknown: 51750
        ) { arguments, context throws(DBError) in
            try replace(arguments, "$replaceOne", all: false, &context)
        },
        .named(
            "$replaceAll", replaceArguments, notObject: 51751, unknown: 51750
        ) { arguments, context throws(DBError) in
            try replace(arguments, "$replaceAll", all: true, &context)
        },
    ]

    private static func indexOf(
        _ arguments: Arguments, _ name: String, codePoints: Bool,
        _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        let input = arguments(0, context)
        if input.isNullish { return .null }
        guard input.isType(.string) else {
            throw .location(
                codePoints ? 40093 : 40091,
                "\(name) requires a string as the first argument, found: \(input.typeName)")
        }
        let wanted = arguments(1, context)
        guard wanted.isType(.string) else {
            throw .location(
                codePoints ? 40094 : 40092,
                "\(name) requires a string as the second argument, found: \(wanted.typeName)")
        }
        let text = input.utf8
        let size = codePoints ? text.codePointCount : text.byteCount
        let start =
            arguments.count > 2 ? try position(arguments(2, context), name, "starting") : 0
        let end =
            arguments.count > 3
            ? min(try position(arguments(3, context), name, "ending"), size) : size
        guard start <= end else { return context.make(Int32(-1)) }
        guard codePoints else {
            let found = text.extracting(start..<end).firstOffset(of: wanted.utf8, from: 0)
            return context.make(Int32(truncatingIfNeeded: found.map { $0 + start } ?? -1))
        }
        if text.byteCount == 0, wanted.utf8.byteCount == 0 { return context.make(Int32(0)) }
        // By code points the match must begin before the end; by bytes it must lie before it.
        let from = text.offset(ofCodePoint: start, from: 0)
        let limit = text.offset(ofCodePoint: end - start, from: from)
        guard let found = text.firstOffset(of: wanted.utf8, from: from), found < limit else {
            return context.make(Int32(-1))
        }
        let distance = text.extracting(from..<found).codePointCount
        return context.make(Int32(truncatingIfNeeded: start + distance))
    }

    /// A position argument: a whole int32 (else 40096), not negative (else 40097).
    static func position(
        _ value: ValueRef, _ name: String, _ which: String
    ) throws(DBError) -> Int {
        let position = try Coercion.wholeInt32(
            value, "\(name)'s \(which) index", notNumeric: 40096, notWhole: 40096)
        guard position >= 0 else {
            throw .location(
                40097, "\(name) requires a nonnegative \(which) index, found: \(position)")
        }
        return position
    }

    private static func replace(
        _ arguments: Arguments, _ name: String, all: Bool, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        let input = arguments(0, context)
        let find = arguments(1, context)
        let replacement = arguments(2, context)
        try checkString(input, name, "input", 10_503_904)
        try checkString(find, name, "find", 10_503_901)
        try checkString(replacement, name, "replacement", 10_503_902)
        if input.isNullish || find.isNullish || replacement.isNullish { return .null }
        let text = input.utf8
        let needle = find.utf8
        let offsets = try occurrences(of: needle, in: text, all: all, &context)
        guard !offsets.isEmpty else { return input }
        let size =
            text.byteCount + offsets.count * (replacement.utf8.byteCount - needle.byteCount)
        try StringOperators.checkSize(size)
        var builder = StringBuilder(&context, byteCount: size)
        var from = 0
        for offset in offsets {
            builder.append(text.extracting(from..<offset))
            builder.append(replacement.utf8)
            from = offset + needle.byteCount
        }
        builder.append(text.extracting(from..<text.byteCount))
        return builder.value
    }

    private static func checkString(
        _ value: ValueRef, _ name: String, _ what: String, _ code: Int32
    ) throws(DBError) {
        guard value.isType(.string) || value.isNullish else {
            throw .location(
                code, "\(name) requires that '\(what)' be a string, found: \(value.typeName)")
        }
    }

    /// Where `needle` begins, without overlaps; an empty one before every code point and at the end.
    private static func occurrences(
        of needle: RawSpan, in text: RawSpan, all: Bool, _ context: inout EvaluationContext
    ) throws(DBError) -> [Int] {
        var offsets: [Int] = []
        var from = 0
        while let offset = text.firstOffset(of: needle, from: from) {
            offsets.append(offset)
            try context.checkBounds(growth: offsets.count * 8)
            if !all { break }
            from = offset + needle.byteCount
            if needle.byteCount == 0 {
                if from == text.byteCount { break }
                from = text.offset(ofCodePoint: 1, from: from)
            }
        }
        return offsets
    }
}
