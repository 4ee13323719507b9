// Documents as Swift values, by Codable. Numbers convert where nothing is lost.

public import BSON
import FoundationEssentials

/// Decodes `Decodable` values from documents.
public struct DocumentDecoder: Sendable {
    /// A decoder.
    public init() {}

    /// The Swift value of a document.
    /// - Throws: `DecodingError` naming the field.
    public func decode<T: Decodable>(_ type: T.Type, from document: Document) throws -> T {
        try ValueDecoder.decode(type, .document(document), at: [])
    }
}

private struct ValueDecoder: Decoder {
    let value: Value
    let codingPath: [any CodingKey]
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    static func decode<T: Decodable>(
        _ type: T.Type, _ value: Value, at path: [any CodingKey]
    ) throws -> T {
        if let special = try special(type, value, at: path) { return special }
        return try T(from: ValueDecoder(value: value, codingPath: path))
    }

    /// Types that BSON has a type for.
    private static func special<T>(
        _ type: T.Type, _ value: Value, at path: [any CodingKey]
    ) throws -> T? {
        let decoded: (any Sendable)?
        switch (type, value) {
        case (is Date.Type, .date(let millis)):
            decoded = Date(timeIntervalSince1970: Double(millis) / 1_000)
        case (is Data.Type, .binary(_, let bytes)): decoded = Data(bytes)
        case (is UUID.Type, .binary(4, let bytes)) where bytes.count == 16:
            decoded = UUID(
                uuid: (
                    bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7],
                    bytes[8], bytes[9], bytes[10], bytes[11], bytes[12], bytes[13], bytes[14],
                    bytes[15]
                ))
        case (is Document.Type, .document(let document)): decoded = document
        case (is ObjectID.Type, .objectID(let id)): decoded = id
        case (is Value.Type, _): decoded = value
        case (is Date.Type, _), (is Data.Type, _), (is UUID.Type, _), (is Document.Type, _),
            (is ObjectID.Type, _):
            throw mismatch(type, value, at: path)
        default: return nil
        }
        return decoded as? T
    }

    static func mismatch(
        _ type: Any.Type, _ value: Value, at path: [any CodingKey]
    ) -> DecodingError {
        .typeMismatch(
            type,
            .init(
                codingPath: path,
                debugDescription: "Expected \(type), the document has \(value.type.alias)"))
    }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        guard case .document(let document) = value else {
            throw Self.mismatch(Document.self, value, at: codingPath)
        }
        return KeyedDecodingContainer(FieldDecoder<Key>(document: document, codingPath: codingPath))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        guard case .array(let values) = value else {
            throw Self.mismatch([Value].self, value, at: codingPath)
        }
        return ElementDecoder(values: values, codingPath: codingPath)
    }

    func singleValueContainer() -> any SingleValueDecodingContainer {
        SingleDecoder(value: value, codingPath: codingPath)
    }
}

private struct SingleDecoder: SingleValueDecodingContainer {
    let value: Value
    let codingPath: [any CodingKey]

    func decodeNil() -> Bool { value == .null }

    func decode(_ type: Bool.Type) throws -> Bool {
        guard case .bool(let truth) = value else { throw mismatch(type) }
        return truth
    }

    func decode(_ type: String.Type) throws -> String {
        switch value {
        case .string(let string), .symbol(let string): return string
        default: throw mismatch(type)
        }
    }

    func decode(_ type: Double.Type) throws -> Double {
        switch value {
        case .double(let number): return number
        case .int32(let number): return Double(number)
        case .int64(let number):
            guard let exact = Double(exactly: number) else { throw mismatch(type) }
            return exact
        default: throw mismatch(type)
        }
    }

    func decode(_ type: Float.Type) throws -> Float { Float(try decode(Double.self)) }
    func decode(_ type: Int.Type) throws -> Int { try integer(type) }
    func decode(_ type: Int8.Type) throws -> Int8 { try integer(type) }
    func decode(_ type: Int16.Type) throws -> Int16 { try integer(type) }
    func decode(_ type: Int32.Type) throws -> Int32 { try integer(type) }
    func decode(_ type: Int64.Type) throws -> Int64 { try integer(type) }
    func decode(_ type: UInt.Type) throws -> UInt { try integer(type) }
    func decode(_ type: UInt8.Type) throws -> UInt8 { try integer(type) }
    func decode(_ type: UInt16.Type) throws -> UInt16 { try integer(type) }
    func decode(_ type: UInt32.Type) throws -> UInt32 { try integer(type) }
    func decode(_ type: UInt64.Type) throws -> UInt64 { try integer(type) }

    func decode<T: Decodable>(_ type: T.Type) throws -> T {
        try ValueDecoder.decode(type, value, at: codingPath)
    }

    private func integer<T: FixedWidthInteger>(_ type: T.Type) throws -> T {
        let exact: T? =
            switch value {
            case .int32(let number): T(exactly: number)
            case .int64(let number): T(exactly: number)
            case .double(let number): T(exactly: number)
            default: nil
            }
        guard let exact else { throw mismatch(type) }
        return exact
    }

    private func mismatch(_ type: Any.Type) -> DecodingError {
        ValueDecoder.mismatch(type, value, at: codingPath)
    }
}

private struct FieldDecoder<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let document: Document
    let codingPath: [any CodingKey]

    var allKeys: [Key] { document.keys.compactMap { Key(stringValue: $0) } }

    func contains(_ key: Key) -> Bool { document[key.stringValue] != nil }

    func decodeNil(forKey key: Key) throws -> Bool { try field(key) == .null }

    func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T {
        try ValueDecoder.decode(type, try field(key), at: codingPath + [key])
    }

    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<Nested> {
        try decoder(key).container(keyedBy: type)
    }

    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        try decoder(key).unkeyedContainer()
    }

    func superDecoder() throws -> any Decoder {
        ValueDecoder(value: document["super"] ?? .null, codingPath: codingPath)
    }

    func superDecoder(forKey key: Key) throws -> any Decoder { try decoder(key) }

    private func decoder(_ key: Key) throws -> ValueDecoder {
        ValueDecoder(value: try field(key), codingPath: codingPath + [key])
    }

    private func field(_ key: Key) throws -> Value {
        guard let value = document[key.stringValue] else {
            throw DecodingError.keyNotFound(
                key,
                .init(
                    codingPath: codingPath,
                    debugDescription: "The document has no field '\(key.stringValue)'"))
        }
        return value
    }
}

private struct ElementDecoder: UnkeyedDecodingContainer {
    let values: [Value]
    let codingPath: [any CodingKey]
    var currentIndex = 0
    var count: Int? { values.count }
    var isAtEnd: Bool { currentIndex >= values.count }

    mutating func decodeNil() throws -> Bool {
        guard try peek() == .null else { return false }
        currentIndex += 1
        return true
    }

    mutating func decode<T: Decodable>(_ type: T.Type) throws -> T {
        let decoded = try ValueDecoder.decode(type, try peek(), at: codingPath)
        currentIndex += 1
        return decoded
    }

    mutating func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type
    ) throws -> KeyedDecodingContainer<Nested> {
        try superDecoder().container(keyedBy: type)
    }

    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
        try superDecoder().unkeyedContainer()
    }

    mutating func superDecoder() throws -> any Decoder {
        let value = try peek()
        currentIndex += 1
        return ValueDecoder(value: value, codingPath: codingPath)
    }

    private func peek() throws -> Value {
        guard !isAtEnd else {
            throw DecodingError.valueNotFound(
                Value.self, .init(codingPath: codingPath, debugDescription: "The array has ended"))
        }
        return values[currentIndex]
    }
}
