// Applying a projection: one walk over the document, no allocation for it.

package import BSON

extension Projection {
    /// Writes the projected `document` to `writer` as a top-level document.
    ///
    /// `arrayPosition` is the filter's (for a positional rule). Throws what expressions throw, and
    /// 51246/51247 where a positional rule has no element.
    package func apply(
        _ document: DocumentView, arrayPosition: Int?, into writer: inout DocumentWriter,
        _ context: inout EvaluationContext
    ) throws(DBError) {
        if isIdentity {
            writer.appendRaw(copying: document.bytes)
            return
        }
        if !expressions.isEmpty || !filters.isEmpty { context.begin(document) }
        let start = writer.openDocument()
        let path = PositionalPath(isActive: isPositional, arrayPosition: arrayPosition)
        try writeFields(of: document, 0, path, &writer, &context)
        writer.close(start)
    }

    /// How a walk stands to a positional rule: whether it is on the rule's path before the first
    /// array, and what the filter found.
    fileprivate struct PositionalPath {
        let isActive: Bool
        let arrayPosition: Int?

        /// The state below a field, or behind the array.
        func entering(_ field: Field) -> PositionalPath {
            PositionalPath(
                isActive: isActive && field.isPositional, arrayPosition: arrayPosition)
        }

        static var off: PositionalPath { PositionalPath(isActive: false, arrayPosition: nil) }
    }

    // MARK: Objects

    private func writeFields(
        of document: DocumentView, _ nodeIndex: Int, _ path: PositionalPath,
        _ writer: inout DocumentWriter, _ context: inout EvaluationContext
    ) throws(DBError) {
        let node = nodes[nodeIndex]
        // Rules whose field was met, by position; those past 64 are looked up at the end.
        var met: UInt64 = 0
        var elements = document.makeIterator()
        while let element = elements.next() {
            let index = rule(for: element.name, node)
            guard index >= 0 else {
                if mode != .inclusion { writer.append(element) }
                continue
            }
            if index < 64 { met |= 1 << UInt64(index) }
            try apply(fields[node.first + index], to: element, path, &writer, &context)
        }
        if node.computes { try addUnmet(document, node, met, &writer, &context) }
    }

    /// The position of the rule for a name; -1 if there is none.
    @inline(__always)
    private func rule(for name: RawSpan, _ node: Node) -> Int {
        let pool = names.bytes
        for index in 0..<node.count {
            let field = fields[node.first + index]
            if field.nameCount == name.byteCount, self.name(of: field, in: pool).equals(name) {
                return index
            }
        }
        return -1
    }

    @inline(__always)
    @_lifetime(copy pool)
    private func name(of field: Field, in pool: RawSpan) -> RawSpan {
        pool.extracting(field.nameOffset..<field.nameOffset + field.nameCount)
    }

    private func apply(
        _ field: Field, to element: ElementView, _ path: PositionalPath,
        _ writer: inout DocumentWriter, _ context: inout EvaluationContext
    ) throws(DBError) {
        let below = path.entering(field)
        switch field.rule {
        case .include:
            if below.isActive, element.value.type == .array {
                let chosen = try matchedElement(DocumentView(element.value.bytes), path)
                let start = openArray(element.name, &writer)
                writer.append(index: 0, chosen)
                writer.close(start)
            } else {
                writer.append(element)
            }
        case .exclude, .nothing: break
        case .compute(let index):
            // In an inclusion computed fields come after the included ones.
            if mode != .inclusion { try compute(index, element.name, &writer, &context) }
        case .elementMatch(let index):
            if mode != .inclusion { try matchElement(index, element, &writer, context) }
        case .slice(let skip, let count):
            slice(element, skip: skip, count: count, &writer)
        case .nested(let node):
            try nested(node, element, below, &writer, &context)
        }
    }

    private func compute(
        _ index: Int, _ name: RawSpan, _ writer: inout DocumentWriter,
        _ context: inout EvaluationContext
    ) throws(DBError) {
        let value = try expressions[index].evaluate(in: &context)
        if !value.isMissing { writer.append(name, value.view) }
    }

    /// Fields that rules make where the document has none (or, in an inclusion, does not pass
    /// its own on), in the order of the specification.
    private func addUnmet(
        _ document: DocumentView, _ node: Node, _ met: UInt64,
        _ writer: inout DocumentWriter, _ context: inout EvaluationContext
    ) throws(DBError) {
        let pool = names.bytes
        for index in 0..<node.count {
            let field = fields[node.first + index]
            let name = name(of: field, in: pool)
            let wasMet =
                index < 64 ? met >> UInt64(index) & 1 == 1 : document.value(name) != nil
            switch field.rule {
            case .compute(let expression):
                if wasMet, mode != .inclusion { continue }
                try compute(expression, name, &writer, &context)
            case .elementMatch(let filter):
                guard mode == .inclusion, wasMet else { continue }
                var elements = document.makeIterator()
                while let element = elements.next() {
                    guard element.name.equals(name) else { continue }
                    try matchElement(filter, element, &writer, context)
                    break
                }
            case .nested(let below) where !wasMet && nodes[below].computes:
                try computedObject(below, name, &writer, &context)
            default: break
            }
        }
    }

