import CLMDB
import Glibc
import Synchronization
import Testing

@testable import Storage

/// The redo log and its checkpoints: after a crash at any instant a folder opens, with all that was
/// acknowledged and nothing half done; damage is named and never read past.
@Suite struct RedoTests {
    // MARK: Records

    @Test func operationsReadBack() throws {
        let buffer = RedoBuffer()
        let bytes = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 * 7) }
        let tree = RedoTree(rawValue: 17)
        bytes.withUnsafeBytes { bytes in
            let part = { UnsafeRawBufferPointer(rebasing: bytes[$0]) }
            buffer.create(tree)
            buffer.put(tree, isAppend: false, key: part(0..<9), value: part(9..<90_000))
            let kept = buffer.bodyBytes
            buffer.put(tree, isAppend: true, key: part(1..<2), value: part(0..<0))
            buffer.truncate(to: kept)
            buffer.delete(.shared, key: part(5..<500))
            buffer.drop(.registry)
        }
        let header = RedoHeader(
            bodyBytes: buffer.bodyBytes, previousCRC: 3, sequence: 5, syncedSequence: 4, commit: 9,
            kind: .commit)
        let salt = SegmentSalt(rawValue: 0x1234_5678_9ABC_DEF0)
        buffer.withRecord { record in
            let crc = header.write(to: record, salt)
            let record = UnsafeRawBufferPointer(record)
            #expect(record.count == header.recordBytes)
            #expect(RedoHeader(record, salt) == header)
            #expect(RedoHeader(record, SegmentSalt(rawValue: 1)) == nil)
            #expect(RedoHeader.storedChecksum(record) == crc)
            #expect(RedoHeader.checksum(record, salt) == crc)
            var offset = RedoHeader.byteCount
            var kinds: [RedoOperation.Kind] = []
            while offset < RedoHeader.byteCount + header.bodyBytes {
                guard
                    let operation = RedoOperation(
                        UnsafeRawBufferPointer(rebasing: record[offset...]))
                else { break }
                kinds.append(operation.kind)
                offset += operation.byteCount
            }
            #expect(kinds == [.createTree, .put, .delete, .dropTree])
        }
    }

    // MARK: The log's end

    /// The last record cut at each of its bytes, and each byte of it changed: it is there or not,
    /// and what came before is.
    @Test func tornTail() throws {
        let crashed = try Crashed(groups: 3)
        let last = try #require(try crashed.records().last)
        let name = try #require(crashed.image.segments.last)
        let end = last.place.offset + last.bytes.count
        for offset in last.place.offset..<end {
            var image = crashed.image
            for index in offset..<end { image.files[name]?[index] = 0xA5 }
            try crashed.check(image, groups: 2, "cut at \(offset)")
        }
        for offset in stride(from: last.place.offset, to: end, by: 5) {
            var image = crashed.image
            image.files[name]?[offset] ^= 0x10
            try crashed.check(image, groups: 2, "byte \(offset)")
        }
    }

    /// A changed byte in a record that a later one knows to be durable is damage.
    @Test func damageIsNamed() throws {
        let crashed = try Crashed(groups: 4)
        let records = try crashed.records()
        let name = try #require(crashed.image.segments.last)
        for record in records.dropLast() {
            for offset in stride(from: 0, to: record.bytes.count, by: 3) {
                var image = crashed.image
                image.files[name]?[record.place.offset + offset] ^= 1
                let folder = image.place()
                let error = #expect(throws: StorageError.self) {
                    try LMDBStore.open(path: folder.path)
                }
                #expect("\(error, default: "")".contains("redo log is damaged"))
            }
        }
    }

    /// Records that are longer than a segment.
    @Test func recordsSpanSegments() throws {
        var limits = RedoLimits(diskBytes: nil)
        limits.segmentBytesMin = 64 << 10
        limits.segmentBytesMax = 64 << 10
        let crashed = try Crashed(groups: 6, valueBytes: 150_000, limits)
        #expect(crashed.image.segments.count > 10)
        try crashed.check(crashed.image, groups: 6, "whole")
    }

    // MARK: Crashes

    /// A power cut: of the data file's pages written since the checkpoint any subset is there.
    @Test(arguments: 1...12 as ClosedRange<UInt64>)
    func anySubsetOfPages(seed: UInt64) throws {
        var random = SeededGenerator(seed)
        let crashed = try Crashed(groups: 40, valueBytes: 3_000)
        for round in 0..<3 {
            var image = crashed.image
            image.mixData(with: crashed.start, &random)
            try crashed.check(image, groups: 40, "seed \(seed), round \(round)")
        }
    }

    /// A power cut in recovery, and again in the recovery after that.
    @Test(arguments: 1...6 as ClosedRange<UInt64>)
    func recoveryCutShort(seed: UInt64) throws {
        var random = SeededGenerator(seed &* 31)
        let crashed = try Crashed(groups: 30, valueBytes: 2_000)
        var image = crashed.image
        image.mixData(with: crashed.start, &random)
        for _ in 0..<3 {
            // What recovery has written to the data file when nothing else of it is durable.
            let recovered = try crashed.check(image, groups: 30, "seed \(seed)")
            image.mixData(with: recovered, &random)
        }
        try crashed.check(image, groups: 30, "seed \(seed), at last")
    }

    /// Recovering a recovered folder changes nothing.
    @Test func replayTwice() throws {
        let crashed = try Crashed(groups: 10)
        let once = try crashed.check(crashed.image, groups: 10, "once")
        try crashed.check(once, groups: 10, "twice")
    }

    /// A commit that failed after its record was durable is not replayed.
    @Test func abortedCommit() throws {
        let crashed = try Crashed(groups: 2) { environment in
            let redo = try #require(environment.redo)
            let operations = RedoBuffer()
            for round in 0..<2 {
                let handle = try Registry.begin(environment.handle, flags: 0)
                let catalog = try #require(environment.tables.find(.catalog, at: 1))
                let value: [UInt8] = [UInt8(round)]
                operations.reset()
                let code = storeValue(
                    handle, catalog, key(99).span.bytes, value.span.bytes, flags: 0, scratch: nil,
                    redo: operations)
                #expect(code == 0)
                guard round == 0 else {
                    try environment.commit(handle, operations)
                    continue
                }
                let commit = UInt64(mdb_txn_id(handle))
                try redo.log.makeRoom(bodyBytes: operations.bodyBytes)
                try redo.log.append(operations, kind: .commit, commit: commit, syncs: true)
                mdb_txn_abort(handle)
                operations.reset()
                try redo.log.append(operations, kind: .abort, commit: commit, syncs: true)
            }
        }
        let folder = crashed.image.place()
        let store = try LMDBStore.open(path: folder.path)
        defer { store.close() }
        #expect(try store.makeReader().copy(.catalog, key(99)) == [1])
    }

    // MARK: Checkpoints

    /// Each byte of each copy, changed alone: the twin serves, and the fault is named.
    @Test func damagedCheckpointCopy() throws {
        let crashed = try Crashed(groups: 3)
        let bytes = try #require(crashed.image.files[FolderImage.checkpoint])
        for offset in stride(from: 0, to: bytes.count, by: 509) {
            var image = crashed.image
            image.files[FolderImage.checkpoint]?[offset] ^= 4
            let folder = image.place()
            let store = try LMDBStore.open(path: folder.path)
            defer { store.close() }
            #expect(store.redoFaults.count == 1, "byte \(offset): \(store.redoFaults)")
            try crashed.check(store, groups: 3, "byte \(offset)")
        }
    }

    /// A folder without the checkpoint that its data needs is refused.
    @Test func missingCheckpoint() throws {
        let crashed = try Crashed(groups: 3)
        var image = crashed.image
        image.files[FolderImage.checkpoint] = nil
        let folder = image.place()
        #expect(throws: StorageError.self) { try LMDBStore.open(path: folder.path) }
    }

    @Test func pinIsListed() throws {
        let folder = TemporaryFolder()
        let environment = try Environment(path: folder.path, options: LMDBStore.Options())
        let pins = try #require(environment.redo).pins
        #expect(pins.isListed)
        #expect(pins.heldCommit == environment.info().snapshotID)
    }

    /// Many checkpoints under writes, each of which lets segments be used again.
    @Test func manyCheckpoints() throws {
        var limits = RedoLimits(diskBytes: nil)
        limits.segmentBytesMin = 64 << 10
        limits.segmentBytesMax = 256 << 10
        limits.checkpointLogBytes = 128 << 10
        limits.readyBytesMax = 1 << 20
        let crashed = try Crashed(groups: 400, valueBytes: 2_000, limits)
        #expect(crashed.checkpoints > 3)
        #expect(crashed.image.segments.count < 40)
        try crashed.check(crashed.image, groups: 400, "whole")
    }

    /// Relaxed durability loses at most the last groups, in order.
    @Test func relaxedTail() throws {
        let folder = TemporaryFolder()
        var options = LMDBStore.Options()
        options.durability = .relaxed
        do {
            let store = try LMDBStore.open(path: folder.path, options: options)
            defer { store.close() }
            for number in 0..<50 {
                try store.perform { txn in try txn.put(.catalog, key(number), key(number)) }
            }
        }
        let store = try LMDBStore.open(path: folder.path)
        defer { store.close() }
        #expect(try store.makeReader().all(.catalog).count == 50)
    }
}

