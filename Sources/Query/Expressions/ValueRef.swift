// Values of expressions, where they lie.
//
// While a document is evaluated every value is a BSON payload in one of three places: the document
// itself, the constants of the compiled expression, or the arena of the evaluation. A reference is
// sixteen bytes (address, length, type), so handing a field on copies nothing.
//
// Lifetime rule, which makes the pointers here sound: a reference is used only between the start of
// an evaluation and the next `EvaluationContext.begin`. For that long
//   - the document is borrowed by the caller of `evaluate`,
//   - the constants belong to the `Expression`, which the caller holds,
//   - the arena neither moves nor frees a chunk (it only does so in `reset`, called by `begin`).
// References never leave the module's evaluation code: results are copied into a DocumentWriter.

package import BSON

/// A value of an evaluation: a lent BSON payload, or no value at all.
package struct ValueRef {
    /// Where the payload begins; meaningless when `length` is zero.
    let base: UnsafeRawPointer
    /// Bytes of the payload.
    let length: Int32
    /// The BSON type byte, or one of the two codes below.
    let kind: UInt8

    /// What `kind` is for no value: 0 is no BSON type.
    private static let missingKind: UInt8 = 0
    /// What `kind` is for an optional argument that was not written: 0x7E is no BSON type.
    private static let absentKind: UInt8 = 0x7E

    /// No value: a field that is not there, `$$REMOVE`.
    package static var missing: ValueRef { ValueRef(kind: missingKind) }
    /// An optional argument that was not written. Counts as missing.
    static var absent: ValueRef { ValueRef(kind: absentKind) }
    /// Null.
    package static var null: ValueRef { ValueRef(kind: BSONType.null.rawValue) }

    /// A value without payload.
    private init(kind: UInt8) {
        // SAFETY: never read through, since the length is zero; the address is that of constant
        // data, so it is not null and lives as long as the process.
        base = UnsafeRawPointer(("" as StaticString).utf8Start)
        length = 0
        self.kind = kind
    }

    /// A value at `base`.
    init(_ type: BSONType, _ base: UnsafeRawPointer, _ length: Int) {
        self.base = base
        self.length = Int32(truncatingIfNeeded: length)
        kind = type.rawValue
    }

    /// Refers to a lent value, under the lifetime rule above.
    package init(_ view: ValueView) {
        self.init(view.type, view.bytes)
    }

    /// Refers to a lent document as a value, under the lifetime rule above.
    package init(_ view: DocumentView) {
        self.init(.document, view.bytes)
    }

    /// Refers to lent bytes as the payload of a value, under the lifetime rule above.
    init(_ type: BSONType, _ bytes: RawSpan) {
        // SAFETY: the address outlives the closure under the lifetime rule of this file.
        let start = bytes.withUnsafeBytes { $0.baseAddress }
        self = start.map { ValueRef(type, $0, bytes.byteCount) } ?? ValueRef(kind: type.rawValue)
    }

    /// Whether there is no value.
    package var isMissing: Bool { kind == Self.missingKind || kind == Self.absentKind }
    /// Whether this is an optional argument that was not written.
    var isAbsent: Bool { kind == Self.absentKind }
    /// Whether this is null, undefined or missing.
    package var isNullish: Bool {
        isMissing || kind == BSONType.null.rawValue || kind == BSONType.undefined.rawValue
    }

    /// The type; nil for no value.
    package var type: BSONType? { isMissing ? nil : BSONType(rawValue: kind) }

    /// Whether this is a value of `type`.
    @inline(__always)
    func isType(_ type: BSONType) -> Bool { kind == type.rawValue }

    /// The payload's bytes.
    var bytes: RawSpan {
        @_lifetime(immortal)
        get {
            // SAFETY: see the lifetime rule of this file.
            _overrideLifetime(
                RawSpan(_unsafeStart: base, byteCount: Int(length)), copying: ())
        }
    }

    /// The value as a view; null for no value.
    package var view: ValueView {
        @_lifetime(immortal)
        get {
            let type = BSONType(rawValue: kind) ?? .null
            return _overrideLifetime(ValueView(type: type, bytes: bytes), copying: ())
        }
    }

    /// The elements of a document or array; meaningless for other types.
    var nested: DocumentView {
        @_lifetime(immortal)
        get { _overrideLifetime(DocumentView(bytes), copying: ()) }
    }

    /// The UTF-8 of a string or symbol; empty for other types.
    var utf8: RawSpan {
        @_lifetime(immortal)
        get {
            guard isType(.string) || isType(.symbol) || isType(.code), length >= 5 else {
                return _overrideLifetime(RawSpan(), copying: ())
            }
            return _overrideLifetime(bytes.extracting(4..<Int(length) - 1), copying: ())
        }
    }

    /// Truth as expressions see it: false, null, missing, undefined and zeros are false.
    package var isTruthy: Bool { isMissing ? false : view.isTruthy }

    /// The alias of the type as messages name it; "missing" for no value.
    var typeName: String { type?.alias ?? "missing" }
}

