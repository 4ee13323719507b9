// Wildcard indexes: which paths they hold, and the values of a document at them.
//
// A document has one key for each value that is no object or array of its own: the value's path
// and the value. Empty objects count as values; an empty array gives undefined; elements of arrays
// have the array's path, and arrays within arrays count as values.

internal import BSON

/// The paths that a wildcard index holds.
package struct WildcardPaths: Sendable {
    /// The path above everything indexed; `wholeValue` for `$**` alone.
    package let root: FieldPath
    /// Paths of the projection: only these, or all but these.
    private let projected: [FieldPath]
    private let isInclusion: Bool
    private let holdsID: Bool

    /// The paths below `root` that a projection lets through.
    init(root: FieldPath, projection: DocumentView?) throws(DBError) {
        self.root = root
        var paths: [FieldPath] = []
        var inclusion: Bool?
        var id: Bool?
        if let projection {
            if projection.isEmpty {
                throw DBError(
                    .failedToParse, "The 'wildcardProjection' field can't be an empty object")
            }
            try Self.read(projection, prefix: "", &paths, &inclusion, &id)
        }
        projected = paths
        isInclusion = inclusion ?? (id == true && paths.isEmpty && projection != nil)
        holdsID = root.segments.first.map { $0.name.elementsEqual("_id".utf8) } ?? (id ?? false)
        if isInclusion, paths.isEmpty, id != true {
            throw DBError(.failedToParse, "The 'wildcardProjection' leaves nothing to index")
        }
    }

    private static func read(
        _ projection: DocumentView, prefix: String, _ paths: inout [FieldPath],
        _ inclusion: inout Bool?, _ id: inout Bool?
    ) throws(DBError) {
        var elements = projection.makeIterator()
        while let element = elements.next() {
            let path = prefix + element.nameString
            if let inner = element.value.document, !inner.isEmpty {
                try read(inner, prefix: path + ".", &paths, &inclusion, &id)
                continue
            }
            guard element.value.isNumeric || element.value.bool != nil else {
                throw DBError(
                    DBError.Code(rawValue: 51271),
                    "Bad projection specification: 'wildcardProjection' takes 0 or 1 for a field, "
                        + "not \(element.value.type.alias) ('\(path)')")
            }
            let isIncluded = element.value.isTruthy
            if path == "_id" {
                id = isIncluded
                continue
            }
            let field = FieldPath(path)
            if paths.contains(where: { $0.isPrefix(of: field) || field.isPrefix(of: $0) }) {
                throw DBError(
                    DBError.Code(rawValue: 31249), "Path collision at \(path)")
            }
            if let inclusion, inclusion != isIncluded {
                throw DBError(
                    DBError.Code(rawValue: inclusion ? 31254 : 31253),
                    "Cannot do \(isIncluded ? "inclusion" : "exclusion") on field \(path) in "
                        + "\(inclusion ? "inclusion" : "exclusion") projection")
            }
            inclusion = isIncluded
            paths.append(field)
        }
    }

    /// Whether the value at a path of any document would be in the index.
    package func holds(_ path: FieldPath) -> Bool {
        guard root.isPrefix(of: path) else { return false }
        if path.segments[0].name.elementsEqual("_id".utf8) { return holdsID }
        let isListed = projected.contains { $0.isPrefix(of: path) }
        return isListed == isInclusion
    }

    /// Whether everything at and below a path would be in the index.
    package func holdsTree(_ path: FieldPath) -> Bool {
        holds(path) && (isInclusion || !projected.contains { path.isPrefix(of: $0) })
    }

    /// Whether a field lies in the index whatever else there is: a part of a compound index must
    /// not.
    func overlaps(_ path: FieldPath) -> Bool {
        if root.isPrefix(of: path) || path.isPrefix(of: root) {
            guard !projected.isEmpty else { return true }
            return isInclusion
                ? projected.contains { $0.isPrefix(of: path) || path.isPrefix(of: $0) }
                : !projected.contains { $0.isPrefix(of: path) }
        }
        return false
    }

    /// Whether something at or below a path may be in the index.
    private func reaches(_ path: FieldPath) -> Bool {
        if root.segments.count > path.segments.count { return path.isPrefix(of: root) }
        guard root.isPrefix(of: path) else { return false }
        if path.segments[0].name.elementsEqual("_id".utf8) { return holdsID }
        if isInclusion {
            return projected.contains { $0.isPrefix(of: path) || path.isPrefix(of: $0) }
        }
        return !projected.contains { $0.isPrefix(of: path) }
    }

    /// Gives each path and value of a document to `body`; whether any path met an array.
    func forEach(
        in document: DocumentView, _ body: (_ path: FieldPath, _ value: ValueView) -> Void
    ) -> Bool {
        var meetsArray = false
        walk(document, nil, &meetsArray, body)
        return meetsArray
    }

    private func walk(
        _ object: DocumentView, _ prefix: FieldPath?, _ meetsArray: inout Bool,
        _ body: (FieldPath, ValueView) -> Void
    ) {
        var elements = object.makeIterator()
        while let element = elements.next() {
            let name = element.nameString
            let path = prefix.map { FieldPath($0.dotted + "." + name) } ?? FieldPath(name)
            guard reaches(path) else { continue }
            visit(element.value, path, &meetsArray, body)
        }
    }

    private func visit(
        _ value: ValueView, _ path: FieldPath, _ meetsArray: inout Bool,
        _ body: (FieldPath, ValueView) -> Void
    ) {
        if let object = value.document, !object.isEmpty {
            return walk(object, path, &meetsArray, body)
        }
        guard let array = value.array else {
            if holds(path) { body(path, value) }
            return
        }
        meetsArray = true
        if array.isEmpty {
            if holds(path) { body(path, ValueView(type: .undefined, bytes: RawSpan())) }
            return
        }
        var elements = array.makeIterator()
        while let element = elements.next() {
            if let object = element.value.document, !object.isEmpty {
                walk(object, path, &meetsArray, body)
            } else if holds(path) {
                body(path, element.value)
            }
        }
    }
}
