// The languages of text indexes: what they are called, their stemmers and stop words.

internal import BSON
internal import CStemmer

/// A language of text, or none: then words are neither stemmed nor stopped.
struct TextLanguage: Sendable, Hashable {
    /// MongoDB's name of the language, which is that of its stemmer.
    let name: String

    static let english = TextLanguage(name: "english")

    /// Names and codes, two letters of ISO 639-1 each.
    private static let codes: [String: String] = [
        "da": "danish", "nl": "dutch", "en": "english", "fi": "finnish", "fr": "french",
        "de": "german", "hu": "hungarian", "it": "italian", "nb": "norwegian",
        "pt": "portuguese", "ro": "romanian", "ru": "russian", "es": "spanish",
        "sv": "swedish", "tr": "turkish",
    ]
    private static let names = Set(codes.values).union(["none"])

    /// The language of that name or code, whatever its case; nil where there is none.
    init?(_ text: String) {
        let lower = text.lowercased()
        guard let name = Self.codes[lower] ?? (Self.names.contains(lower) ? lower : nil) else {
            return nil
        }
        self.name = name
    }

    private init(name: String) { self.name = name }

    /// Whether an apostrophe joins what it stands between.
    var joinsApostrophes: Bool { name == "english" }

    /// Whether a word, in lower case, carries too little meaning to be indexed.
    func isStopWord(_ word: String) -> Bool {
        name == "english" && StopWords.english.contains(word)
    }
}

/// A stemmer of one language; used by one thread.
final class Stemmer {
    private let handle: OpaquePointer?

    /// The stemmer of a language; for none, words are their own stems.
    init(_ language: TextLanguage) {
        handle = language.name == "none" ? nil : cstemmer_new(language.name)
    }

    deinit {
        if let handle { cstemmer_free(handle) }
    }

    /// The stem of a word.
    func stem(_ word: String) -> String {
        guard let handle else { return word }
        var size = 0
        let bytes = Array(word.utf8)
        // SAFETY: libstemmer lends `size` bytes until its next call; they are copied at once.
        guard let stem = cstemmer_stem(handle, bytes, bytes.count, &size) else { return word }
        return String(decoding: UnsafeBufferPointer(start: stem, count: size), as: UTF8.self)
    }
}

/// Words that are left out of indexes.
enum StopWords {
    /// Articles, pronouns, auxiliaries, prepositions and the like.
    static let english = Set(
        """
        a about above after again against all am an and any are aren't as at be because been before
        being below between both but by can't cannot could couldn't did didn't do does doesn't doing
        don't down during each few for from further had hadn't has hasn't have haven't having he
        he'd he'll he's her here here's hers herself him himself his how how's i i'd i'll i'm i've
        if in into is isn't it it's its itself let's me more most mustn't my myself no nor not of
        off on once only or other ought our ours ourselves out over own same shan't she she'd
        she'll she's should shouldn't so some such than that that's the their theirs them
        themselves then there there's these they they'd they'll they're they've this those through
        to too under until up very was wasn't we we'd we'll we're we've were weren't what what's
        when when's where where's which while who who's whom why why's with won't would wouldn't
        you you'd you'll you're you've your yours yourself yourselves
        """.split(whereSeparator: \.isWhitespace).map(String.init))
}
