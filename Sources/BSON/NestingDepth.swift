// How deep documents nest. Messages may nest a little deeper than what they carry, so what is to be
// stored is asked for itself.

extension DocumentView {
    /// Whether it nests deeper than a stored document may (`Limits.nestingDepthMax`). Looks into
    /// what is large enough for that only, so for most documents it costs nothing.
    package var isNestedTooDeep: Bool { nests(deeperThan: Limits.nestingDepthMax) }

    /// The fewest bytes that a level takes: type, end of the name, length and end of the document.
    private static let levelBytes = 7

    private func nests(deeperThan levels: Int) -> Bool {
        guard bytes.byteCount > levels * Self.levelBytes else { return false }
        var elements = makeIterator()
        while let element = elements.next() {
            if let nested = element.value.nested {
                if levels == 0 || nested.nests(deeperThan: levels - 1) { return true }
            } else if let scope = element.value.codeWithScope?.scope {
                if levels == 0 || scope.nests(deeperThan: levels - 1) { return true }
            }
        }
        return false
    }
}