/// A store that was written to and left as a crash leaves it.
private final class Crashed {
    /// Its files when it had just been opened, and after the last group.
    let start: FolderImage
    let image: FolderImage
    let checkpoints: UInt64
    private let valueBytes: Int
    private let table: TableID

    /// Writes so many groups, each to two tables, with no checkpoint but what `limits` ask for.
    init(
        groups: Int, valueBytes: Int = 40, _ limits: RedoLimits? = nil,
        then: (Environment) throws -> Void = { _ in }
    ) throws {
        var options = LMDBStore.Options()
        options.redoLimits = limits ?? RedoLimits(diskBytes: nil)
        options.redoLimits?.checkpointMillis = 1_000_000
        let folder = TemporaryFolder()
        self.valueBytes = valueBytes
        do {
            let store = try LMDBStore.open(path: folder.path, options: options)
            defer { store.close() }
            table = try store.perform { txn in try txn.createTable() }
        }
        let environment = try Environment(path: folder.path, options: options)
        let writer = Writer(environment)
        try writer.start()
        start = FolderImage(folder.path)
        let done = Monitor(0)
        for number in 0..<groups {
            let (value, table) = (Self.value(number, valueBytes), table)
            let job = TypedWriteJob(
                OperationOptions(),
                { txn in
                    try txn.put(.catalog, key(number), value)
                    try txn.put(table, key(number % 7), value)
                },
                { _ in
                    done.withLock { $0 += 1 }
                    done.wake()
                })
            #expect(writer.enqueue(job) == nil)
            _ = done.wait(timeoutMillis: nil) { $0 > number ? true : nil }
        }
        try then(environment)
        image = FolderImage(folder.path)
        checkpoints = environment.statistics.withLock { $0.redo.checkpointMicros.count }
        writer.stop()
    }