    /// An object of computed fields alone, where the document has no object.
    private func computedObject(
        _ below: Int, _ name: RawSpan, _ writer: inout DocumentWriter,
        _ context: inout EvaluationContext
    ) throws(DBError) {
        writer.appendHeader(.document, name)
        try computedPayload(below, &writer, &context)
    }

    private func computedPayload(
        _ below: Int, _ writer: inout DocumentWriter, _ context: inout EvaluationContext
    ) throws(DBError) {
        let start = writer.openDocument()
        let empty = Document()
        try addUnmet(empty.view, nodes[below], 0, &writer, &context)
        writer.close(start)
    }

    // MARK: Below a name

    private func nested(
        _ below: Int, _ element: ElementView, _ path: PositionalPath,
        _ writer: inout DocumentWriter, _ context: inout EvaluationContext
    ) throws(DBError) {
        switch element.value.type {
        case .document:
            writer.appendHeader(.document, element.name)
            try object(
                below, DocumentView(element.value.bytes), path, &writer,
                &context)
        case .array:
            let array = DocumentView(element.value.bytes)
            let start = openArray(element.name, &writer)
            if path.isActive {
                let chosen = try matchedElement(array, path)
                var count = 0
                try self.element(below, chosen, &count, &writer, &context)
            } else {
                try self.elements(of: array, below, &writer, &context)
            }
            writer.close(start)
        default:
            if nodes[below].computes {
                try computedObject(below, element.name, &writer, &context)
            } else if mode != .inclusion {
                writer.append(element)
            }
        }
    }

    private func object(
        _ below: Int, _ document: DocumentView, _ path: PositionalPath,
        _ writer: inout DocumentWriter, _ context: inout EvaluationContext
    ) throws(DBError) {
        let start = writer.openDocument()
        try writeFields(of: document, below, path, &writer, &context)
        writer.close(start)
    }

    private func elements(
        of array: DocumentView, _ below: Int, _ writer: inout DocumentWriter,
        _ context: inout EvaluationContext
    ) throws(DBError) {
        var count = 0
        var elements = array.makeIterator()
        while let element = elements.next() {
            try self.element(below, element.value, &count, &writer, &context)
        }
    }

    /// One element of an array on the way; `count` elements have been written before it.
    private func element(
        _ below: Int, _ value: ValueView, _ count: inout Int,
        _ writer: inout DocumentWriter, _ context: inout EvaluationContext
    ) throws(DBError) {
        switch value.type {
        case .document:
            writer.appendHeader(.document, index: count)
            try object(
                below, DocumentView(value.bytes), .off, &writer, &context)
        case .array:
            writer.appendHeader(.array, index: count)
            let start = writer.openDocument()
            try elements(of: DocumentView(value.bytes), below, &writer, &context)
            writer.close(start)
        default:
            if mode == .inclusion { return }
            if nodes[below].computes {
                writer.appendHeader(.document, index: count)
                try computedPayload(below, &writer, &context)
            } else {
                writer.append(index: count, value)
            }
        }
        count += 1
    }

    private func openArray(_ name: RawSpan, _ writer: inout DocumentWriter) -> Int {
        writer.appendHeader(.array, name)
        return writer.openDocument()
    }

    // MARK: Operators of find

    /// The element that the filter's array condition matched.
    @_lifetime(copy array)
    private func matchedElement(
        _ array: DocumentView, _ path: PositionalPath
    ) throws(DBError) -> ValueView {
        guard let arrayPosition = path.arrayPosition else {
            throw .location(
                51246,
                "Executor error during find command :: caused by :: positional "
                    + "operator '.$' couldn't find a matching element in the array")
        }
        var elements = array.makeIterator()
        var position = 0
        while let element = elements.next() {
            if position == arrayPosition { return element.value }
            position += 1
        }
        throw .location(
            51247,
            "Executor error during find command :: caused by :: positional operator "
                + "'.$' element mismatch")
    }

    /// Writes the first element that the filter matches; nothing if there is none.
    private func matchElement(
        _ index: Int, _ element: ElementView, _ writer: inout DocumentWriter,
        _ context: borrowing EvaluationContext
    ) throws(DBError) {
        guard let array = element.value.array else { return }
        var scratch = MatchScratch(context.interrupts.interrupt)
        guard try filters[index].matches(context.root.nested, &scratch),
            let wanted = scratch.arrayPosition
        else { return }
        var candidates = array.makeIterator()
        var position = 0
        while let candidate = candidates.next() {
            if position == wanted {
                let start = openArray(element.name, &writer)
                writer.append(index: 0, candidate.value)
                writer.close(start)
                return
            }
            position += 1
        }
    }

    private func slice(
        _ element: ElementView, skip: Int?, count: Int, _ writer: inout DocumentWriter
    ) {
        guard let array = element.value.array else { return writer.append(element) }
        let range = FindSlice.range(skip: skip, count: count, size: array.count)
        let start = openArray(element.name, &writer)
        var elements = array.makeIterator()
        var position = 0
        while position < range.upperBound, let next = elements.next() {
            if position >= range.lowerBound {
                writer.append(index: position - range.lowerBound, next.value)
            }
            position += 1
        }
        writer.close(start)
    }
}
