// Reading key patterns, with the options that belong to the kinds of index.

package import BSON

/// Options of an index that say what its special parts hold.
package struct IndexKindOptions: Sendable {
    /// The weights of a text index, as given.
    package var weights: OwnedValue?
    /// The language of texts that name none.
    package var defaultLanguage = "english"
    /// The field that names a text's language.
    package var languageOverride = "language"
    /// The fields of a wildcard index, as given.
    package var wildcardProjection: Document?
    /// How a 2d index cuts the plane.
    package var grid = PlaneGrid()

    /// MongoDB's defaults.
    package init() {}
}

extension IndexKeyPattern {
    /// Reads a key pattern such as `{a: 1, "b.c": -1, d: "hashed"}`.
    ///
    /// Errors: 67 CannotCreateIndex for an empty pattern, bad names, directions that are no number
    /// or zero, unknown kinds and kinds that don't go together; 13103 more than 32 parts; 31303
    /// two hashed parts; 7246201, 7246209 and those of `WildcardPaths` for wildcards.
    package static func parse(
        _ key: DocumentView, collation: Collation? = nil,
        options: IndexKindOptions = IndexKindOptions()
    ) throws(DBError) -> IndexKeyPattern {
        var reader = KeyPatternReader()
        var elements = key.makeIterator()
        while let element = elements.next() { try reader.take(element) }
        return try reader.finish(collation, options)
    }
}

/// What has been read of a key pattern so far.
private struct KeyPatternReader {
    private var parts: [IndexPart] = []
    /// The fields of a text index.
    private var texts: [String] = []
    /// Where the text part stands.
    private var textPosition: Int?

    private static func refuse(_ message: String) -> DBError {
        DBError(.cannotCreateIndex, message)
    }

    mutating func take(_ element: ElementView) throws(DBError) {
        let name = element.nameString
        if parts.count + texts.count == keyPartsMax {
            throw DBError(
                DBError.Code(rawValue: 13103), "too many compound keys: at most \(keyPartsMax)")
        }
        let kind = try Self.kind(element.value, name)
        // The form in which a text index is stored.
        if kind == .text, name == "_fts" { return try beginText() }
        if name == "_ftsx", textPosition != nil { return }
        if kind == .text {
            try beginText()
            guard !texts.contains(name) else {
                throw Self.refuse("duplicate field '\(name)' in the index key")
            }
            if name != "$**" { _ = try Self.path(name) }
            texts.append(name)
            return
        }
        if Self.isWildcard(name) {
            guard kind == .ordered else {
                throw Self.refuse("A wildcard index can't be of another kind: '\(name)'")
            }
            if parts.contains(where: { $0.kind == .wildcard }) {
                throw DBError(
                    DBError.Code(rawValue: 7_246_201),
                    "wildcard indexes do not allow more than one wildcard field")
            }
            let root = name == "$**" ? .wholeValue : try Self.path(String(name.dropLast(4)))
            parts.append(
                IndexPart(
                    path: root, descending: try Self.direction(element.value, name),
                    kind: .wildcard))
            return
        }
        let path = try Self.path(name)
        if parts.contains(where: { $0.path == path && $0.kind != .wildcard }) {
            throw Self.refuse("duplicate field '\(name)' in the index key")
        }
        let descending = kind == .ordered ? try Self.direction(element.value, name) : false
        parts.append(IndexPart(path: path, descending: descending, kind: kind))
    }

    private mutating func beginText() throws(DBError) {
        guard let textPosition else {
            textPosition = parts.count
            parts.append(IndexPart(path: FieldPath("_fts"), descending: false, kind: .text))
            return
        }
        guard textPosition == parts.count - 1 else {
            throw Self.refuse("'text' fields in index must all be adjacent")
        }
    }

    func finish(
        _ collation: Collation?, _ options: IndexKindOptions
    ) throws(DBError) -> IndexKeyPattern {
        if parts.isEmpty { throw Self.refuse("Index keys cannot be empty.") }
        var kinds = Set(parts.map(\.kind))
        let hashed = parts.count { $0.kind == .hashed }
        if hashed > 1 {
            throw DBError(
                DBError.Code(rawValue: 31303),
                "A maximum of one index field is allowed to be hashed but found \(hashed)")
        }
        kinds.remove(.ordered)
        if kinds.count > 1 {
            throw Self.refuse("An index can be of one special kind only")
        }
        if let first = parts.first, kinds.contains(.plane), first.kind != .plane {
            throw Self.refuse("2d has to be first in index")
        }
        if kinds.contains(.plane), parts.count(where: { $0.kind == .plane }) > 1 {
            throw Self.refuse("can't have 2 geo fields")
        }
        if collation != nil, kinds.contains(.text) || kinds.contains(.plane) {
            throw Self.refuse(
                "Index type '\(kinds.contains(.text) ? "text" : "2d")' does not support "
                    + "collation: use {locale: 'simple'}")
        }
        return IndexKeyPattern(
            parts, collation: collation,
            text: textPosition == nil ? nil : try text(options),
            wildcard: try wildcard(options), grid: options.grid)
    }

