// The arguments of createIndexes, checked as MongoDB checks them.

package import BSON
package import Query

/// One element of createIndexes' `indexes`: parsed, checked, and normalised as listIndexes shows it.
package struct IndexSpecification: Sendable {
    /// The index's name.
    package let name: String
    /// The key pattern as given.
    package let key: Document
    /// `v`, `key`, `name`, then the options in their given order.
    package let document: Document
    /// Parsed key pattern.
    package let pattern: IndexKeyPattern
    /// Whether two documents may not share a key.
    let isUnique: Bool
    /// Whether new documents may share no key, so that the index can become unique.
    let preparesUnique: Bool
    /// Whether documents without any of the paths are left out.
    let isSparse: Bool
    /// Whether the planner must not choose it.
    let isHidden: Bool
    /// Which documents are indexed.
    let partialFilter: Filter?
    /// Age in seconds at which documents expire by their date in the key's field.
    let expireAfterSeconds: Int64?

    /// Most indexes of a collection, with the `_id` index.
    package static let indexesMax = 64
    /// Most parts of a key pattern.
    package static let partsMax = 32

    /// The order of strings in its keys; nil for that of their bytes.
    package var collation: Collation? { pattern.collation }
    /// The kinds of its parts that are not plainly ordered.
    private var specialKinds: Set<IndexPartKind> {
        Set(pattern.parts.map(\.kind)).subtracting([.ordered])
    }
    /// Whether the specification said which order that is.
    private let saysCollation: Bool

    /// Parses one specification. `inherited`: the collation where it names none.
    /// - Throws: `cannotCreateIndex` (67), `failedToParse` (9), `typeMismatch` (14),
    ///   `invalidIndexSpecificationOption` (197) and what the partial filter's parser throws.
    package init(
        _ specification: DocumentView, inheriting inherited: Collation? = nil
    ) throws(DBError) {
        var draft = Draft()
        draft.collation = inherited
        var elements = specification.makeIterator()
        while let element = elements.next() {
            try draft.take(element)
        }
        guard let key = draft.key else {
            throw DBError(
                .failedToParse,
                "The 'key' field is a required property of an index specification")
        }
        guard let name = draft.name else {
            throw DBError(
                .failedToParse,
                "The 'name' field is a required property of an index specification")
        }
        try Self.check(name: name)
        self.name = name
        if !draft.saysCollation, let inherited { draft.keep(inherited) }
        pattern = try Self.parse(key: key, draft.collation, draft.kindOptions)
        self.key = pattern.storedKey(key)
        saysCollation = draft.saysCollation
        isUnique = draft.isUnique
        preparesUnique = draft.preparesUnique
        isSparse = draft.isSparse
        isHidden = draft.isHidden
        if let partial = draft.partialFilter {
            partialFilter = try PartialFilter.parse(partial.view, draft.collation)
        } else {
            partialFilter = nil
        }
        expireAfterSeconds = draft.expireAfterSeconds
        let storedKey = self.key
        let pattern = pattern
        document = Document { writer in
            writer.append("v", 2 as Int32)
            writer.append("key", storedKey)
            writer.append("name", name)
            writer.appendFields(of: draft.options.view)
            pattern.appendKindOptions(to: &writer)
        }
        try checkKinds(version: draft.version, saysWeights: draft.kindOptions.weights != nil)
        if isSparse, partialFilter != nil {
            throw DBError(
                .cannotCreateIndex,
                "cannot mix \"partialFilterExpression\" and \"sparse\" options")
        }
        if expireAfterSeconds != nil, pattern.parts.count != 1 {
            throw DBError(
                .cannotCreateIndex,
                "TTL indexes are single-field indexes, compound indexes do not support TTL. "
                    + "Index spec: \(ExtendedJSON.string(of: document.view, canonical: false))")
        }
        try checkIDIndex()
    }

    /// The specification for an index of a collection with this default collation.
    /// - Throws: `badValue` (2) for an `_id` index with another one.
    func inheriting(_ collation: Collation?) throws(DBError) -> IndexSpecification {
        if isIDIndex, saysCollation, !Collation.areSame(self.collation, collation) {
            throw DBError(
                .badValue,
                "The _id index must have the same collation as the collection")
        }
        guard let collation, !saysCollation else { return self }
        return try IndexSpecification(document.view, inheriting: collation)
    }

    /// Whether this describes the `_id` index, which every collection has.
    package var isIDIndex: Bool {
        pattern.parts.count == 1 && pattern.parts[0].path.dotted == "_id"
            && pattern.isOrdered && !pattern.parts[0].descending
    }

    private func checkIDIndex() throws(DBError) {
        guard isIDIndex else {
            if name == "_id_" {
                throw DBError(
                    .badValue,
                    "The index name '_id_' is reserved for the _id index, which must "
                        + "have key pattern {_id: 1}, found key: "
                        + ExtendedJSON.string(of: key.view, canonical: false))
            }
            return
        }
        if isSparse || isHidden || partialFilter != nil || expireAfterSeconds != nil {
            throw DBError(
                .invalidIndexSpecificationOption,
                "The _id index takes no options: remove sparse, hidden, expireAfterSeconds and "
                    + "partialFilterExpression from the specification")
        }
    }

    /// Refuses options that a special kind of index doesn't take.
    private func checkKinds(version: Double, saysWeights: Bool) throws(DBError) {
        let kinds = specialKinds
        if saysWeights, !kinds.contains(.text) {
            throw DBError(.cannotCreateIndex, "the field 'weights' is only for text indexes")
        }
        if kinds.contains(.hashed), isUnique || preparesUnique {
            throw DBError(
                DBError.Code(rawValue: 16764),
                "Currently hashed indexes cannot guarantee uniqueness. Use a regular index")
        }
        if kinds.contains(.wildcard) {
            guard !isUnique, !preparesUnique, !isSparse, expireAfterSeconds == nil, version == 2
            else {
                throw DBError(
                    .cannotCreateIndex,
                    "Wildcard indexes take neither unique, sparse nor expireAfterSeconds, and are "
                        + "of version 2")
            }
        }
        if kinds.contains(.text), expireAfterSeconds != nil {
            throw DBError(.cannotCreateIndex, "Text indexes take no expireAfterSeconds")
        }
    }

    private static func check(name: String) throws(DBError) {
        guard !name.isEmpty else {
            throw DBError(.cannotCreateIndex, "index name cannot be empty")
        }
        guard name != "*" else {
            throw DBError(.badValue, "The index name '*' is not valid.")
        }
        guard !name.utf8.contains(0) else {
            throw DBError(
                .cannotCreateIndex, "index name cannot contain an embedded null byte")
        }
    }

    private static func parse(
        key: Document, _ collation: Collation?, _ options: IndexKindOptions
    ) throws(DBError) -> IndexKeyPattern {
        guard !key.isEmpty else {
            throw DBError(.cannotCreateIndex, "Index keys cannot be an empty document.")
        }
        guard key.view.count <= partsMax else {
            throw DBError(
                DBError.Code(rawValue: 13103), "too many compound keys: at most \(partsMax)")
        }
        return try IndexKeyPattern.parse(key.view, collation: collation, options: options)
    }
}

