// The walk over a document and the trie together.

import BSON

/// Most nulls that setting an array position past the end may add (MongoDB's limit).
private let paddingMax = 1_500_000

extension Update {
    /// Applies the nodes to the elements of a document or array: copies what none concerns, and
    /// appends what is new. The writer is within the opened copy; the caller closes or drops it.
    ///
    /// - Returns: whether anything changed. If not, what was written is of no use.
    func applyObject(
        _ nodes: UpdateNodeSet, in trie: UpdateTrie, to document: DocumentView, isArray: Bool,
        _ place: UpdatePlace, _ run: UpdateRun, _ writer: inout DocumentWriter,
        _ scratch: inout UpdateScratch
    ) throws(DBError) -> Bool {
        let base = try pushEntries(nodes, in: trie, run, &scratch)
        defer { scratch.entries.removeLast(scratch.entries.count - base) }
        var pending = scratch.entries.count - base
        var changed = false
        // Up to here the document is copied, or replaced by what was written.
        var copied = 4
        var index = 0
        var elements = document.makeIterator()
        while pending > 0, let element = elements.next() {
            defer { index += 1 }
            guard
                let found = findEntry(
                    from: base, name: element.name, index: isArray ? index : -1, run, scratch)
            else { continue }
            let group = takeGroup(found, isArray: isArray, run, &scratch)
            pending -= group.count
            let end = document.bytes.endOffset(of: element)
            let start = end - element.value.bytes.byteCount - element.name.byteCount - 2
            writer.appendRaw(copying: document.bytes.extracting(copied..<start))
            copied = start
            let effect = try applyElement(
                group, in: trie, UpdateFieldName(element.name), to: element.value,
                place.below(isArray: isArray, isWithinID: place.isID(element.name)), run, &writer,
                &scratch)
            dropGroup(group, &scratch)
            if effect != .unchanged {
                copied = end
                changed = true
                if effect == .written, place.depth == 0 { try checkTopLevelName(element.name) }
            }
        }
        writer.appendRaw(
            copying: document.bytes.extracting(copied..<document.bytes.byteCount - 1))
        if pending > 0 {
            let added = try appendMissing(
                from: base, in: trie, length: index, isArray: isArray, place, run, &writer,
                &scratch)
            changed = changed || added
        }
        return changed
    }

    /// Appends the fields that the entries from `base` on wait for and that were not met.
    private func appendMissing(
        from base: Int, in trie: UpdateTrie, length: Int, isArray: Bool, _ place: UpdatePlace,
        _ run: UpdateRun, _ writer: inout DocumentWriter, _ scratch: inout UpdateScratch
    ) throws(DBError) -> Bool {
        var changed = false
        var length = length
        let end = scratch.entries.count
        for position in base..<end {
            let entry = scratch.entries[position]
            if entry.isDone { continue }
            let group = takeGroup(position, isArray: isArray, run, &scratch)
            defer { dropGroup(group, &scratch) }
            let name = run.name(of: entry)
            let below = place.below(isArray: isArray, isWithinID: place.isID(name))
            guard isArray else {
                let wrote = try createField(
                    group, in: trie, UpdateFieldName(name), below, run, &writer, &scratch)
                if wrote {
                    changed = true
                    if place.depth == 0 { try checkTopLevelName(name) }
                }
                continue
            }
            guard entry.index >= 0 else {
                try refusePath(group, in: trie, name, run, &scratch)
                continue
            }
            guard entry.index >= length, creates(group, in: trie, run, scratch) else { continue }
            guard entry.index - length <= paddingMax else {
                throw DBError(
                    .cannotBackfillArray,
                    "can't backfill more than \(paddingMax) elements of an array")
            }
            let mark = writer.count
            for padding in length..<entry.index { writer.appendHeader(.null, index: padding) }
            if try createField(
                group, in: trie, UpdateFieldName(index: entry.index), below, run, &writer,
                &scratch)
            {
                length = entry.index + 1
                changed = true
            } else {
                writer.truncate(to: mark)
            }
        }
        return changed
    }

