// From the tree of a JSON text to BSON: recognises the typed values.

/// Turns JSON nodes into BSON. Throws `JSONError` with the offset of what is wrong.
struct ExtendedJSONReader {
    private var writer = DocumentWriter()

    /// The document of the fields, taken as they are: a top-level object is no typed value.
    mutating func document(_ fields: [JSONField]) throws(JSONError) -> Document {
        let start = writer.openDocument()
        try append(fields)
        writer.close(start)
        return Document(unchecked: writer.take())
    }

    private mutating func append(_ fields: [JSONField]) throws(JSONError) {
        for field in fields {
            if field.name.utf8.contains(0) {
                throw JSONError(
                    message: "a field's name holds a zero byte", offset: field.node.offset)
            }
            try append(field.name, field.node)
        }
    }

    private mutating func append(_ name: String, _ node: JSONNode) throws(JSONError) {
        switch node.kind {
        case .null: writer.appendNull(name)
        case .bool(let truth): writer.append(name, truth)
        case .number(let text): writer.append(name, try plainNumber(text, node))
        case .string(let string): writer.append(name, string)
        case .array(let elements):
            let start = writer.openArray(name)
            for (index, element) in elements.enumerated() { try append(String(index), element) }
            writer.close(start)
        case .object(let fields):
            if let value = try typedValue(fields, node) {
                writer.append(name, value)
            } else {
                let start = writer.openDocument(name)
                try append(fields)
                writer.close(start)
            }
        }
    }

    private func plainNumber(_ text: String, _ node: JSONNode) throws(JSONError) -> Value {
        if let number = Int64(text) {
            return Int32(exactly: number).map { .int32($0) } ?? .int64(number)
        }
        guard let number = Double(text), number.isFinite else {
            throw JSONError(
                message: "\(text) is beyond what a double holds; use $numberDecimal",
                offset: node.offset)
        }
        let isWhole = text.utf8.allSatisfy { $0 == UInt8(ascii: "-") || 48...57 ~= $0 }
        if isWhole, !isExact(number, text) {
            throw JSONError(
                message: "no integer and no double holds \(text) exactly;"
                    + " use $numberDecimal or $numberDouble", offset: node.offset)
        }
        let isZero = text.utf8.prefix { $0 | 0x20 != UInt8(ascii: "e") }
            .allSatisfy { !(49...57 ~= $0) }
        if number == 0, !isZero {
            throw JSONError(
                message: "\(text) is below what a double holds; use $numberDecimal",
                offset: node.offset)
        }
        return .double(number)
    }

    /// Whether the decimal digits of a whole number are those of the double.
    private func isExact(_ number: Double, _ text: String) -> Bool {
        guard let decimal = Decimal128(text) else { return false }
        return decimal.compare(number) == 0
    }
}

// MARK: Typed values

extension ExtendedJSONReader {
    /// The typed value that an object stands for; nil for a plain document.
    private func typedValue(_ fields: [JSONField], _ node: JSONNode) throws(JSONError) -> Value? {
        guard let key = fields.first(where: { Self.isTypeKey($0.name) }) else {
            return legacyRegex(fields)
        }
        switch key.name {
        case "$binary": return try binary(fields, node)
        case "$code", "$scope": return try code(fields, node)
        default: break
        }
        guard fields.count == 1 else {
            throw JSONError(
                message: "an object with \(key.name) has no other fields", offset: node.offset)
        }
        return try singleFieldValue(key)
    }

    private static func isTypeKey(_ name: String) -> Bool {
        guard name.utf8.first == UInt8(ascii: "$") else { return false }
        switch name {
        case "$oid", "$symbol", "$numberInt", "$numberLong", "$numberDouble", "$numberDecimal",
            "$binary", "$uuid", "$code", "$timestamp", "$regularExpression", "$dbPointer", "$date",
            "$minKey", "$maxKey", "$undefined":
            return true
        default: return false
        }
    }

