// Making a document fit to be stored: insert, upsert and replacement share this.

package import BSON

/// Checks a document that is to be inserted and completes it: `_id` added or moved to the front,
/// zero timestamps at the top level replaced by the write's.
///
/// The document's bytes must be valid BSON within the nesting limit. O(n) in its fields.
///
/// - Returns: whether a completed document was appended to `writer`; if not, the document can be
///   stored as it is, which is the usual case.
/// - Throws: 53 for an `_id` that is an array, a regular expression or undefined; 52 for `$` in
///   names within it; 2 for two of them; 10334 for a document over 16 MiB. Nothing was appended.
package func prepareInsert(
    _ document: DocumentView, time: WriteTime, into writer: inout DocumentWriter
) throws(DBError) -> Bool {
    try prepareInsert(document, fillsTimestamps: true, time: time, into: &writer)
}

/// The same; an upsert by operators keeps zero timestamps, as MongoDB does.
func prepareInsert(
    _ document: DocumentView, fillsTimestamps: Bool, time: WriteTime,
    into writer: inout DocumentWriter
) throws(DBError) -> Bool {
    var idCount = 0
    var isFirst = true
    var needsCopy = false
    var elements = document.makeIterator()
    while let element = elements.next() {
        if element.name.byteCount == 3, element.name.equals("_id") {
            try checkID(element.value)
            idCount += 1
            if !isFirst { needsCopy = true }
        } else if fillsTimestamps, element.value.isZeroTimestamp {
            needsCopy = true
        }
        isFirst = false
    }
    guard idCount <= 1 else {
        throw DBError(.badValue, "can't have multiple _id fields in one document")
    }
    guard needsCopy || idCount == 0 else {
        try checkSize(document.bytes.byteCount)
        return false
    }
    let start = writer.count
    let opened = writer.openDocument()
    if let id = document.value("_id") {
        writer.append("_id", id)
    } else {
        writer.append("_id", ObjectID.generate())
    }
    var fields = document.makeIterator()
    while let element = fields.next() {
        if element.name.equals("_id") { continue }
        if fillsTimestamps {
            writer.appendFilled(element, time)
        } else {
            writer.append(element)
        }
    }
    writer.close(opened)
    do {
        try checkSize(writer.count - start)
    } catch {
        writer.truncate(to: start)
        throw error
    }
    return true
}

private func checkSize(_ byteCount: Int) throws(DBError) {
    guard byteCount <= Limits.documentBytesMax else {
        throw DBError(
            .bsonObjectTooLarge,
            "object to insert too large. size in bytes: \(byteCount), max size: "
                + "\(Limits.documentBytesMax)")
    }
}

/// Throws 53 or 52 for a value that can't be an `_id`.
private func checkID(_ id: ValueView) throws(DBError) {
    switch id.type {
    case .array, .regex, .undefined:
        throw DBError(
            .invalidIdField, "The '_id' value cannot be of type \(id.type.alias)")
    case .document:
        try checkIDFields(DocumentView(id.bytes))
    default: break
    }
}

private func checkIDFields(_ id: DocumentView) throws(DBError) {
    var elements = id.makeIterator()
    while let element = elements.next() {
        guard !element.name.starts(with: RawSpan("$")) else {
            throw DBError(
                .dollarPrefixedFieldName,
                "_id fields may not contain '$'-prefixed fields: \(element.nameString) is not "
                    + "valid for storage.")
        }
        if let nested = element.value.nested { try checkIDFields(nested) }
    }
}

extension ValueView {
    /// Whether this is the timestamp that stands for the time of the write.
    var isZeroTimestamp: Bool { type == .timestamp && timestamp?.rawValue == 0 }
}

extension DocumentWriter {
    /// Appends a field of a document's top level; a zero timestamp becomes the write's.
    mutating func appendFilled(_ element: ElementView, _ time: WriteTime) {
        if element.value.isZeroTimestamp {
            appendHeader(.timestamp, element.name)
            appendRaw(time.timestamp.rawValue)
        } else {
            append(element)
        }
    }
}
