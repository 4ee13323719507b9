// Writing BSON: appends to one growing buffer, which can hold several documents one after another
// (a reply's batch, an arena of intermediate values). Lengths are patched when a document closes.

/// Appends BSON to a buffer.
///
/// Nesting is the caller's: what `openDocument` or `openArray` returns goes to `close`. Names are
/// written as they are; a name must not hold a zero byte (inputs are validated before).
public struct DocumentWriter: Sendable {
    /// All that was written.
    public private(set) var bytes: [UInt8] = []

    /// An empty buffer.
    public init() {}

    /// An empty buffer with room for `capacity` bytes.
    public init(reserving capacity: Int) {
        bytes.reserveCapacity(capacity)
    }

    /// The number of bytes written.
    public var count: Int { bytes.count }

    /// Forgets everything, keeps the memory.
    public mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
    }

    /// Forgets what was written at and after `offset`.
    public mutating func truncate(to offset: Int) {
        if offset < bytes.count { bytes.removeSubrange(offset...) }
    }

    /// Hands the buffer out and starts a new one.
    public mutating func take() -> [UInt8] {
        let taken = bytes
        bytes = []
        return taken
    }

    // MARK: Nesting

    /// Begins a document without type and name: a top-level one.
    public mutating func openDocument() -> Int {
        let start = bytes.count
        appendRaw(UInt32(0))
        return start
    }

    /// Begins a document in field `name`.
    public mutating func openDocument(_ name: String) -> Int {
        appendHeader(.document, name)
        return openDocument()
    }

    /// Begins an array in field `name`; its elements are named by `index` overloads.
    public mutating func openArray(_ name: String) -> Int {
        appendHeader(.array, name)
        return openDocument()
    }

    /// Ends what began at `start` and writes its length.
    public mutating func close(_ start: Int) {
        bytes.append(0)
        let length = UInt32(truncatingIfNeeded: bytes.count - start)
        bytes[start] = UInt8(truncatingIfNeeded: length)
        bytes[start + 1] = UInt8(truncatingIfNeeded: length >> 8)
        bytes[start + 2] = UInt8(truncatingIfNeeded: length >> 16)
        bytes[start + 3] = UInt8(truncatingIfNeeded: length >> 24)
    }

    // MARK: Headers

    /// Writes an element's type and name; the payload must follow.
    public mutating func appendHeader(_ type: BSONType, _ name: String) {
        bytes.append(type.rawValue)
        bytes.append(contentsOf: name.utf8)
        bytes.append(0)
    }

    /// Writes an element's type and name; the payload must follow.
    public mutating func appendHeader(_ type: BSONType, _ name: RawSpan) {
        bytes.append(type.rawValue)
        bytes.append(copying: name)
        bytes.append(0)
    }

    /// Writes an array element's type and index; the payload must follow.
    public mutating func appendHeader(_ type: BSONType, index: Int) {
        bytes.append(type.rawValue)
        if index < 10 {
            bytes.append(UInt8(truncatingIfNeeded: 48 + index))
        } else {
            bytes.append(contentsOf: String(index).utf8)
        }
        bytes.append(0)
    }

    // MARK: Fields

    /// Appends a lent value under a lent name.
    public mutating func append(_ name: RawSpan, _ value: ValueView) {
        appendHeader(value.type, name)
        bytes.append(copying: value.bytes)
    }

    /// Appends a lent value.
    public mutating func append(_ name: String, _ value: ValueView) {
        appendHeader(value.type, name)
        bytes.append(copying: value.bytes)
    }

    /// Appends a lent value as an array's element.
    public mutating func append(index: Int, _ value: ValueView) {
        appendHeader(value.type, index: index)
        bytes.append(copying: value.bytes)
    }

    /// Appends an element as it is.
    public mutating func append(_ element: ElementView) {
        append(element.name, element.value)
    }

    /// Appends an int32.
    public mutating func append(_ name: String, _ value: Int32) {
        appendHeader(.int32, name)
        appendRaw(UInt32(bitPattern: value))
    }

    /// Appends an int64.
    public mutating func append(_ name: String, _ value: Int64) {
        appendHeader(.int64, name)
        appendRaw(UInt64(bitPattern: value))
    }

    /// Appends a double.
    public mutating func append(_ name: String, _ value: Double) {
        appendHeader(.double, name)
        appendRaw(value.bitPattern)
    }

    /// Appends a bool.
    public mutating func append(_ name: String, _ value: Bool) {
        appendHeader(.bool, name)
        bytes.append(value ? 1 : 0)
    }

    /// Appends a string.
    public mutating func append(_ name: String, _ value: String) {
        appendHeader(.string, name)
        appendString(value)
    }

    /// Appends an ObjectId.
    public mutating func append(_ name: String, _ value: ObjectID) {
        appendHeader(.objectID, name)
        appendPayload(value)
    }

    /// Appends a timestamp.
    public mutating func append(_ name: String, _ value: Timestamp) {
        appendHeader(.timestamp, name)
        appendRaw(value.rawValue)
    }

    /// Appends a date in milliseconds since 1970.
    public mutating func append(_ name: String, dateMillis: Int64) {
        appendHeader(.date, name)
        appendRaw(UInt64(bitPattern: dateMillis))
    }

    /// Appends a null.
    public mutating func appendNull(_ name: String) {
        appendHeader(.null, name)
    }

    /// Appends a document.
    public mutating func append(_ name: String, _ value: Document) {
        appendHeader(.document, name)
        bytes.append(contentsOf: value.bytes)
    }

    /// Appends a lent document.
    public mutating func append(_ name: String, _ value: DocumentView) {
        appendHeader(.document, name)
        bytes.append(copying: value.bytes)
    }

    /// Appends an owned value.
    public mutating func append(_ name: String, _ value: OwnedValue) {
        append(name, value.view)
    }

    /// Appends any value.
    public mutating func append(_ name: String, _ value: Value) {
        appendHeader(value.type, name)
        writePayload(value)
    }

    /// Appends any value as an array's element.
    public mutating func append(index: Int, _ value: Value) {
        appendHeader(value.type, index: index)
        writePayload(value)
    }

    /// Appends every field of a lent document.
    public mutating func appendFields(of document: DocumentView) {
        guard document.bytes.byteCount > 5 else { return }
        bytes.append(copying: document.bytes.extracting(4..<document.bytes.byteCount - 1))
    }

    // MARK: Payloads

    /// Appends bytes as they are.
    public mutating func appendRaw(copying raw: RawSpan) {
        bytes.append(copying: raw)
    }

    /// Appends a fixed-width integer in little-endian order.
    public mutating func appendRaw<T: FixedWidthInteger>(_ value: T) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    /// Appends a string's payload: length, UTF-8, zero byte.
    public mutating func appendString(_ value: String) {
        appendRaw(UInt32(truncatingIfNeeded: value.utf8.count + 1))
        bytes.append(contentsOf: value.utf8)
        bytes.append(0)
    }

    /// Appends a string's payload from UTF-8.
    public mutating func appendString(utf8: RawSpan) {
        appendRaw(UInt32(truncatingIfNeeded: utf8.byteCount + 1))
        bytes.append(copying: utf8)
        bytes.append(0)
    }

    /// Appends an ObjectId's payload.
    public mutating func appendPayload(_ id: ObjectID) {
        appendRaw(id.head.byteSwapped)
        appendRaw(id.tail.byteSwapped)
    }

    /// Appends the payload of any value.
    public mutating func writePayload(_ value: Value) {
        switch value {
        case .double(let number): appendRaw(number.bitPattern)
        case .string(let string), .code(let string), .symbol(let string): appendString(string)
        case .document(let document): bytes.append(contentsOf: document.bytes)
        case .array(let values):
            let start = openDocument()
            for (index, value) in values.enumerated() { append(index: index, value) }
            close(start)
        case .binary(let subtype, let content):
            appendRaw(UInt32(truncatingIfNeeded: content.count))
            bytes.append(subtype)
            bytes.append(contentsOf: content)
        case .undefined, .null, .minKey, .maxKey: break
        case .objectID(let id): appendPayload(id)
        case .bool(let truth): bytes.append(truth ? 1 : 0)
        case .date(let millis): appendRaw(UInt64(bitPattern: millis))
        case .regex(let pattern, let options):
            bytes.append(contentsOf: pattern.utf8)
            bytes.append(0)
            bytes.append(contentsOf: options.utf8)
            bytes.append(0)
        case .dbPointer(let namespace, let id):
            appendString(namespace)
            appendPayload(id)
        case .codeWithScope(let code, let scope):
            appendRaw(UInt32(truncatingIfNeeded: 4 + 4 + code.utf8.count + 1 + scope.bytes.count))
            appendString(code)
            bytes.append(contentsOf: scope.bytes)
        case .int32(let number): appendRaw(UInt32(bitPattern: number))
        case .timestamp(let timestamp): appendRaw(timestamp.rawValue)
        case .int64(let number): appendRaw(UInt64(bitPattern: number))
        case .decimal128(let low, let high):
            appendRaw(low)
            appendRaw(high)
        }
    }
}
