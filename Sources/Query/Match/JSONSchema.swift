// $jsonSchema: MongoDB's part of JSON Schema draft 4, with bsonType.
//
// A schema is read into a tree of classes once; `accepts` walks it over a value's bytes. A keyword
// speaks only about values of its own type and lets all others pass; a property that is missing
// is required by `required` alone.

internal import BSON

/// A schema for values. Immutable.
package final class JSONSchema: Sendable, Hashable {
    /// A schema for the property of that name.
    struct Property: Sendable {
        let name: [UInt8]
        let schema: JSONSchema
    }

    /// A schema for the properties whose names match.
    struct PatternProperty: Sendable {
        let pattern: RegexPredicate
        let schema: JSONSchema
    }

    /// What a present property asks for.
    struct Dependency: Sendable {
        let name: [UInt8]
        let required: [[UInt8]]
        let schema: JSONSchema?
    }

    /// A bound on numbers.
    struct Bound: Sendable {
        let value: OwnedValue
        let isExclusive: Bool
    }

    /// What is asked of properties or items that no other keyword speaks about.
    enum Additional: Sendable {
        case allowed
        case refused
        case schema(JSONSchema)
    }

    /// The keywords of one schema object.
    struct Keywords: Sendable {
        var types: TypeSet?
        var values: [OwnedValue]?
        var minimum: Bound?
        var maximum: Bound?
        var multipleOf: Decimal128?
        var minLength: Int?
        var maxLength: Int?
        var pattern: RegexPredicate?
        var minItems: Int?
        var maxItems: Int?
        var uniqueItems = false
        var items: JSONSchema?
        var itemList: [JSONSchema]?
        var additionalItems = Additional.allowed
        var minProperties: Int?
        var maxProperties: Int?
        var required: [[UInt8]] = []
        var properties: [Property] = []
        var patternProperties: [PatternProperty] = []
        var additionalProperties = Additional.allowed
        var dependencies: [Dependency] = []
        var allOf: [JSONSchema] = []
        var anyOf: [JSONSchema] = []
        var oneOf: [JSONSchema] = []
        var not: JSONSchema?
    }

    let keywords: Keywords

    init(_ keywords: Keywords) {
        self.keywords = keywords
    }

    /// Reads a schema. Errors: 9 unknown or unsupported keyword and values out of range, 14 wrong
    /// type, 2 unknown type name, 51091 pattern that does not compile.
    static func parse(_ schema: DocumentView) throws(DBError) -> JSONSchema {
        try JSONSchemaParser().parse(schema, depth: 0)
    }

    /// The same schema object.
    package static func == (left: JSONSchema, right: JSONSchema) -> Bool {
        left === right
    }

    /// Hashes the identity.
    package func hash(into hasher: inout Hasher) {
        hasher.combine(ObjectIdentifier(self))
    }
}

// MARK: Validation

extension JSONSchema {
    /// Whether a value fits. O(bytes of the value), but uniqueItems compares every pair.
    func accepts(_ value: ValueView, _ scratch: inout MatchScratch) throws(DBError) -> Bool {
        if let types = keywords.types, !types.contains(value.type) { return false }
        if let values = keywords.values, !values.contains(where: { $0.view.equals(value) }) {
            return false
        }
        switch value.type {
        case .int32, .int64, .double, .decimal128:
            guard acceptsNumber(value) else { return false }
        case .string: guard try acceptsString(value, &scratch) else { return false }
        case .array:
            guard try acceptsArray(DocumentView(value.bytes), &scratch) else { return false }
        case .document:
            guard try acceptsObject(DocumentView(value.bytes), &scratch) else { return false }
        default: break
        }
        return try acceptsCombinations(value, &scratch)
    }

    private func acceptsCombinations(
        _ value: ValueView, _ scratch: inout MatchScratch
    ) throws(DBError) -> Bool {
        for schema in keywords.allOf where try !schema.accepts(value, &scratch) { return false }
        if !keywords.anyOf.isEmpty {
            var isAccepted = false
            for schema in keywords.anyOf where try schema.accepts(value, &scratch) {
                isAccepted = true
                break
            }
            if !isAccepted { return false }
        }
        if !keywords.oneOf.isEmpty {
            var count = 0
            for schema in keywords.oneOf where try schema.accepts(value, &scratch) { count += 1 }
            if count != 1 { return false }
        }
        if let not = keywords.not, try not.accepts(value, &scratch) { return false }
        return true
    }

    private func acceptsNumber(_ value: ValueView) -> Bool {
        if let minimum = keywords.minimum {
            // NaN is below every number here and within no bound.
            let order = value.compare(minimum.value.view)
            if value.isNaN || order < 0 || order == 0 && minimum.isExclusive { return false }
        }
        if let maximum = keywords.maximum {
            let order = value.compare(maximum.value.view)
            if value.isNaN || order > 0 || order == 0 && maximum.isExclusive { return false }
        }
        if let multipleOf = keywords.multipleOf {
            return value.shortDecimal?.mod(multipleOf).isZero ?? false
        }
        return true
    }

