// $regexMatch $regexFind $regexFindAll.

import BSON

enum RegexOperators {
    static let rows: [OperatorRow] = [
        row("$regexMatch") { search, input, context throws(DBError) in
            guard let search else { return context.make(false) }
            return context.make(try search.find(in: input.utf8, from: 0))
        },
        row("$regexFind") { search, input, context throws(DBError) in
            guard let search, try search.find(in: input.utf8, from: 0),
                let range = search.range(ofGroup: 0)
            else { return .null }
            let index = input.utf8.extracting(0..<range.lowerBound).codePointCount
            return found(range, index, input, search, &context)
        },
        row("$regexFindAll", findAll),
    ]

    /// Gets the compiled pattern and the input; no pattern if either was null.
    private typealias Function =
        @Sendable (RegexSearch?, ValueRef, inout EvaluationContext) throws(DBError) -> ValueRef

    private static func row(_ name: String, _ function: @escaping Function) -> OperatorRow {
        .named(
            name, [.required("input", 31022), .required("regex", 31023), .optional("options")],
            notObject: 51103, unknown: 31024
        ) { arguments, context throws(DBError) in
            let search = try search(arguments, name, &context)
            let input = arguments(0, context)
            if input.isNullish { return try function(nil, input, &context) }
            guard input.isType(.string) else {
                throw .location(51104, "\(name) needs 'input' to be of type string")
            }
            return try function(search, input, &context)
        }
    }

    // MARK: Patterns

    private static func search(
        _ arguments: Arguments, _ name: String, _ context: inout EvaluationContext
    ) throws(DBError) -> RegexSearch? {
        let options = arguments(2, context)
        guard options.isNullish || options.isType(.string) else {
            throw .location(51106, "\(name) needs 'options' to be of type string")
        }
        let pattern = arguments(1, context)
        if pattern.isNullish { return nil }
        let letters = options.isNullish ? ValueRef(.string, RawSpan()) : options
        if let regex = pattern.view.regex {
            if regex.options.byteCount > 0, !options.isNullish {
                throw .location(
                    51107,
                    "\(name): found regex option(s) specified in both 'regex' and 'option' fields")
            }
            return try compiled(
                regex.pattern, regex.options.byteCount > 0 ? regex.options : letters.utf8, name,
                &context)
        }
        guard pattern.isType(.string) else {
            throw .location(51105, "\(name) needs 'regex' to be of type string or regex")
        }
        return try compiled(pattern.utf8, letters.utf8, name, &context)
    }

    /// Longest pattern, in bytes (MongoDB's bound here, half of that in filters).
    private static let patternBytesMax = 16384

    private static func compiled(
        _ pattern: RawSpan, _ options: RawSpan, _ name: String,
        _ context: inout EvaluationContext
    ) throws(DBError) -> RegexSearch {
        if let known = context.searches.search(pattern, options) { return known }
        if hasNull(pattern) {
            throw .location(
                51109, "\(name): regular expression cannot contain an embedded null byte")
        }
        if hasNull(options) {
            throw .location(
                51110, "\(name): regular expression options cannot contain an embedded null byte")
        }
        guard pattern.byteCount <= patternBytesMax else {
            throw .location(
                51111,
                "Invalid Regex in \(name): the pattern has \(pattern.byteCount) bytes, at most "
                    + "\(patternBytesMax) are allowed")
        }
        do throws(DBError) {
            let predicate = try RegexPredicate(
                pattern: [UInt8](copying: pattern), options: [UInt8](copying: options))
            return try context.searches.add(RegexSearch(predicate))
        } catch {
            guard error.code == .invalidRegex else { throw error }
            throw .location(51111, "Invalid Regex in \(name): \(error.message)")
        }
    }

    private static func hasNull(_ text: RawSpan) -> Bool {
        for index in 0..<text.byteCount
        // SAFETY: below the size.
        where text.unsafeLoad(fromByteOffset: index, as: UInt8.self) == 0 { return true }
        return false
    }

    // MARK: Matches

    /// The document that describes a match: `{match, idx, captures}`.
    private static func found(
        _ range: Range<Int>, _ index: Int, _ input: ValueRef, _ search: RegexSearch,
        _ context: inout EvaluationContext
    ) -> ValueRef {
        let start = context.stack.count
        let names = context.names.count
        let match = context.makeString(input.utf8.extracting(range))
        let place = context.make(Int32(truncatingIfNeeded: index))
        context.stack.append(match)
        context.stack.append(place)
        let captures = context.stack.count
        for group in 1..<search.groupCount + 1 {
            let capture =
                search.range(ofGroup: group).map {
                    context.makeString(input.utf8.extracting($0))
                } ?? .null
            context.stack.append(capture)
        }
        let array = context.makeArray(fromStack: captures)
        context.stack.append(array)
        context.names.append(ValueRef(.string, RawSpan("match")))
        context.names.append(ValueRef(.string, RawSpan("idx")))
        context.names.append(ValueRef(.string, RawSpan("captures")))
        return context.makeDocument(fromStack: start, names: names)
    }

    @Sendable
    private static func findAll(
        _ search: RegexSearch?, _ input: ValueRef, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        let start = context.stack.count
        guard let search else { return context.makeArray(fromStack: start) }
        let text = input.utf8
        var from = 0
        var counted = 0
        var index = 0
        repeat {
            guard try search.find(in: text, from: from), let range = search.range(ofGroup: 0)
            else { break }
            index += text.extracting(counted..<range.lowerBound).codePointCount
            counted = range.lowerBound
            let match = found(range, index, input, search, &context)
            context.stack.append(match)
            try context.interrupts.spend(range.upperBound - from)
            try context.checkBounds()
            from = range.isEmpty ? text.offset(ofCodePoint: 1, from: counted) : range.upperBound
        } while from < text.byteCount
        return context.makeArray(fromStack: start)
    }
}

/// The last patterns that one execution has searched for.
struct RegexSearchCache {
    private var searches: [RegexSearch] = []
    private static let countMax = 8

    /// The compiled pattern, if it is one of the last.
    func search(_ pattern: RawSpan, _ options: RawSpan) -> RegexSearch? {
        for search in searches {
            let (known, letters) = (search.predicate.pattern, search.predicate.options)
            if known.span.bytes.equals(pattern), letters.span.bytes.equals(options) {
                return search
            }
        }
        return nil
    }

    /// Keeps a compiled pattern.
    mutating func add(_ search: RegexSearch) -> RegexSearch {
        if searches.count == Self.countMax { searches.removeFirst() }
        searches.append(search)
        return search
    }
}
