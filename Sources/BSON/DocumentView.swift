// Reading documents where they lie.
//
// A document is its BSON bytes (bsonspec.org, version 1.1). The views here read fields by walking
// those bytes: nothing is copied, decoded or allocated. They are non-escaping, so the compiler
// keeps them from outliving the bytes, which may be a page of the store's map.
//
// Views trust nothing: a length that points outside the bytes ends the walk, as if the document
// ended there. Documents are validated once at the boundary (Validation.swift), so behind it that
// never happens.

/// A document or array lent by its owner.
public struct DocumentView: ~Escapable {
    /// The whole encoding: four bytes of length, the elements, a zero byte.
    public let bytes: RawSpan

    /// A view of `bytes`, which are not checked here.
    @_lifetime(copy bytes)
    @inlinable
    public init(_ bytes: RawSpan) {
        self.bytes = bytes
    }

    /// Whether there is no element.
    public var isEmpty: Bool {
        var elements = makeIterator()
        return elements.next() == nil
    }

    /// The number of elements. O(n).
    public var count: Int {
        var elements = makeIterator()
        var count = 0
        while elements.next() != nil { count += 1 }
        return count
    }

    /// Walks the elements in stored order.
    @_lifetime(copy self)
    @inlinable
    public func makeIterator() -> ElementIterator {
        ElementIterator(bytes)
    }

    /// The first element named `name` (UTF-8 without the zero byte). O(n) in the bytes before it.
    @_lifetime(copy self)
    public func value(_ name: RawSpan) -> ValueView? {
        var elements = makeIterator()
        while let element = elements.next() {
            if element.name.equals(name) { return element.value }
        }
        return nil
    }

    /// The first element named `name`. O(n) in the bytes before it.
    @_lifetime(copy self)
    public func value(_ name: StaticString) -> ValueView? {
        value(RawSpan(name))
    }

    /// The first element of the document.
    public var first: ElementView? {
        @_lifetime(copy self)
        get {
            var elements = makeIterator()
            return elements.next()
        }
    }
}

/// One field of a document, lent by its owner.
public struct ElementView: ~Escapable {
    /// The field's name in UTF-8, without its zero byte.
    public let name: RawSpan
    /// The field's value.
    public let value: ValueView

    @_lifetime(copy name, copy value)
    @inlinable
    init(name: RawSpan, value: ValueView) {
        self.name = name
        self.value = value
    }

    /// The name as a string; copies it.
    public var nameString: String { String(utf8: name) }
}

/// Walks a document's elements in stored order.
public struct ElementIterator: ~Escapable {
    @usableFromInline let bytes: RawSpan
    /// Where the next element's type byte lies.
    @usableFromInline var offset: Int

    /// Where in the document's bytes the next element begins.
    package var position: Int { offset }

    @_lifetime(copy bytes)
    @inlinable
    init(_ bytes: RawSpan) {
        self.bytes = bytes
        self.offset = 4
    }

    /// The next element, or nil at the end (or where the bytes stop making sense).
    @_lifetime(copy self)
    public mutating func next() -> ElementView? {
        let limit = bytes.byteCount
        guard offset < limit else { return nil }
        // SAFETY: every offset read below is compared with `limit` first; `bytes` outlives `self`.
        let typeByte = bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
        guard typeByte != 0, let type = BSONType(rawValue: typeByte) else { return nil }
        let nameStart = offset + 1
        let nameEnd = bytes.indexOfZero(from: nameStart)
        guard nameEnd < limit else { return nil }
        let valueStart = nameEnd + 1
        let size = bytes.payloadSize(of: type, at: valueStart)
        guard size >= 0, size <= limit - valueStart else { return nil }
        offset = valueStart + size
        return ElementView(
            name: bytes.extracting(unchecked: nameStart..<nameEnd),
            value: ValueView(
                type: type, bytes: bytes.extracting(unchecked: valueStart..<valueStart + size)))
    }
}
