// $text: what is searched for, and how well a document answers it.
//
// A filter is read before its collection is known, so the predicate is made in two steps: parsed,
// and then bound to the collection's text index, whose language and fields decide the terms.

package import BSON

/// A search for words. Unbound until `bound(to:)`; only a bound one can be asked.
package final class TextPredicate: Sendable, Hashable {
    /// What the query says.
    struct Search: Sendable, Hashable {
        var text: String
        var language: TextLanguage?
        var sensitivity = TextSensitivity()
    }

    private let search: Search
    private let index: TextIndexSpecification?
    /// The terms as the index has them, any of which a match must hold.
    package let indexTerms: Set<String>
    /// The same as the query's sensitivity wants them.
    private let terms: Set<String>
    private let negatedTerms: Set<String>
    /// Texts that must be found, and that mustn't.
    private let phrases: [String]
    private let negatedPhrases: [String]

    init(_ search: Search) {
        self.search = search
        index = nil
        indexTerms = []
        terms = []
        negatedTerms = []
        phrases = []
        negatedPhrases = []
    }

    private init(_ search: Search, _ index: TextIndexSpecification) {
        self.search = search
        self.index = index
        let tokenizer = TextTokenizer(search.language ?? index.language)
        let words = Words(search.text, tokenizer)
        var indexTerms: Set<String> = []
        var terms: Set<String> = []
        var negated: Set<String> = []
        for text in words.wanted + words.phrases {
            tokenizer.forEachTerm(in: text, TextSensitivity()) { indexTerms.insert($0) }
            tokenizer.forEachTerm(in: text, search.sensitivity) { terms.insert($0) }
        }
        for text in words.negated {
            tokenizer.forEachTerm(in: text, search.sensitivity) { negated.insert($0) }
        }
        self.indexTerms = indexTerms
        self.terms = terms
        negatedTerms = negated
        phrases = words.phrases.map { TextTokenizer.folded($0, search.sensitivity) }
        negatedPhrases = words.negatedPhrases.map {
            TextTokenizer.folded($0, search.sensitivity)
        }
    }

    /// The same search by a text index.
    package func bound(to index: TextIndexSpecification) -> TextPredicate {
        TextPredicate(search, index)
    }

    /// Whether both ask for the same.
    package static func == (left: TextPredicate, right: TextPredicate) -> Bool {
        left.search == right.search
    }

    /// Hashes what is asked for.
    package func hash(into hasher: inout Hasher) { hasher.combine(search) }

    /// How well a document answers the search; nil where it doesn't.
    /// - Throws: `indexNotFound` (27) when unbound.
    package func score(of document: DocumentView) throws(DBError) -> Double? {
        guard let index else {
            throw DBError(.indexNotFound, "text index required for $text query")
        }
        var score = 0.0
        var isFound = false
        var isRefused = false
        var missing = phrases
        try index.forEachText(in: document) { text, weight, tokenizer in
            var counts = TermCounts()
            tokenizer.forEachTerm(in: text, search.sensitivity) { term in
                if negatedTerms.contains(term) { isRefused = true }
                counts.total += 1
                if terms.contains(term) { counts.add(term) }
            }
            if !counts.frequencies.isEmpty {
                isFound = true
                score += counts.score(of: text) * weight
            }
            guard !missing.isEmpty || !negatedPhrases.isEmpty else { return }
            let folded = TextTokenizer.folded(text, search.sensitivity)
            missing.removeAll { TextSearch.contains(folded, $0) }
            if negatedPhrases.contains(where: { TextSearch.contains(folded, $0) }) {
                isRefused = true
            }
        }
        return isFound && !isRefused && missing.isEmpty ? score : nil
    }
}

/// How often the searched terms stand in one field.
private struct TermCounts {
    struct Frequency {
        var count = 0.0
        /// What the next occurrence adds is one over this.
        var divisor = 1.0
        /// 1 for the first occurrence, then half, a quarter …
        var weight = 0.0
    }

    var total = 0.0
    var frequencies: [String: Frequency] = [:]

    mutating func add(_ term: String) {
        var frequency = frequencies[term] ?? Frequency()
        frequency.weight += 1 / frequency.divisor
        frequency.divisor *= 2
        frequency.count += 1
        frequencies[term] = frequency
    }

    /// MongoDB's score of a field of weight 1: more for terms that make up much of it, and a
    /// little for one that is all of it.
    func score(of text: String) -> Double {
        frequencies.reduce(0) { sum, entry in
            let share = 0.5 * entry.value.count / total + 0.5
            let isWhole =
                text.utf8.count == entry.key.utf8.count
                && text.lowercased() == entry.key.lowercased()
            return sum + entry.value.weight * share * (isWhole ? 1.1 : 1)
        }
    }
}

/// Looks for one text in another.
private enum TextSearch {
    static func contains(_ text: String, _ part: String) -> Bool {
        let bytes = Array(text.utf8)
        let wanted = Array(part.utf8)
        return bytes.span.bytes.firstOffset(of: wanted.span.bytes, from: 0) != nil
    }
}

/// The parts of a search: words, "phrases", and -negated ones of either.
private struct Words {
    var wanted: [String] = []
    var negated: [String] = []
    var phrases: [String] = []
    var negatedPhrases: [String] = []

    init(_ text: String, _ tokenizer: TextTokenizer) {
        var word = ""
        var isNegated = false
        var isPhrase = false
        var followsSpace = true
        for scalar in text.unicodeScalars {
            if scalar == "\"" {
                if isPhrase {
                    take(word, phrase: true, isNegated)
                    isNegated = false
                } else {
                    take(word, phrase: false, isNegated)
                    if !word.isEmpty { isNegated = false }
                }
                word = ""
                isPhrase.toggle()
                followsSpace = false
                continue
            }
            if isPhrase {
                word.unicodeScalars.append(scalar)
                continue
            }
            if scalar == "-", word.isEmpty {
                if followsSpace { isNegated = true }
            } else if tokenizer.isDelimiter(scalar) {
                take(word, phrase: false, isNegated)
                word = ""
                if scalar.properties.isWhitespace { isNegated = false }
            } else {
                word.unicodeScalars.append(scalar)
            }
            followsSpace = scalar.properties.isWhitespace
        }
        take(word, phrase: false, isNegated)
    }

    private mutating func take(_ text: String, phrase isPhrase: Bool, _ isNegated: Bool) {
        guard !text.isEmpty else { return }
        switch (isPhrase, isNegated) {
        case (false, false): wanted.append(text)
        case (false, true): negated.append(text)
        case (true, false): phrases.append(text)
        case (true, true): negatedPhrases.append(text)
        }
    }
}
