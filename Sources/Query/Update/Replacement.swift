// Replacing a whole document: `_id` stays, everything else goes.

import BSON

/// A parsed replacement.
struct Replacement: Sendable {
    private let document: Document
    private let hasZeroTimestamp: Bool

    /// Takes a replacement document; throws 52 for a top-level field that begins with `$`.
    init(_ document: DocumentView) throws(DBError) {
        var hasZeroTimestamp = false
        var elements = document.makeIterator()
        while let element = elements.next() {
            try checkTopLevelName(element.name)
            if element.value.isZeroTimestamp { hasZeroTimestamp = true }
        }
        self.document = Document(copying: document)
        self.hasZeroTimestamp = hasZeroTimestamp
    }

    /// Appends the document that replaces `old`, unless it is the same.
    func apply(
        to old: DocumentView, time: WriteTime, into writer: inout DocumentWriter
    ) throws(DBError) -> Bool {
        try Replacement.store(
            document.view, over: old, time: time, hasZeroTimestamp: hasZeroTimestamp,
            into: &writer)
    }

    /// Appends `new` with the `_id` of `old` in front, unless that is `old` itself.
    ///
    /// - Throws: 66 if `new` has another `_id`.
    static func store(
        _ new: DocumentView, over old: DocumentView, time: WriteTime, hasZeroTimestamp: Bool,
        into writer: inout DocumentWriter
    ) throws(DBError) -> Bool {
        let start = writer.count
        let opened = writer.openDocument()
        if let newID = new.value("_id") {
            writer.append("_id", newID)
        } else if let oldID = old.value("_id") {
            writer.append("_id", oldID)
        }
        if hasZeroTimestamp || new.value("_id") != nil {
            var elements = new.makeIterator()
            while let element = elements.next() {
                if !element.name.equals("_id") { writer.appendFilled(element, time) }
            }
        } else {
            writer.appendFields(of: new)
        }
        writer.close(opened)
        if writer.bytes.span.bytes.extracting(droppingFirst: start).equals(old.bytes) {
            writer.truncate(to: start)
            return false
        }
        try checkIDUnchanged(
            old, DocumentView(writer.bytes.span.bytes.extracting(droppingFirst: start)))
        return true
    }
}