    private func singleFieldValue(_ field: JSONField) throws(JSONError) -> Value {
        switch field.name {
        case "$oid":
            guard let id = ObjectID(try string(field)) else {
                throw wrong(field, "24 hexadecimal digits")
            }
            return .objectID(id)
        case "$symbol": return .symbol(try string(field))
        case "$numberInt": return .int32(try integer(field, "a 32-bit integer in a string"))
        case "$numberLong": return .int64(try integer(field, "a 64-bit integer in a string"))
        case "$numberDouble": return .double(try double(field))
        case "$numberDecimal":
            guard let number = Decimal128(try string(field)) else {
                throw wrong(field, "a decimal number of at most 34 digits in a string")
            }
            return .decimal128(low: number.low, high: number.high)
        case "$uuid": return try uuid(field)
        case "$timestamp": return try timestamp(field)
        case "$regularExpression": return try regularExpression(field)
        case "$dbPointer": return try dbPointer(field)
        case "$date": return .date(try date(field))
        case "$minKey":
            guard case .number("1") = field.node.kind else { throw wrong(field, "1") }
            return .minKey
        case "$maxKey":
            guard case .number("1") = field.node.kind else { throw wrong(field, "1") }
            return .maxKey
        default:
            guard case .bool(true) = field.node.kind else { throw wrong(field, "true") }
            return .undefined
        }
    }

    private func wrong(_ field: JSONField, _ expected: String) -> JSONError {
        JSONError(message: "\(field.name) takes \(expected)", offset: field.node.offset)
    }

    private func string(_ field: JSONField) throws(JSONError) -> String {
        guard case .string(let string) = field.node.kind else { throw wrong(field, "a string") }
        return string
    }

    /// A text that becomes a C string.
    private func textWithoutZero(_ field: JSONField) throws(JSONError) -> String {
        let text = try string(field)
        if text.utf8.contains(0) { throw wrong(field, "a string without zero bytes") }
        return text
    }

    private func integer<T: FixedWidthInteger>(
        _ field: JSONField, _ expected: String
    ) throws(JSONError) -> T {
        let text = try string(field)
        guard text.utf8.first != UInt8(ascii: "+"), let number = T(text) else {
            throw wrong(field, expected)
        }
        return number
    }

    private func double(_ field: JSONField) throws(JSONError) -> Double {
        let text = try string(field)
        switch text {
        case "Infinity": return .infinity
        case "-Infinity": return -.infinity
        case "NaN": return .nan
        default:
            // Double's own parser would also take hexadecimal digits and names.
            let isDecimal = text.utf8.allSatisfy {
                48...57 ~= $0 || "+-.eE".utf8.contains($0)
            }
            guard isDecimal, let number = Double(text), number.isFinite else {
                throw wrong(field, "a number, Infinity, -Infinity or NaN in a string")
            }
            return number
        }
    }

    /// The fields of an object that must have exactly those names, in the order of `names`.
    private func fields(_ field: JSONField, _ names: [String]) throws(JSONError) -> [JSONField] {
        guard case .object(let fields) = field.node.kind else { throw wrong(field, "an object") }
        return try pick(fields, names, field.name, field.node)
    }

    private func pick(
        _ fields: [JSONField], _ names: [String], _ owner: String, _ node: JSONNode
    ) throws(JSONError) -> [JSONField] {
        var picked: [JSONField] = []
        for name in names {
            guard let field = fields.first(where: { $0.name == name }) else { break }
            picked.append(field)
        }
        guard picked.count == names.count, fields.count == names.count else {
            throw JSONError(
                message: "\(owner) takes exactly the fields \(names.joined(separator: ", "))",
                offset: node.offset)
        }
        return picked
    }

