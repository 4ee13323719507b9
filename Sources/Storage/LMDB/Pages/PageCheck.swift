// Goes over the pages of a data file before LMDB maps it: LMDB trusts them, and a damaged page ends
// the process, or worse.
//
// Guarantees: every page that a tree names lies in the file, is what it should be, and belongs to
// one tree only; nodes lie inside their pages and keys ascend; the trees' counts of pages and
// entries are right; free pages are in no tree. What lies in values is not looked at: their
// checksums tell. Costs a read of each page in use that holds no overflow value.

import Glibc

/// What the check found.
package struct PageReport: Sendable {
    /// Faults by the tree that they are in.
    package internal(set) var faults: [PageFaultReport] = []
    /// Whether nothing can be read: the headers, the names or the registry are damaged.
    package internal(set) var isUnreadable = false
    /// Trees that must not be used.
    var damagedTrees: Set<String> = []

    /// Whether all is well.
    package var isSound: Bool { faults.isEmpty }

    /// The first fault, and how many more there are.
    package var summary: String {
        guard let first = faults.first else { return "no fault" }
        return faults.count == 1 ? "\(first)" : "\(first), and \(faults.count - 1) more faults"
    }
}

/// One fault.
package struct PageFaultReport: Sendable, CustomStringConvertible {
    /// The table that the page belongs to; nil for the store's own trees.
    package let table: TableID?
    /// `page 17 of the tree shared: …`.
    package let description: String
}

/// The check of one file.
struct PageCheck: ~Copyable {
    /// Most faults noted.
    private static let faultsMax = 1_000
    /// A tree is never deeper.
    private static let depthMax = 32

    private let file: PageFile
    private var report = PageReport()
    /// What each page of the file is used for.
    private var uses: [Use]
    private var tree = ""

    private enum Use: UInt8 {
        case none, inTree, free
    }

    private init(_ file: consuming PageFile) {
        uses = Array(repeating: .none, count: Int(clamping: file.pageCount))
        self.file = file
    }

    /// Checks the file; a report without faults where there is none.
    static func run(_ path: String) -> PageReport {
        guard let file = PageFile(path) else { return PageReport() }
        var check = PageCheck(file)
        check.run()
        return check.report
    }

    private mutating func run() {
        do throws(PageFault) {
            tree = "headers"
            let meta = try file.newestMeta()
            tree = "free pages"
            let free = checkTree(meta.free, level: .free)
            tree = "names"
            guard let trees = checkTree(meta.names, level: .names) else { return }
            for (name, record) in trees.trees {
                tree = name
                _ = checkTree(record, level: .table)
            }
            tree = "free pages"
            guard let free else { return }
            try checkFree(free.freePages, meta)
        } catch {
            note(error)
        }
    }

    private mutating func note(_ fault: PageFault) {
        report.damagedTrees.insert(tree)
        if ["headers", "names", Registry.registryName].contains(tree) {
            report.isUnreadable = true
        }
        guard report.faults.count < Self.faultsMax else { return }
        report.faults.append(
            PageFaultReport(
                table: UInt64(tree).map { TableID(rawValue: $0) },
                description: "page \(fault.page) (\(tree)) \(fault.problem)"))
    }

    // MARK: Trees

    private enum Level {
        case free, names, table
    }

    /// What a walk over a tree counts and collects.
    private struct Walk {
        var branchPages: UInt64 = 0
        var leafPages: UInt64 = 0
        var overflowPages: UInt64 = 0
        var entries: UInt64 = 0
        var freePages: [UInt64] = []
        var trees: [(name: String, record: TreeRecord)] = []
    }

    /// Walks a tree; nil, and faults are noted, where it is damaged.
    private mutating func checkTree(_ record: TreeRecord, level: Level) -> Walk? {
        var walk = Walk()
        let before = report.faults.count
        if record.root == TreeRecord.noPage {
            if record.entries != 0 || record.depth != 0 {
                note(PageFault(0, "its record has entries and no root"))
            }
        } else if record.depth < 1 || record.depth > Self.depthMax {
            note(PageFault(record.root, "its record tells an impossible depth"))
        } else if level == .table, record.flags != 0 {
            note(PageFault(record.root, "its record has unknown flags"))
        } else {
            visit(record.root, left: record.depth - 1, level, KeyRange(), &walk)
        }
        if report.faults.count == before {
            let isRight =
                walk.branchPages == record.branchPages && walk.leafPages == record.leafPages
                && walk.overflowPages == record.overflowPages && walk.entries == record.entries
            if !isRight { note(PageFault(record.root, "its record's counts are wrong")) }
        }
        return report.faults.count == before ? walk : nil
    }

    /// Where the keys of a page must lie: not below `low`, below `high`.
    private struct KeyRange {
        var low: [UInt8]?
        var high: [UInt8]?
    }

    /// Checks a page and those below it; `left` is how many levels are below.
    private mutating func visit(
        _ number: UInt64, left: Int, _ level: Level, _ keys: KeyRange, _ walk: inout Walk
    ) {
        do throws(PageFault) {
            try use(number)
            let page = try file.page(number)
            try page.check(isLeaf: left == 0, as: number)
            if left == 0 {
                walk.leafPages += 1
                try checkLeaf(page, level, keys, &walk)
            } else {
                walk.branchPages += 1
                for (child, range) in try children(page, level, keys) {
                    visit(child, left: left - 1, level, range, &walk)
                }
            }
        } catch {
            note(error)
        }
    }

    private mutating func use(_ page: UInt64) throws(PageFault) {
        guard page >= 2, page < UInt64(uses.count) else {
            throw PageFault(page, "lies beyond the file's end")
        }
        guard uses[Int(page)] == .none else { throw PageFault(page, "is used twice") }
        uses[Int(page)] = .inTree
    }

