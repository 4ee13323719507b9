// Sets of the types that a value may have, as far as a file's text tells.

/// Types that a value may have.
struct TypeSet: OptionSet, Sendable, Hashable {
    let rawValue: UInt32

    static let null = TypeSet(rawValue: 1 << 0)
    static let bool = TypeSet(rawValue: 1 << 1)
    static let int = TypeSet(rawValue: 1 << 2)
    static let float = TypeSet(rawValue: 1 << 3)
    static let string = TypeSet(rawValue: 1 << 4)
    static let bytes = TypeSet(rawValue: 1 << 5)
    static let timestamp = TypeSet(rawValue: 1 << 6)
    static let duration = TypeSet(rawValue: 1 << 7)
    static let latlng = TypeSet(rawValue: 1 << 8)
    static let path = TypeSet(rawValue: 1 << 9)
    static let list = TypeSet(rawValue: 1 << 10)
    static let set = TypeSet(rawValue: 1 << 11)
    static let map = TypeSet(rawValue: 1 << 12)
    static let mapDiff = TypeSet(rawValue: 1 << 13)
    static let request = TypeSet(rawValue: 1 << 14)
    /// `resource`, and what `get` gives.
    static let resource = TypeSet(rawValue: 1 << 15)
    static let auth = TypeSet(rawValue: 1 << 16)
    static let query = TypeSet(rawValue: 1 << 17)

    static let number: TypeSet = [.int, .float]
    /// Everything that has keys.
    static let mapLike: TypeSet = [.map, .resource, .auth, .query, .request]
    /// What a document's field may hold.
    static let field: TypeSet = [
        .null, .bool, .int, .float, .string, .bytes, .timestamp, .latlng, .path, .list, .map,
    ]
    static let any = TypeSet(rawValue: (1 << 18) - 1)

    private static let names: [(TypeSet, String)] = [
        (.null, "null"), (.bool, "bool"), (.int, "int"), (.float, "float"), (.string, "string"),
        (.bytes, "bytes"), (.timestamp, "timestamp"), (.duration, "duration"),
        (.latlng, "latlng"), (.path, "path"), (.list, "list"), (.set, "set"), (.map, "map"),
        (.mapDiff, "map_diff"), (.request, "request"), (.resource, "resource"),
        (.auth, "request.auth"), (.query, "request.query"),
    ]

    /// `int or float`.
    var text: String {
        let names = Self.names.filter { contains($0.0) }.map(\.1)
        return names.isEmpty ? "nothing" : names.joined(separator: " or ")
    }

    /// The types for which `is` holds.
    init(_ type: RuleType) {
        switch type {
        case .number: self = .number
        case .map: self = .mapLike
        case .mapDiff: self = .mapDiff
        default: self = Self.names.first { $0.1 == type.rawValue }?.0 ?? []
        }
    }

    init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    /// The types that may be equal to one of these: numbers of both kinds are.
    var comparable: TypeSet {
        var types = self
        if !isDisjoint(with: .number) { types.formUnion(.number) }
        if !isDisjoint(with: .mapLike) { types.formUnion(.mapLike) }
        return types
    }
}

/// What is known of an expression without evaluating it.
struct Knowledge: Sendable {
    /// The types of its value; none where it always fails.
    var types: TypeSet
    var canBeTrue: Bool
    var canBeFalse: Bool
    var canFail: Bool

    /// A value of one of some types.
    init(_ types: TypeSet, canFail: Bool = true) {
        self.types = types
        canBeTrue = types.contains(.bool)
        canBeFalse = canBeTrue
        self.canFail = canFail || types.isEmpty
    }

    /// A bool.
    init(canBeTrue: Bool, canBeFalse: Bool, canFail: Bool) {
        types = canBeTrue || canBeFalse ? .bool : []
        self.canBeTrue = canBeTrue
        self.canBeFalse = canBeFalse
        self.canFail = canFail || types.isEmpty
    }

    /// What always fails.
    static let failure = Knowledge([])
}

