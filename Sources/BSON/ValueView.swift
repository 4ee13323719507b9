// One BSON value where it lies: its type and its payload.

/// A value lent by its owner. The payload's size fits its type: the walk that made it has checked.
public struct ValueView: ~Escapable {
    /// The value's type.
    public let type: BSONType
    /// The payload as BSON encodes it: without type byte and name.
    public let bytes: RawSpan

    /// A value whose payload is known to fit `type`.
    @_lifetime(copy bytes)
    @inlinable
    package init(type: BSONType, bytes: RawSpan) {
        self.type = type
        self.bytes = bytes
    }

    /// Checks that `bytes` begin with a payload of `type` and takes just that.
    @_lifetime(copy bytes)
    public init?(checking type: BSONType, _ bytes: RawSpan) {
        let size = bytes.payloadSize(of: type, at: 0)
        guard size >= 0, size <= bytes.byteCount else { return nil }
        self.type = type
        self.bytes = bytes.extracting(unchecked: 0..<size)
    }

    /// A null.
    public static var null: ValueView {
        @_lifetime(immortal)
        get { ValueView(type: .null, bytes: RawSpan()) }
    }

    // SAFETY (all loads in this file): the payload's size was checked against its type when the
    // view was made, and `bytes` outlives the view.

    /// The number of an int32, else nil.
    @inlinable
    public var int32: Int32? {
        type == .int32 ? bytes.unsafeLoadUnaligned(as: Int32.self) : nil
    }

    /// The number of an int64, else nil.
    @inlinable
    public var int64: Int64? {
        type == .int64 ? bytes.unsafeLoadUnaligned(as: Int64.self) : nil
    }

    /// The number of a double, else nil.
    @inlinable
    public var double: Double? {
        type == .double ? Double(bitPattern: bytes.unsafeLoadUnaligned(as: UInt64.self)) : nil
    }

    /// The truth of a bool, else nil.
    @inlinable
    public var bool: Bool? {
        type == .bool ? bytes.unsafeLoad(as: UInt8.self) != 0 : nil
    }

    /// Milliseconds since 1970 of a date, else nil.
    @inlinable
    public var dateMillis: Int64? {
        type == .date ? bytes.unsafeLoadUnaligned(as: Int64.self) : nil
    }

    /// The timestamp, else nil.
    public var timestamp: Timestamp? {
        type == .timestamp
            ? Timestamp(rawValue: bytes.unsafeLoadUnaligned(as: UInt64.self)) : nil
    }

    /// The ObjectId, else nil.
    public var objectID: ObjectID? {
        guard type == .objectID else { return nil }
        return ObjectID(bytes)
    }

    /// The decimal128, else nil.
    public var decimal128: Decimal128? {
        guard type == .decimal128 else { return nil }
        return Decimal128(
            low: bytes.unsafeLoadUnaligned(as: UInt64.self),
            high: bytes.unsafeLoadUnaligned(fromByteOffset: 8, as: UInt64.self))
    }

    /// The UTF-8 of a string, symbol or code, without length and zero byte; else nil.
    public var utf8: RawSpan? {
        @_lifetime(copy self)
        get {
            switch type {
            case .string, .symbol, .code:
                return bytes.extracting(unchecked: 4..<bytes.byteCount - 1)
            default: return nil
            }
        }
    }

    /// The string of a string value, copied; nil for every other type.
    public var string: String? {
        guard type == .string, let utf8 else { return nil }
        return String(utf8: utf8)
    }

    /// Whether this is a string with the same bytes as `text`.
    package func hasText(_ text: String) -> Bool {
        guard type == .string, let utf8 else { return false }
        return utf8.equals(text.utf8Span.span.bytes)
    }

    /// The document of a document value, else nil.
    public var document: DocumentView? {
        @_lifetime(copy self)
        get { type == .document ? DocumentView(bytes) : nil }
    }

    /// The elements of an array value, else nil.
    public var array: DocumentView? {
        @_lifetime(copy self)
        get { type == .array ? DocumentView(bytes) : nil }
    }

    /// The elements of a document or array, else nil.
    public var nested: DocumentView? {
        @_lifetime(copy self)
        get { type == .document || type == .array ? DocumentView(bytes) : nil }
    }

    /// Subtype and content of binary data, else nil. Content of subtype 2 begins with its inner
    /// length, as stored.
    public var binary: BinaryView? {
        @_lifetime(copy self)
        get {
            guard type == .binary else { return nil }
            return BinaryView(
                subtype: bytes.unsafeLoad(fromByteOffset: 4, as: UInt8.self),
                content: bytes.extracting(unchecked: 5..<bytes.byteCount))
        }
    }

    /// Pattern and options of a regular expression, else nil.
    public var regex: RegexView? {
        @_lifetime(copy self)
        get {
            guard type == .regex else { return nil }
            let end = bytes.indexOfZero(from: 0)
            return RegexView(
                pattern: bytes.extracting(unchecked: 0..<end),
                options: bytes.extracting(unchecked: end + 1..<bytes.byteCount - 1))
        }
    }

    /// Code and scope of a code with scope, else nil.
    public var codeWithScope: CodeWithScopeView? {
        @_lifetime(copy self)
        get {
            guard type == .codeWithScope else { return nil }
            let codeEnd = 8 + Int(bytes.unsafeLoadUnaligned(fromByteOffset: 4, as: Int32.self))
            return CodeWithScopeView(
                code: bytes.extracting(unchecked: 8..<codeEnd - 1),
                scope: DocumentView(bytes.extracting(unchecked: codeEnd..<bytes.byteCount)))
        }
    }

    /// Whether this is a number, whatever its width.
    @inlinable
    public var isNumeric: Bool { type.isNumeric }

    /// Whether this is a NaN, double or decimal.
    package var isNaN: Bool {
        switch type {
        case .double: double?.isNaN ?? false
        case .decimal128: decimal128?.isNaN ?? false
        default: false
        }
    }

    /// Truth as commands and expressions see it: false, null, undefined and every zero are false.
    public var isTruthy: Bool {
        switch type {
        case .bool: bool ?? false
        case .null, .undefined: false
        case .int32: int32 != 0
        case .int64: int64 != 0
        case .double: double != 0
        case .decimal128: !(decimal128?.isZero ?? false)
        default: true
        }
    }
}

/// Binary data lent by its owner.
public struct BinaryView: ~Escapable {
    /// What the bytes mean: 0 generic, 4 UUID, 128 and above the user's.
    public let subtype: UInt8
    /// The bytes themselves.
    public let content: RawSpan

    @_lifetime(copy content)
    init(subtype: UInt8, content: RawSpan) {
        self.subtype = subtype
        self.content = content
    }
}

/// A regular expression lent by its owner.
public struct RegexView: ~Escapable {
    /// The pattern in UTF-8.
    public let pattern: RawSpan
    /// The option letters.
    public let options: RawSpan

    @_lifetime(copy pattern, copy options)
    init(pattern: RawSpan, options: RawSpan) {
        self.pattern = pattern
        self.options = options
    }
}

/// Code with its scope, lent by its owner.
public struct CodeWithScopeView: ~Escapable {
    /// The code in UTF-8.
    public let code: RawSpan
    /// The scope.
    public let scope: DocumentView

    @_lifetime(copy code, copy scope)
    init(code: RawSpan, scope: DocumentView) {
        self.code = code
        self.scope = scope
    }
}