extension IndexSpecification {
    /// What has been read of a specification so far.
    struct Draft {
        var key: Document?
        var name: String?
        var options = Document()
        var isUnique = false
        var preparesUnique = false
        var isSparse = false
        var isHidden = false
        var partialFilter: Document?
        var expireAfterSeconds: Int64?
        var collation: Collation?
        var saysCollation = false
        var version = 2.0
        var kindOptions = IndexKindOptions()

        mutating func take(_ element: ElementView) throws(DBError) {
            let field = element.nameString
            let value = element.value
            switch field {
            case "key":
                guard let document = value.document else {
                    throw Self.mismatch(field, value, "object")
                }
                key = Document(copying: document)
            case "name":
                guard let string = value.string else {
                    throw Self.mismatch(field, value, "string")
                }
                name = string
            case "unique":
                isUnique = try flag(element)
            case "prepareUnique":
                preparesUnique = try flag(element)
            case "sparse":
                isSparse = try flag(element)
            case "hidden":
                // Numbers are no truth here, unlike in the older options.
                guard value.bool != nil else { throw Self.mismatch(field, value, "bool") }
                isHidden = try flag(element)
            case "background":
                _ = try flag(element, keep: false)
                keep(element)
            // What old versions wrote; MongoDB takes it and does nothing.
            case "dropDups", "bucketSize", "safe", "key_v", "_id":
                break
            case "v":
                try checkVersion(value)
            case "ns":
                break
            case "expireAfterSeconds":
                expireAfterSeconds = try Self.seconds(value)
                keep(element)
            case "partialFilterExpression":
                guard let document = value.document else {
                    throw Self.mismatch(field, value, "object")
                }
                partialFilter = Document(copying: document)
                keep(element)
            case "collation":
                guard let document = value.document else {
                    throw Self.mismatch(field, value, "object")
                }
                guard !document.isEmpty else {
                    throw DBError(
                        .badValue, "The field 'collation' of an index must not be empty")
                }
                collation = try Collation.parse(document)
                saysCollation = true
                if let collation { keep(collation) }
            case "storageEngine", "clustered":
                throw DBError(
                    .cannotCreateIndex,
                    "This version of Roost does not support the index option '\(field)'")
            default:
                guard try !takeKindOption(element) else { return }
                throw DBError(
                    .invalidIndexSpecificationOption,
                    "The field '\(field)' is not valid for an index specification. "
                        + "Specification: remove it or correct its name")
            }
        }

