// Which keywords of a $jsonSchema a document fails, in the shape of MongoDB's error 121.

import BSON

enum SchemaReport {
    /// The report of a whole schema.
    static func explain(_ schema: DocumentView, failedBy document: DocumentView) -> Document {
        let rules = rules(schema, ValueView(type: .document, bytes: document.bytes))
        return Document { writer in
            writer.append("operatorName", "$jsonSchema")
            for name in ["title", "description"] {
                if let value = schema.value(named: name) { writer.append(name, value) }
            }
            writer.append("schemaRulesNotSatisfied", .array(rules.map { .document($0) }))
        }
    }

    /// What each keyword that a value fails has to say.
    private static func rules(_ schema: DocumentView, _ value: ValueView) -> [Document] {
        var rules: [Document] = []
        var keywords = schema.makeIterator()
        while let keyword = keywords.next() {
            let name = keyword.nameString
            guard !companions.contains(name), !accepts(keyword, of: schema, value) else { continue }
            rules.append(rule(keyword, name, value))
        }
        return rules
    }

    /// Keywords that say nothing by themselves.
    private static let companions: Set<String> = [
        "title", "description", "exclusiveMinimum", "exclusiveMaximum",
    ]

    /// Whether a value meets one keyword of a schema.
    private static func accepts(
        _ keyword: ElementView, of schema: DocumentView, _ value: ValueView
    ) -> Bool {
        let condition = Document { writer in
            let root = writer.openDocument("$jsonSchema")
            let properties = writer.openDocument("properties")
            let property = writer.openDocument("value")
            writer.append(keyword)
            for name in related(keyword.nameString) {
                if let related = schema.value(named: name) { writer.append(name, related) }
            }
            writer.close(property)
            writer.close(properties)
            writer.close(root)
        }
        let document = Document { $0.append("value", value) }
        return ValidationReport.holds(condition, document.view)
    }

    /// The keywords that change what a keyword means.
    private static func related(_ name: String) -> [String] {
        switch name {
        case "minimum": ["exclusiveMinimum"]
        case "maximum": ["exclusiveMaximum"]
        case "additionalProperties": ["properties", "patternProperties"]
        case "additionalItems": ["items"]
        default: []
        }
    }

    private static func rule(
        _ keyword: ElementView, _ name: String, _ value: ValueView
    ) -> Document {
        switch (name, value.document) {
        case ("required", let document?): missing(keyword, document)
        case ("properties", let document?): properties(keyword, document)
        default:
            Document { writer in
                writer.append("operatorName", name)
                let specified = writer.openDocument("specifiedAs")
                writer.append(keyword)
                writer.close(specified)
                writer.append("reason", reason(name))
                writer.append("consideredValue", value)
                if name == "bsonType" || name == "type" {
                    writer.append("consideredType", value.type.alias)
                }
            }
        }
    }

    private static func missing(_ keyword: ElementView, _ document: DocumentView) -> Document {
        var missing: [Value] = []
        if let names = keyword.value.array {
            var elements = names.makeIterator()
            while let element = elements.next() {
                if let name = element.value.string, document.value(named: name) == nil {
                    missing.append(.string(name))
                }
            }
        }
        return Document { writer in
            writer.append("operatorName", "required")
            let specified = writer.openDocument("specifiedAs")
            writer.append(keyword)
            writer.close(specified)
            writer.append("missingProperties", .array(missing))
        }
    }

    private static func properties(_ keyword: ElementView, _ document: DocumentView) -> Document {
        var failed: [Value] = []
        if let schemas = keyword.value.document {
            var elements = schemas.makeIterator()
            while let element = elements.next() {
                guard let schema = element.value.document,
                    let value = document.value(named: element.nameString)
                else { continue }
                let rules = rules(schema, value)
                guard !rules.isEmpty else { continue }
                let item = Document { writer in
                    writer.append("propertyName", element.nameString)
                    for name in ["title", "description"] {
                        if let value = schema.value(named: name) { writer.append(name, value) }
                    }
                    writer.append("details", .array(rules.map { .document($0) }))
                }
                failed.append(.document(item))
            }
        }
        return Document { writer in
            writer.append("operatorName", "properties")
            writer.append("propertiesNotSatisfied", .array(failed))
        }
    }

    private static func reason(_ keyword: String) -> String {
        switch keyword {
        case "bsonType", "type": "type did not match"
        case "minimum", "maximum": "comparison failed"
        case "enum": "value was not found in enum"
        case "pattern": "regular expression did not match"
        case "minLength", "maxLength": "specified string length was not satisfied"
        case "minItems", "maxItems": "array did not match specified length"
        case "uniqueItems": "found a duplicate item"
        case "multipleOf": "considered value is not a multiple of the specified value"
        case "minProperties", "maxProperties":
            "specified number of properties was not satisfied"
        case "items", "additionalItems": "At least one item did not match the sub-schema"
        default: "the keyword was not satisfied"
        }
    }
}
