// Documents and values that own their bytes: for commands, options, tests and embedders. Nothing
// that runs once a stored document uses them.

/// A document that owns its BSON bytes.
public struct Document: Sendable, Hashable {
    /// The whole encoding: length, elements, zero byte.
    public let bytes: [UInt8]

    /// The empty document.
    public init() {
        bytes = [5, 0, 0, 0, 0]
    }

    /// Takes bytes that are known to be a valid document.
    package init(unchecked bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// Copies a lent document.
    public init(copying view: DocumentView) {
        bytes = [UInt8](copying: view.bytes)
    }

    /// Builds a document by appending to a writer.
    public init(_ build: (inout DocumentWriter) -> Void) {
        var writer = DocumentWriter()
        let start = writer.openDocument()
        build(&writer)
        writer.close(start)
        bytes = writer.bytes
    }

    /// A view of the bytes, lent while the document lives.
    public var view: DocumentView {
        @_lifetime(borrow self)
        get { DocumentView(bytes.span.bytes) }
    }

    /// The value of the first field of that name, copied. O(n).
    public subscript(_ name: String) -> Value? {
        var elements = view.makeIterator()
        while let element = elements.next() {
            if element.name.equals(Array(name.utf8).span.bytes) { return Value(element.value) }
        }
        return nil
    }

    /// The field names in order, copied.
    public var keys: [String] {
        var keys: [String] = []
        var elements = view.makeIterator()
        while let element = elements.next() { keys.append(element.nameString) }
        return keys
    }

    /// Whether there is no field.
    public var isEmpty: Bool { bytes.count <= 5 }
}

extension Document: ExpressibleByDictionaryLiteral {
    /// Fields in the order written; repeated names are kept, as BSON does.
    public init(dictionaryLiteral elements: (String, Value)...) {
        self.init { writer in
            for (name, value) in elements { writer.append(name, value) }
        }
    }
}

/// A BSON value that owns what it holds. `==` compares representation, not MongoDB's order:
/// `int32(1) != int64(1)`; use `ValueView.compare` for that.
public enum Value: Sendable, Hashable {
    case double(Double)
    case string(String)
    case document(Document)
    case array([Value])
    case binary(subtype: UInt8, [UInt8])
    case undefined
    case objectID(ObjectID)
    case bool(Bool)
    /// Milliseconds since 1970.
    case date(Int64)
    case null
    case regex(pattern: String, options: String)
    case dbPointer(namespace: String, ObjectID)
    case code(String)
    case symbol(String)
    case codeWithScope(String, Document)
    case int32(Int32)
    case timestamp(Timestamp)
    case int64(Int64)
    case decimal128(low: UInt64, high: UInt64)
    case minKey
    case maxKey

    /// Copies a lent value.
    public init(_ view: ValueView) {
        switch view.type {
        case .double: self = .double(view.double ?? 0)
        case .string: self = .string(view.text)
        case .document: self = .document(Document(copying: DocumentView(view.bytes)))
        case .array:
            var values: [Value] = []
            var elements = DocumentView(view.bytes).makeIterator()
            while let element = elements.next() { values.append(Value(element.value)) }
            self = .array(values)
        case .binary:
            guard let binary = view.binary else { self = .null; return }
            self = .binary(subtype: binary.subtype, [UInt8](copying: binary.content))
        case .undefined: self = .undefined
        case .objectID: self = view.objectID.map { .objectID($0) } ?? .null
        case .bool: self = .bool(view.bool ?? false)
        case .date: self = .date(view.dateMillis ?? 0)
        case .null: self = .null
        case .regex:
            guard let regex = view.regex else { self = .null; return }
            self = .regex(
                pattern: String(utf8: regex.pattern), options: String(utf8: regex.options))
        case .dbPointer:
            let nameEnd = view.bytes.byteCount - 13
            guard let id = ObjectID(view.bytes.extracting(last: 12)) else { self = .null; return }
            self = .dbPointer(namespace: String(utf8: view.bytes.extracting(4..<nameEnd)), id)
        case .code: self = .code(view.text)
        case .symbol: self = .symbol(view.text)
        case .codeWithScope:
            guard let parts = view.codeWithScope else { self = .null; return }
            self = .codeWithScope(String(utf8: parts.code), Document(copying: parts.scope))
        case .int32: self = .int32(view.int32 ?? 0)
        case .timestamp: self = .timestamp(view.timestamp ?? Timestamp(rawValue: 0))
        case .int64: self = .int64(view.int64 ?? 0)
        case .decimal128:
            let decimal = view.decimal128 ?? Decimal128(low: 0, high: 0)
            self = .decimal128(low: decimal.low, high: decimal.high)
        case .minKey: self = .minKey
        case .maxKey: self = .maxKey
        }
    }

    /// The value's type.
    public var type: BSONType {
        switch self {
        case .double: .double
        case .string: .string
        case .document: .document
        case .array: .array
        case .binary: .binary
        case .undefined: .undefined
        case .objectID: .objectID
        case .bool: .bool
        case .date: .date
        case .null: .null
        case .regex: .regex
        case .dbPointer: .dbPointer
        case .code: .code
        case .symbol: .symbol
        case .codeWithScope: .codeWithScope
        case .int32: .int32
        case .timestamp: .timestamp
        case .int64: .int64
        case .decimal128: .decimal128
        case .minKey: .minKey
        case .maxKey: .maxKey
        }
    }
}

extension Value: ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
    ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByNilLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    /// An int32 where it fits, else an int64.
    public init(integerLiteral value: Int64) {
        self = Int32(exactly: value).map { .int32($0) } ?? .int64(value)
    }
    /// A double.
    public init(floatLiteral value: Double) { self = .double(value) }
    /// A string.
    public init(stringLiteral value: String) { self = .string(value) }
    /// A bool.
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    /// Null.
    public init(nilLiteral: ()) { self = .null }
    /// An array.
    public init(arrayLiteral elements: Value...) { self = .array(elements) }
    /// A document with the fields in the order written.
    public init(dictionaryLiteral elements: (String, Value)...) {
        self = .document(
            Document { writer in
                for (name, value) in elements { writer.append(name, value) }
            })
    }
}

extension ValueView {
    /// The text of a string, symbol or code, copied; empty for other types.
    public var text: String {
        guard let utf8 else { return "" }
        return String(utf8: utf8)
    }
}

/// A value that owns its payload as BSON bytes: constants of compiled programs, keys of groups.
public struct OwnedValue: Sendable, Hashable {
    /// The value's type.
    public let type: BSONType
    /// The payload as BSON encodes it.
    public let payload: [UInt8]

    /// Copies a lent value.
    public init(copying view: ValueView) {
        type = view.type
        payload = [UInt8](copying: view.bytes)
    }

    /// Encodes a value.
    public init(_ value: Value) {
        var writer = DocumentWriter()
        writer.writePayload(value)
        type = value.type
        payload = writer.bytes
    }

    /// Takes a payload that is known to fit `type`.
    package init(type: BSONType, payload: [UInt8]) {
        self.type = type
        self.payload = payload
    }

    /// A view of the value, lent while it lives.
    public var view: ValueView {
        @_lifetime(borrow self)
        get { ValueView(type: type, bytes: payload.span.bytes) }
    }
}
