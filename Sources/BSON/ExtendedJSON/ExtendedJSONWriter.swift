// From BSON to the text of Extended JSON.

/// Appends the JSON of lent values to a buffer. Documents must be valid: their nesting bounds the
/// recursion.
package struct ExtendedJSONWriter {
    /// The UTF-8 so far.
    package private(set) var bytes: [UInt8] = []
    let isCanonical: Bool
    /// Whether an int64 that a double can't hold is written as `{"$numberLong": "…"}` in relaxed
    /// form too, for readers whose numbers are doubles.
    private let marksLargeIntegers: Bool

    /// The whole numbers that doubles hold without gaps end here.
    private static let safeIntegerMax: Int64 = (1 << 53) - 1

    /// One that has written nothing.
    package init(isCanonical: Bool, marksLargeIntegers: Bool = false) {
        self.isCanonical = isCanonical
        self.marksLargeIntegers = marksLargeIntegers
    }

    /// Appends a valid document. O(bytes).
    package mutating func append(_ document: DocumentView) {
        raw("{")
        var elements = document.makeIterator()
        var isFirst = true
        while let element = elements.next() {
            if !isFirst { raw(",") }
            isFirst = false
            quote(element.name)
            raw(":")
            append(element.value)
        }
        raw("}")
    }

    /// Appends a valid value. O(bytes).
    package mutating func append(_ value: ValueView) {
        switch value.type {
        case .document: append(DocumentView(value.bytes))
        case .array: append(elements: DocumentView(value.bytes))
        case .string: quote(textBytes(value.bytes))
        case .bool: raw(value.bool == true ? "true" : "false")
        case .null: raw("null")
        case .int32: number("$numberInt", String(value.int32 ?? 0), isPlain: !isCanonical)
        case .int64:
            let integer = value.int64 ?? 0
            let isSafe = integer.magnitude <= Self.safeIntegerMax.magnitude || !marksLargeIntegers
            number("$numberLong", String(integer), isPlain: !isCanonical && isSafe)
        case .double: append(value.double ?? 0)
        case .decimal128:
            number("$numberDecimal", value.decimal128?.description ?? "NaN", isPlain: false)
        case .objectID: number("$oid", value.objectID?.hexString ?? "", isPlain: false)
        case .date: append(dateMillis: value.dateMillis ?? 0)
        case .timestamp:
            let timestamp = value.timestamp ?? Timestamp(rawValue: 0)
            raw("{\"$timestamp\":{\"t\":\(timestamp.seconds),\"i\":\(timestamp.ordinal)}}")
        case .binary: appendBinary(value)
        case .regex: appendRegex(value)
        case .symbol: wrap("$symbol", textBytes(value.bytes))
        case .code: wrap("$code", textBytes(value.bytes))
        case .codeWithScope:
            guard let parts = value.codeWithScope else { return raw("null") }
            raw("{\"$code\":")
            quote(parts.code)
            raw(",\"$scope\":")
            append(parts.scope)
            raw("}")
        case .dbPointer:
            let end = value.bytes.byteCount - 13
            raw("{\"$dbPointer\":{\"$ref\":")
            quote(value.bytes.extracting(4..<end))
            raw(",\"$id\":{\"$oid\":\"")
            raw(ObjectID(value.bytes.extracting(last: 12))?.hexString ?? "")
            raw("\"}}}")
        case .undefined: raw("{\"$undefined\":true}")
        case .minKey: raw("{\"$minKey\":1}")
        case .maxKey: raw("{\"$maxKey\":1}")
        }
    }

    private mutating func append(elements array: DocumentView) {
        raw("[")
        var elements = array.makeIterator()
        var isFirst = true
        while let element = elements.next() {
            if !isFirst { raw(",") }
            isFirst = false
            append(element.value)
        }
        raw("]")
    }

    private mutating func append(_ double: Double) {
        if double.isNaN { return number("$numberDouble", "NaN", isPlain: false) }
        if double.isInfinite {
            return number("$numberDouble", double < 0 ? "-Infinity" : "Infinity", isPlain: false)
        }
        // Swift prints the shortest digits that read back as the same double.
        number("$numberDouble", double.description.uppercased(), isPlain: !isCanonical)
    }

    private mutating func append(dateMillis millis: Int64) {
        if !isCanonical, let text = ISODate.string(millis: millis) {
            return number("$date", text, isPlain: false)
        }
        raw("{\"$date\":{\"$numberLong\":\"\(millis)\"}}")
    }

    private mutating func appendBinary(_ value: ValueView) {
        guard let binary = value.binary else { return raw("null") }
        raw("{\"$binary\":{\"base64\":\"")
        // Subtype 2 repeats the length inside, which the text leaves out.
        let skipped = binary.subtype == 2 ? min(4, binary.content.byteCount) : 0
        Base64.append(
            binary.content.extracting(skipped..<binary.content.byteCount), to: &bytes)
        let digits = String(binary.subtype, radix: 16)
        raw("\",\"subType\":\"\(digits.utf8.count == 1 ? "0" : "")\(digits)\"}}")
    }

    private mutating func appendRegex(_ value: ValueView) {
        guard let regex = value.regex else { return raw("null") }
        raw("{\"$regularExpression\":{\"pattern\":")
        quote(regex.pattern)
        raw(",\"options\":")
        let letters = [UInt8](copying: regex.options)
        let options = ExtendedJSON.sorted(options: String(decoding: letters, as: UTF8.self))
        quote([UInt8](options.utf8).span.bytes)
        raw("}}")
    }

    private mutating func wrap(_ key: String, _ text: RawSpan) {
        raw("{\"\(key)\":")
        quote(text)
        raw("}")
    }

    private mutating func number(_ key: String, _ text: String, isPlain: Bool) {
        raw(isPlain ? text : "{\"\(key)\":\"\(text)\"}")
    }

    /// Appends text as it is: what stands between values.
    package mutating func raw(_ text: String) {
        bytes.append(contentsOf: text.utf8)
    }

    /// Appends JSON that was written before.
    package mutating func raw(copying json: [UInt8]) {
        bytes += json
    }

    /// Appends a string.
    package mutating func quote(_ text: String) {
        var text = text
        text.withUTF8 { quote($0.span.bytes) }
    }

    private mutating func quote(_ text: RawSpan) {
        bytes.append(UInt8(ascii: "\""))
        for index in 0..<text.byteCount {
            // SAFETY: `index` is below the span's size.
            let byte = text.unsafeLoad(fromByteOffset: index, as: UInt8.self)
            switch byte {
            case UInt8(ascii: "\""): raw("\\\"")
            case UInt8(ascii: "\\"): raw("\\\\")
            case 0x0A: raw("\\n")
            case 0x0D: raw("\\r")
            case 0x09: raw("\\t")
            case 0..<0x20: raw("\\u00\(byte < 16 ? "0" : "1")\(String(byte & 15, radix: 16))")
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
