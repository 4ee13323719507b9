import Glibc

/// The data file as pages, read without a map: a page that isn't there is an answer here, where a
/// map would end the process.
///
/// What is known of LMDB's format (data version 1, 64 bits, little-endian):
///
///     page     number u64, pad u16, flags u16, lower u16, upper u16, places of nodes u16…
///              overflow pages: count of pages u32 in place of lower and upper
///     node     low u16, high u16, flags u16, key size u16, key, data
///              leaf: data size = low | high << 16; branch: child = low | high << 16 | flags << 32
///     meta     after a page's first 16 bytes: magic u32, version u32, address u64, map size u64,
///              trees of free pages and of names, last page u64, commit u64
///     tree     pad u32, flags u16, depth u16, branch, leaf and overflow pages u64, entries u64,
///              root u64
struct PageFile: ~Copyable {
    static let pageBytes = 4096
    private let descriptor: Int32
    /// Whole pages in the file.
    let pageCount: UInt64

    /// Nil where there is no file, or none that can be read.
    init?(_ path: String) {
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            close(descriptor)
            return nil
        }
        self.descriptor = descriptor
        pageCount = UInt64(clamping: status.st_size) / UInt64(Self.pageBytes)
    }

    deinit {
        close(descriptor)
    }

    /// A page's bytes.
    func page(_ number: UInt64) throws(PageFault) -> FilePage {
        FilePage(bytes: try bytes(at: number, offset: 0, count: Self.pageBytes))
    }

    /// Bytes from a page on, over its end where there are so many.
    func bytes(at page: UInt64, offset: Int, count: Int) throws(PageFault) -> [UInt8] {
        let end = page.multipliedReportingOverflow(by: UInt64(Self.pageBytes))
        guard page < pageCount, !end.overflow,
            UInt64(offset + count) <= (pageCount - page) * UInt64(Self.pageBytes)
        else { throw PageFault(page, "lies beyond the file's end") }
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            filled = max(
                0, pread(descriptor, buffer.baseAddress, count, Int(end.partialValue) + offset))
        }
        guard bytes.count == count else { throw PageFault(page, "cannot be read") }
        return bytes
    }

    /// The newest of the two metas.
    func newestMeta() throws(PageFault) -> Meta {
        let first = try Meta(try page(0), 0)
        let second = try Meta(try page(1), 1)
        let newest = first.commit > second.commit ? first : second
        let oldest = first.commit > second.commit ? second : first
        // Commits take turns; a new file begins with both at 0.
        let takesTurns = first.commit & 1 == 0 && second.commit & 1 == 1
        guard takesTurns ? newest.commit == oldest.commit &+ 1 : newest.commit == 0 else {
            throw PageFault(
                newest.commit & 1,
                "the headers tell commits \(first.commit) and \(second.commit), which don't follow "
                    + "each other")
        }
        return newest
    }
}

/// What is wrong with a page.
struct PageFault: Error {
    let page: UInt64
    let problem: String

    init(_ page: UInt64, _ problem: String) {
        self.page = page
        self.problem = problem
    }
}

/// A page's bytes and their meaning.
struct FilePage {
    static let headerBytes = 16
    static let branchFlag = 0x01
    static let leafFlag = 0x02
    static let overflowFlag = 0x04
    static let metaFlag = 0x08

    let bytes: [UInt8]

