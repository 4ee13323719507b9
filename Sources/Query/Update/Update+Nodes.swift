// Which trie nodes meet which element: names, positions, array filters.

import BSON

extension Update {
    /// Puts the children of the nodes on the stack of entries, sorted.
    ///
    /// - Returns: where they begin.
    func pushEntries(
        _ nodes: UpdateNodeSet, in trie: UpdateTrie, _ run: UpdateRun,
        _ scratch: inout UpdateScratch
    ) throws(DBError) -> Int {
        let base = scratch.entries.count
        var isSorted = nodes.count == 1
        for index in 0..<nodes.count {
            let node = trie.nodes[Int(nodes.node(index, scratch))]
            let start = Int(node.childrenStart)
            for position in start..<start + Int(node.childrenCount) {
                let child = trie.children[position]
                scratch.entries.append(
                    UpdateScratch.Entry(
                        node: child.node, nameStart: child.nameStart, nameCount: child.nameCount,
                        index: child.index, isDone: false))
            }
            if node.positional >= 0 {
                try checkPosition(run)
                scratch.entries.append(
                    UpdateScratch.Entry(
                        node: node.positional, nameStart: -1, nameCount: 0,
                        index: run.arrayPosition, isDone: false))
                isSorted = false
            }
        }
        if !isSorted { sortEntries(from: base, run, &scratch) }
        return base
    }

    /// Throws 2 unless the filter told a position.
    func checkPosition(_ run: UpdateRun) throws(DBError) {
        guard run.arrayPosition >= 0 else {
            throw DBError(
                .badValue,
                "The positional operator did not find the match needed from the query.")
        }
    }

    private func sortEntries(
        from base: Int, _ run: UpdateRun, _ scratch: inout UpdateScratch
    ) {
        var next = base + 1
        while next < scratch.entries.count {
            let entry = scratch.entries[next]
            var place = next
            while place > base, precedes(entry, scratch.entries[place - 1], run) {
                scratch.entries[place] = scratch.entries[place - 1]
                place -= 1
            }
            scratch.entries[place] = entry
            next += 1
        }
    }

    /// The trie's order of names, for entries of several nodes.
    private func precedes(
        _ left: UpdateScratch.Entry, _ right: UpdateScratch.Entry, _ run: UpdateRun
    ) -> Bool {
        // -1, no position, becomes the largest number: positions come first.
        let leftIndex = UInt(bitPattern: left.index)
        let rightIndex = UInt(bitPattern: right.index)
        if leftIndex != rightIndex { return leftIndex < rightIndex }
        return run.name(of: left).compareBytes(run.name(of: right)) < 0
    }

    /// The first entry at or after `base` that waits for an element; `index` is -1 in objects.
    func findEntry(
        from base: Int, name: RawSpan, index: Int, _ run: UpdateRun,
        _ scratch: borrowing UpdateScratch
    ) -> Int? {
        let end = scratch.entries.count
        let isSearched = end - base > 16
        let start =
            isSearched ? lowerBound(base, end, name: name, index: index, run, scratch) : base
        for position in start..<end {
            let entry = scratch.entries[position]
            let isMatch =
                if index >= 0 {
                    entry.index == index
                } else {
                    // Lengths first: most names are told apart without looking at them.
                    (Int(entry.nameCount) == name.byteCount || entry.nameStart < 0)
                        && run.name(of: entry).equals(name)
                }
            if isMatch { return entry.isDone ? nil : position }
            if isSearched { return nil }
        }
        return nil
    }

    /// The first entry that does not precede an element, among entries in order.
    private func lowerBound(
        _ base: Int, _ end: Int, name: RawSpan, index: Int, _ run: UpdateRun,
        _ scratch: borrowing UpdateScratch
    ) -> Int {
        let isArray = index >= 0
        let index =
            isArray
            // SAFETY: the bytes are read within the closure, while `name` is lent.
            ? index : name.withUnsafeBytes { UpdatePath.arrayIndex(of: $0) } ?? -1
        var low = base
        var high = end
        while low < high {
            let middle = (low + high) / 2
            let entry = scratch.entries[middle]
            let entryIndex = UInt(bitPattern: entry.index)
            let precedes =
                entryIndex != UInt(bitPattern: index)
                ? entryIndex < UInt(bitPattern: index)
                : !isArray && run.name(of: entry).compareBytes(name) < 0
            if precedes { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Takes the entry and those that wait for the same element: they follow it.
    func takeGroup(
        _ found: Int, isArray: Bool, _ run: UpdateRun, _ scratch: inout UpdateScratch
    ) -> UpdateNodeSet {
        let entry = scratch.entries[found]
        scratch.entries[found].isDone = true
        var group = UpdateNodeSet.one(entry.node)
        var next = found + 1
        while next < scratch.entries.count, !scratch.entries[next].isDone,
            isArray && entry.index >= 0
                ? scratch.entries[next].index == entry.index
                : run.name(of: scratch.entries[next]).equals(run.name(of: entry))
        {
            scratch.entries[next].isDone = true
            group = adding(scratch.entries[next].node, to: group, &scratch)
            next += 1
        }
        return group
    }

    /// The nodes among the children whose array filter accepts an element.
    func matchingNodes(
        _ nodes: UpdateNodeSet, in trie: UpdateTrie, _ element: ValueView,
        _ scratch: inout UpdateScratch
    ) throws(DBError) -> UpdateNodeSet {
        var group = UpdateNodeSet(first: -1, start: 0, count: 0)
        for index in 0..<nodes.count {
            let node = trie.nodes[Int(nodes.node(index, scratch))]
            let start = Int(node.childrenStart)
            for position in start..<start + Int(node.childrenCount) {
                let child = trie.children[position]
                if child.filter >= 0 {
                    guard try arrayFilters.matches(Int(child.filter), element, &scratch) else {
                        continue
                    }
                }
                group = adding(child.node, to: group, &scratch)
            }
        }
        return group
    }

    private func adding(
        _ node: Int32, to group: UpdateNodeSet, _ scratch: inout UpdateScratch
    ) -> UpdateNodeSet {
        guard group.count > 0 else { return .one(node) }
        var group = group
        if group.count == 1 {
            group.start = scratch.nodes.count
            scratch.nodes.append(group.first)
        }
        scratch.nodes.append(node)
        group.count += 1
        return group
    }

    /// Takes a group's nodes off the stack.
    func dropGroup(_ group: UpdateNodeSet, _ scratch: inout UpdateScratch) {
        if group.count > 1 { scratch.nodes.removeLast(scratch.nodes.count - group.start) }
    }

    /// What the nodes are, all alike; throws 40 if they are not, or end here together.
    func kind(
        of nodes: UpdateNodeSet, in trie: UpdateTrie, _ name: UpdateFieldName,
        _ scratch: borrowing UpdateScratch
    ) throws(DBError) -> UpdateTrie.Kind {
        let kind = trie.nodes[Int(nodes.node(0, scratch))].kind
        guard nodes.count > 1 else { return kind }
        for index in 0..<nodes.count {
            let other = trie.nodes[Int(nodes.node(index, scratch))].kind
            guard other == kind, kind != .leaf else {
                throw DBError(
                    .conflictingUpdateOperators,
                    "Update created a conflict at '\(name.text)'")
            }
        }
        return kind
    }
}
