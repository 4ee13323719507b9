import CChecksum

/// A place in the log's stream, and what a record there continues.
struct LogPlace: Equatable {
    /// The segment's number.
    var segment: UInt64
    /// Bytes from the beginning of its file.
    var offset: Int
    /// The CRC of the record before.
    var crc: UInt32
    /// The sequence of the record that goes there.
    var sequence: UInt64
}

/// A durable snapshot of the data file: the two headers that show it, and where the log goes on
/// from there.
///
///   copy       "ROOSTCKP", CRC-32C u32 (of what follows), version u32, generation u64,
///              commit u64, segment u64, offset u64, CRC of the record before u32, 0 u32,
///              sequence u64, the store's identity (16 bytes), zeros up to 4096, the two headers
struct Checkpoint: Equatable {
    static let copyBytes = 3 * PageFile.pageBytes
    private static let version: UInt32 = 1
    private static let magic = Array("ROOSTCKP".utf8)
    private static let checkedFrom = 12

    /// Ascending from 1.
    var generation: UInt64
    /// The number of the commit that the snapshot shows.
    var commit: UInt64
    /// Where the record of the next commit is, or will be.
    var place: LogPlace
    var identity: [UInt8]
    /// The data file's first two pages.
    var metas: [UInt8]

    /// The bytes of one copy.
    var encoded: [UInt8] {
        var body = Registry.value(Self.version) + Registry.value(generation)
        body += Registry.value(commit) + Registry.value(place.segment)
        body += Registry.value(UInt64(place.offset)) + Registry.value(place.crc)
        body += Registry.value(UInt32(0)) + Registry.value(place.sequence) + identity
        body += [UInt8](repeating: 0, count: PageFile.pageBytes - Self.checkedFrom - body.count)
        body += metas
        return Self.magic + Registry.value(Self.checksum(body[...])) + body
    }

    init(
        generation: UInt64, commit: UInt64, place: LogPlace, identity: [UInt8], metas: [UInt8]
    ) {
        self.generation = generation
        self.commit = commit
        self.place = place
        self.identity = identity
        self.metas = metas
    }

    /// Reads a copy; nil unless it is whole.
    init?(_ copy: [UInt8]) {
        guard copy.count == Self.copyBytes, Array(copy[..<8]) == Self.magic,
            Registry.number(copy[8..<12], as: UInt32.self)
                == Self.checksum(copy[Self.checkedFrom...]),
            Registry.number(copy[12..<16], as: UInt32.self) == Self.version,
            let generation = Registry.number(copy[16..<24], as: UInt64.self),
            let commit = Registry.number(copy[24..<32], as: UInt64.self),
            let segment = Registry.number(copy[32..<40], as: UInt64.self),
            let offset = Registry.number(copy[40..<48], as: UInt64.self),
            let crc = Registry.number(copy[48..<52], as: UInt32.self),
            let sequence = Registry.number(copy[56..<64], as: UInt64.self)
        else { return nil }
        self.generation = generation
        self.commit = commit
        place = LogPlace(
            segment: segment, offset: Int(clamping: offset), crc: crc, sequence: sequence)
        identity = Array(copy[64..<80])
        metas = Array(copy[PageFile.pageBytes...])
    }

    private static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        bytes.withUnsafeBytes { roost_crc32c(0, $0.baseAddress, $0.count) }
    }
}
