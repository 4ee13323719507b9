// Documents without the fields that rules hide.

import BSON
import Query

enum FieldMask {
    /// Appends a document without the fields at the dotted paths, in documents within lists too.
    static func write(
        _ document: DocumentView, hiding paths: [String], into writer: inout DocumentWriter
    ) {
        let hidden = paths.map { $0.split(separator: ".").map { Array($0.utf8) }[...] }
        let start = writer.openDocument()
        append(document, hidden, &writer)
        writer.close(start)
    }

    private static func append(
        _ document: DocumentView, _ hidden: [ArraySlice<[UInt8]>], _ writer: inout DocumentWriter
    ) {
        guard !hidden.isEmpty else { return writer.appendFields(of: document) }
        var elements = document.makeIterator()
        while let element = elements.next() {
            let below = hidden.filter { path in
                path.first.map { element.name.equals($0.span.bytes) } ?? false
            }
            if below.contains(where: { $0.count == 1 }) { continue }
            append(element.value, named: element.nameString, below.map { $0.dropFirst() }, &writer)
        }
    }

    private static func append(
        _ value: ValueView, named name: String, _ hidden: [ArraySlice<[UInt8]>],
        _ writer: inout DocumentWriter
    ) {
        guard !hidden.isEmpty, value.type == .document || value.type == .array else {
            return writer.append(name, value)
        }
        if value.type == .document {
            let start = writer.openDocument(name)
            append(DocumentView(value.bytes), hidden, &writer)
            return writer.close(start)
        }
        guard let array = value.array else { return writer.append(name, value) }
        let start = writer.openArray(name)
        var elements = array.makeIterator()
        while let element = elements.next() {
            append(element.value, named: element.nameString, hidden, &writer)
        }
        writer.close(start)
    }
}