/// What a method takes and gives, for receivers of some types.
struct MethodSignature: Sendable {
    let receiver: TypeSet
    let arguments: [TypeSet]
    let result: TypeSet

    /// The signatures of a method.
    static func of(_ method: BuiltinMethod) -> [MethodSignature] {
        func one(_ receiver: TypeSet, _ result: TypeSet, _ arguments: TypeSet...) -> MethodSignature
        {
            MethodSignature(receiver: receiver, arguments: arguments, result: result)
        }
        let hasKeys: TypeSet = [.map, .resource, .auth, .query]
        switch method {
        case .addedKeys, .affectedKeys, .changedKeys, .removedKeys, .unchangedKeys:
            return [one(.mapDiff, .set)]
        case .bind: return [one(.path, .path, hasKeys)]
        case .concat, .removeAll: return [one(.list, .list, .list)]
        case .date: return [one(.timestamp, .timestamp)]
        case .time: return [one(.timestamp, .duration)]
        case .day, .dayOfWeek, .dayOfYear, .hours, .minutes, .month, .toMillis, .year:
            return [one(.timestamp, .int)]
        case .nanos, .seconds: return [one([.timestamp, .duration], .int)]
        case .diff: return [one(hasKeys, .mapDiff, hasKeys)]
        case .difference, .intersection, .union: return [one(.set, .set, .set)]
        case .distance: return [one(.latlng, .float, .latlng)]
        case .get: return [one(hasKeys, .any, [.string, .list], .any)]
        case .hasAll, .hasAny, .hasOnly:
            return [one(.list, .bool, .list), one(.set, .bool, [.set, .list])]
        case .join: return [one(.list, .string, .string)]
        case .keys: return [one(hasKeys, .list)]
        case .values: return [one(hasKeys, .list)]
        case .latitude, .longitude: return [one(.latlng, .float)]
        case .lower, .trim, .upper: return [one(.string, .string)]
        case .matches: return [one(.string, .bool, .string)]
        case .replace: return [one(.string, .string, .string, .string)]
        case .split: return [one(.string, .list, .string)]
        case .toUtf8: return [one(.string, .bytes)]
        case .toBase64, .toHexString: return [one(.bytes, .string)]
        case .toSet: return [one(.list, .set)]
        case .size:
            return [one([.string, .bytes, .list, .set] as TypeSet, .int), one(hasKeys, .int)]
        }
    }
}

extension BuiltinFunction {
    /// What it takes.
    var argumentTypes: [TypeSet] {
        switch self {
        case .get, .exists, .getAfter, .existsAfter: [.path]
        case .path: [.string]
        case .int, .float: [[.int, .float, .string]]
        case .string: [[.string, .int, .float, .bool, .null, .path, .bytes]]
        case .debug: [.any]
        case .mathAbs, .mathCeil, .mathFloor, .mathRound, .mathSqrt, .mathIsNaN: [.number]
        case .mathPow, .latlngValue: [.number, .number]
        case .hashingMD5, .hashingSHA256, .hashingCRC32, .hashingCRC32C: [[.string, .bytes]]
        case .timestampDate: [.int, .int, .int]
        case .timestampValue: [.int]
        case .durationValue: [.int, .string]
        case .durationTime: [.int, .int, .int, .int]
        case .durationAbs: [.duration]
        }
    }

    /// What it gives.
    var resultTypes: TypeSet {
        switch self {
        case .get, .getAfter: .resource
        case .exists, .existsAfter, .mathIsNaN: .bool
        case .path: .path
        case .int, .mathRound: .int
        case .float, .mathCeil, .mathFloor, .mathSqrt, .mathPow: .float
        case .string: .string
        case .debug: .any
        case .mathAbs: .number
        case .hashingMD5, .hashingSHA256, .hashingCRC32, .hashingCRC32C: .bytes
        case .timestampDate, .timestampValue: .timestamp
        case .durationValue, .durationTime, .durationAbs: .duration
        case .latlngValue: .latlng
        }
    }
}
