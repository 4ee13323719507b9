// The names that the language gives: types, functions, namespaces, methods.

/// The types that `is` asks for.
package enum RuleType: String, Sendable, CaseIterable {
    case bool
    case bytes
    case duration
    case float
    case int
    case latlng
    case list
    case map
    case mapDiff = "map_diff"
    case null
    case number
    case path
    case set
    case string
    case timestamp
}

/// Functions without a receiver.
package enum BuiltinFunction: String, Sendable, CaseIterable {
    case get
    case exists
    case getAfter
    case existsAfter
    case path
    case int
    case float
    case string
    case debug
    case mathAbs = "math.abs"
    case mathCeil = "math.ceil"
    case mathFloor = "math.floor"
    case mathRound = "math.round"
    case mathSqrt = "math.sqrt"
    case mathPow = "math.pow"
    case mathIsNaN = "math.isNaN"
    case hashingMD5 = "hashing.md5"
    case hashingSHA256 = "hashing.sha256"
    case hashingCRC32 = "hashing.crc32"
    case hashingCRC32C = "hashing.crc32c"
    case timestampDate = "timestamp.date"
    case timestampValue = "timestamp.value"
    case durationValue = "duration.value"
    case durationTime = "duration.time"
    case durationAbs = "duration.abs"
    case latlngValue = "latlng.value"

    /// How many arguments it takes.
    package var arity: Int {
        switch self {
        case .mathPow, .durationValue, .latlngValue: 2
        case .timestampDate: 3
        case .durationTime: 4
        default: 1
        }
    }

    /// Names before the dot, which are no values.
    static let namespaces: Set<String> = ["math", "hashing", "timestamp", "duration", "latlng"]

    /// Documented by Firestore, and not there: calling them is an error.
    static let absent: Set<String> = ["bool", "math.isInfinite"]
}

/// Methods of values, whatever their type.
package enum BuiltinMethod: String, Sendable, CaseIterable {
    case addedKeys
    case affectedKeys
    case bind
    case changedKeys
    case concat
    case date
    case day
    case dayOfWeek
    case dayOfYear
    case diff
    case difference
    case distance
    case get
    case hasAll
    case hasAny
    case hasOnly
    case hours
    case intersection
    case join
    case keys
    case latitude
    case longitude
    case lower
    case matches
    case minutes
    case month
    case nanos
    case removeAll
    case removedKeys
    case replace
    case seconds
    case size
    case split
    case time
    case toBase64
    case toHexString
    case toMillis
    case toSet
    case toUtf8
    case trim
    case unchangedKeys
    case union
    case upper
    case values
    case year

    /// How many arguments it takes.
    package var arity: Int {
        switch self {
        case .get, .replace: 2
        case .bind, .concat, .diff, .difference, .distance, .hasAll, .hasAny, .hasOnly,
            .intersection, .join, .matches, .removeAll, .split, .union:
            1
        default: 0
        }
    }
}

/// Members that `request`, `resource` and the documents got have.
enum KnownMember: String, Sendable {
    case auth
    case method
    case path
    case resource
    case time
    case query
    case data
    case id
    case name = "__name__"
}
