// Keys of indexes with a part that is not plainly ordered: hashed, 2dsphere, 2d, text, wildcard.
//
// Each such part gives a list of pieces of its own, the ordered parts give tuples by the usual walk
// (KeyWalk), and the keys are all combinations, their pieces in the pattern's order:
//
//   hashed    one piece: the hash, of null where the field is missing; arrays are refused
//   2dsphere  a cell for a point, a covering for other places; none where there is no place
//   2d        a square for each pair of coordinates; none where there is no pair
//   text      each term of the indexed fields; none without a term
//   wildcard  path and value, two pieces in one, for each value; null and null without one
//
// Numbers of cells, squares and hashes are stored as a date is: nine bytes in their order.

internal import BSON

/// How numbers of cells, squares and hashes are stored.
package enum SpecialKey {
    /// The key of a number.
    package static func encoded(_ number: Int64) -> [UInt8] {
        var encoder = KeyEncoder()
        SpecialKeys.append(number, to: &encoder)
        return encoder.bytes
    }
}

/// Makes the keys of one pattern.
struct SpecialKeys: Sendable {
    /// What a part of the pattern gives.
    enum Source: Sendable {
        /// The part of this position in `table`.
        case ordered(Int)
        case hashed(FieldPath)
        case sphere(FieldPath)
        case plane(FieldPath, PlaneGrid)
        case text(TextIndexSpecification)
        case wildcard(WildcardPaths, descending: Bool)
    }

    let sources: [Source]
    /// The ordered parts alone.
    let table: PathTable

    /// Whether documents without a place or term have no keys.
    var isSparse: Bool {
        sources.contains {
            switch $0 {
            case .sphere, .plane, .text: true
            case .wildcard: sources.count == 1
            case .ordered, .hashed: false
            }
        }
    }

    /// Encoded pieces of one part, of one document.
    struct Pieces {
        var encoder = KeyEncoder()
        var ranges: [Range<Int>] = []

        mutating func end(_ start: Int) { ranges.append(start..<encoder.count) }

        /// Adds a number.
        mutating func append(_ number: Int64) {
            let start = encoder.count
            SpecialKeys.append(number, to: &encoder)
            end(start)
        }

        /// Adds a null.
        mutating func appendNull() {
            let start = encoder.count
            encoder.appendNull()
            end(start)
        }
    }

    /// Appends the key of a number as this file stores them.
    static func append(_ number: Int64, to encoder: inout KeyEncoder) {
        var payload = InlineArray<8, UInt8>(repeating: 0)
        for index in 0..<8 {
            payload[index] = UInt8(truncatingIfNeeded: number >> Int64(8 * index))
        }
        encoder.append(ValueView(type: .date, bytes: payload.span.bytes))
    }

    /// Puts the keys of a document into `keys`, which holds none.
    func keys(of document: DocumentView, sparse: Bool, into keys: inout IndexKeys) throws(DBError) {
        var special: [Pieces] = []
        special.reserveCapacity(sources.count)
        var multikeyParts: UInt64 = 0
        var placesWanted = 0
        var placesMissing = 0
        for (part, source) in sources.enumerated() {
            var pieces = Pieces()
            var isMultikey = false
            switch source {
            case .ordered: break
            case .hashed(let path): try appendHash(path, document, &pieces)
            case .sphere(let path):
                placesWanted += 1
                isMultikey = try Self.appendCells(path, document, &pieces)
                if pieces.ranges.isEmpty {
                    placesMissing += 1
                    pieces.appendNull()
                }
            case .plane(let path, let grid):
                isMultikey = try Self.appendSquares(path, grid, document, &pieces)
                if pieces.ranges.isEmpty { return }
            case .text(let specification):
                let terms = try specification.terms(of: document)
                if terms.isEmpty { return }
                isMultikey = true
                for term in terms {
                    let start = pieces.encoder.count
                    pieces.encoder.append(
                        ValueView(
                            type: .string, bytes: OwnedValue(.string(term)).payload.span.bytes))
                    pieces.end(start)
                }
            case .wildcard(let paths, let descending):
                isMultikey = appendValues(paths, descending, document, &pieces)
                if pieces.ranges.isEmpty {
                    if sources.count == 1 { return }
                    let start = pieces.encoder.count
                    pieces.encoder.appendNull()
                    pieces.encoder.appendNull(descending: descending)
                    pieces.end(start)
                }
            }
            if isMultikey { multikeyParts |= 1 << UInt64(part) }
            special.append(pieces)
        }
        if placesWanted > 0, placesMissing == placesWanted { return }
        var sink = Tuples(table: table)
        if !table.parts.isEmpty {
            var walk = KeyWalk()
            try walk.run(table, document, parallel: .cannotIndexParallelArrays, into: &sink)
            if sparse, sink.isAllMissing, placesWanted == 0 { return }
            multikeyParts |= try orderedParts(walk.multikeyParts)
        }
        combine(special, sink, into: &keys)
        keys.finish(multikeyParts: multikeyParts)
    }

