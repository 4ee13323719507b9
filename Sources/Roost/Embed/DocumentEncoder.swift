// Swift values as documents, by Codable. For embedders; the engine works on bytes.
//
//     Date → date, Data → binary 0, UUID → binary 4, Int and wider → int64, Int32 and narrower →
//     int32, URL and other types → as they encode themselves; nil properties are left out.

public import BSON
import FoundationEssentials

/// Encodes `Encodable` values as documents.
public struct DocumentEncoder: Sendable {
    /// An encoder.
    public init() {}

    /// The document of a value that encodes as keyed fields.
    /// - Throws: `EncodingError`; also where the value is no keyed container or an integer exceeds
    ///   64 bits with sign.
    public func encode(_ value: some Encodable) throws -> Document {
        let encoded = try encodeValue(value)
        guard case .document(let document) = encoded else {
            throw EncodingError.invalidValue(
                value,
                .init(
                    codingPath: [],
                    debugDescription: "A document needs named fields, not a single value or array"))
        }
        return document
    }

    /// The BSON value of any encodable value.
    public func encodeValue(_ value: some Encodable) throws -> Value {
        try ValueEncoder.encode(value, at: [])
    }
}

/// What a container holds while it is filled: containers may be filled in any order.
private final class Slot {
    enum Content {
        case empty
        case value(Value)
        case fields([(String, Slot)])
        case elements([Slot])
    }

    var content = Content.empty

    /// The finished value; an empty slot is an empty document.
    var value: Value {
        switch content {
        case .empty: return .document(Document())
        case .value(let value): return value
        case .elements(let slots): return .array(slots.map(\.value))
        case .fields(let fields):
            return .document(
                Document { writer in
                    for (name, slot) in fields { writer.append(name, slot.value) }
                })
        }
    }

    func field(_ name: String) -> Slot {
        let slot = Slot()
        if case .fields(var fields) = content {
            content = .empty
            fields.append((name, slot))
            content = .fields(fields)
        } else {
            content = .fields([(name, slot)])
        }
        return slot
    }

    func element() -> Slot {
        let slot = Slot()
        if case .elements(var slots) = content {
            content = .empty
            slots.append(slot)
            content = .elements(slots)
        } else {
            content = .elements([slot])
        }
        return slot
    }

    var elementCount: Int {
        if case .elements(let slots) = content { slots.count } else { 0 }
    }
}

private struct ValueEncoder: Encoder {
    let slot: Slot
    let codingPath: [any CodingKey]
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    static func encode(_ value: some Encodable, at path: [any CodingKey]) throws -> Value {
        if let value = special(value) { return value }
        let slot = Slot()
        try value.encode(to: ValueEncoder(slot: slot, codingPath: path))
        return slot.value
    }

    /// Types that BSON has a type for.
    private static func special(_ value: some Encodable) -> Value? {
        switch value {
        case let date as Date:
            .date(Int64((date.timeIntervalSince1970 * 1_000).rounded()))
        case let data as Data: .binary(subtype: 0, Array(data))
        case let uuid as UUID:
            .binary(subtype: 4, withUnsafeBytes(of: uuid.uuid) { Array($0) })
        case let document as Document: .document(document)
        case let id as ObjectID: .objectID(id)
        case let value as Value: value
        default: nil
        }
    }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        if case .empty = slot.content { slot.content = .fields([]) }
        return KeyedEncodingContainer(KeyedEncoder<Key>(slot: slot, codingPath: codingPath))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        if case .empty = slot.content { slot.content = .elements([]) }
        return ElementEncoder(slot: slot, codingPath: codingPath)
    }

    func singleValueContainer() -> any SingleValueEncodingContainer {
        SingleEncoder(slot: slot, codingPath: codingPath)
    }
}

private struct SingleEncoder: SingleValueEncodingContainer {
    let slot: Slot
    let codingPath: [any CodingKey]

    func encodeNil() { slot.content = .value(.null) }
    func encode(_ value: Bool) { slot.content = .value(.bool(value)) }
    func encode(_ value: String) { slot.content = .value(.string(value)) }
    func encode(_ value: Double) { slot.content = .value(.double(value)) }
    func encode(_ value: Float) { slot.content = .value(.double(Double(value))) }
    func encode(_ value: Int) { slot.content = .value(.int64(Int64(value))) }
    func encode(_ value: Int8) { slot.content = .value(.int32(Int32(value))) }
    func encode(_ value: Int16) { slot.content = .value(.int32(Int32(value))) }
    func encode(_ value: Int32) { slot.content = .value(.int32(value)) }
    func encode(_ value: Int64) { slot.content = .value(.int64(value)) }
    func encode(_ value: UInt8) { slot.content = .value(.int32(Int32(value))) }
    func encode(_ value: UInt16) { slot.content = .value(.int32(Int32(value))) }
    func encode(_ value: UInt32) { slot.content = .value(.int64(Int64(value))) }
    func encode(_ value: UInt) throws { try encode(UInt64(value)) }

    func encode(_ value: UInt64) throws {
        guard let number = Int64(exactly: value) else {
            throw EncodingError.invalidValue(
                value,
                .init(codingPath: codingPath, debugDescription: "BSON's integers end at 2^63 - 1"))
        }
        slot.content = .value(.int64(number))
    }

    func encode(_ value: some Encodable) throws {
        slot.content = .value(try ValueEncoder.encode(value, at: codingPath))
    }
}

private struct KeyedEncoder<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let slot: Slot
    let codingPath: [any CodingKey]

    func encodeNil(forKey key: Key) { slot.field(key.stringValue).content = .value(.null) }

    func encode(_ value: some Encodable, forKey key: Key) throws {
        let encoded = try ValueEncoder.encode(value, at: codingPath + [key])
        slot.field(key.stringValue).content = .value(encoded)
    }

    func nestedContainer<Nested: CodingKey>(
        keyedBy keyType: Nested.Type, forKey key: Key
    ) -> KeyedEncodingContainer<Nested> {
        ValueEncoder(slot: slot.field(key.stringValue), codingPath: codingPath + [key])
            .container(keyedBy: keyType)
    }

    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
        ValueEncoder(slot: slot.field(key.stringValue), codingPath: codingPath + [key])
            .unkeyedContainer()
    }

    func superEncoder() -> any Encoder {
        ValueEncoder(slot: slot.field("super"), codingPath: codingPath)
    }

    func superEncoder(forKey key: Key) -> any Encoder {
        ValueEncoder(slot: slot.field(key.stringValue), codingPath: codingPath + [key])
    }
}

private struct ElementEncoder: UnkeyedEncodingContainer {
    let slot: Slot
    let codingPath: [any CodingKey]
    var count: Int { slot.elementCount }

    func encodeNil() { slot.element().content = .value(.null) }

    func encode(_ value: some Encodable) throws {
        let encoded = try ValueEncoder.encode(value, at: codingPath)
        slot.element().content = .value(encoded)
    }

    func nestedContainer<Nested: CodingKey>(
        keyedBy keyType: Nested.Type
    ) -> KeyedEncodingContainer<Nested> {
        ValueEncoder(slot: slot.element(), codingPath: codingPath).container(keyedBy: keyType)
    }

    func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer {
        ValueEncoder(slot: slot.element(), codingPath: codingPath).unkeyedContainer()
    }

    func superEncoder() -> any Encoder {
        ValueEncoder(slot: slot.element(), codingPath: codingPath)
    }
}