    func integer(_ offset: Int, byteCount: Int) -> UInt64 {
        bytes[offset..<offset + byteCount].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    private func short(_ offset: Int) -> Int { Int(bytes[offset]) | Int(bytes[offset + 1]) << 8 }

    var number: UInt64 { integer(0, byteCount: 8) }
    var flags: Int { short(10) }
    var lower: Int { short(12) }
    var upper: Int { short(14) }
    var overflowPages: UInt64 { integer(12, byteCount: 4) }
    var nodeCount: Int { (lower - Self.headerBytes) / 2 }

    /// A node of a branch or leaf page.
    struct Node {
        let low: Int
        let high: Int
        let flags: Int
        let key: Range<Int>

        var child: UInt64 { UInt64(low) | UInt64(high) << 16 | UInt64(flags) << 32 }
        var dataBytes: Int { low | high << 16 }
        /// The data is a page number: the value lies in overflow pages.
        var isOverflow: Bool { flags & 0x01 != 0 }
        /// The data is a tree.
        var isTree: Bool { flags & 0x02 != 0 }
        var hasUnknownFlags: Bool { flags & ~0x03 != 0 }
    }

    /// The node at a position below `nodeCount`, its parts inside the page.
    func node(_ index: Int, isLeaf: Bool) throws(PageFault) -> Node {
        let place = short(Self.headerBytes + 2 * index)
        guard place >= upper, place + 8 <= bytes.count, place & 1 == 0 else {
            throw PageFault(number, "node \(index) lies outside of the page")
        }
        let keyStart = place + 8
        let node = Node(
            low: short(place), high: short(place + 2), flags: short(place + 4),
            key: keyStart..<keyStart + short(place + 6))
        var end = node.key.upperBound
        if isLeaf {
            guard !node.hasUnknownFlags else {
                throw PageFault(number, "node \(index) has unknown flags")
            }
            end += node.isOverflow ? 8 : node.dataBytes
        }
        guard end <= bytes.count else {
            throw PageFault(number, "node \(index) reaches over the page's end")
        }
        return node
    }

    /// Throws unless the page is what a reference to it as a tree's page says.
    func check(isLeaf: Bool, as expected: UInt64) throws(PageFault) {
        guard number == expected else {
            throw PageFault(expected, "calls itself page \(number)")
        }
        guard flags == (isLeaf ? Self.leafFlag : Self.branchFlag) else {
            throw PageFault(expected, "is not a \(isLeaf ? "leaf" : "branch") page")
        }
        guard lower >= Self.headerBytes, lower <= upper, upper <= bytes.count, lower & 1 == 0 else {
            throw PageFault(expected, "has impossible bounds")
        }
        guard nodeCount > 0, isLeaf || nodeCount > 1 else {
            throw PageFault(expected, "is empty")
        }
    }
}

/// A tree as its record describes it.
struct TreeRecord {
    static let byteCount = 48
    /// The root of an empty tree.
    static let noPage = UInt64.max

    let flags: UInt64
    let depth: Int
    let branchPages: UInt64
    let leafPages: UInt64
    let overflowPages: UInt64
    let entries: UInt64
    let root: UInt64

    init(_ page: FilePage, at offset: Int) {
        flags = page.integer(offset + 4, byteCount: 2)
        depth = Int(page.integer(offset + 6, byteCount: 2))
        branchPages = page.integer(offset + 8, byteCount: 8)
        leafPages = page.integer(offset + 16, byteCount: 8)
        overflowPages = page.integer(offset + 24, byteCount: 8)
        entries = page.integer(offset + 32, byteCount: 8)
        root = page.integer(offset + 40, byteCount: 8)
    }
}

/// One of the file's two headers.
struct Meta {
    private static let magic: UInt64 = 0xBEEF_C0DE
    private static let version: UInt64 = 1
    /// The tree of free pages has integers for keys; beside that stands how the file was opened.
    private static let integerKeyFlag: UInt64 = 0x08
    private static let folderFlag: UInt64 = 0x4000

    let free: TreeRecord
    let names: TreeRecord
    let lastPage: UInt64
    let commit: UInt64

    init(_ page: FilePage, _ number: UInt64) throws(PageFault) {
        guard page.number == number, page.flags & FilePage.metaFlag != 0,
            page.integer(16, byteCount: 4) == Self.magic,
            page.integer(20, byteCount: 4) == Self.version,
            page.integer(40, byteCount: 4) == UInt64(PageFile.pageBytes)
        else { throw PageFault(number, "is not the header of a database") }
        free = TreeRecord(page, at: 40)
        names = TreeRecord(page, at: 88)
        lastPage = page.integer(136, byteCount: 8)
        commit = page.integer(144, byteCount: 8)
        guard free.flags & ~Self.folderFlag == Self.integerKeyFlag, names.flags == 0 else {
            throw PageFault(number, "tells unknown flags")
        }
    }
}
