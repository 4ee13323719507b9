// $trim $ltrim $rtrim.

import BSON

enum TrimOperators {
    private static let names: [NamedArgument] = [.required("input", 50695), .optional("chars")]

    static let rows: [OperatorRow] = [
        .named("$trim", names, notObject: 50696, unknown: 50694) {
            arguments, context throws(DBError) in
            try trim(arguments, "$trim", left: true, right: true, &context)
        },
        .named("$ltrim", names, notObject: 50696, unknown: 50694) {
            arguments, context throws(DBError) in
            try trim(arguments, "$ltrim", left: true, right: false, &context)
        },
        .named("$rtrim", names, notObject: 50696, unknown: 50694) {
            arguments, context throws(DBError) in
            try trim(arguments, "$rtrim", left: false, right: true, &context)
        },
    ]

    /// What is trimmed where no characters are named: NUL, ASCII's and Unicode's white space.
    private static let whiteSpace: [UInt8] = Array(
        ("\u{0}\u{20}\u{9}\u{A}\u{B}\u{C}\u{D}\u{A0}\u{1680}\u{2000}\u{2001}\u{2002}\u{2003}\u{2004}"
            + "\u{2005}\u{2006}\u{2007}\u{2008}\u{2009}\u{200A}").utf8)

    private static func trim(
        _ arguments: Arguments, _ name: String, left: Bool, right: Bool,
        _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        let input = arguments(0, context)
        let characters = arguments(1, context)
        if input.isNullish { return .null }
        guard input.isType(.string) else {
            throw .location(
                50699, "\(name) requires its input to be a string, got \(input.typeName) instead.")
        }
        if characters.isNullish, !characters.isAbsent { return .null }
        guard characters.isAbsent || characters.isType(.string) else {
            throw .location(
                50700,
                "\(name) requires 'chars' to be a string, got \(characters.typeName) "
                    + "instead.")
        }
        let set = characters.isAbsent ? whiteSpace.span.bytes : characters.utf8
        let text = input.utf8
        var start = 0
        var end = text.byteCount
        while left, start < end {
            try context.interrupts.spend(1 + set.byteCount &>> 3)
            let next = text.offset(ofCodePoint: 1, from: start)
            guard contains(set, text.extracting(start..<next)) else { break }
            start = next
        }
        while right, start < end {
            try context.interrupts.spend(1 + set.byteCount &>> 3)
            var previous = end - 1
            while previous > start,
                text.unsafeLoad(fromByteOffset: previous, as: UInt8.self) & 0xC0 == 0x80
            {
                previous -= 1
            }
            guard contains(set, text.extracting(previous..<end)) else { break }
            end = previous
        }
        return context.makeString(text.extracting(start..<end))
    }

    private static func contains(_ set: RawSpan, _ codePoint: RawSpan) -> Bool {
        var start = 0
        while start < set.byteCount {
            let next = set.offset(ofCodePoint: 1, from: start)
            if set.extracting(start..<next).equals(codePoint) { return true }
            start = next
        }
        return false
    }
}
