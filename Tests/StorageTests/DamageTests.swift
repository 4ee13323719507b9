import Glibc
import Testing

@testable import Storage

/// Damaged files: whatever is wrong with the bytes, a read answers what was stored or an error, and
/// the process lives.
@Suite struct DamageTests {
    /// What is done to a file.
    enum Damage: CaseIterable, Sendable {
        case flippedBit, zeroedPage, cutEnd, exchangedPages, randomBytes
    }

    @Test(arguments: Damage.allCases, [1, 2, 3, 4] as [UInt64])
    func readsAreRightOrRefused(_ damage: Damage, seed: UInt64) throws {
        let sound = try SoundFile(seed: seed)
        var random = SeededGenerator(seed &* 977 &+ UInt64(damage.hashValue & 0xFF))
        for round in 0..<25 {
            var bytes = sound.bytes
            let what = apply(damage, to: &bytes, &random)
            try sound.check(bytes, "\(damage), seed \(seed), round \(round): \(what)")
        }
    }

    /// Every bit of the headers, of which only some matter.
    @Test func headers() throws {
        let sound = try SoundFile(seed: 9)
        for page in 0..<2 {
            for offset in stride(from: 0, to: 152, by: 3) {
                var bytes = sound.bytes
                bytes[page * 4096 + offset] ^= UInt8(1 << (offset % 8))
                try sound.check(bytes, "header \(page), byte \(offset)")
            }
        }
    }

    /// A table with damaged pages is refused, others are read, and nothing is written.
    @Test func damagedTableAlone() throws {
        let sound = try SoundFile(seed: 3)
        var bytes = sound.bytes
        // Not every table keeps a value of that size in a leaf.
        let first = try #require(
            sound.tables.first { !sound.leafPages(of: $0.key, in: bytes).isEmpty })
        let pages = sound.leafPages(of: first.key, in: bytes)
        for page in pages {
            for offset in 16..<4096 { bytes[page * 4096 + offset] = 0xFF }
        }
        let folder = sound.place(bytes)
        let store = try LMDBStore.open(path: folder.path)
        defer { store.close() }
        #expect(store.pageReport.faults.first?.table == first.key)
        let reader = try store.makeReader()
        #expect(throws: StorageError.self) { try reader.all(first.key) }
        #expect(throws: StorageError.self) { try reader.copy(first.key, [1]) }
        for (table, pairs) in sound.tables where table != first.key {
            #expect(try reader.all(table) == pairs)
        }
        let refusal = #expect(throws: StorageError.self) {
            try store.perform { txn in try txn.put(.catalog, [1], [1]) }
        }
        guard case .writesStopped(let reason)? = refusal else {
            Issue.record("expected writesStopped, got \(String(describing: refusal))")
            return
        }
        #expect(pages.contains { reason.contains("page \($0)") }, "\(reason)")
    }

    private func apply(
        _ damage: Damage, to bytes: inout [UInt8], _ random: inout SeededGenerator
    ) -> String {
        let pages = bytes.count / 4096
        let page = Int.random(in: 0..<pages, using: &random)
        switch damage {
        case .flippedBit:
            let offset = Int.random(in: 0..<bytes.count, using: &random)
            bytes[offset] ^= UInt8(1 << Int.random(in: 0..<8, using: &random))
            return "byte \(offset)"
        case .zeroedPage:
            for offset in 0..<4096 { bytes[page * 4096 + offset] = 0 }
            return "page \(page)"
        case .cutEnd:
            let count = Int.random(in: 0..<bytes.count, using: &random)
            bytes.removeLast(bytes.count - count)
            return "\(count) bytes are left"
        case .exchangedPages:
            let other = Int.random(in: 0..<pages, using: &random)
            for offset in 0..<4096 { bytes.swapAt(page * 4096 + offset, other * 4096 + offset) }
            return "pages \(page) and \(other)"
        case .randomBytes:
            let start = Int.random(in: 0..<4080, using: &random)
            for offset in start..<start + 16 {
                bytes[page * 4096 + offset] = UInt8.random(in: .min ... .max, using: &random)
            }
            return "page \(page) at \(start)"
        }
    }
}