    private static func value(_ number: Int, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: number &* 31 &+ $0 &* 7) }
    }

    /// The records that recovery would read.
    func records() throws -> [LogReader.Record] {
        let folder = image.place()
        let checkpoint = try #require(try CheckpointFile(folder: folder.path).newest)
        let segments = try LogFolder(of: folder.path).list().paths.compactMap {
            try LogSegment.open($0, identity: checkpoint.identity).segment
        }
        var reader = LogReader(segments, from: checkpoint.place, path: folder.path)
        var records: [LogReader.Record] = []
        while let record = try reader.next() { records.append(record) }
        return records
    }

    /// Opens files as they are and expects just these groups; answers the folder's files then.
    @discardableResult
    func check(_ image: FolderImage, groups: Int, _ what: String) throws -> FolderImage {
        let folder = image.place()
        let store = try LMDBStore.open(path: folder.path)
        defer { store.close() }
        try check(store, groups: groups, what)
        return FolderImage(folder.path)
    }

    func check(_ store: LMDBStore, groups: Int, _ what: String) throws {
        #expect(store.pageReport.isSound, "\(what): \(store.pageReport.summary)")
        let reader = try store.makeReader()
        let expected = (0..<groups).map {
            Pair(key: key($0), value: Self.value($0, valueBytes))
        }
        #expect(try reader.all(.catalog) == expected, "\(what)")
        let last = (0..<7).compactMap { slot in
            (0..<groups).last { $0 % 7 == slot }.map {
                Pair(key: key(slot), value: Self.value($0, valueBytes))
            }
        }
        #expect(try reader.all(table) == last, "\(what)")
        #expect(try store.verify().faultCount == 0, "\(what)")
    }
}

extension FolderImage {
    /// Replaces pages of the data file by what another image has there: a whole page, or some of
    /// its sectors.
    fileprivate mutating func mixData(with other: FolderImage, _ random: inout SeededGenerator) {
        guard var bytes = files[Self.data], let old = other.files[Self.data] else { return }
        let sector = 512
        if old.count > bytes.count {
            bytes += [UInt8](repeating: 0, count: old.count - bytes.count)
        }
        for page in 0..<bytes.count / 4096 {
            let kind = Int.random(in: 0..<4, using: &random)
            guard kind > 0 else { continue }
            for part in 0..<4096 / sector where kind < 3 || Bool.random(using: &random) {
                let range = page * 4096 + part * sector..<page * 4096 + (part + 1) * sector
                guard range.upperBound <= old.count else { continue }
                if kind != 2 { bytes.replaceSubrange(range, with: old[range]) }
            }
        }
        files[Self.data] = bytes
    }
}