    private func children(
        _ page: FilePage, _ level: Level, _ keys: KeyRange
    ) throws(PageFault) -> [(child: UInt64, keys: KeyRange)] {
        var children: [(child: UInt64, keys: KeyRange)] = []
        var low = keys.low
        for index in 0..<page.nodeCount {
            let node = try page.node(index, isLeaf: false)
            // The first key of a branch page is never looked at.
            if index > 0 {
                let key = Array(page.bytes[node.key])
                if let low, !Self.isBelow(low, key, level) {
                    throw PageFault(page.number, "its keys don't ascend")
                }
                children[index - 1].keys.high = key
                low = key
            }
            children.append((node.child, KeyRange(low: low, high: keys.high)))
        }
        if let low, let high = keys.high, !Self.isBelow(low, high, level) {
            throw PageFault(page.number, "its keys don't belong there")
        }
        return children
    }

    private mutating func checkLeaf(
        _ page: FilePage, _ level: Level, _ keys: KeyRange, _ walk: inout Walk
    ) throws(PageFault) {
        var previous: [UInt8]?
        for index in 0..<page.nodeCount {
            let node = try page.node(index, isLeaf: true)
            let key = Array(page.bytes[node.key])
            guard !key.isEmpty, level != .free || key.count == 8 else {
                throw PageFault(page.number, "node \(index) has an impossible key")
            }
            if let previous, !Self.isBelow(previous, key, level) {
                throw PageFault(page.number, "its keys don't ascend")
            }
            if previous == nil, let low = keys.low, Self.isBelow(key, low, level) {
                throw PageFault(page.number, "its keys don't belong there")
            }
            previous = key
            walk.entries += 1
            try checkData(node, page, level, key, &walk)
        }
        if let previous, let high = keys.high, !Self.isBelow(previous, high, level) {
            throw PageFault(page.number, "its keys don't belong there")
        }
    }

    private mutating func checkData(
        _ node: FilePage.Node, _ page: FilePage, _ level: Level, _ key: [UInt8],
        _ walk: inout Walk
    ) throws(PageFault) {
        guard node.isTree == (level == .names) else {
            throw PageFault(page.number, "holds a tree's record where there should be a value")
        }
        if level == .names {
            guard node.dataBytes == TreeRecord.byteCount, !node.isOverflow else {
                throw PageFault(page.number, "holds a tree's record of a wrong size")
            }
            let name = String(decoding: key, as: UTF8.self)
            walk.trees.append((name, TreeRecord(page, at: node.key.upperBound)))
            return
        }
        if node.isOverflow {
            let first = page.integer(node.key.upperBound, byteCount: 8)
            let count = try checkOverflow(first, dataBytes: node.dataBytes)
            walk.overflowPages += count
            if level == .free {
                let bytes = try file.bytes(
                    at: first, offset: FilePage.headerBytes, count: node.dataBytes)
                try collectFree(FilePage(bytes: bytes), 0, node.dataBytes, page.number, &walk)
            }
        } else if level == .free {
            try collectFree(page, node.key.upperBound, node.dataBytes, page.number, &walk)
        }
    }

    private mutating func checkOverflow(
        _ first: UInt64, dataBytes: Int
    ) throws(PageFault) -> UInt64 {
        try use(first)
        let page = try file.page(first)
        let count = page.overflowPages
        let needed =
            (FilePage.headerBytes + dataBytes + PageFile.pageBytes - 1)
            / PageFile.pageBytes
        guard page.number == first, page.flags == FilePage.overflowFlag, count >= UInt64(needed)
        else { throw PageFault(first, "does not begin the large value that should lie there") }
        for page in first + 1..<max(first + 1, first &+ count) { try use(page) }
        return count
    }

    /// Whether one key comes before another in the tree's order.
    private static func isBelow(_ left: [UInt8], _ right: [UInt8], _ level: Level) -> Bool {
        if level == .free, left.count == 8, right.count == 8 {
            return left.reversed().lexicographicallyPrecedes(right.reversed())
        }
        return left.lexicographicallyPrecedes(right)
    }

    // MARK: Free pages

    /// A record of free pages: how many, and their numbers.
    private func collectFree(
        _ page: FilePage, _ start: Int, _ byteCount: Int, _ number: UInt64, _ walk: inout Walk
    ) throws(PageFault) {
        // The room for the list may be larger than the list.
        guard byteCount >= 8, byteCount % 8 == 0,
            page.integer(start, byteCount: 8) < UInt64(byteCount / 8)
        else { throw PageFault(number, "holds a list of free pages of a wrong size") }
        let count = Int(page.integer(start, byteCount: 8))
        for index in 0..<count {
            walk.freePages.append(page.integer(start + 8 + 8 * index, byteCount: 8))
        }
    }

    /// Free pages are in no tree and listed once; pages that the file lacks are free.
    private mutating func checkFree(_ pages: [UInt64], _ meta: Meta) throws(PageFault) {
        var lacking = meta.lastPage + 1 - min(meta.lastPage + 1, file.pageCount)
        for page in pages {
            guard page >= 2, page <= meta.lastPage else {
                throw PageFault(page, "is listed as free and is none of the file's")
            }
            guard page < UInt64(uses.count) else {
                lacking -= min(lacking, 1)
                continue
            }
            guard uses[Int(page)] == .none else {
                throw PageFault(
                    page, uses[Int(page)] == .free ? "is listed as free twice" : "is used and free")
            }
            uses[Int(page)] = .free
        }
        if lacking > 0 {
            throw PageFault(
                file.pageCount, "and \(lacking) pages in all are missing: the file was cut")
        }
    }
}
