// The document that an upsert inserts: what the filter says by equality, then the update.

package import BSON

extension Update {
    /// Builds the document that an upsert inserts and appends it to `writer`, complete: `_id`
    /// first (from the filter, else from the update, else a new ObjectId).
    ///
    /// - Parameter query: the statement's filter as it was sent.
    /// - Throws: 54 for two values of one path in the filter, 109 for a part of `_id` beside a
    ///   replacement, 66 for two different `_id`s, and what `apply` and `prepareInsert` throw.
    package func upsertDocument(
        query: DocumentView, time: WriteTime, into writer: inout DocumentWriter,
        _ scratch: inout UpdateScratch
    ) throws(DBError) {
        var base = DocumentWriter()
        var interim = DocumentWriter()
        swap(&base, &scratch.base)
        defer { swap(&base, &scratch.base) }
        base.removeAll()
        var equalities = QueryEqualities(onlyID: kind == .replacement)
        try equalities.collect(query)
        try equalities.write(time: time, into: &base, &scratch)
        let document = DocumentView(base.bytes.span.bytes)
        let changed = try apply(
            to: document, isInsert: true, time: time, into: &interim, &scratch)
        if changed {
            try appendInsert(DocumentView(interim.bytes.span.bytes), time, &writer)
        } else {
            try appendInsert(document, time, &writer)
        }
    }

    private func appendInsert(
        _ document: DocumentView, _ time: WriteTime, _ writer: inout DocumentWriter
    ) throws(DBError) {
        if try !prepareInsert(document, fillsTimestamps: false, time: time, into: &writer) {
            writer.appendRaw(copying: document.bytes)
        }
    }
}

/// The equalities of a filter: fields that a document made from it must have.
private struct QueryEqualities {
    /// Whether only `_id` counts, as beside a replacement.
    let onlyID: Bool
    private var fields: [(path: String, value: OwnedValue)] = []

    init(onlyID: Bool) {
        self.onlyID = onlyID
    }

    /// Finds the equalities of a filter, those in `$and` and in a lone branch of `$or` included.
    mutating func collect(_ filter: DocumentView) throws(DBError) {
        var elements = filter.makeIterator()
        while let element = elements.next() {
            let name = element.nameString
            switch name {
            case "$and":
                guard let branches = element.value.array else { continue }
                var branch = branches.makeIterator()
                while let document = branch.next()?.value.document { try collect(document) }
            case "$or":
                guard let branches = element.value.array, let first = branches.first,
                    let document = first.value.document, branches.allEqual
                else { continue }
                try collect(document)
            default:
                if !name.hasPrefix("$") { try collect(name, element.value) }
            }
        }
    }

    private mutating func collect(_ path: String, _ condition: ValueView) throws(DBError) {
        if condition.type == .regex { return }
        guard let operators = condition.document, let first = operators.first,
            first.name.starts(with: RawSpan("$")), !first.name.equals("$ref"),
            !first.name.equals("$id"), !first.name.equals("$db")
        else {
            try add(path, condition)
            return
        }
        var elements = operators.makeIterator()
        while let element = elements.next() {
            switch element.nameString {
            case "$eq": try add(path, element.value)
            case "$in":
                guard let values = element.value.array, let only = values.first?.value,
                    values.allEqual, only.type != .regex
                else { continue }
                try add(path, only)
            case "$all":
                guard let values = element.value.array else { continue }
                var items = values.makeIterator()
                while let item = items.next() {
                    // A pattern or a condition on elements is no equality.
                    if item.value.type == .regex { continue }
                    if item.value.document?.first?.name.equals("$elemMatch") == true { continue }
                    try add(path, item.value)
                }
            default: break
            }
        }
    }

    private mutating func add(_ path: String, _ value: ValueView) throws(DBError) {
        if onlyID {
            if path.hasPrefix("_id.") {
                throw DBError(
                    .notExactValueField,
                    "field at '_id' must be exactly specified, field at sub-path '\(path)' found")
            }
            guard path == "_id" else { return }
        }
        if fields.contains(where: { $0.path == path && $0.value.view.equals(value) }) { return }
        fields.append((path, OwnedValue(copying: value)))
    }

    /// Writes the document of the equalities: an update that sets them, applied to `{}`.
    func write(
        time: WriteTime, into writer: inout DocumentWriter, _ scratch: inout UpdateScratch
    ) throws(DBError) {
        var builder = UpdateBuilder(ArrayFilters(), UpdateOptions())
        for (path, value) in fields {
            do {
                try builder.insert(UpdatePath(names: path), .set(value))
            } catch DBError.Code.conflictingUpdateOperators {
                throw DBError(
                    .notSingleValueField,
                    "cannot infer query fields to set, path '\(path)' is matched twice")
            }
        }
        let empty = DocumentView(Document.emptyBytes)
        let wrote = try builder.build().apply(
            to: empty, isInsert: true, time: time, into: &writer, &scratch)
        if !wrote { writer.appendRaw(copying: empty.bytes) }
    }
}

extension DocumentView {
    /// Whether all elements of an array are equal; false for an empty one.
    fileprivate var allEqual: Bool {
        guard let first else { return false }
        var elements = makeIterator()
        while let element = elements.next() {
            if !element.value.equals(first.value) { return false }
        }
        return true
    }
}
