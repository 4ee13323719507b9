// Reads $jsonSchema.

internal import BSON

/// Reads schema objects; every keyword is known or refused.
struct JSONSchemaParser {
    func parse(_ schema: DocumentView, depth: Int) throws(DBError) -> JSONSchema {
        guard depth <= FilterParser.depthMax else {
            throw DBError(
                .badValue, "$jsonSchema is nested too deeply: at most \(FilterParser.depthMax)")
        }
        var keywords = JSONSchema.Keywords()
        var elements = schema.makeIterator()
        while let element = elements.next() {
            let name = element.nameString
            if try parseScalar(name, element.value, schema, &keywords) { continue }
            if try parseArrayKeyword(name, element.value, depth, &keywords) { continue }
            if try parseObjectKeyword(name, element.value, depth, &keywords) { continue }
            guard try parseCombination(name, element.value, depth, &keywords) else {
                throw DBError(.failedToParse, "Unknown $jsonSchema keyword: \(name)")
            }
        }
        return JSONSchema(keywords)
    }

    // MARK: Keywords about types, numbers and strings

    private func parseScalar(
        _ name: String, _ value: ValueView, _ schema: DocumentView,
        _ keywords: inout JSONSchema.Keywords
    ) throws(DBError) -> Bool {
        switch name {
        case "title", "description":
            guard value.type == .string else { throw wrongType(name, "a string") }
        case "bsonType", "type":
            if schema.value("bsonType") != nil, schema.value("type") != nil {
                throw DBError(
                    .failedToParse, "Cannot specify both $jsonSchema keywords 'type' and 'bsonType'"
                )
            }
            keywords.types = try parseTypes(name, value)
        case "enum": keywords.values = try parseEnum(value)
        case "minimum", "maximum":
            guard value.isNumeric else { throw wrongType(name, "a number") }
            let exclusive =
                name == "minimum"
                ? schema.value("exclusiveMinimum") : schema.value("exclusiveMaximum")
            let bound = JSONSchema.Bound(
                value: OwnedValue(copying: value), isExclusive: exclusive?.bool ?? false)
            if name == "minimum" { keywords.minimum = bound } else { keywords.maximum = bound }
        case "exclusiveMinimum", "exclusiveMaximum":
            guard value.type == .bool else { throw wrongType(name, "a boolean") }
            let partner =
                name == "exclusiveMinimum" ? schema.value("minimum") : schema.value("maximum")
            guard partner != nil else {
                throw DBError(
                    .failedToParse, "$jsonSchema keyword '\(name)' needs the bound beside it")
            }
        case "multipleOf":
            guard let divisor = value.shortDecimal else { throw wrongType(name, "a number") }
            guard divisor.isFinite, !divisor.isNegative, !divisor.isZero else {
                throw DBError(.failedToParse, "$jsonSchema keyword 'multipleOf' must be positive")
            }
            keywords.multipleOf = divisor
        case "minLength": keywords.minLength = try parseLength(name, value)
        case "maxLength": keywords.maxLength = try parseLength(name, value)
        case "pattern":
            guard value.type == .string, let utf8 = value.utf8 else {
                throw wrongType(name, "a string")
            }
            keywords.pattern = try RegexPredicate(pattern: [UInt8](copying: utf8), options: [])
        default: return false
        }
        return true
    }

    private func parseTypes(_ keyword: String, _ value: ValueView) throws(DBError) -> TypeSet {
        var types = TypeSet()
        if let list = value.array {
            var names: Set<String> = []
            var elements = list.makeIterator()
            while let element = elements.next() {
                guard element.value.type == .string else {
                    throw wrongType(keyword, "a string or an array of strings")
                }
                guard names.insert(element.value.text).inserted else {
                    throw DBError(
                        .failedToParse,
                        "$jsonSchema keyword '\(keyword)' has duplicate value: "
                            + element.value.text)
                }
                types.formUnion(try parseType(keyword, element.value.text))
            }
            guard !types.isEmpty else {
                throw DBError(
                    .failedToParse, "$jsonSchema keyword '\(keyword)' must name at least one type")
            }
        } else {
            guard value.type == .string else {
                throw wrongType(keyword, "a string or an array of strings")
            }
            types = try parseType(keyword, value.text)
        }
        return types
    }

