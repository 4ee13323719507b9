// What a command's document may hold: each field's name and types, found by a small hash of the
// name's bytes, so that checking a command costs a few nanoseconds a field and allocates nothing.

import BSON

/// The BSON types a field may have, with the names error messages use.
struct FieldTypes: OptionSet, Sendable {
    /// A bit for each `BSONType.bit`.
    let rawValue: UInt32

    static let double = FieldTypes(.double)
    static let string = FieldTypes(.string)
    static let document = FieldTypes(.document)
    static let array = FieldTypes(.array)
    static let binary = FieldTypes(.binary)
    static let objectID = FieldTypes(.objectID)
    static let null = FieldTypes(.null)
    static let timestamp = FieldTypes(.timestamp)
    static let int64 = FieldTypes(.int64)
    /// Every number: MongoDB's safeInt64.
    static let number: FieldTypes = [
        .double, .int64, FieldTypes(.int32), FieldTypes(.decimal128),
    ]
    /// Bool or number: MongoDB's safeBool.
    static let truth: FieldTypes = [FieldTypes(.bool), .number]
    /// Only a bool.
    static let bool = FieldTypes(.bool)
    /// Anything.
    static let any = FieldTypes(rawValue: .max)

    init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    init(_ type: BSONType) {
        rawValue = 1 << type.bit
    }

    func contains(_ type: BSONType) -> Bool {
        rawValue & (1 << type.bit) != 0
    }

    /// As MongoDB lists them: `type 'object'`, or `types '[long, int, decimal, double]'`.
    var expectation: String {
        switch self {
        case .number: return "types '[long, int, decimal, double]'"
        case .truth: return "types '[bool, long, int, decimal, double]'"
        default:
            let names = BSONType.allCases.filter { contains($0) }.map(\.alias)
            return names.count == 1
                ? "type '\(names[0])'" : "types '[\(names.joined(separator: ", "))]'"
        }
    }
}

extension BSONType {
    /// A distinct number below 32: the type bytes with the two extreme ones moved.
    var bit: UInt32 {
        switch self {
        case .minKey: 30
        case .maxKey: 31
        default: UInt32(rawValue)
        }
    }
}

/// One field that a command knows.
struct FieldSpec: Sendable {
    let name: StaticString
    let types: FieldTypes
    let isRequired: Bool
    /// The error's code where the type is another: most are TypeMismatch.
    let mismatch: DBError.Code
    /// Whether null is a wrong type instead of the same as absent.
    let refusesNull: Bool

    init(
        _ name: StaticString, _ types: FieldTypes, required: Bool = false,
        mismatch: DBError.Code = .typeMismatch, refusesNull: Bool = false
    ) {
        self.name = name
        self.types = types
        isRequired = required
        self.mismatch = mismatch
        self.refusesNull = refusesNull
    }

    /// Whether a value of that type counts as if the field had not been sent.
    func isAbsent(_ type: BSONType) -> Bool {
        (type == .null || type == .undefined) && !refusesNull && !types.contains(type)
    }
}

/// The fields of one command, the common ones first. A class, so that handing it on copies nothing.
final class FieldTable: Sendable {
    /// The fields that every command takes; `Arguments` knows some by their place here.
    static let common: [FieldSpec] = [
        FieldSpec("$db", .string),
        FieldSpec("lsid", .document),
        FieldSpec("$clusterTime", .document),
        FieldSpec("$readPreference", .document),
        FieldSpec("txnNumber", .int64),
        FieldSpec("startTransaction", .bool),
        FieldSpec("autocommit", .bool),
        FieldSpec("readConcern", .document),
        FieldSpec("writeConcern", .document),
        FieldSpec("apiVersion", .string),
        FieldSpec("apiStrict", .bool),
        FieldSpec("apiDeprecationErrors", .bool),
        FieldSpec("maxTimeMS", [.number, .null]),
        FieldSpec("maxTimeMSOpOnly", .any),
        FieldSpec("comment", .any),
        FieldSpec("$configServerState", .any),
        FieldSpec("$audit", .any),
        FieldSpec("$client", .any),
        FieldSpec("$gossipCacheSize", .any),
        FieldSpec("mayBypassWriteBlocking", .any),
        FieldSpec("rawData", .truth),
    ]
    /// The place of `$db`.
    static let databasePlace = 0
    /// How many of the common fields, from the first, need no attention of their own.
    static let quietCommonCount = 4

    /// The fields, common ones first.
    let specs: [FieldSpec]
    /// For each hash the field's place plus one, or 0; collisions go to the next slot.
    private let slots: [UInt8]
    /// The places of the required fields.
    let required: [Int]

    /// - Precondition: fewer than 100 fields, with distinct names: tables are constants.
    init(_ fields: [FieldSpec]) {
        let specs = Self.common + fields
        var slots = [UInt8](repeating: 0, count: 256)
        for (place, spec) in specs.enumerated() {
            var slot = Self.hash(RawSpan(spec.name))
            while slots[slot] != 0 { slot = (slot + 1) & 255 }
            slots[slot] = UInt8(truncatingIfNeeded: place + 1)
        }
        self.slots = slots
        required = specs.indices.filter { specs[$0].isRequired }
        self.specs = specs
    }

    /// The place in `specs` of the field with that name.
    func place(of name: RawSpan) -> Int? {
        var slot = Self.hash(name)
        while true {
            let entry = Int(slots[slot])
            if entry == 0 { return nil }
            if name.equals(specs[entry - 1].name) { return entry - 1 }
            slot = (slot + 1) & 255
        }
    }

    /// Whether the field at `place` is called so.
    func isName(_ name: StaticString, at place: Int) -> Bool {
        RawSpan(specs[place].name).equals(name)
    }

    /// Whether a value of `type` counts as not sent, and whether the field at `place` may have it.
    func check(_ type: BSONType, at place: Int) -> (isAbsent: Bool, isRight: Bool) {
        if specs[place].types.contains(type) { return (false, true) }
        return (specs[place].isAbsent(type), false)
    }

    /// A number below 256 that rarely is another name's too.
    @inline(__always)
    static func hash(_ name: RawSpan) -> Int {
        let count = name.byteCount
        if count == 0 { return 0 }
        // SAFETY: offsets are below the count, which is not zero.
        let first = Int(name.unsafeLoad(fromByteOffset: 0, as: UInt8.self))
        let middle = Int(name.unsafeLoad(fromByteOffset: count / 2, as: UInt8.self))
        let last = Int(name.unsafeLoad(fromByteOffset: count - 1, as: UInt8.self))
        return (count &* 31 &+ first &* 7 &+ middle &* 13 &+ last &* 3) & 255
    }
}
