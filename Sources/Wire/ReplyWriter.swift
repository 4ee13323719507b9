// Writing replies straight into the bytes that go to the socket: a document that the store lends
// is copied from its page into this buffer.
//
// Small pieces are put together in a fixed scratch first, since each write to a ByteBuffer costs a
// hundred instructions; whatever fills the scratch, and the reply's end, spills it. Positions count
// through both: those below `buffer.writerIndex` lie in the buffer, the others in the scratch.
//
// A reply is begun, its fields are appended, and it is ended, which patches the lengths. Until
// then it can be taken back to the beginning, so that an error met half-way replaces it.

package import BSON
package import NIOCore

/// Appends one reply after another to a buffer.
package struct ReplyWriter: Sendable {
    /// All replies that were ended and not yet taken.
    package private(set) var buffer: ByteBuffer

    /// What follows `buffer` of the reply being written.
    private var scratch = InlineArray<1024, UInt8>(repeating: 0)
    private var scratchCount = 0

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
    package var byteCount: Int { position - messageStart }

    /// Elements that `append(element:)` has written to the open batch.
    package var elementCount: Int { elementIndex }

    // MARK: Messages

    /// Begins a reply of the kind that answers `kind`.
    package mutating func begin(_ kind: Request.Kind) {
        self.kind = kind
        messageStart = position
        // `end` writes header and length over these zeros: 16 bytes of header, then
        switch kind {
        case .message:
            // flags, the section's kind and the document's length.
            put(UInt64(0))
            put(UInt64(0))
            put(UInt64(0))
            put(UInt8(0))
        case .legacyQuery:
            // flags, cursor id, starting from, number returned; then the document's length.
            for _ in 0..<5 { put(UInt64(0)) }
        }
        bodyStart = position - 4 - messageStart
        elementIndex = 0
    }

    /// Forgets the fields written since `begin`.
    package mutating func restart() {
        abandon()
        begin(kind)
    }

    /// Forgets the reply begun, header and all.
    package mutating func abandon() {
        scratchCount = 0
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
        let length = byteCount + (hasChecksum ? 4 : 0)
        patch(Int32(truncatingIfNeeded: length), at: messageStart)
        patch(requestID, at: messageStart + 4)
        patch(responseTo, at: messageStart + 8)
        patch(
            (kind == .message ? OpCode.message : OpCode.reply).rawValue, at: messageStart + 12)
        let fields = messageStart + MessageHeader.byteCount
        switch kind {
        case .message:
            patch(flags.rawValue, at: fields)
        case .legacyQuery:
            // AwaitCapable, which every server since 1.x sets; one document returned.
            patch(Int32(8), at: fields)
            patch(Int32(1), at: fields + 16)
        }
        spill()
        if hasChecksum {
            let message = buffer.getSlice(at: messageStart, length: length - 4)
            buffer.writeInteger(message?.readableBytesSpan.crc32c ?? 0, endianness: .little)
        }
    }

    /// A copy of the reply ended last.
    package var lastReply: [UInt8] {
        let length = buffer.writerIndex - messageStart
        return buffer.getBytes(at: messageStart, length: length) ?? []
    }

    /// Appends a whole reply that was made for another request: with numbers of its own, and with
    /// `number` in place of the int64 at `offset`. It must have no checksum.
    package mutating func append(
        reply: [UInt8], requestID: Int32, responseTo: Int32, _ number: Int64, at offset: Int
    ) {
        messageStart = position
        put(reply.span.bytes)
        patch(requestID, at: messageStart + 4)
        patch(responseTo, at: messageStart + 8)
        patch(number, at: messageStart + offset)
        spill()
    }

    /// Compresses the reply ended last, where that makes it smaller.
    package mutating func compressLast() {
        Compression.compress(&buffer, from: messageStart)
    }

    /// Moves the reply begun to a writer of its own, which another thread may go on with. Copies
    /// what was written of it.
    package mutating func split() -> ReplyWriter {
        spill()
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
        let start = byteCount
        put(UInt32(0))
        return start
    }

    /// Ends the document or array that began at `start`, which counts from the reply's beginning
    /// and so stays right when the reply moves to another writer.
    package mutating func close(_ start: Int) {
        put(UInt8(0))
        let index = messageStart + start
        patch(UInt32(truncatingIfNeeded: position - index), at: index)
    }

    // MARK: Elements of the open array

    /// Copies a lent document as the next element of the open array.
    package mutating func append(element document: DocumentView) {
        appendElementHeader(.document)
        put(document.bytes)
    }

    /// Copies a lent value as the next element of the open array.
    package mutating func append(element value: ValueView) {
        appendElementHeader(value.type)
        put(value.bytes)
    }

    /// Appends a string as the next element of the open array.
    package mutating func append(element string: String) {
        appendElementHeader(.string)
        appendString(string)
    }

    private mutating func appendElementHeader(_ type: BSONType) {
        put(type.rawValue)
        appendDecimal(elementIndex)
        put(UInt8(0))
        elementIndex += 1
    }

    private mutating func appendDecimal(_ number: Int) {
        if number >= 10 { appendDecimal(number / 10) }
        put(UInt8(truncatingIfNeeded: 48 + number % 10))
    }

    // MARK: Fields

    /// Writes a field's type and name; the payload must follow.
    package mutating func appendHeader(_ type: BSONType, _ name: StaticString) {
        let size = 1 + name.utf8CodeUnitCount + 1
        if scratchCount + size > scratch.count { spill() }
        store(type.rawValue, at: scratchCount)
        copy(RawSpan(terminated: name), to: scratchCount + 1)
        scratchCount += size
    }

    /// Appends an int32.
    package mutating func append(_ name: StaticString, _ value: Int32) {
        appendHeader(.int32, name)
        put(value)
    }

    /// Appends an int64.
    package mutating func append(_ name: StaticString, _ value: Int64) {
        appendHeader(.int64, name)
        put(value)
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
        put(value.bitPattern)
    }

    /// Appends a bool.
    package mutating func append(_ name: StaticString, _ value: Bool) {
        appendHeader(.bool, name)
        put(UInt8(value ? 1 : 0))
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
        put(UInt32(truncatingIfNeeded: first.utf8.count + second.utf8.count + 2))
        put(first.utf8Span.span.bytes)
        put(UInt8(ascii: "."))
        put(second.utf8Span.span.bytes)
        put(UInt8(0))
    }

    /// Appends a date in milliseconds since 1970.
    package mutating func append(_ name: StaticString, dateMillis: Int64) {
        appendHeader(.date, name)
        put(dateMillis)
    }

    /// Appends a timestamp.
    package mutating func append(_ name: StaticString, _ value: Timestamp) {
        appendHeader(.timestamp, name)
        put(value.rawValue)
    }

    /// Appends a null.
    package mutating func appendNull(_ name: StaticString) {
        appendHeader(.null, name)
    }

    /// Appends a lent document.
    package mutating func append(_ name: StaticString, _ value: DocumentView) {
        appendHeader(.document, name)
        put(value.bytes)
    }

    /// Appends an owned document.
    package mutating func append(_ name: StaticString, document value: Document) {
        appendHeader(.document, name)
        put(value.bytes.span.bytes)
    }

    /// Appends a lent value.
    package mutating func append(_ name: StaticString, _ value: ValueView) {
        appendHeader(value.type, name)
        put(value.bytes)
    }

    /// Appends any value.
    package mutating func append(_ name: StaticString, _ value: Value) {
        let owned = OwnedValue(value)
        append(name, owned.view)
    }

    /// Appends every field of a lent document.
    package mutating func appendFields(of document: DocumentView) {
        guard document.bytes.byteCount > 5 else { return }
        put(document.bytes.extracting(4..<document.bytes.byteCount - 1))
    }

    /// Appends every field of an owned document.
    package mutating func appendFields(document: Document) {
        appendFields(of: document.view)
    }

    private mutating func appendString(_ value: String) {
        put(UInt32(truncatingIfNeeded: value.utf8.count + 1))
        put(value.utf8Span.span.bytes)
        put(UInt8(0))
    }

    // MARK: Bytes

    /// Where the next byte goes.
    private var position: Int { buffer.writerIndex + scratchCount }

    @inline(__always)
    private mutating func put<Integer: FixedWidthInteger & BitwiseCopyable>(_ value: Integer) {
        let size = MemoryLayout<Integer>.size
        if scratchCount + size > scratch.count { spill() }
        store(value, at: scratchCount)
        scratchCount += size
    }

    private mutating func put(_ bytes: RawSpan) {
        let size = bytes.byteCount
        if scratchCount + size > scratch.count {
            spill()
            if size > scratch.count / 2 {
                buffer.writeBytes(bytes)
                return
            }
        }
        copy(bytes, to: scratchCount)
        scratchCount += size
    }

    /// Copies `bytes` into the scratch, which has room for them there.
    @inline(__always)
    private mutating func copy(_ bytes: RawSpan, to offset: Int) {
        var target = scratch.mutableSpan
        // SAFETY: the callers have made room, and both pointers stay in the closures.
        target.withUnsafeMutableBytes { target in
            bytes.withUnsafeBytes { source in
                UnsafeMutableRawBufferPointer(rebasing: target[offset...])
                    .copyMemory(from: source)
            }
        }
    }

    /// Overwrites what was written at `position`, all of it by one `put`.
    @inline(__always)
    private mutating func patch<Integer: FixedWidthInteger & BitwiseCopyable>(
        _ value: Integer, at position: Int
    ) {
        let offset = position - buffer.writerIndex
        if offset >= 0 {
            store(value, at: offset)
        } else {
            buffer.setInteger(value, at: position, endianness: .little)
        }
    }

    @inline(__always)
    private mutating func store<Integer: FixedWidthInteger & BitwiseCopyable>(
        _ value: Integer, at offset: Int
    ) {
        var span = scratch.mutableSpan
        var bytes = span.mutableBytes
        bytes.storeBytes(of: value.littleEndian, toByteOffset: offset, as: Integer.self)
    }

    /// Moves the scratch to the end of the buffer.
    private mutating func spill() {
        guard scratchCount > 0 else { return }
        buffer.writeBytes(scratch.span.bytes.extracting(0..<scratchCount))
        scratchCount = 0
    }
}
