// From text to terms: words between delimiters, folded, stopped and stemmed.

internal import CICU

/// How much of the written form a term keeps.
struct TextSensitivity: Sendable, Hashable {
    var keepsCase = false
    var keepsMarks = false
}

/// Cuts text into words and folds them.
struct TextTokenizer {
    let language: TextLanguage
    private let stemmer: Stemmer

    init(_ language: TextLanguage) {
        self.language = language
        stemmer = Stemmer(language)
    }

    /// Gives each term of `text` to `body`; stop words give none.
    func forEachTerm(
        in text: String, _ sensitivity: TextSensitivity, _ body: (String) -> Void
    ) {
        forEachWord(in: text) { word in
            if let term = term(of: String(word), sensitivity) { body(term) }
        }
    }

    /// Gives each word between delimiters to `body`.
    private func forEachWord(in text: String, _ body: (Substring) -> Void) {
        var start: String.Index?
        let scalars = text.unicodeScalars
        var index = scalars.startIndex
        while index < scalars.endIndex {
            if isDelimiter(scalars[index]) {
                if let begin = start { body(Substring(scalars[begin..<index])) }
                start = nil
            } else if start == nil {
                start = index
            }
            index = scalars.index(after: index)
        }
        if let begin = start { body(Substring(scalars[begin...])) }
    }

    func isDelimiter(_ scalar: Unicode.Scalar) -> Bool {
        if scalar == "'" { return !language.joinsApostrophes }
        let properties = scalar.properties
        return properties.isWhitespace || properties.isPatternSyntax || properties.isDash
            || properties.isQuotationMark || Self.isEndOfSentence(properties.generalCategory)
    }

    private static func isEndOfSentence(_ category: Unicode.GeneralCategory) -> Bool {
        switch category {
        case .otherPunctuation, .openPunctuation, .closePunctuation, .control: true
        default: false
        }
    }

    /// The term of a word; nil for a stop word.
    func term(of word: String, _ sensitivity: TextSensitivity) -> String? {
        let lower = word.lowercased()
        if language.isStopWord(lower) { return nil }
        let stem = stemmer.stem(sensitivity.keepsCase ? word : lower)
        return sensitivity.keepsMarks ? stem : Self.withoutMarks(stem)
    }

    /// Text as phrases are looked for in it.
    static func folded(_ text: String, _ sensitivity: TextSensitivity) -> String {
        let cased = sensitivity.keepsCase ? text : text.lowercased()
        return sensitivity.keepsMarks ? cased : withoutMarks(cased)
    }

    /// The text without accents and other nonspacing marks.
    static func withoutMarks(_ text: String) -> String {
        guard !text.utf8.allSatisfy({ $0 < 0x80 }) else { return text }
        let bytes = text.utf8.map { CChar(bitPattern: $0) }
        guard let count = Int32(exactly: bytes.count), count < Int32.max / 12 else { return text }
        var result = [UInt8](repeating: 0, count: 12 * bytes.count)
        // SAFETY: both buffers live through the call, which writes within the second's size.
        let size = result.withUnsafeMutableBytes { buffer in
            cicu_without_marks(
                bytes, count, buffer.baseAddress?.assumingMemoryBound(to: CChar.self),
                Int32(buffer.count))
        }
        return size > 0 ? String(decoding: result.prefix(Int(size)), as: UTF8.self) : text
    }
}