/// A file with tables of its own, shared ones, small and large values, and free pages.
private final class SoundFile {
    let bytes: [UInt8]
    let tables: [TableID: [Pair]]
    private let image: FolderImage

    init(seed: UInt64) throws {
        let folder = TemporaryFolder()
        var options = LMDBStore.Options()
        options.durability = .relaxed
        options.ownTablesMax = 6
        let store = try LMDBStore.open(path: folder.path, options: options)
        let ids = try store.perform { txn in
            try (0..<5).map { _ in try txn.createTable() }
        }
        var random = SeededGenerator(seed)
        for round in 0..<12 {
            let start = random.next()
            try store.perform { txn in
                var random = SeededGenerator(start)
                for _ in 0..<60 {
                    let table = ids[Int.random(in: 0..<ids.count, using: &random)]
                    let key = (0..<4).map { _ in UInt8.random(in: 0...15, using: &random) }
                    let size = Int.random(in: 0...9, using: &random) == 0 ? 9_000 : 100
                    if round > 8, Bool.random(using: &random) {
                        _ = try txn.delete(table, key)
                    } else {
                        try txn.put(table, key, [UInt8](repeating: key[0], count: size))
                    }
                }
            }
        }
        var tables: [TableID: [Pair]] = [:]
        do {
            let reader = try store.makeReader()
            for id in ids { tables[id] = try reader.all(id) }
        }
        store.close()
        self.tables = tables
        image = FolderImage(folder.path)
        bytes = try #require(image.files[FolderImage.data])
    }

    /// A folder whose data file has these bytes.
    func place(_ bytes: [UInt8]) -> TemporaryFolder {
        var image = image
        image.files[FolderImage.data] = bytes
        return image.place()
    }

    /// Opens a folder with these bytes: refused, or every table reads as it was or is refused.
    func check(_ bytes: [UInt8], _ what: String) throws {
        let folder = place(bytes)
        let store: LMDBStore
        do {
            store = try LMDBStore.open(path: folder.path)
        } catch {
            return
        }
        defer { store.close() }
        let reader = try store.makeReader()
        for (table, pairs) in tables {
            do {
                #expect(try reader.all(table) == pairs, "\(what)")
            } catch {
                switch error {
                case .corrupted, .damaged: continue
                default: Issue.record("\(what): \(error)")
                }
            }
        }
    }

    /// Leaf pages with an entry of the table; older copies, which no snapshot shows, are among them.
    func leafPages(of table: TableID, in bytes: [UInt8]) -> [Int] {
        // A key that another table has too may stand in a page of that one.
        let others = tables.filter { $0.key != table }.values.joined().map(\.key)
        let value = tables[table]?.first { $0.value.count == 100 && !others.contains($0.key) }
        guard let value else { return [] }
        // The node: sizes and flags, then key and value.
        let node = [UInt8](104).withHeader(key: value.key) + value.value
        return (2..<bytes.count / 4096).filter { page in
            let start = page * 4096
            guard bytes[start + 10] == 0x02, bytes[start + 11] == 0 else { return false }
            // Nodes lie at the page's end; what was deleted still stands before them.
            let nodes = start + Int(bytes[start + 14]) + Int(bytes[start + 15]) << 8
            return nodes < start + 4096 && bytes[nodes..<start + 4096].contains(run: node)
        }
    }
}

extension [UInt8] {
    fileprivate init(_ dataBytes: Int) {
        self = [UInt8(dataBytes & 0xFF), UInt8(dataBytes >> 8), 0, 0, 0, 0]
    }

    fileprivate func withHeader(key: [UInt8]) -> [UInt8] {
        self + [UInt8(key.count), 0] + key
    }
}

extension ArraySlice<UInt8> {
    fileprivate func contains(run: [UInt8]) -> Bool {
        indices.dropLast(run.count - 1).contains { self[$0..<$0 + run.count].elementsEqual(run) }
    }
}
