// Where a table's tree can be divided: the keys in its branch pages, each of which stands for about
// as many leaves as its neighbours. The pages belong to a snapshot that is in use, so they don't
// change while they are read; they are read from the file, as PageFile does, not from the map.

import CLMDB

/// One table's tree in one snapshot.
struct TreeSplit: ~Copyable {
    /// A branch's child in a range, and the key that it begins with; empty where none is known.
    private struct Child {
        let key: [UInt8]
        let page: UInt64
    }

    /// Enough children to divide evenly by; a level that has fewer is followed by the next.
    private static let childrenEnough = 48
    /// The main tree's handle, the same in every environment: it holds the records of all others.
    private static let mainHandle: UInt32 = 1

    private let file: PageFile
    private let tree: TreeRecord
    /// What all keys of the table begin with in its tree.
    private let prefix: [UInt8]
    private let isShared: Bool
    private let tableID: UInt64

    private init(_ file: consuming PageFile, _ tree: TreeRecord, _ entry: TableMap.Entry) {
        self.file = file
        self.tree = tree
        isShared = entry.isShared
        tableID = entry.id
        prefix = entry.isShared ? Self.prefix(entry.id) : []
    }

    /// The tree of a table; nil where it isn't found, or is a single leaf.
    static func find(
        _ transaction: OpaquePointer, _ entry: TableMap.Entry, folder: String
    ) -> TreeSplit? {
        let name = Array((entry.isShared ? Registry.sharedName : String(entry.id)).utf8)
        var record = MDB_val()
        let code = name.withUnsafeBytes { name in
            var key = StoredBytes.view(name)
            return mdb_get(transaction, mainHandle, &key, &record)
        }
        guard code == 0, record.mv_size == TreeRecord.byteCount else { return nil }
        // SAFETY: lent until the transaction ends; copied at once.
        let tree = TreeRecord(FilePage(bytes: Array(StoredBytes.bytes(record))), at: 0)
        guard tree.depth > 1, let file = PageFile("\(folder)/\(Environment.dataName)") else {
            return nil
        }
        return TreeSplit(file, tree, entry)
    }

    private static func prefix(_ id: UInt64) -> [UInt8] {
        withUnsafeBytes(of: id.bigEndian) { Array($0) }
    }

    /// See `ReadableTransaction.splitKeys`. Reads a page for each child of the levels above the one
    /// that is divided, some ten microseconds in all.
    func keys(_ range: SplitRange, partsMax: Int, partBytesMin: Int) -> [[UInt8]] {
        let low = prefix + range.low
        // Behind the table's last key come those of the next table.
        let high = range.high.isEmpty && isShared ? Self.prefix(tableID &+ 1) : prefix + range.high
        guard let level = try? level(low, high), !level.children.isEmpty else { return [] }
        let bytes = level.children.count * level.pagesOfChild * PageFile.pageBytes
        let parts = min(partsMax, bytes / max(1, partBytesMin), level.children.count)
        guard parts > 1 else { return [] }
        var keys: [[UInt8]] = []
        for part in 1..<parts {
            let key = level.children[part * level.children.count / parts].key
            // A child may begin before the range does, or before its table.
            guard key.lexicographicallyPrecedes(high) || high.isEmpty,
                low.lexicographicallyPrecedes(key), key.count > prefix.count
            else { continue }
            keys.append(Array(key.dropFirst(prefix.count)))
        }
        return keys
    }

    /// The children in the range on the first level that has enough of them, or on the last, and
    /// about how many leaf pages each stands for.
    private func level(
        _ low: [UInt8], _ high: [UInt8]
    ) throws(PageFault) -> (children: [Child], pagesOfChild: Int) {
        var children = [Child(key: [], page: tree.root)]
        // Above the leaves; the root is at the first level.
        var levelsLeft = tree.depth - 1
        var fanOut = 1
        while levelsLeft > 0, children.count < Self.childrenEnough {
            var next: [Child] = []
            var seen = 0
            for child in children {
                seen += try append(childrenOf: child, low, high, to: &next)
            }
            fanOut = max(1, seen / children.count)
            children = next
            levelsLeft -= 1
            if children.isEmpty { break }
        }
        var pages = 1
        for _ in 0..<levelsLeft { pages *= fanOut }
        return (children, pages)
    }

    /// Appends those of a branch's children that reach into the range; answers how many it has.
    private func append(
        childrenOf parent: Child, _ low: [UInt8], _ high: [UInt8], to children: inout [Child]
    ) throws(PageFault) -> Int {
        let page = try file.page(parent.page)
        try page.check(isLeaf: false, as: parent.page)
        var previous: Child?
        for index in 0..<page.nodeCount {
            let node = try page.node(index, isLeaf: false)
            // A branch's first key stands for all below the second.
            let key = index == 0 ? parent.key : Array(page.bytes[node.key])
            if !high.isEmpty, index > 0, !key.lexicographicallyPrecedes(high) { break }
            // What ends where the range begins, or before, doesn't reach into it.
            if let previous, low.lexicographicallyPrecedes(key) { children.append(previous) }
            previous = Child(key: key, page: node.child)
        }
        if let previous { children.append(previous) }
        return page.nodeCount
    }
}
