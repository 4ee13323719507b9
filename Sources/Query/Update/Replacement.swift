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

    /// Appends the document that replaces `old`.
    ///
    /// - Returns: false, with nothing appended, if the replacement as written, `_id` included, is
    ///   the document. (One without `_id` counts as a change even if nothing else differs.)
    func apply(
        to old: DocumentView, time: WriteTime, into writer: inout DocumentWriter
    ) throws(DBError) -> Bool {
        try Replacement.store(
            document.view, over: old, time: time, hasZeroTimestamp: hasZeroTimestamp,
            into: &writer)
    }

    /// Appends `new` with the `_id` of `old` in front, unless the two are the same.
    ///
    /// - Throws: 66 if `new` has another `_id`.
    static func store(
        _ new: DocumentView, over old: DocumentView, time: WriteTime, hasZeroTimestamp: Bool,
        into writer: inout DocumentWriter
    ) throws(DBError) -> Bool {
        if new.bytes.equals(old.bytes) { return false }
        try checkID(of: new, old)
        let opened = writer.openDocument()
        let hasID = new.value("_id") != nil
        if let id = new.value("_id") {
            writer.append("_id", id)
        } else if let id = old.value("_id") {
            writer.append("_id", id)
        }
        if hasZeroTimestamp || hasID {
            var elements = new.makeIterator()
            while let element = elements.next() {
                if !element.name.equals("_id") { writer.appendFilled(element, time) }
            }
        } else {
            writer.appendFields(of: new)
        }
        writer.close(opened)
        return true
    }

    private static func checkID(of new: DocumentView, _ old: DocumentView) throws(DBError) {
        guard let newID = new.value("_id"), let oldID = old.value("_id"), !newID.equals(oldID)
        else { return }
        throw DBError(
            .immutableField,
            "After applying the update, the (immutable) field '_id' was found to have been "
                + "altered")
    }
}