    /// The bits of ordered parts at their place in the pattern.
    private func orderedParts(_ bits: UInt64) throws(DBError) -> UInt64 {
        guard bits != 0 else { return 0 }
        var result: UInt64 = 0
        for (part, source) in sources.enumerated() {
            switch source {
            case .ordered(let position):
                if bits >> UInt64(position) & 1 != 0 { result |= 1 << UInt64(part) }
            case .wildcard:
                throw DBError(
                    DBError.Code(rawValue: 7_246_301),
                    "Compound wildcard indexes can't hold arrays in their other fields")
            case .hashed, .sphere, .plane, .text: break
            }
        }
        return result
    }

    // MARK: Pieces

    private func appendHash(
        _ path: FieldPath, _ document: DocumentView, _ pieces: inout Pieces
    ) throws(DBError) {
        var value = ValueView(type: .document, bytes: document.bytes)
        for segment in path.segments {
            guard let object = value.document, let next = object.value(segment.name.span.bytes)
            else {
                return pieces.append(HashedKey.hash(of: OwnedValue(.null).view))
            }
            value = next
            guard value.type != .array else {
                throw DBError(
                    DBError.Code(rawValue: 16766),
                    "hashed indexes do not currently support array values. Found array at path: "
                        + path.dotted)
            }
        }
        pieces.append(HashedKey.hash(of: value, table.collation))
    }

    /// Cells of all places at the path. Returns whether there may be several.
    private static func appendCells(
        _ path: FieldPath, _ document: DocumentView, _ pieces: inout Pieces
    ) throws(DBError) -> Bool {
        var failure: DBError?
        var count = 0
        PathEnds.forEach(in: document, path) { value in
            if Self.isNoPlace(value) { return }
            count += 1
            do throws(DBError) {
                switch try GeoValue.read(value) {
                case .point(let point, _):
                    guard point.isOnSphere else {
                        throw DBError(
                            .badValue,
                            "longitude/latitude is out of bounds, lng: \(point.x) lat: \(point.y)")
                    }
                    pieces.append(Int64(bitPattern: point.cell))
                case .shape(let shape):
                    for cell in shape.cover(most: 24) { pieces.append(Int64(bitPattern: cell)) }
                }
            } catch {
                failure = error
            }
        }
        if let failure {
            throw DBError(
                DBError.Code(rawValue: 16755),
                "Can't extract geo keys: \(ShellNotation.string(document))  \(failure.message)")
        }
        return count > 1 || pieces.ranges.count > 1
    }

    private static func isNoPlace(_ value: ValueView) -> Bool {
        switch value.type {
        case .null, .undefined: true
        case .array, .document: value.nested?.isEmpty ?? false
        default: false
        }
    }

