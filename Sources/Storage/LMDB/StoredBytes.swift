// The bytes as LMDB keeps them. A stored value is the payload and then four bytes, CRC-32C over key
// (without a shared table's prefix) and payload, little-endian. A shared table's key is the table's
// id, 8 bytes big-endian, and then the key.

import CChecksum
import CLMDB

enum StoredBytes {
    static let checksumBytes = 4
    static let prefixBytes = 8
    /// LMDB's own limit, compiled into the library.
    static let storedKeyBytesMax = 511
    static let keyBytesMax = storedKeyBytesMax - prefixBytes
    /// 16 MiB for a document, and room for what wraps it.
    static let valueBytesMax = 17 << 20

    /// The checksum that belongs to a key and a payload.
    static func checksum(_ key: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer) -> UInt32
    {
        roost_crc32c(
            roost_crc32c(0, key.baseAddress, key.count), payload.baseAddress, payload.count)
    }

    /// The payload of a stored value, or nil if its checksum fails.
    @inline(__always)
    static func payload(
        key: UnsafeRawBufferPointer, stored: MDB_val
    ) -> UnsafeRawBufferPointer? {
        let stored = UnsafeRawBufferPointer(start: stored.mv_data, count: stored.mv_size)
        let count = stored.count - checksumBytes
        guard count >= 0 else { return nil }
        roost_prefetch(stored.baseAddress, stored.count)
        let payload = UnsafeRawBufferPointer(rebasing: stored[..<count])
        let expected = UInt32(
            littleEndian: stored.loadUnaligned(fromByteOffset: count, as: UInt32.self))
        return checksum(key, payload) == expected ? payload : nil
    }

    /// Writes the id as a shared table's key prefix.
    static func writePrefix(_ id: UInt64, to buffer: UnsafeMutableRawPointer) {
        buffer.storeBytes(of: id.bigEndian, as: UInt64.self)
    }

    /// LMDB's view of some bytes; it never writes through a key.
    @inline(__always)
    static func view(_ bytes: UnsafeRawBufferPointer) -> MDB_val {
        MDB_val(
            mv_size: bytes.count, mv_data: UnsafeMutableRawPointer(mutating: bytes.baseAddress))
    }

    /// The bytes that LMDB shows.
    @inline(__always)
    static func bytes(_ view: MDB_val) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: view.mv_data, count: view.mv_size)
    }
}

/// The stored form of a caller's key: its own bytes in a table of its own, prefixed in `scratch`
/// (of `storedKeyBytesMax` bytes) in a shared one.
///
/// SAFETY: `body` may not keep the view; `key` and `scratch` outlive the call.
@inline(__always)
func withStoredKey<R, E: Error>(
    _ key: RawSpan, _ entry: TableMap.Entry, _ scratch: UnsafeMutableRawPointer?,
    _ body: (MDB_val, UnsafeRawBufferPointer) throws(E) -> R
) throws(E) -> R {
    try key.withUnsafeBytes { (key) throws(E) -> R in
        guard entry.isShared, let scratch else {
            return try body(StoredBytes.view(key), key)
        }
        StoredBytes.writePrefix(entry.id, to: scratch)
        if let base = key.baseAddress {
            (scratch + StoredBytes.prefixBytes).copyMemory(from: base, byteCount: key.count)
        }
        let count = StoredBytes.prefixBytes + key.count
        return try body(MDB_val(mv_size: count, mv_data: scratch), key)
    }
}

/// Looks a key up in any transaction.
///
/// SAFETY: the answer points into LMDB's map (or a page of the write transaction) and lives as long
/// as the transaction, or until it is next written to.
@inline(__always)
func lookUp(
    _ transaction: OpaquePointer, _ entry: TableMap.Entry, _ key: RawSpan,
    _ scratch: UnsafeMutableRawPointer?
) throws(StorageError) -> UnsafeRawBufferPointer? {
    let count = key.byteCount
    guard count > 0, count <= StoredBytes.keyBytesMax else { return nil }
    return try withStoredKey(key, entry, scratch) {
        (stored, key) throws(StorageError) -> UnsafeRawBufferPointer? in
        var stored = stored
        var found = MDB_val()
        let code = mdb_get(transaction, entry.handle, &stored, &found)
        guard code == 0 else {
            if code == MDB_NOTFOUND { return nil }
            throw LMDBCode.error(code, "mdb_get", table: entry.table)
        }
        guard let payload = StoredBytes.payload(key: key, stored: found) else {
            throw .corrupted(table: entry.table, key: Array(key))
        }
        return payload
    }
}

/// Stores a value with its checksum, and notes that in `redo`; answers LMDB's code (0, MDB_KEYEXIST, or a failure).
///
/// SAFETY: LMDB reserves the room and the bytes are written at once, before anything else can move
/// the page; `key` and `value` are never LMDB's own memory, since the transaction is exclusively
/// held while it is written to.
func storeValue(
    _ transaction: OpaquePointer, _ entry: TableMap.Entry, _ key: RawSpan, _ value: RawSpan,
    flags: Int32, scratch: UnsafeMutableRawPointer?, redo: RedoBuffer? = nil
) -> Int32 {
    withStoredKey(key, entry, scratch) { stored, key in
        value.withUnsafeBytes { value in
            var stored = stored
            var room = MDB_val(
                mv_size: value.count + StoredBytes.checksumBytes, mv_data: nil)
            let code = mdb_put(
                transaction, entry.handle, &stored, &room, UInt32(flags | MDB_RESERVE))
            guard code == 0, let place = room.mv_data else { return code }
            if let base = value.baseAddress {
                place.copyMemory(from: base, byteCount: value.count)
            }
            place.storeBytes(
                of: StoredBytes.checksum(key, value).littleEndian, toByteOffset: value.count,
                as: UInt32.self)
            redo?.put(
                RedoTree(entry), isAppend: flags & MDB_APPEND != 0, key: StoredBytes.bytes(stored),
                value: StoredBytes.bytes(room))
            return code
        }
    }
}

extension Array where Element == UInt8 {
    /// A copy of lent bytes.
    init(copying span: RawSpan) {
        self = span.withUnsafeBytes { Array($0) }
    }
}