        private mutating func flag(
            _ element: ElementView, keep kept: Bool = true
        ) throws(DBError) -> Bool {
            guard element.value.bool != nil || element.value.isNumeric else {
                throw Self.mismatch(element.nameString, element.value, "bool")
            }
            let isSet = element.value.isTruthy
            if kept, isSet { keep(element) }
            return isSet
        }

        mutating func keep(_ element: ElementView) {
            let before = options
            options = Document { writer in
                writer.appendFields(of: before.view)
                if element.value.isNumeric, element.nameString != "expireAfterSeconds" {
                    writer.append(element.nameString, element.value.isTruthy)
                } else {
                    writer.append(element)
                }
            }
        }

        /// Keeps the collation with all its fields; of the simple one there is no word.
        mutating func keep(_ collation: Collation) {
            let before = options
            options = Document { writer in
                writer.appendFields(of: before.view)
                writer.append("collation", collation.document)
            }
        }

        private mutating func checkVersion(_ value: ValueView) throws(DBError) {
            guard value.isNumeric else { throw Self.mismatch("v", value, "number") }
            let version =
                value.int32.map { Double($0) } ?? value.int64.map { Double($0) } ?? value.double
                ?? .nan
            self.version = version
            guard version == 1 || version == 2 else {
                throw DBError(
                    .cannotCreateIndex,
                    "Invalid index specification; cannot create an index with v=\(version). "
                        + "Leave 'v' out")
            }
        }

        private static func seconds(_ value: ValueView) throws(DBError) -> Int64 {
            let number: Int64? =
                value.int32.map { Int64($0) } ?? value.int64
                ?? value.double.flatMap {
                    $0.isFinite ? Int64(exactly: $0.rounded(.towardZero)) : nil
                }
            guard value.isNumeric, let number, number >= 0, number <= Int64(Int32.max) else {
                throw DBError(
                    .cannotCreateIndex,
                    "TTL index 'expireAfterSeconds' option must be a number within an acceptable "
                        + "range: 0 to \(Int32.max)")
            }
            return number
        }

        static func mismatch(
            _ field: String, _ value: ValueView, _ expected: String
        ) -> DBError {
            DBError(
                .typeMismatch,
                "The field '\(field)' has value of type \(value.type.alias), expected \(expected)")
        }
    }
}