    /// Applies the nodes to one existing element.
    private func applyElement(
        _ nodes: UpdateNodeSet, in trie: UpdateTrie, _ name: UpdateFieldName, to value: ValueView,
        _ place: UpdatePlace, _ run: UpdateRun, _ writer: inout DocumentWriter,
        _ scratch: inout UpdateScratch
    ) throws(DBError) -> UpdateEffect {
        let kind = try kind(of: nodes, in: trie, name, scratch)
        if kind == .leaf {
            let operation = Int(trie.nodes[Int(nodes.first)].operation)
            return try applyOperation(
                operations[operation], name, to: value, place, run, &writer, &scratch)
        }
        if kind == .array, value.type != .array {
            throw DBError(
                .badValue,
                "Cannot apply array updates to non-array element \(name.text): "
                    + value.type.alias)
        }
        guard let nested = value.nested else {
            try refusePath(nodes, in: trie, name.name, run, &scratch)
            return .unchanged
        }
        let mark = writer.count
        name.writeHeader(value.type, &writer)
        let opened = writer.openDocument()
        let changed =
            if kind == .array {
                try applyElements(nodes, in: trie, of: nested, place, run, &writer, &scratch)
            } else {
                try applyObject(
                    nodes, in: trie, to: nested, isArray: value.type == .array, place, run,
                    &writer, &scratch)
            }
        guard changed else {
            writer.truncate(to: mark)
            return .unchanged
        }
        writer.close(opened)
        return .written
    }

    /// Applies `$[]` and `$[id]` to the elements of an array.
    private func applyElements(
        _ nodes: UpdateNodeSet, in trie: UpdateTrie, of array: DocumentView, _ place: UpdatePlace,
        _ run: UpdateRun, _ writer: inout DocumentWriter, _ scratch: inout UpdateScratch
    ) throws(DBError) -> Bool {
        let below = place.below(isArray: true, isWithinID: false)
        var changed = false
        var copied = 4
        var elements = array.makeIterator()
        while let element = elements.next() {
            let group = try matchingNodes(nodes, in: trie, element.value, &scratch)
            guard group.count > 0 else { continue }
            let end = array.bytes.endOffset(of: element)
            let start = end - element.value.bytes.byteCount - element.name.byteCount - 2
            writer.appendRaw(copying: array.bytes.extracting(copied..<start))
            copied = start
            let effect = try applyElement(
                group, in: trie, UpdateFieldName(element.name), to: element.value, below, run,
                &writer, &scratch)
            dropGroup(group, &scratch)
            if effect != .unchanged {
                copied = end
                changed = true
            }
        }
        writer.appendRaw(copying: array.bytes.extracting(copied..<array.bytes.byteCount - 1))
        return changed
    }

    /// Makes a field where there is none, with all parents it needs.
    ///
    /// - Returns: whether an operation made something; if not, nothing was written.
    private func createField(
        _ nodes: UpdateNodeSet, in trie: UpdateTrie, _ name: UpdateFieldName, _ place: UpdatePlace,
        _ run: UpdateRun, _ writer: inout DocumentWriter, _ scratch: inout UpdateScratch
    ) throws(DBError) -> Bool {
        switch try kind(of: nodes, in: trie, name, scratch) {
        case .leaf:
            let operation = Int(trie.nodes[Int(nodes.first)].operation)
            return try createByOperation(operations[operation], name, place, run, &writer, &scratch)
        case .array:
            throw DBError(
                .badValue,
                "The path '\(name.text)' must exist in the document in order to apply array "
                    + "updates.")
        case .object:
            let mark = writer.count
            name.writeHeader(.document, &writer)
            let opened = writer.openDocument()
            let base = try pushEntries(nodes, in: trie, run, &scratch)
            defer { scratch.entries.removeLast(scratch.entries.count - base) }
            let wrote = try appendMissing(
                from: base, in: trie, length: 0, isArray: false, place, run, &writer, &scratch)
            if wrote { writer.close(opened) } else { writer.truncate(to: mark) }
            return wrote
        }
    }

