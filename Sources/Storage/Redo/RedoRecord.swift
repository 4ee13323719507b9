// How a commit lies in the redo log.
//
//   record     header, operations, zeros up to a multiple of 8
//   header     mark u32 (the segment's), CRC-32C u32 (of all that follows, seeded by the segment),
//              bytes of the operations u32, CRC of the record before u32, sequence u64,
//              newest sequence known to be durable u64, commit u64, kind u32, 0 u32
//   operation  kind u8, 0 u8, bytes of the key u16, bytes of the value u32, tree u64, key, value
//
// Integers are little-endian. Keys and values are those that LMDB gets: prefix and checksum
// included. A record's sequence is one more than that of the record before; its commit is the
// number that LMDB gives the transaction, and the same again when it is replayed.

import CChecksum

/// The header of a record.
struct RedoHeader: Equatable {
    enum Kind: UInt32 {
        /// Operations that make the commit.
        case commit = 1
        /// The commit of the record before failed: that record changes nothing.
        case abort = 2
    }

    static let byteCount = 48
    static let alignment = 8
    /// Where the checksum's bytes begin.
    private static let checkedFrom = 8

    var bodyBytes: Int
    var previousCRC: UInt32
    var sequence: UInt64
    var syncedSequence: UInt64
    var commit: UInt64
    var kind: Kind

    /// Bytes of the record, padding included.
    var recordBytes: Int { Self.recordBytes(body: bodyBytes) }

    static func recordBytes(body: Int) -> Int {
        (byteCount + body + alignment - 1) / alignment * alignment
    }

    /// Writes the header before its operations, which lie behind it already, and answers the CRC.
    ///
    /// SAFETY: `record` holds the whole record, which the caller owns.
    func write(to record: UnsafeMutableRawBufferPointer, _ salt: SegmentSalt) -> UInt32 {
        record.storeBytes(of: salt.mark.littleEndian, toByteOffset: 0, as: UInt32.self)
        record.storeBytes(
            of: UInt32(truncatingIfNeeded: bodyBytes).littleEndian, toByteOffset: 8,
            as: UInt32.self)
        record.storeBytes(of: previousCRC.littleEndian, toByteOffset: 12, as: UInt32.self)
        record.storeBytes(of: sequence.littleEndian, toByteOffset: 16, as: UInt64.self)
        record.storeBytes(of: syncedSequence.littleEndian, toByteOffset: 24, as: UInt64.self)
        record.storeBytes(of: commit.littleEndian, toByteOffset: 32, as: UInt64.self)
        record.storeBytes(of: kind.rawValue.littleEndian, toByteOffset: 40, as: UInt32.self)
        record.storeBytes(of: 0, toByteOffset: 44, as: UInt32.self)
        for index in Self.byteCount + bodyBytes..<recordBytes { record[index] = 0 }
        let crc = Self.checksum(UnsafeRawBufferPointer(record), salt)
        record.storeBytes(of: crc.littleEndian, toByteOffset: 4, as: UInt32.self)
        return crc
    }

    /// The CRC of a whole record.
    static func checksum(_ record: UnsafeRawBufferPointer, _ salt: SegmentSalt) -> UInt32 {
        let checked = UnsafeRawBufferPointer(rebasing: record[checkedFrom...])
        return roost_crc32c(salt.seed, checked.baseAddress, checked.count)
    }

    /// Reads a header; nil where the bytes can't be one of this segment. The CRC is not checked.
    init?(_ bytes: UnsafeRawBufferPointer, _ salt: SegmentSalt) {
        guard bytes.count >= Self.byteCount, Self.integer(bytes, 0, UInt32.self) == salt.mark,
            let kind = Kind(rawValue: Self.integer(bytes, 40, UInt32.self))
        else { return nil }
        bodyBytes = Int(Self.integer(bytes, 8, UInt32.self))
        previousCRC = Self.integer(bytes, 12, UInt32.self)
        sequence = Self.integer(bytes, 16, UInt64.self)
        syncedSequence = Self.integer(bytes, 24, UInt64.self)
        commit = Self.integer(bytes, 32, UInt64.self)
        self.kind = kind
    }

    init(
        bodyBytes: Int, previousCRC: UInt32, sequence: UInt64, syncedSequence: UInt64,
        commit: UInt64, kind: Kind
    ) {
        self.bodyBytes = bodyBytes
        self.previousCRC = previousCRC
        self.sequence = sequence
        self.syncedSequence = syncedSequence
        self.commit = commit
        self.kind = kind
    }

    /// The CRC that a record tells.
    static func storedChecksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        integer(bytes, 4, UInt32.self)
    }

    private static func integer<T: FixedWidthInteger>(
        _ bytes: UnsafeRawBufferPointer, _ offset: Int, _: T.Type
    ) -> T where T: BitwiseCopyable {
        T(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: T.self))
    }
}

/// One change of a record.
struct RedoOperation {
    enum Kind: UInt8 {
        case put = 1
        /// A put whose key was above all others of the tree.
        case append = 2
        case delete = 3
        case createTree = 4
        /// Removes a tree and all that is in it.
        case dropTree = 5
    }

    static let headerBytes = 16

    let kind: Kind
    let tree: RedoTree
    // SAFETY (both): views of the record's bytes, which outlive the operation.
    let key: UnsafeRawBufferPointer
    let value: UnsafeRawBufferPointer

    /// Reads the operation at the beginning of `bytes`; nil where there is no whole one.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= Self.headerBytes, let kind = Kind(rawValue: bytes[0]) else {
            return nil
        }
        let keyBytes = Int(
            UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self)))
        let valueBytes = Int(
            UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self)))
        let end = Self.headerBytes + keyBytes + valueBytes
        guard end <= bytes.count else { return nil }
        self.kind = kind
        tree = RedoTree(
            rawValue: UInt64(
                littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
        let keyEnd = Self.headerBytes + keyBytes
        key = UnsafeRawBufferPointer(rebasing: bytes[Self.headerBytes..<keyEnd])
        value = UnsafeRawBufferPointer(rebasing: bytes[keyEnd..<end])
    }

    /// Bytes that it takes in its record.
    var byteCount: Int { Self.headerBytes + key.count + value.count }
}

/// Names one of LMDB's trees in the log: by its table's number, which is its name there too.
struct RedoTree: Hashable {
    let rawValue: UInt64

    static let registry = RedoTree(rawValue: TableID.registry.rawValue)
    static let shared = RedoTree(rawValue: .max)

    init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    /// The tree that a table lies in.
    init(_ entry: TableMap.Entry) {
        rawValue = entry.isShared ? Self.shared.rawValue : entry.id
    }

    /// The tree's name in LMDB.
    var name: String {
        switch self {
        case .registry: Registry.registryName
        case .shared: Registry.sharedName
        default: String(rawValue)
        }
    }
}