    private func parseType(_ keyword: String, _ name: String) throws(DBError) -> TypeSet {
        if name == "integer" {
            throw DBError(
                .failedToParse, "$jsonSchema type 'integer' is not currently supported.")
        }
        if name == "number" { return .numbers }
        if keyword == "type" {
            switch name {
            case "object": return TypeSet(.document)
            case "array": return TypeSet(.array)
            case "boolean": return TypeSet(.bool)
            case "string": return TypeSet(.string)
            case "null": return TypeSet(.null)
            default: throw DBError(.badValue, "Unknown type name alias: \(name)")
            }
        }
        guard let type = BSONType.allCases.first(where: { $0.alias == name }) else {
            throw DBError(.badValue, "Unknown type name alias: \(name)")
        }
        return TypeSet(type)
    }

    private func parseEnum(_ value: ValueView) throws(DBError) -> [OwnedValue] {
        guard let list = value.array else { throw wrongType("enum", "an array") }
        var values: [OwnedValue] = []
        var elements = list.makeIterator()
        while let element = elements.next() {
            for other in values where other.view.equals(element.value) {
                throw DBError(
                    .failedToParse, "$jsonSchema keyword 'enum' array cannot contain duplicates")
            }
            values.append(OwnedValue(copying: element.value))
        }
        guard !values.isEmpty else {
            throw DBError(
                .failedToParse, "$jsonSchema keyword 'enum' cannot be an empty array")
        }
        return values
    }

    private func parseLength(_ name: String, _ value: ValueView) throws(DBError) -> Int {
        guard value.isNumeric else { throw wrongType(name, "a number") }
        guard let length = value.wholeInt64, length >= 0 else {
            throw DBError(
                .failedToParse,
                "$jsonSchema keyword '\(name)' must be a non-negative integer, found "
                    + value.numberText)
        }
        return Int(length)
    }

    // MARK: Keywords about arrays

    private func parseArrayKeyword(
        _ name: String, _ value: ValueView, _ depth: Int,
        _ keywords: inout JSONSchema.Keywords
    ) throws(DBError) -> Bool {
        switch name {
        case "minItems": keywords.minItems = try parseLength(name, value)
        case "maxItems": keywords.maxItems = try parseLength(name, value)
        case "uniqueItems":
            guard let truth = value.bool else { throw wrongType(name, "a boolean") }
            keywords.uniqueItems = truth
        case "items":
            if value.type == .array {
                keywords.itemList = try parseSchemas(name, value, depth, allowsEmpty: true)
            } else {
                keywords.items = try parseSchema(name, value, depth)
            }
        case "additionalItems": keywords.additionalItems = try parseAdditional(name, value, depth)
        default: return false
        }
        return true
    }

    private func parseAdditional(
        _ name: String, _ value: ValueView, _ depth: Int
    ) throws(DBError) -> JSONSchema.Additional {
        if let truth = value.bool { return truth ? .allowed : .refused }
        guard value.type == .document else { throw wrongType(name, "an object or a boolean") }
        return .schema(try parseSchema(name, value, depth))
    }

    // MARK: Keywords about objects

    private func parseObjectKeyword(
        _ name: String, _ value: ValueView, _ depth: Int,
        _ keywords: inout JSONSchema.Keywords
    ) throws(DBError) -> Bool {
        switch name {
        case "minProperties": keywords.minProperties = try parseLength(name, value)
        case "maxProperties": keywords.maxProperties = try parseLength(name, value)
        case "required": keywords.required = try parseNames(name, value)
        case "properties":
            guard let object = value.document else { throw wrongType(name, "an object") }
            var elements = object.makeIterator()
            while let element = elements.next() {
                keywords.properties.append(
                    JSONSchema.Property(
                        name: [UInt8](copying: element.name),
                        schema: try parseSchema(element.nameString, element.value, depth)))
            }
        case "patternProperties":
            guard let object = value.document else { throw wrongType(name, "an object") }
            var elements = object.makeIterator()
            while let element = elements.next() {
                keywords.patternProperties.append(
                    JSONSchema.PatternProperty(
                        pattern: try namePattern(element.name),
                        schema: try parseSchema(element.nameString, element.value, depth)))
            }
        case "additionalProperties":
            keywords.additionalProperties = try parseAdditional(name, value, depth)
        case "dependencies":
            guard let object = value.document else { throw wrongType(name, "an object") }
            var elements = object.makeIterator()
            while let element = elements.next() {
                keywords.dependencies.append(
                    try parseDependency(element.nameString, element.value, depth))
            }
        default: return false
        }
        return true
    }

