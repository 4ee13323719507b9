/// The operations of the transaction at hand, gathered while they are applied, behind the room for
/// their record's header. Used by the writer's thread only.
final class RedoBuffer {
    // SAFETY: allocated in init, moved by `reserve`, freed in deinit; lent only within calls.
    private var bytes: UnsafeMutableRawBufferPointer
    /// Bytes of the operations so far.
    private(set) var bodyBytes = 0

    private static let startBytes = 64 << 10
    /// Room kept from one transaction to the next.
    private static let keptBytes = 4 << 20
    /// The most that a record's header can tell.
    static let bodyBytesMax = Int(UInt32.max) - (1 << 20)

    init() {
        bytes = .allocate(byteCount: 0, alignment: RedoHeader.alignment)
    }

    deinit {
        bytes.deallocate()
    }

    /// Forgets all operations.
    func reset() {
        bodyBytes = 0
        if bytes.count > Self.keptBytes {
            bytes.deallocate()
            bytes = .allocate(byteCount: 0, alignment: RedoHeader.alignment)
        }
    }

    /// Forgets the operations beyond `count` bytes, which were undone.
    func truncate(to count: Int) {
        bodyBytes = min(bodyBytes, count)
    }

    /// Notes that a value was stored; key and value as LMDB has them.
    func put(
        _ tree: RedoTree, isAppend: Bool, key: UnsafeRawBufferPointer,
        value: UnsafeRawBufferPointer
    ) {
        add(isAppend ? .append : .put, tree, key, value)
    }

    /// Notes that a key was removed.
    func delete(_ tree: RedoTree, key: UnsafeRawBufferPointer) {
        add(.delete, tree, key, UnsafeRawBufferPointer(start: nil, count: 0))
    }

    /// Notes that a tree was made.
    func create(_ tree: RedoTree) {
        let none = UnsafeRawBufferPointer(start: nil, count: 0)
        add(.createTree, tree, none, none)
    }

    /// Notes that a tree was removed.
    func drop(_ tree: RedoTree) {
        let none = UnsafeRawBufferPointer(start: nil, count: 0)
        add(.dropTree, tree, none, none)
    }

    private func add(
        _ kind: RedoOperation.Kind, _ tree: RedoTree, _ key: UnsafeRawBufferPointer,
        _ value: UnsafeRawBufferPointer
    ) {
        let count = RedoOperation.headerBytes + key.count + value.count
        reserve(RedoHeader.recordBytes(body: bodyBytes + count))
        let start = RedoHeader.byteCount + bodyBytes
        bytes[start] = kind.rawValue
        bytes[start + 1] = 0
        bytes.storeBytes(
            of: UInt16(truncatingIfNeeded: key.count).littleEndian, toByteOffset: start + 2,
            as: UInt16.self)
        bytes.storeBytes(
            of: UInt32(truncatingIfNeeded: value.count).littleEndian, toByteOffset: start + 4,
            as: UInt32.self)
        bytes.storeBytes(of: tree.rawValue.littleEndian, toByteOffset: start + 8, as: UInt64.self)
        let keyStart = start + RedoOperation.headerBytes
        UnsafeMutableRawBufferPointer(rebasing: bytes[keyStart...]).copyMemory(from: key)
        UnsafeMutableRawBufferPointer(rebasing: bytes[(keyStart + key.count)...])
            .copyMemory(from: value)
        bodyBytes += count
    }

    /// Lends the record, its header still to be written.
    func withRecord<R, E: Error>(
        _ body: (UnsafeMutableRawBufferPointer) throws(E) -> R
    ) throws(E) -> R {
        let count = RedoHeader.recordBytes(body: bodyBytes)
        reserve(count)
        return try body(UnsafeMutableRawBufferPointer(rebasing: bytes[..<count]))
    }

    private func reserve(_ count: Int) {
        guard count > bytes.count else { return }
        let larger = UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(count, bytes.count * 2, Self.startBytes), alignment: RedoHeader.alignment
        )
        larger.copyMemory(from: UnsafeRawBufferPointer(bytes))
        bytes.deallocate()
        bytes = larger
    }
}
