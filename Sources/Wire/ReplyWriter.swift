// Writing replies straight into the bytes that go to the socket: a document that the store lends
// is copied once, from its page into this buffer.
//
// A reply is begun, its fields are appended, and it is ended, which patches the lengths. Until
// then it can be taken back to the beginning, so that an error met half-way replaces it.

package import BSON
package import NIOCore

/// Appends one reply after another to a buffer.
package struct ReplyWriter: Sendable {
    /// All that was written and not yet taken.
    package private(set) var buffer: ByteBuffer

    /// Where the reply being written begins.
    private var messageStart = 0
    /// Where its document begins, from `messageStart`.
    private var bodyStart = 0
    private var kind = Request.Kind.message
    /// Index of the next element that `append(element:)` writes.
    private var elementIndex = 0

    /// A writer at the end of `buffer`.
    package init(_ buffer: ByteBuffer = ByteBuffer()) {
        self.buffer = buffer
    }

    /// Bytes of the reply being written so far.
    package var byteCount: Int { buffer.writerIndex - messageStart }

    /// Elements that `append(element:)` has written to the open batch.
    package var elementCount: Int { elementIndex }

    // MARK: Messages

    /// Begins a reply of the kind that answers `kind`.
    package mutating func begin(_ kind: Request.Kind) {
        self.kind = kind
        messageStart = buffer.writerIndex
        // `end` writes header and length over these zeros.
        switch kind {
        case .message:
            buffer.writeRepeatingByte(0, count: MessageHeader.byteCount + 4 + 1 + 4)
        case .legacyQuery:
            // flags, cursor id, starting from, number returned; then the document's length.
            buffer.writeRepeatingByte(0, count: MessageHeader.byteCount + 20 + 4)
        }
        bodyStart = buffer.writerIndex - 4 - messageStart
        elementIndex = 0
    }

    /// Forgets the fields written since `begin`.
    package mutating func restart() {
        buffer.moveWriterIndex(to: messageStart)
        begin(kind)
    }

    /// Forgets the reply begun, header and all.
    package mutating func abandon() {
        buffer.moveWriterIndex(to: messageStart)
    }

    /// Ends the reply: closes its document and writes its header.
    ///
    /// - Parameters:
    ///   - requestID: this reply's own number.
    ///   - responseTo: the number of what it answers.
    ///   - flags: `moreToCome` for all but the last of an exhaust cursor's replies;
    ///     `checksumPresent` to append a CRC-32C.
    package mutating func end(
        requestID: Int32, responseTo: Int32, flags: MessageFlags = []
    ) {
        close(bodyStart)
        let hasChecksum = kind == .message && flags.contains(.checksumPresent)
        let length = buffer.writerIndex - messageStart + (hasChecksum ? 4 : 0)
        buffer.setMultipleIntegers(
            Int32(truncatingIfNeeded: length), requestID, responseTo,
            (kind == .message ? OpCode.message : OpCode.reply).rawValue,
            at: messageStart, endianness: .little)
        let fields = messageStart + MessageHeader.byteCount
        switch kind {
        case .message:
            buffer.setInteger(flags.rawValue, at: fields, endianness: .little)
        case .legacyQuery:
            // AwaitCapable, which every server since 1.x sets; one document returned.
            buffer.setInteger(Int32(8), at: fields, endianness: .little)
            buffer.setInteger(Int32(1), at: fields + 16, endianness: .little)
        }
        if hasChecksum {
            let message = buffer.getSlice(at: messageStart, length: length - 4)
            buffer.writeInteger(message?.readableBytesSpan.crc32c ?? 0, endianness: .little)
        }
    }

    /// Compresses the reply ended last, where that makes it smaller.
    package mutating func compressLast() {
        Compression.compress(&buffer, from: messageStart)
    }

    /// Moves the reply begun to a writer of its own, which another thread may go on with. Copies
    /// what was written of it.
    package mutating func split() -> ReplyWriter {
        var other = ReplyWriter()
        if var written = buffer.getSlice(at: messageStart, length: byteCount) {
            other.buffer.writeBuffer(&written)
        }
        other.bodyStart = bodyStart
        other.kind = kind
        other.elementIndex = elementIndex
        abandon()
        return other
    }

    /// Hands the written bytes out and goes on with an empty buffer.
    package mutating func take() -> ByteBuffer {
        let taken = buffer
        buffer = ByteBuffer()
        messageStart = 0
        bodyStart = 0
        return taken
    }

    /// Empties the buffer and keeps its memory if nobody else holds it and it is not above
    /// `bytesMax`.
    package mutating func reset(keepingAtMost bytesMax: Int) {
        if buffer.capacity > bytesMax {
            buffer = ByteBuffer()
        } else {
            buffer.clear()
        }
        messageStart = 0
        bodyStart = 0
    }

    // MARK: Nesting

    /// Begins a document in field `name`; what is returned goes to `close`.
    package mutating func openDocument(_ name: StaticString) -> Int {
        appendHeader(.document, name)
        return openNested()
    }

    /// Begins an array in field `name`; what is returned goes to `close`.
    package mutating func openArray(_ name: StaticString) -> Int {
        appendHeader(.array, name)
        elementIndex = 0
        return openNested()
    }

    /// Begins a document as the next element of the open array.
    package mutating func openElement() -> Int {
        appendElementHeader(.document)
        return openNested()
    }

    private mutating func openNested() -> Int {
        let start = buffer.writerIndex - messageStart
        buffer.writeInteger(UInt32(0))
        return start
    }

    /// Ends the document or array that began at `start`, which counts from the reply's beginning
    /// and so stays right when the reply moves to another writer.
    package mutating func close(_ start: Int) {
        buffer.writeInteger(UInt8(0))
        let index = messageStart + start
        buffer.setInteger(
            UInt32(truncatingIfNeeded: buffer.writerIndex - index), at: index,
            endianness: .little)
    }

    // MARK: Elements of the open array

    /// Copies a lent document as the next element of the open array.
    package mutating func append(element document: DocumentView) {
        appendElementHeader(.document)
        buffer.writeBytes(document.bytes)
    }

    /// Copies a lent value as the next element of the open array.
    package mutating func append(element value: ValueView) {
        appendElementHeader(value.type)
        buffer.writeBytes(value.bytes)
    }

    /// Appends a string as the next element of the open array.
    package mutating func append(element string: String) {
        appendElementHeader(.string)
        appendString(string)
    }

    private mutating func appendElementHeader(_ type: BSONType) {
        buffer.writeInteger(type.rawValue)
        appendDecimal(elementIndex)
        buffer.writeInteger(UInt8(0))
        elementIndex += 1
    }

    private mutating func appendDecimal(_ number: Int) {
        if number >= 10 { appendDecimal(number / 10) }
        buffer.writeInteger(UInt8(truncatingIfNeeded: 48 + number % 10))
    }

    // MARK: Fields

    /// Writes a field's type and name; the payload must follow.
    package mutating func appendHeader(_ type: BSONType, _ name: StaticString) {
        buffer.writeInteger(type.rawValue)
        buffer.writeStaticString(name)
        buffer.writeInteger(UInt8(0))
    }

    /// Appends an int32.
    package mutating func append(_ name: StaticString, _ value: Int32) {
        appendHeader(.int32, name)
        buffer.writeInteger(value, endianness: .little)
    }

    /// Appends an int64.
    package mutating func append(_ name: StaticString, _ value: Int64) {
        appendHeader(.int64, name)
        buffer.writeInteger(value, endianness: .little)
    }

    /// Appends a count as int32, or as int64 where it doesn't fit.
    package mutating func append(_ name: StaticString, count: Int) {
        if let small = Int32(exactly: count) {
            append(name, small)
        } else {
            append(name, Int64(count))
        }
    }

    /// Appends a double.
    package mutating func append(_ name: StaticString, _ value: Double) {
        appendHeader(.double, name)
        buffer.writeInteger(value.bitPattern, endianness: .little)
    }

    /// Appends a bool.
    package mutating func append(_ name: StaticString, _ value: Bool) {
        appendHeader(.bool, name)
        buffer.writeInteger(UInt8(value ? 1 : 0))
    }

    /// Appends a string.
    package mutating func append(_ name: StaticString, _ value: String) {
        appendHeader(.string, name)
        appendString(value)
    }

    /// Appends `first.second` as a string, without building it.
    package mutating func appendNamespace(
        _ name: StaticString, _ first: String, _ second: String
    ) {
        appendHeader(.string, name)
        buffer.writeInteger(
            UInt32(truncatingIfNeeded: first.utf8.count + second.utf8.count + 2),
            endianness: .little)
        buffer.writeString(first)
        buffer.writeInteger(UInt8(ascii: "."))
        buffer.writeString(second)
        buffer.writeInteger(UInt8(0))
    }

    /// Appends a date in milliseconds since 1970.
    package mutating func append(_ name: StaticString, dateMillis: Int64) {
        appendHeader(.date, name)
        buffer.writeInteger(dateMillis, endianness: .little)
    }

    /// Appends a timestamp.
    package mutating func append(_ name: StaticString, _ value: Timestamp) {
        appendHeader(.timestamp, name)
        buffer.writeInteger(value.rawValue, endianness: .little)
    }

    /// Appends a null.
    package mutating func appendNull(_ name: StaticString) {
        appendHeader(.null, name)
    }

    /// Appends a lent document.
    package mutating func append(_ name: StaticString, _ value: DocumentView) {
        appendHeader(.document, name)
        buffer.writeBytes(value.bytes)
    }

    /// Appends an owned document.
    package mutating func append(_ name: StaticString, document value: Document) {
        appendHeader(.document, name)
        buffer.writeBytes(value.bytes)
    }

    /// Appends a lent value.
    package mutating func append(_ name: StaticString, _ value: ValueView) {
        appendHeader(value.type, name)
        buffer.writeBytes(value.bytes)
    }

    /// Appends any value.
    package mutating func append(_ name: StaticString, _ value: Value) {
        let owned = OwnedValue(value)
        append(name, owned.view)
    }

    /// Appends every field of a lent document.
    package mutating func appendFields(of document: DocumentView) {
        guard document.bytes.byteCount > 5 else { return }
        buffer.writeBytes(document.bytes.extracting(4..<document.bytes.byteCount - 1))
    }

    private mutating func appendString(_ value: String) {
        buffer.writeInteger(
            UInt32(truncatingIfNeeded: value.utf8.count + 1), endianness: .little)
        buffer.writeString(value)
        buffer.writeInteger(UInt8(0))
    }
}