    /// Squares of all pairs at the path, which may be an array of pairs. Returns whether there are
    /// several.
    private static func appendSquares(
        _ path: FieldPath, _ grid: PlaneGrid, _ document: DocumentView, _ pieces: inout Pieces
    ) throws(DBError) -> Bool {
        var failure: DBError?
        func append(_ value: ValueView) throws(DBError) {
            guard let point = GeoPoint(value) ?? GeoJSON.point(value) else {
                throw DBError(
                    DBError.Code(rawValue: 16804),
                    "location object expected, location array not in correct format: use [x, y]")
            }
            pieces.append(try grid.key(of: point))
        }
        PathEnds.forEach(in: document, path) { value in
            if Self.isNoPlace(value) { return }
            do throws(DBError) {
                if let array = value.array, array.first?.value.nested != nil {
                    var elements = array.makeIterator()
                    while let element = elements.next() { try append(element.value) }
                } else {
                    try append(value)
                }
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return pieces.ranges.count > 1
    }

    private func appendValues(
        _ paths: WildcardPaths, _ descending: Bool, _ document: DocumentView,
        _ pieces: inout Pieces
    ) -> Bool {
        let collation = table.collation
        return paths.forEach(in: document) { path, value in
            let start = pieces.encoder.count
            pieces.encoder.append(OwnedValue(.string(path.dotted)).view)
            pieces.encoder.append(value, descending: descending, order: collation)
            pieces.end(start)
        }
    }

    // MARK: Combination

    /// The tuples of the ordered parts, encoded part by part.
    private struct Tuples: KeySink, ~Copyable {
        let table: PathTable
        var encoder = KeyEncoder()
        /// For each tuple the ranges of its parts.
        var ranges: [Range<Int>] = []
        var isAllMissing = true

        init(table: PathTable) { self.table = table }

        var count: Int { table.parts.isEmpty ? 1 : ranges.count / table.parts.count }

        mutating func take(_ tuple: KeyTuple, of document: DocumentView) {
            if !tuple.isAllMissing { isAllMissing = false }
            for index in 0..<tuple.count {
                let start = encoder.count
                encoder.append(
                    tuple.parts[index].value(in: document),
                    descending: table.parts[index].isDescending, order: table.collation)
                ranges.append(start..<encoder.count)
            }
        }
    }

    private func combine(
        _ special: [Pieces], _ tuples: borrowing Tuples, into keys: inout IndexKeys
    ) {
        var chosen = [Int](repeating: 0, count: sources.count)
        for tuple in 0..<tuples.count {
            var goesOn = true
            while goesOn {
                for (part, source) in sources.enumerated() {
                    if case .ordered(let position) = source {
                        let range = tuples.ranges[tuple * table.parts.count + position]
                        keys.encoder.append(
                            copying: tuples.encoder.bytes.span.bytes.extracting(range))
                    } else {
                        let pieces = special[part]
                        keys.encoder.append(
                            copying: pieces.encoder.bytes.span.bytes.extracting(
                                pieces.ranges[chosen[part]]))
                    }
                }
                keys.endKey()
                goesOn = advance(&chosen, special)
            }
        }
    }

    /// The next combination; false, and the first one, after the last.
    private func advance(_ chosen: inout [Int], _ special: [Pieces]) -> Bool {
        for part in sources.indices.reversed() {
            if case .ordered = sources[part] { continue }
            chosen[part] += 1
            if chosen[part] < special[part].ranges.count { return true }
            chosen[part] = 0
        }
        return false
    }
}

/// Finds the values at a path's end without looking into arrays there.
enum PathEnds {
    /// Runs `body` for each value at the path.
    static func forEach(
        in document: DocumentView, _ path: FieldPath, _ body: (ValueView) -> Void
    ) {
        walk(ValueView(type: .document, bytes: document.bytes), path.segments[...], body)
    }

    private static func walk(
        _ value: ValueView, _ rest: ArraySlice<FieldPath.Segment>, _ body: (ValueView) -> Void
    ) {
        guard let segment = rest.first else { return body(value) }
        if let object = value.document {
            if let next = object.value(segment.name.span.bytes) {
                walk(next, rest.dropFirst(), body)
            }
        } else if let array = value.array {
            var elements = array.makeIterator()
            var position = 0
            while let element = elements.next() {
                if element.value.type == .document { walk(element.value, rest, body) }
                if position == segment.arrayIndex { walk(element.value, rest.dropFirst(), body) }
                position += 1
            }
        }
    }
}