    private func wildcard(_ options: IndexKindOptions) throws(DBError) -> WildcardPaths? {
        guard let part = parts.first(where: { $0.kind == .wildcard }) else {
            guard options.wildcardProjection == nil else {
                throw DBError(
                    .badValue, "The field 'wildcardProjection' is only allowed in wildcard indexes")
            }
            return nil
        }
        if options.wildcardProjection != nil, !part.path.segments.isEmpty {
            throw DBError(
                .failedToParse,
                "The field 'wildcardProjection' is only allowed when key is {\"$**\": 1}")
        }
        let paths = try WildcardPaths(
            root: part.path, projection: options.wildcardProjection?.view)
        for other in parts where other.kind != .wildcard && paths.overlaps(other.path) {
            throw DBError(
                DBError.Code(rawValue: 7_246_209),
                "A compound wildcard index must leave its other fields out: exclude "
                    + "'\(other.path)' by wildcardProjection")
        }
        return paths
    }

    private func text(_ options: IndexKindOptions) throws(DBError) -> TextIndexSpecification {
        guard let language = TextLanguage(options.defaultLanguage) else {
            throw Self.refuse("default_language is not valid: '\(options.defaultLanguage)'")
        }
        var weights = Dictionary(texts.map { ($0, 1.0) }, uniquingKeysWith: { $1 })
        switch options.weights?.type {
        case nil: break
        case .document?:
            guard let given = options.weights?.view.document else { break }
            var elements = given.makeIterator()
            while let element = elements.next() {
                let name = element.nameString
                guard let weight = element.value.anyDouble, weight >= 1, weight < 100_000 else {
                    throw Self.refuse("text index weight must be in the interval [1, 99999]")
                }
                if name != "$**" { _ = try Self.path(name) }
                weights[name] = weight.rounded(.towardZero)
            }
        case .string? where options.weights?.view.string == "$**": weights["$**"] = 1
        case .string?, .array?: throw Self.refuse("weights must be an object of field names")
        default:
            throw DBError(.typeMismatch, "The field 'weights' must be an object")
        }
        guard !weights.isEmpty else { throw Self.refuse("A text index needs a field") }
        return TextIndexSpecification(
            weights: weights.map { ($0.key, $0.value) }.sorted { $0.path < $1.path },
            language: language, overrideField: options.languageOverride)
    }

    // MARK: Names and values

    private static func isWildcard(_ name: String) -> Bool {
        name == "$**" || name.hasSuffix(".$**")
    }

    private static func path(_ name: String) throws(DBError) -> FieldPath {
        let path = FieldPath(name)
        for segment in path.segments {
            guard let first = segment.name.first else {
                throw refuse("Index keys cannot have an empty field name: '\(name)'")
            }
            let isReference = ["$id", "$ref", "$db"].contains {
                segment.name.elementsEqual($0.utf8)
            }
            if first == UInt8(ascii: "$"), !isReference {
                throw refuse(
                    "Index key contains an illegal field name: field name starts with '$': "
                        + "'\(name)'")
            }
        }
        return path
    }

    private static func kind(
        _ value: ValueView, _ name: String
    ) throws(DBError) -> IndexPartKind {
        guard value.type == .string else { return .ordered }
        switch value.text {
        case "text": return .text
        case "2d": return .plane
        case "2dsphere": return .sphere
        case "hashed": return .hashed
        default: throw refuse("Unknown index plugin '\(value.text)'")
        }
    }

    private static func direction(_ value: ValueView, _ name: String) throws(DBError) -> Bool {
        guard let direction = value.anyDouble else {
            throw refuse(
                "Values in the index key pattern cannot be of type \(value.type.alias) ('\(name)'): "
                    + "use 1 or -1")
        }
        guard !direction.isNaN, direction != 0 else {
            throw refuse(
                "Values in the index key pattern cannot be 0 or NaN ('\(name)'): use 1 or -1")
        }
        return direction < 0
    }
}