/// Memory for the intermediate values of one document's evaluation: chunks that never move.
struct Arena: ~Copyable {
    private var chunks: [UnsafeMutableRawBufferPointer] = []
    private var used = 0
    /// Bytes in the chunks before the last.
    private var bytesBefore = 0

    private static let firstChunkBytes = 4096

    deinit {
        for chunk in chunks { chunk.deallocate() }
    }

    /// Bytes handed out since the last reset.
    var byteCount: Int { bytesBefore + used }

    /// Room for `count` bytes, aligned to eight, valid until `reset`.
    @inline(__always)
    mutating func allocate(_ count: Int) -> UnsafeMutableRawBufferPointer {
        let size = (count + 7) & ~7
        if let chunk = chunks.last, chunk.count - used >= size {
            let start = used
            used += size
            return UnsafeMutableRawBufferPointer(rebasing: chunk[start..<start + count])
        }
        return allocateSlowPath(count, size)
    }

    @inline(never)
    private mutating func allocateSlowPath(
        _ count: Int, _ size: Int
    ) -> UnsafeMutableRawBufferPointer {
        bytesBefore += used
        let lastCount = chunks.last?.count ?? Self.firstChunkBytes / 2
        let chunk = UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(lastCount * 2, size), alignment: 8)
        chunks.append(chunk)
        used = size
        return UnsafeMutableRawBufferPointer(rebasing: chunk[0..<count])
    }

    /// Takes everything back; keeps the largest chunk for the next document unless it is huge.
    mutating func reset() {
        if chunks.count > 1 || (chunks.last?.count ?? 0) > Self.keptBytesMax {
            let kept = chunks.last.flatMap { $0.count <= Self.keptBytesMax ? $0 : nil }
            for chunk in kept == nil ? chunks[...] : chunks.dropLast() { chunk.deallocate() }
            chunks = kept.map { [$0] } ?? []
        }
        used = 0
        bytesBefore = 0
    }

    /// A larger chunk than this is given back after the document that needed it.
    private static let keptBytesMax = 1024 * 1024
}

/// The constants of a compiled expression: payloads in one allocation that never moves.
final class ConstantPool: @unchecked Sendable {
    // Unchecked because of the pointer: written in `init` only, freed in `deinit`.
    private let memory: UnsafeMutableRawBufferPointer

    /// Copies the payloads.
    init(_ bytes: [UInt8]) {
        memory = UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(bytes.count, 1), alignment: 8)
        memory.copyBytes(from: bytes)
    }

    deinit { memory.deallocate() }

    /// All payloads.
    var bytes: RawSpan {
        @_lifetime(immortal)
        get {
            // SAFETY: used only while the expression that owns the pool is evaluated.
            guard let base = memory.baseAddress else {
                return _overrideLifetime(RawSpan(), copying: ())
            }
            return _overrideLifetime(
                RawSpan(_unsafeStart: UnsafeRawPointer(base), byteCount: memory.count),
                copying: ())
        }
    }

    /// The constant whose payload lies at `offset`.
    @inline(__always)
    func value(_ type: BSONType, at offset: Int, length: Int) -> ValueRef {
        // SAFETY: offsets come from the parser that filled the pool; the pool lives as long as its
        // expression.
        guard let base = memory.baseAddress else { return .null }
        return ValueRef(type, UnsafeRawPointer(base + offset), length)
    }
}
