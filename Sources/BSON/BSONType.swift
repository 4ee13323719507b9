// The element types of BSON 1.1 (bsonspec.org) with MongoDB's names, and their place in the order
// between types.

/// The type byte of a BSON element.
public enum BSONType: UInt8, Sendable, Hashable, CaseIterable {
    case double = 0x01
    case string = 0x02
    case document = 0x03
    case array = 0x04
    case binary = 0x05
    case undefined = 0x06
    case objectID = 0x07
    case bool = 0x08
    case date = 0x09
    case null = 0x0A
    case regex = 0x0B
    case dbPointer = 0x0C
    case code = 0x0D
    case symbol = 0x0E
    case codeWithScope = 0x0F
    case int32 = 0x10
    case timestamp = 0x11
    case int64 = 0x12
    case decimal128 = 0x13
    case maxKey = 0x7F
    case minKey = 0xFF

    /// The alias that `$type` takes, as MongoDB's manual lists them.
    public var alias: String {
        switch self {
        case .double: "double"
        case .string: "string"
        case .document: "object"
        case .array: "array"
        case .binary: "binData"
        case .undefined: "undefined"
        case .objectID: "objectId"
        case .bool: "bool"
        case .date: "date"
        case .null: "null"
        case .regex: "regex"
        case .dbPointer: "dbPointer"
        case .code: "javascript"
        case .symbol: "symbol"
        case .codeWithScope: "javascriptWithScope"
        case .int32: "int"
        case .timestamp: "timestamp"
        case .int64: "long"
        case .decimal128: "decimal"
        case .maxKey: "maxKey"
        case .minKey: "minKey"
        }
    }

    /// Place in MongoDB's order between types. Types that compare with each other share a rank:
    /// the four numeric types, string and symbol.
    @inlinable
    public var canonicalRank: UInt8 {
        switch self {
        case .minKey: 1
        case .undefined: 2
        case .null: 3
        case .double, .int32, .int64, .decimal128: 4
        case .string, .symbol: 5
        case .document: 6
        case .array: 7
        case .binary: 8
        case .objectID: 9
        case .bool: 10
        case .date: 11
        case .timestamp: 12
        case .regex: 13
        case .dbPointer: 14
        case .code: 15
        case .codeWithScope: 16
        case .maxKey: 17
        }
    }

    /// Whether this is one of the four numeric types, which compare by mathematical value.
    @inlinable
    public var isNumeric: Bool {
        switch self {
        case .double, .int32, .int64, .decimal128: true
        default: false
        }
    }
}