    /// The pattern of a property's name; MongoDB reports a bad one as 2, not as 51091.
    private func namePattern(_ name: RawSpan) throws(DBError) -> RegexPredicate {
        do {
            return try RegexPredicate(pattern: [UInt8](copying: name), options: [])
        } catch {
            throw DBError(.badValue, "$jsonSchema keyword 'patternProperties': \(error.message)")
        }
    }

    private func parseDependency(
        _ name: String, _ value: ValueView, _ depth: Int
    ) throws(DBError) -> JSONSchema.Dependency {
        switch value.type {
        case .array:
            return JSONSchema.Dependency(
                name: Array(name.utf8), required: try parseNames("dependencies", value),
                schema: nil)
        case .document:
            return JSONSchema.Dependency(
                name: Array(name.utf8), required: [],
                schema: try parseSchema("dependencies", value, depth))
        default: throw wrongType("dependencies", "objects and arrays")
        }
    }

    /// A non-empty array of different names.
    private func parseNames(_ keyword: String, _ value: ValueView) throws(DBError) -> [[UInt8]] {
        guard let list = value.array else { throw wrongType(keyword, "an array") }
        var names: [[UInt8]] = []
        var seen: Set<[UInt8]> = []
        var elements = list.makeIterator()
        while let element = elements.next() {
            guard element.value.type == .string, let utf8 = element.value.utf8 else {
                throw wrongType(keyword, "an array of strings")
            }
            let name = [UInt8](copying: utf8)
            guard seen.insert(name).inserted else {
                throw DBError(
                    .failedToParse,
                    "$jsonSchema keyword '\(keyword)' array cannot contain duplicates")
            }
            names.append(name)
        }
        guard !names.isEmpty else {
            throw DBError(
                .failedToParse, "$jsonSchema keyword '\(keyword)' cannot be an empty array")
        }
        return names
    }

    // MARK: Combinations

    private func parseCombination(
        _ name: String, _ value: ValueView, _ depth: Int,
        _ keywords: inout JSONSchema.Keywords
    ) throws(DBError) -> Bool {
        switch name {
        case "allOf": keywords.allOf = try parseSchemas(name, value, depth)
        case "anyOf": keywords.anyOf = try parseSchemas(name, value, depth)
        case "oneOf": keywords.oneOf = try parseSchemas(name, value, depth)
        case "not": keywords.not = try parseSchema(name, value, depth)
        default: return false
        }
        return true
    }

    private func parseSchemas(
        _ name: String, _ value: ValueView, _ depth: Int, allowsEmpty: Bool = false
    ) throws(DBError) -> [JSONSchema] {
        guard let list = value.array else { throw wrongType(name, "an array") }
        var schemas: [JSONSchema] = []
        var elements = list.makeIterator()
        while let element = elements.next() {
            schemas.append(try parseSchema(name, element.value, depth))
        }
        guard allowsEmpty || !schemas.isEmpty else {
            throw DBError(.badValue, "$jsonSchema keyword '\(name)' must be a non-empty array")
        }
        return schemas
    }

    private func parseSchema(
        _ name: String, _ value: ValueView, _ depth: Int
    ) throws(DBError) -> JSONSchema {
        guard let schema = value.document else { throw wrongType(name, "an object") }
        return try parse(schema, depth: depth + 1)
    }

    private func wrongType(_ name: String, _ wanted: String) -> DBError {
        DBError(.typeMismatch, "$jsonSchema keyword '\(name)' must be \(wanted)")
    }
}