    private func binary(_ fields: [JSONField], _ node: JSONNode) throws(JSONError) -> Value {
        let parts: [JSONField]
        if fields.count == 1 {
            parts = try self.fields(fields[0], ["base64", "subType"])
        } else {
            // The legacy form.
            parts = try pick(fields, ["$binary", "$type"], "legacy $binary", node)
        }
        guard let content = Base64.decode(try string(parts[0])) else {
            throw wrong(parts[0], "base64 with padding")
        }
        let digits = try string(parts[1])
        guard 1...2 ~= digits.utf8.count, digits.utf8.first != UInt8(ascii: "+"),
            let subtype = UInt8(digits, radix: 16)
        else { throw wrong(parts[1], "one or two hexadecimal digits") }
        if subtype == 2 {
            let length = UInt32(truncatingIfNeeded: content.count)
            let prefix = (0..<4).map { UInt8(truncatingIfNeeded: length >> (8 * UInt32($0))) }
            return .binary(subtype: 2, prefix + content)
        }
        return .binary(subtype: subtype, content)
    }

    private func uuid(_ field: JSONField) throws(JSONError) -> Value {
        let text = Array(try string(field).utf8)
        let hyphens = [8, 13, 18, 23]
        var bytes: [UInt8] = []
        var high: UInt8?
        var isValid = text.count == 36
        for (index, byte) in text.enumerated() where isValid {
            if hyphens.contains(index) {
                isValid = byte == UInt8(ascii: "-")
            } else if let digit = hexDigitValue(byte) {
                if let first = high { bytes.append(first << 4 | digit) }
                high = high == nil ? digit : nil
            } else {
                isValid = false
            }
        }
        guard isValid else {
            throw wrong(field, "8-4-4-4-12 hexadecimal digits in a string")
        }
        return .binary(subtype: 4, bytes)
    }

    private func code(_ fields: [JSONField], _ node: JSONNode) throws(JSONError) -> Value {
        if fields.count == 1 { return .code(try string(fields[0])) }
        let parts = try pick(fields, ["$code", "$scope"], "$code", node)
        guard case .object(let scope) = parts[1].node.kind else {
            throw wrong(parts[1], "an object")
        }
        var reader = ExtendedJSONReader()
        return .codeWithScope(try string(parts[0]), try reader.document(scope))
    }

    private func timestamp(_ field: JSONField) throws(JSONError) -> Value {
        let parts = try fields(field, ["t", "i"])
        var numbers: [UInt32] = []
        for part in parts {
            guard case .number(let text) = part.node.kind, let number = UInt32(text) else {
                throw wrong(part, "an integer below 2^32")
            }
            numbers.append(number)
        }
        return .timestamp(Timestamp(seconds: numbers[0], ordinal: numbers[1]))
    }

    private func regularExpression(_ field: JSONField) throws(JSONError) -> Value {
        let parts = try fields(field, ["pattern", "options"])
        return .regex(
            pattern: try textWithoutZero(parts[0]),
            options: ExtendedJSON.sorted(options: try textWithoutZero(parts[1])))
    }

    /// {"$regex": string, "$options": string}; other uses of $regex are query operators.
    private func legacyRegex(_ fields: [JSONField]) -> Value? {
        guard fields.count == 2,
            let pattern = fields.first(where: { $0.name == "$regex" }),
            let options = fields.first(where: { $0.name == "$options" }),
            case .string(let patternText) = pattern.node.kind,
            case .string(let letters) = options.node.kind,
            !patternText.utf8.contains(0), !letters.utf8.contains(0)
        else { return nil }
        return .regex(pattern: patternText, options: ExtendedJSON.sorted(options: letters))
    }

    private func dbPointer(_ field: JSONField) throws(JSONError) -> Value {
        let parts = try fields(field, ["$ref", "$id"])
        let wrapped = try fields(parts[1], ["$oid"])
        guard let id = ObjectID(try string(wrapped[0])) else {
            throw wrong(wrapped[0], "24 hexadecimal digits")
        }
        return .dbPointer(namespace: try string(parts[0]), id)
    }

    private func date(_ field: JSONField) throws(JSONError) -> Int64 {
        switch field.node.kind {
        case .string(let text):
            guard let millis = ISODate.parse(text) else {
                throw wrong(field, "a date such as 2012-12-24T12:15:30.501Z")
            }
            return millis
        case .object:
            return try integer(
                try fields(field, ["$numberLong"])[0], "a 64-bit integer in a string")
        default: throw wrong(field, "a string, or an object with $numberLong")
        }
    }
}
