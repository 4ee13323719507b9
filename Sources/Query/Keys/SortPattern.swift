// Sorts: what to sort by, and the key of a document.
//
// A document's key is the first of its tuples (KeyWalk.swift) in the sort's own order, so arrays
// sort by their smallest element ascending and by their largest descending. Keys are bytes whose
// memcmp order is the order of the sort.

package import BSON

/// What to sort by.
package struct SortPattern: Sendable {
    /// One path and its direction.
    package struct Part: Sendable, Hashable {
        /// The path to sort by.
        package let path: FieldPath
        /// Whether large values come first.
        package let descending: Bool

        /// A path and its direction.
        package init(path: FieldPath, descending: Bool) {
            self.path = path
            self.descending = descending
        }
    }

    /// The paths, most significant first.
    package let parts: [Part]
    private let table: PathTable

    /// A pattern of these parts, at most 32, and the order of strings.
    package init(_ parts: [Part], collation: Collation? = nil) {
        self.parts = parts
        var table = PathTable(collation)
        for part in parts { table.append(part.path, isDescending: part.descending) }
        self.table = table
    }

    /// Reads a sort document; `{}` is no sort. `$natural` must have been handled before.
    ///
    /// Errors: 15974 a direction is no number, 15975 it is not 1 or -1, 13103 more than 32 parts,
    /// 7472500 a path twice, 16410 a name begins with `$`, 40352 empty path, 40353 a dot at the
    /// end, 15998 an empty name, 40218 `$meta` without its source.
    package static func parse(
        _ sort: DocumentView, collation: Collation? = nil, metadata: MetadataKinds = []
    ) throws(DBError) -> SortPattern {
        var parts: [Part] = []
        var elements = sort.makeIterator()
        while let element = elements.next() {
            if let meta = element.value.document?.first, meta.name.equals("$meta"),
                let field = MetadataField.name(
                    ofMeta: meta.value.text, metadata.subtracting(.sortKey))
            {
                // The best first, and the newest.
                let descending = [MetadataField.textScore, MetadataField.deletedAt].contains(field)
                parts.append(Part(path: FieldPath(field), descending: descending))
                continue
            }
            let descending = try parseDirection(element.value)
            let path = try parsePath(element.nameString)
            if parts.count == keyPartsMax {
                throw DBError(
                    DBError.Code(rawValue: 13103),
                    "too many compound keys: at most \(keyPartsMax)")
            }
            if parts.contains(where: { $0.path == path }) {
                throw DBError(
                    DBError.Code(rawValue: 7_472_500),
                    "$sort key must not contain duplicate keys (duplicate: '\(path)')")
            }
            parts.append(Part(path: path, descending: descending))
        }
        return SortPattern(parts, collation: collation)
    }

    private static func parsePath(_ name: String) throws(DBError) -> FieldPath {
        if name.isEmpty {
            throw DBError(
                DBError.Code(rawValue: 40352), "FieldPath cannot be constructed with empty string")
        }
        if name.hasSuffix(".") {
            throw DBError(
                DBError.Code(rawValue: 40353), "FieldPath must not end with a '.'.")
        }
        let path = FieldPath(name)
        for segment in path.segments {
            if segment.name.isEmpty {
                throw DBError(
                    DBError.Code(rawValue: 15998), "FieldPath field names may not be empty strings."
                )
            }
            let isReference = ["$id", "$ref", "$db"].contains {
                segment.name.elementsEqual($0.utf8)
            }
            if segment.name[0] == UInt8(ascii: "$"), !isReference {
                throw DBError(
                    DBError.Code(rawValue: 16410),
                    "FieldPath field names may not start with '$'. Consider using $getField or "
                        + "$setField.")
            }
        }
        return path
    }

    private static func parseDirection(_ value: ValueView) throws(DBError) -> Bool {
        if let object = value.document {
            guard let meta = object.first, meta.name.equals("$meta") else {
                throw DBError(
                    DBError.Code(rawValue: 15974),
                    "Illegal key in $sort specification: an object "
                        + "other than {$meta: …}")
            }
            throw MetadataField.unavailable(meta.value.text)
        }
        let direction: Int64?
        switch value.type {
        case .decimal128:
            direction = value.decimal128?.rounded(.toNearestOrEven).exactInt64
        case .int32, .int64, .double: direction = value.truncatedInt64
        default:
            throw DBError(
                DBError.Code(rawValue: 15974),
                "Illegal key in $sort specification: a direction must be 1 or -1")
        }
        guard direction == 1 || direction == -1 else {
            throw DBError(
                DBError.Code(rawValue: 15975),
                "$sort key ordering must be 1 (for ascending) or -1 (for descending)")
        }
        return direction == -1
    }

    /// The nearest first.
    package static let byDistance = SortPattern([
        Part(path: FieldPath(MetadataField.distance), descending: false)
    ])

    /// Whether there is nothing to sort by.
    package var isEmpty: Bool { parts.isEmpty }

    /// Appends a document's key. Allocates only to grow the encoder. Error: 2 for two arrays that
    /// would both have to be expanded.
    package func appendKey(
        of document: DocumentView, to encoder: inout KeyEncoder
    ) throws(DBError) {
        if case .appended = table.appendPlainKey(of: document, to: &encoder) { return }
        try appendKeySlowPath(of: document, to: &encoder)
    }

    @inline(never)
    private func appendKeySlowPath(
        of document: DocumentView, to encoder: inout KeyEncoder
    ) throws(DBError) {
        var walk = KeyWalk()
        var sink = FirstKey(table: table)
        try walk.run(table, document, parallel: .badValue, into: &sink)
        if let best = sink.best { best.encode(table, of: document, to: &encoder) }
    }

    /// Appends an array of the values that a document is sorted by, null for what it lacks.
    /// Error: 2 as `appendKey`.
    func appendValues(
        of document: DocumentView, named name: String, to writer: inout DocumentWriter
    ) throws(DBError) {
        var walk = KeyWalk()
        var sink = FirstKey(table: table)
        try walk.run(table, document, parallel: .badValue, into: &sink)
        let start = writer.openArray(name)
        if let best = sink.best {
            for index in 0..<best.count {
                writer.append(index: index, best.parts[index].value(in: document))
            }
        }
        writer.close(start)
    }

    /// Keeps the tuple that comes first in the sort's order.
    private struct FirstKey: KeySink, ~Copyable {
        let table: PathTable
        var best: KeyTuple?

        init(table: PathTable) {
            self.table = table
        }

        mutating func take(_ tuple: KeyTuple, of document: DocumentView) {
            if let best, best.compare(tuple, table, in: document) <= 0 { return }
            best = tuple
        }
    }
}
