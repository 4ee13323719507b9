// Updates: a document in, a changed document out.
//
// An update is parsed once. Operators become a trie of paths (UpdateTrie) whose leaves are
// operations; a replacement becomes the bytes to store; a pipeline goes to helper types. Applying
// walks the document's bytes and the trie together and writes the new document into a writer:
// what no path touches is copied as it lies, in as few pieces as possible, and fields that are new
// come last, in the trie's order, which is MongoDB's. Nothing is decoded into trees, and nothing
// is allocated once the scratch has grown.
//
//     document   _id  a { x  y }  b  c
//     trie            a { y: $inc, z: $set }  c: $unset
//     writer     copy------- y'  z  } copy
//
// Several trie nodes may apply to one array element (`$`, `$[]`, `$[id]` and an index); they go
// down together as a set, and meet as conflict 40 where one is a leaf.

package import BSON

/// A parsed update: operators, a replacement or a pipeline. Immutable, shared between threads.
package final class Update: Sendable {
    /// The three forms of an update.
    package enum Kind: Sendable {
        case operators
        case replacement
        case pipeline
    }

    enum Program: Sendable {
        case operators(UpdateTrie)
        case replacement(Replacement)
        case pipeline(any UpdatePipeline)
    }

    let program: Program
    let operations: [UpdateOperation]
    let arrayFilters: ArrayFilters
    /// Whether a path begins at `_id`.
    let writesID: Bool

    init(
        _ program: Program, operations: [UpdateOperation] = [],
        arrayFilters: ArrayFilters = ArrayFilters(), writesID: Bool = false
    ) {
        self.program = program
        self.operations = operations
        self.arrayFilters = arrayFilters
        self.writesID = writesID
    }

    /// An update by stages that are parsed already.
    convenience init(_ stages: UpdateStages) {
        self.init(.pipeline(stages))
    }

    /// Whether the update puts another document in the place of the old one.
    package var isReplacement: Bool {
        if case .replacement = program { true } else { false }
    }

    /// Which of the forms this is.
    package var kind: Kind {
        switch program {
        case .operators: .operators
        case .replacement: .replacement
        case .pipeline: .pipeline
        }
    }

    /// Whether the update has the positional operator `$`, which needs the filter's position.
    package var needsArrayPosition: Bool {
        if case .operators(let trie) = program { trie.hasPositional } else { false }
    }

    /// Whether the update may change what an index on `path` holds of an existing document.
    /// False positives are possible, false negatives are not. O(paths of the update).
    package func touches(_ path: FieldPath) -> Bool {
        guard case .operators(let trie) = program else {
            return path.segments.first.map { $0.name != Array("_id".utf8) } ?? true
        }
        return touches(path.segments[...], at: 0, in: trie)
    }

    /// Whether every path of the operators begins with that field. False for other forms.
    package func writes(onlyBelow field: String) -> Bool {
        guard case .operators(let trie) = program else { return false }
        let root = trie.nodes[0]
        let start = Int(root.childrenStart)
        return root.kind == .object && root.positional < 0
            && trie.children[start..<start + Int(root.childrenCount)].allSatisfy { child in
                let name = Int(child.nameStart)
                return trie.names[name..<name + Int(child.nameCount)].elementsEqual(field.utf8)
            }
    }

    /// Whether an operation at or below the node can change what lies at a path below it. Array
    /// positions don't count: a query path names no elements.
    private func touches(
        _ path: ArraySlice<FieldPath.Segment>, at index: Int32, in trie: UpdateTrie
    ) -> Bool {
        let path = path.drop { UpdatePath.arrayIndex(of: $0.name) != nil }
        let node = trie.nodes[Int(index)]
        if node.kind == .leaf {
            // An existing document is not what `$setOnInsert` is about.
            if case .setOnInsert = operations[Int(node.operation)] { return false }
            return true
        }
        if node.positional >= 0, touches(path, at: node.positional, in: trie) { return true }
        let start = Int(node.childrenStart)
        for child in trie.children[start..<start + Int(node.childrenCount)] {
            let isElement = node.kind == .array || child.index >= 0
            let nameStart = Int(child.nameStart)
            let name = trie.names[nameStart..<nameStart + Int(child.nameCount)]
            if isElement || path.isEmpty {
                if touches(path, at: child.node, in: trie) { return true }
            } else if let first = path.first, name.elementsEqual(first.name) {
                if touches(path.dropFirst(), at: child.node, in: trie) { return true }
            }
        }
        return false
    }

    /// Applies the update to a document and appends the result to `writer`.
    ///
    /// - Parameters:
    ///   - arrayPosition: the position that the filter matched, for `$`.
    ///   - isInsert: whether `document` is the base of an upsert, so that `$setOnInsert` acts.
    /// - Returns: whether the document changed; if not, nothing was appended. As in MongoDB, a
    ///   replacement without `_id` always counts as a change.
    /// - Throws: MongoDB's codes for what does not fit the document (2, 14, 28, 34, 40, 52, 66 …);
    ///   10334 for a result over 16 MiB, 15 for one nested too deep. Nothing was appended then.
    package func apply(
        to document: DocumentView, arrayPosition: Int? = nil, isInsert: Bool = false,
        time: WriteTime, into writer: inout DocumentWriter, _ scratch: inout UpdateScratch
    ) throws(DBError) -> Bool {
        let start = writer.count
        do {
            let changed: Bool
            switch program {
            case .operators(let trie):
                changed = try applyOperators(
                    trie, to: document, arrayPosition: arrayPosition, isInsert: isInsert,
                    time: time, into: &writer, &scratch)
            case .replacement(let replacement):
                changed = try replacement.apply(to: document, time: time, into: &writer)
            case .pipeline(let pipeline):
                changed = try applyPipeline(
                    pipeline, to: document, time: time, into: &writer, &scratch)
            }
            guard changed else { return false }
            try checkResult(DocumentView(writer.bytes.span.bytes.extracting(droppingFirst: start)))
            return true
        } catch {
            writer.truncate(to: start)
            scratch.reset()
            throw error
        }
    }

    private func checkResult(_ result: DocumentView) throws(DBError) {
        guard result.bytes.byteCount <= Limits.documentBytesMax else {
            throw DBError(
                .bsonObjectTooLarge,
                "Resulting document after update is larger than \(Limits.documentBytesMax)")
        }
        if result.isNestedTooDeep {
            throw DBError(
                .overflow,
                "The resulting document exceeds the maximum nesting depth of "
                    + "\(Limits.nestingDepthMax)")
        }
    }

    private func applyOperators(
        _ trie: UpdateTrie, to document: DocumentView, arrayPosition: Int?, isInsert: Bool,
        time: WriteTime, into writer: inout DocumentWriter, _ scratch: inout UpdateScratch
    ) throws(DBError) -> Bool {
        let start = writer.count
        let positionName: [UInt8] =
            trie.hasPositional ? arrayPosition.map { Array(String($0).utf8) } ?? [] : []
        // The span is lent by a variable; a class's property lends none.
        let names = trie.names
        let run = UpdateRun(
            original: document, names: names.span.bytes,
            positionName: positionName.span.bytes, arrayPosition: arrayPosition ?? -1,
            isInsert: isInsert, time: time)
        let opened = writer.openDocument()
        let changed = try applyObject(
            .one(0), in: trie, to: document, isArray: false, .root, run, &writer, &scratch)
        guard changed else {
            writer.truncate(to: start)
            return false
        }
        writer.close(opened)
        if writesID {
            let result = DocumentView(writer.bytes.span.bytes.extracting(droppingFirst: start))
            try checkIDUnchanged(document, result)
        }
        return true
    }

    private func applyPipeline(
        _ pipeline: any UpdatePipeline, to document: DocumentView, time: WriteTime,
        into writer: inout DocumentWriter, _ scratch: inout UpdateScratch
    ) throws(DBError) -> Bool {
        scratch.interim.removeAll()
        try pipeline.apply(
            to: document, time: time, scratch.interrupt, into: &scratch.interim)
        let result = DocumentView(scratch.interim.bytes.span.bytes)
        return try Replacement.store(
            result, over: document, time: time, hasZeroTimestamp: true, into: &writer)
    }
}

/// Throws 66 if a stored `_id` is gone or another.
func checkIDUnchanged(_ old: DocumentView, _ new: DocumentView) throws(DBError) {
    guard let oldID = old.value("_id") else { return }
    if let newID = new.value("_id"), newID.equals(oldID) { return }
    throw DBError(
        .immutableField,
        "Performing an update on the path '_id' would modify the immutable field '_id'")
}

/// A pipeline update, as the stages' side provides it.
package protocol UpdatePipeline: Sendable {
    /// Runs the stages on one document and appends the one result to `writer`; `interrupt` ends
    /// them.
    func apply(
        to document: DocumentView, time: WriteTime, _ interrupt: Interrupt?,
        into writer: inout DocumentWriter
    ) throws(DBError)
}
