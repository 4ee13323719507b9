// The values that rules compute with.

internal import BSON

/// A value of the rules language. Documents and lists of stored documents stay BSON until they are
/// looked into.
package enum RuleValue: Sendable {
    case null
    case bool(Bool)
    case int(Int64)
    case float(Double)
    case string(String)
    case bytes([UInt8])
    case timestamp(RuleTimestamp)
    case duration(RuleDuration)
    case latlng(RuleLatLng)
    case path(RulePath)
    case list([RuleValue])
    case storedList(StoredDocument)
    case set([RuleValue])
    case map([RuleMapEntry])
    case storedMap(StoredDocument)
    case mapDiff(RuleMapDiff)
    case resource(RuleResource)
    case request
}

/// A key of a map with its value.
package struct RuleMapEntry: Sendable {
    /// The key.
    package let key: String
    /// Its value.
    package let value: RuleValue
}

/// What two maps differ in: the names of fields.
package struct RuleMapDiff: Sendable {
    let added: [String]
    let removed: [String]
    let changed: [String]
    let unchanged: [String]
}

/// A moment, in nanoseconds since 1970 (UTC).
package struct RuleTimestamp: Sendable, Hashable {
    let nanos: Int128

    /// Years 1 to 9999.
    static let range: ClosedRange<Int128> =
        -62_135_596_800_000_000_000...253_402_300_799_999_999_999

    init?(nanos: Int128) {
        guard Self.range.contains(nanos) else { return nil }
        self.nanos = nanos
    }

    /// A moment by its milliseconds since 1970; the nearest one that there is, beyond year 9999.
    package init(millis: Int64) {
        nanos = min(max(Int128(millis) * 1_000_000, Self.range.lowerBound), Self.range.upperBound)
    }

    /// Milliseconds since 1970, rounded down.
    var millis: Int64 {
        let (quotient, rest) = nanos.quotientAndRemainder(dividingBy: 1_000_000)
        return Int64(clamping: rest < 0 ? quotient - 1 : quotient)
    }

    /// Nanoseconds within the second.
    var nanosOfSecond: Int64 {
        let rest = nanos % 1_000_000_000
        return Int64(clamping: rest < 0 ? rest + 1_000_000_000 : rest)
    }
}

/// A length of time in nanoseconds.
package struct RuleDuration: Sendable, Hashable {
    let nanos: Int128

    /// About 10,000 years, as protocol buffers have it.
    private static let most: Int128 = 315_576_000_000_999_999_999

    init?(nanos: Int128) {
        guard nanos >= -Self.most, nanos <= Self.most else { return nil }
        self.nanos = nanos
    }
}

/// A place on the earth, in degrees.
package struct RuleLatLng: Sendable, Hashable {
    let latitude: Double
    let longitude: Double

    /// Nil out of range.
    init?(latitude: Double, longitude: Double) {
        guard -90...90 ~= latitude, -180...180 ~= longitude else { return nil }
        self.latitude = latitude
        self.longitude = longitude
    }
}

/// A path: segments, of which `{name}` is a placeholder.
package struct RulePath: Sendable {
    /// The segments between the slashes.
    package let segments: [String]

    /// From its segments.
    package init(_ segments: [String]) {
        self.segments = segments
    }

    /// `/a/b`.
    package var text: String { segments.map { "/" + $0 }.joined() }

    /// The database and the segments behind `/databases/NAME/documents/`; nil for other paths.
    package var document: (database: String, segments: ArraySlice<String>)? {
        guard segments.count > 3, segments[0] == "databases", segments[2] == "documents" else {
            return nil
        }
        return (segments[1], segments[3...])
    }
}

/// A document with its path: `resource`, `request.resource` and what `get` gives.
package struct RuleResource: Sendable {
    let data: StoredDocument
    let path: RulePath
}

extension RuleValue {
    /// The type as error messages name it.
    package var typeName: String {
        switch self {
        case .null: "null"
        case .bool: "bool"
        case .int: "int"
        case .float: "float"
        case .string: "string"
        case .bytes: "bytes"
        case .timestamp: "timestamp"
        case .duration: "duration"
        case .latlng: "latlng"
        case .path: "path"
        case .list, .storedList: "list"
        case .set: "set"
        case .map, .storedMap, .resource, .request: "map"
        case .mapDiff: "map_diff"
        }
    }

    /// Whether `is TYPE` holds.
    func isOf(_ type: RuleType) -> Bool {
        switch (self, type) {
        case (.int, .number), (.float, .number): true
        default: typeName == type.rawValue
        }
    }

    /// The number as a float; nil for what is none.
    var number: Double? {
        switch self {
        case .int(let value): Double(value)
        case .float(let value): value
        default: nil
        }
    }

    /// The elements of a list; nil for other values. O(n), and builds those of a stored one.
    var elements: [RuleValue]? {
        switch self {
        case .list(let elements): return elements
        case .storedList(let stored):
            var elements: [RuleValue] = []
            stored.forEach { _, value in
                elements.append(value)
                return true
            }
            return elements
        default: return nil
        }
    }

    /// The entries of a map, with the first of repeated keys; nil for other values. O(n).
    var entries: [RuleMapEntry]? {
        switch self {
        case .map(let entries): return entries
        case .storedMap(let stored): return stored.entries
        case .resource(let resource):
            return [
                RuleMapEntry(key: "data", value: .storedMap(resource.data)),
                RuleMapEntry(key: "id", value: .string(resource.path.segments.last ?? "")),
                RuleMapEntry(key: "__name__", value: .path(resource.path)),
            ]
        default: return nil
        }
    }

    /// Whether this is a map.
    var isMap: Bool {
        switch self {
        case .map, .storedMap, .resource: true
        default: false
        }
    }

    /// The value of a key; nil where a map lacks it. Maps only.
    func value(ofKey key: String) -> RuleValue? {
        switch self {
        case .map(let entries):
            return entries.first { $0.key.utf8.elementsEqual(key.utf8) }?.value
        case .storedMap(let stored): return stored.value(key)
        case .resource: return entries?.first { $0.key == key }?.value
        default: return nil
        }
    }
}
