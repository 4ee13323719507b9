// Values as MongoDB's messages write them: `{ a: 1, b: "x" }`. For messages only; not parsed back.

/// Writes values the way MongoDB's error messages do.
public enum ShellNotation {
    /// A document: `{ a: 1, b: [ 1, 2 ] }`.
    public static func string(_ document: DocumentView) -> String {
        var text = ""
        append(document, isArray: false, to: &text)
        return text
    }

    /// A value.
    public static func string(_ value: ValueView) -> String {
        var text = ""
        append(value, to: &text)
        return text
    }

    private static func append(_ document: DocumentView, isArray: Bool, to text: inout String) {
        var elements = document.makeIterator()
        var isFirst = true
        text += isArray ? "[" : "{"
        while let element = elements.next() {
            text += isFirst ? " " : ", "
            isFirst = false
            if !isArray { text += "\(element.nameString): " }
            append(element.value, to: &text)
        }
        if isFirst { text += isArray ? "]" : "}" } else { text += isArray ? " ]" : " }" }
    }

    private static func append(_ value: ValueView, to text: inout String) {
        switch Value(value) {
        case .double(let number):
            text +=
                number == number.rounded() && abs(number) < 1e15
                ? "\(Int64(number)).0" : "\(number)"
        case .string(let string), .symbol(let string): text += "\"\(string)\""
        case .document(let document): append(document.view, isArray: false, to: &text)
        case .array: append(DocumentView(value.bytes), isArray: true, to: &text)
        case .binary(let subtype, let content):
            text += "BinData(\(subtype), \(hex(content)))"
        case .undefined: text += "undefined"
        case .objectID(let id): text += "ObjectId('\(id)')"
        case .bool(let truth): text += "\(truth)"
        case .date(let millis): text += "new Date(\(millis))"
        case .null: text += "null"
        case .regex(let pattern, let options): text += "/\(pattern)/\(options)"
        case .dbPointer(let namespace, let id): text += "DBRef('\(namespace)', \(id))"
        case .code(let code): text += code
        case .codeWithScope(let code, let scope):
            text += "CodeWScope( \(code), "
            append(scope.view, isArray: false, to: &text)
            text += ")"
        case .int32(let number): text += "\(number)"
        case .timestamp(let time): text += "Timestamp(\(time.seconds), \(time.ordinal))"
        case .int64(let number): text += "\(number)"
        case .decimal128(let low, let high): text += "\(Decimal128(low: low, high: high))"
        case .minKey: text += "MinKey"
        case .maxKey: text += "MaxKey"
        }
    }

    private static func hex(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789ABCDEF")
        return String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    }
}
