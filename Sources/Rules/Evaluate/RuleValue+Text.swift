// Values as developers read them, cut where they are long.

internal import BSON

extension RuleValue {
    /// `"text"`, `42`, `{"a": 1}` …, of at most about `most` characters.
    package func text(most: Int = 80) -> String {
        let whole = wholeText(depth: 0)
        return whole.unicodeScalars.count <= most
            ? whole : String(String.UnicodeScalarView(whole.unicodeScalars.prefix(most))) + "…"
    }

    private func wholeText(depth: Int) -> String {
        guard depth < 8 else { return "…" }
        switch self {
        case .null: return "null"
        case .bool(let value): return value ? "true" : "false"
        case .int(let value): return String(value)
        case .float(let value): return "\(value)"
        case .string(let text): return ExtendedJSON.string(of: .string(text))
        case .bytes(let bytes): return "\(bytes.count) bytes"
        case .timestamp(let time):
            return ISODate.string(millis: time.millis) ?? "timestamp \(time.millis) ms"
        case .duration(let length): return "\(Double(length.nanos) / 1e9) s"
        case .latlng(let place): return "latlng(\(place.latitude), \(place.longitude))"
        case .path(let path): return path.text
        case .list, .storedList:
            let elements = (elements ?? []).prefix(20).map { $0.wholeText(depth: depth + 1) }
            return "[" + elements.joined(separator: ", ") + "]"
        case .set(let members):
            let members = members.prefix(20).map { $0.wholeText(depth: depth + 1) }
            return "set[" + members.joined(separator: ", ") + "]"
        case .map, .storedMap, .resource:
            let entries = (entries ?? []).prefix(20).map {
                "\(ExtendedJSON.string(of: .string($0.key))): "
                    + $0.value.wholeText(depth: depth + 1)
            }
            return "{" + entries.joined(separator: ", ") + "}"
        case .mapDiff(let diff):
            return "diff(added \(diff.added), removed \(diff.removed), changed \(diff.changed))"
        case .request: return "request"
        }
    }
}

extension ExtendedJSON {
    /// A value that owns what it holds.
    fileprivate static func string(of value: Value) -> String {
        let document: Document = ["": value]
        guard let view = document.view.first?.value else { return "" }
        return string(of: view)
    }
}
