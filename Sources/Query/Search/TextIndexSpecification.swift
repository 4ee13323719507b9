// Text indexes: which fields they hold, and the terms of a document.

internal import BSON

/// What a text index is over.
package final class TextIndexSpecification: Sendable {
    /// The fields' paths and weights, in order of their names.
    let weights: [(path: String, weight: Double)]
    /// The weight of fields that are not named; nil where only named ones are held.
    let otherWeight: Double?
    /// The language of documents that name none.
    let language: TextLanguage
    /// The field by which a document, or an object within, names its language.
    package let overrideField: String
    private let overrideBytes: [UInt8]
    private let weightOf: [String: Double]
    /// Every path above a field.
    private let prefixes: Set<String>

    /// `weights` may name `$**` for all other fields.
    init(weights: [(path: String, weight: Double)], language: TextLanguage, overrideField: String) {
        otherWeight = weights.first { $0.path == "$**" }?.weight
        self.weights = weights.filter { $0.path != "$**" }
        self.language = language
        self.overrideField = overrideField
        overrideBytes = Array(overrideField.utf8)
        weightOf = Dictionary(weights.map { ($0.path, $0.weight) }, uniquingKeysWith: { $1 })
        var prefixes: Set<String> = []
        for (path, _) in weights {
            var rest = path[...]
            while let dot = rest.lastIndex(of: ".") {
                rest = rest[..<dot]
                prefixes.insert(String(rest))
            }
        }
        self.prefixes = prefixes
    }

    /// The language's name, as it is listed.
    package var languageName: String { language.name }

    /// The weights as they are listed: in order of their names, whole.
    package var listedWeights: [(path: String, weight: Int32)] {
        weightOf.map { ($0.key, Int32(clamping: Int64($0.value))) }.sorted { $0.path < $1.path }
    }

    /// Whether a change of some paths may change a document's terms.
    func mayChange(_ touches: (FieldPath) -> Bool) -> Bool {
        if otherWeight != nil || touches(FieldPath(overrideField)) { return true }
        return weights.contains { touches(FieldPath($0.path)) }
            || prefixes.contains { touches(FieldPath($0 + "." + overrideField)) }
    }

    /// The distinct terms of a document.
    /// - Throws: 17262 for a language that is not known.
    func terms(of document: DocumentView) throws(DBError) -> Set<String> {
        var terms: Set<String> = []
        try forEachText(in: document) { text, _, tokenizer in
            tokenizer.forEachTerm(in: text, TextSensitivity()) { terms.insert($0) }
        }
        return terms
    }

    /// Gives each indexed text of a document to `body`, with its field's weight and a tokenizer of
    /// its language.
    func forEachText(
        in document: DocumentView,
        _ body: (_ text: String, _ weight: Double, _ tokenizer: TextTokenizer) -> Void
    ) throws(DBError) {
        try walk(document, "", TextTokenizer(language), body)
    }

    private func walk(
        _ object: DocumentView, _ prefix: String, _ outer: TextTokenizer,
        _ body: (String, Double, TextTokenizer) -> Void
    ) throws(DBError) {
        var tokenizer = outer
        if let given = Self.language(in: object, overrideBytes) {
            guard let language = TextLanguage(given) else {
                throw DBError(
                    DBError.Code(rawValue: 17262), "language override unsupported: '\(given)'")
            }
            if language != outer.language { tokenizer = TextTokenizer(language) }
        }
        var elements = object.makeIterator()
        while let element = elements.next() {
            let path = prefix.isEmpty ? element.nameString : prefix + "." + element.nameString
            let isLanguage = element.nameString == overrideField
            if isLanguage, weightOf[path] == nil { continue }
            if let array = element.value.array {
                var members = array.makeIterator()
                while let member = members.next() {
                    try visit(member.value, path, tokenizer, body)
                }
            } else {
                try visit(element.value, path, tokenizer, body)
            }
        }
    }

    /// What an object says its language is; empty where that is no string, nil without the field.
    private static func language(in object: DocumentView, _ field: [UInt8]) -> String? {
        guard let value = object.value(field.span.bytes) else { return nil }
        return value.string ?? ""
    }

    private func visit(
        _ value: ValueView, _ path: String, _ tokenizer: TextTokenizer,
        _ body: (String, Double, TextTokenizer) -> Void
    ) throws(DBError) {
        if value.type == .string {
            guard let weight = weightOf[path] ?? otherWeight, let text = value.string else {
                return
            }
            body(text, weight, tokenizer)
        } else if let object = value.document, otherWeight != nil || prefixes.contains(path) {
            try walk(object, path, tokenizer, body)
        }
    }
}