    /// Throws 28 if one of the nodes needs a path through a value that has no fields, or through
    /// an array without a position; else the update leaves such a place alone.
    private func refusePath(
        _ nodes: UpdateNodeSet, in trie: UpdateTrie, _ name: RawSpan, _ run: UpdateRun,
        _ scratch: inout UpdateScratch
    ) throws(DBError) {
        for index in 0..<nodes.count {
            try refusePath(nodes.node(index, scratch), in: trie, name, run)
        }
    }

    private func refusePath(
        _ index: Int32, in trie: UpdateTrie, _ name: RawSpan, _ run: UpdateRun
    ) throws(DBError) {
        let node = trie.nodes[Int(index)]
        switch node.kind {
        case .leaf:
            let operation = operations[Int(node.operation)]
            let isRefused =
                operation.needsViablePath || creates(operation, run)
            if isRefused {
                throw DBError(
                    .pathNotViable,
                    "Cannot create or change a field through '\(String(utf8: name))': it is "
                        + "neither an object nor an array position")
            }
        case .array:
            throw DBError(
                .badValue,
                "The path '\(String(utf8: name))' must exist in the document in order to apply "
                    + "array updates.")
        case .object:
            let start = Int(node.childrenStart)
            for child in start..<start + Int(node.childrenCount) {
                try refusePath(trie.children[child].node, in: trie, name, run)
            }
            if node.positional >= 0 {
                try checkPosition(run)
                try refusePath(node.positional, in: trie, name, run)
            }
        }
    }

    /// Whether an operation makes a field where there is none.
    func creates(_ operation: UpdateOperation, _ run: UpdateRun) -> Bool {
        if case .rename(let source) = operation {
            return run.original.value(at: source) != nil
        }
        return operation.creates(isInsert: run.isInsert)
    }

    /// Whether one of the nodes makes something below a missing array position (array filters do
    /// in that they fail there).
    private func creates(
        _ nodes: UpdateNodeSet, in trie: UpdateTrie, _ run: UpdateRun,
        _ scratch: borrowing UpdateScratch
    ) -> Bool {
        for index in 0..<nodes.count
        where creates(nodes.node(index, scratch), in: trie, run) { return true }
        return false
    }

    private func creates(_ index: Int32, in trie: UpdateTrie, _ run: UpdateRun) -> Bool {
        let node = trie.nodes[Int(index)]
        switch node.kind {
        case .leaf: return creates(operations[Int(node.operation)], run)
        case .array: return true
        case .object:
            let start = Int(node.childrenStart)
            for child in start..<start + Int(node.childrenCount)
            where creates(trie.children[child].node, in: trie, run) { return true }
            return node.positional >= 0 && creates(node.positional, in: trie, run)
        }
    }
}

extension UpdatePlace {
    /// Whether a name here is the document's `_id`.
    func isID(_ name: RawSpan) -> Bool {
        depth == 0 && name.byteCount == 3 && name.equals("_id")
    }
}

extension RawSpan {
    /// Where an element of this document ends.
    func endOffset(of element: ElementView) -> Int {
        let start = byteOffsets(of: element.name)?.lowerBound ?? 0
        return start + element.name.byteCount + 1 + element.value.bytes.byteCount
    }
}

/// Throws 52 for a top-level name that begins with `$` and is not a DBRef's.
func checkTopLevelName(_ name: RawSpan) throws(DBError) {
    guard name.starts(with: RawSpan("$")), !name.equals("$ref"), !name.equals("$id"),
        !name.equals("$db")
    else { return }
    throw DBError(
        .dollarPrefixedFieldName,
        "The dollar ($) prefixed field '\(String(utf8: name))' is not valid for storage.")
}