    private func acceptsString(
        _ value: ValueView, _ scratch: inout MatchScratch
    ) throws(DBError) -> Bool {
        guard let utf8 = value.utf8 else { return true }
        if keywords.minLength != nil || keywords.maxLength != nil {
            let length = utf8.codePointCount
            if let minLength = keywords.minLength, length < minLength { return false }
            if let maxLength = keywords.maxLength, length > maxLength { return false }
        }
        if let pattern = keywords.pattern { return try pattern.matches(utf8: utf8, &scratch) }
        return true
    }

    private func acceptsArray(
        _ array: DocumentView, _ scratch: inout MatchScratch
    ) throws(DBError) -> Bool {
        if keywords.minItems != nil || keywords.maxItems != nil {
            let count = array.count
            if let minItems = keywords.minItems, count < minItems { return false }
            if let maxItems = keywords.maxItems, count > maxItems { return false }
        }
        var elements = array.makeIterator()
        var index = 0
        while let element = elements.next() {
            if let items = keywords.items {
                guard try items.accepts(element.value, &scratch) else { return false }
            } else if let list = keywords.itemList {
                if index < list.count {
                    guard try list[index].accepts(element.value, &scratch) else { return false }
                } else if try !accepts(keywords.additionalItems, element.value, &scratch) {
                    return false
                }
            }
            if keywords.uniqueItems {
                // `rest` is a copy of the walk: the elements behind this one.
                var rest = elements
                while let other = rest.next() {
                    if other.value.equals(element.value) { return false }
                }
            }
            index += 1
        }
        return true
    }

    private func acceptsObject(
        _ object: DocumentView, _ scratch: inout MatchScratch
    ) throws(DBError) -> Bool {
        if keywords.minProperties != nil || keywords.maxProperties != nil {
            let count = object.count
            if let minProperties = keywords.minProperties, count < minProperties { return false }
            if let maxProperties = keywords.maxProperties, count > maxProperties { return false }
        }
        for name in keywords.required where object.value(name.span.bytes) == nil { return false }
        for dependency in keywords.dependencies
        where object.value(dependency.name.span.bytes) != nil {
            for name in dependency.required where object.value(name.span.bytes) == nil {
                return false
            }
            if let schema = dependency.schema {
                let value = ValueView(type: .document, bytes: object.bytes)
                guard try schema.accepts(value, &scratch) else { return false }
            }
        }
        return try acceptsProperties(of: object, &scratch)
    }

    private func acceptsProperties(
        of object: DocumentView, _ scratch: inout MatchScratch
    ) throws(DBError) -> Bool {
        if keywords.properties.isEmpty, keywords.patternProperties.isEmpty,
            case .allowed = keywords.additionalProperties
        {
            return true
        }
        var elements = object.makeIterator()
        while let element = elements.next() {
            var isNamed = false
            for property in keywords.properties
            where element.name.equals(property.name.span.bytes) {
                isNamed = true
                guard try property.schema.accepts(element.value, &scratch) else { return false }
            }
            for property in keywords.patternProperties
            where try property.pattern.matches(utf8: element.name, &scratch) {
                isNamed = true
                guard try property.schema.accepts(element.value, &scratch) else { return false }
            }
            if !isNamed, try !accepts(keywords.additionalProperties, element.value, &scratch) {
                return false
            }
        }
        return true
    }

    private func accepts(
        _ additional: Additional, _ value: ValueView, _ scratch: inout MatchScratch
    ) throws(DBError) -> Bool {
        switch additional {
        case .allowed: true
        case .refused: false
        case .schema(let schema): try schema.accepts(value, &scratch)
        }
    }
}

extension ValueView {
    /// A number as a decimal; a double to the 15 digits that it is sure of, so that 0.3 is three
    /// times 0.1. Nil for other types.
    var shortDecimal: Decimal128? {
        switch type {
        case .int32: return int32.map { Decimal128($0) }
        case .int64: return int64.map { Decimal128($0) }
        case .decimal128: return decimal128
        case .double: return double.map { Decimal128(fifteenDigits: $0) }
        default: return nil
        }
    }
}

extension RawSpan {
    /// The number of code points in UTF-8.
    var codePointCount: Int {
        var count = 0
        // SAFETY: `index` is below the span's size.
        for index in 0..<byteCount
        where unsafeLoad(fromByteOffset: index, as: UInt8.self) & 0xC0 != 0x80 {
            count += 1
        }
        return count
    }
}
