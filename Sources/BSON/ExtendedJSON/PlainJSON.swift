// JSON that means only itself (tokens, key sets, configuration): no field is taken for a type, and no
// name may come twice.

/// Plain JSON to documents.
package enum PlainJSON {
    /// Deepest nesting.
    private static let depthMax = 32

    /// The object that the text holds; nil for any other value, and where it is not JSON or repeats
    /// a name. Numbers become int32, int64 or double; names with a zero byte are refused.
    package static func object(_ text: [UInt8]) -> Document? {
        guard let node = try? JSONParser.parse(text.span.bytes, depthMax: depthMax),
            case .document(let document)? = value(node)
        else { return nil }
        return document
    }

    private static func value(_ node: JSONNode) -> Value? {
        switch node.kind {
        case .null: return .null
        case .bool(let truth): return .bool(truth)
        case .string(let text): return .string(text)
        case .number(let text): return number(text)
        case .array(let nodes):
            var values: [Value] = []
            for node in nodes {
                guard let value = value(node) else { return nil }
                values.append(value)
            }
            return .array(values)
        case .object(let fields):
            var seen = Set<String>()
            var values: [(name: String, value: Value)] = []
            for field in fields {
                guard seen.insert(field.name).inserted, !field.name.utf8.contains(0),
                    let value = value(field.node)
                else { return nil }
                values.append((field.name, value))
            }
            return .document(
                Document { writer in
                    for field in values { writer.append(field.name, field.value) }
                })
        }
    }

    private static func number(_ text: String) -> Value? {
        if let small = Int32(text) { return .int32(small) }
        if let large = Int64(text) { return .int64(large) }
        return Double(text).map { .double($0) }
    }
}
