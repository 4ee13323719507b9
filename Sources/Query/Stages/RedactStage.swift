// $redact: an expression decides at each level of a document whether it is kept, left out or looked
// into.

import BSON

/// A compiled $redact.
struct RedactSpecification: StagePlan {
    /// Reads the level through the variable CURRENT.
    let decision: Expression
    /// The slot of CURRENT.
    let slot: Int

    var multiplies: Bool { decision.loops }

    func execution(_ next: StageExecution, _ resources: ExecutionResources) -> StageExecution {
        RedactStage(self, resources, next)
    }

    /// Compiles the expression, in which `$$DESCEND`, `$$KEEP` and `$$PRUNE` have values and fields
    /// are those of the level.
    ///
    /// Throws what compiling an expression throws.
    static func parse(
        _ value: ValueView, _ scope: ExpressionScope
    ) throws(DBError) -> RedactSpecification {
        var scope = scope
        for (name, text) in [("DESCEND", "descend"), ("KEEP", "keep"), ("PRUNE", "prune")] {
            scope.constants[name] = OwnedValue(.string(text))
        }
        let slot = (scope.slots.values.max() ?? -1) + 1
        scope.slots["CURRENT"] = slot
        return RedactSpecification(decision: try Expression.parse(value, scope), slot: slot)
    }
}

/// $redact at work.
final class RedactStage: StageExecution {
    private enum Decision {
        case keep, prune, descend
    }

    private let specification: RedactSpecification
    private var context: EvaluationContext
    private var writer = DocumentWriter()

    init(
        _ specification: RedactSpecification, _ resources: ExecutionResources,
        _ next: StageExecution
    ) {
        self.specification = specification
        context = EvaluationContext(resources.interrupt)
        super.init(next)
    }

    override func push(_ document: DocumentView, arrayPosition: Int?) throws(DBError) -> Bool {
        context.begin(document)
        context.reserveVariables(specification.slot + 1)
        writer.removeAll()
        guard try redact(document) else { return true }
        let bytes = writer.bytes
        return try passOn(DocumentView(bytes.span.bytes), arrayPosition: arrayPosition)
    }

    /// Appends what is left of an object; false, and nothing, if it is left out.
    private func redact(_ object: DocumentView) throws(DBError) -> Bool {
        switch try decide(object) {
        case .prune: return false
        case .keep:
            writer.appendRaw(copying: object.bytes)
            return true
        case .descend: break
        }
        let start = writer.openDocument()
        var elements = object.makeIterator()
        while let element = elements.next() {
            let type = element.value.type
            guard type == .document || type == .array else {
                writer.append(element)
                continue
            }
            let mark = writer.count
            writer.appendHeader(type, element.name)
            if try !redact(nested: element.value) { writer.truncate(to: mark) }
        }
        writer.close(start)
        return true
    }

    private func redact(nested value: ValueView) throws(DBError) -> Bool {
        if let object = value.document { return try redact(object) }
        let start = writer.openDocument()
        var index = 0
        var elements = DocumentView(value.bytes).makeIterator()
        while let element = elements.next() {
            let type = element.value.type
            if type == .document || type == .array {
                let mark = writer.count
                writer.appendHeader(type, index: index)
                guard try redact(nested: element.value) else {
                    writer.truncate(to: mark)
                    continue
                }
            } else {
                writer.append(index: index, element.value)
            }
            index += 1
        }
        writer.close(start)
        return true
    }

    private func decide(_ level: DocumentView) throws(DBError) -> Decision {
        try context.checkBounds()
        context.variables[specification.slot] = ValueRef(level)
        let value = try specification.decision.evaluate(in: &context)
        if value.isType(.string) {
            if value.utf8.equals(RawSpan("descend")) { return .descend }
            if value.utf8.equals(RawSpan("keep")) { return .keep }
            if value.utf8.equals(RawSpan("prune")) { return .prune }
        }
        throw .location(
            17053,
            "$redact's expression should not return anything aside from the variables $$KEEP, "
                + "$$DESCEND, and $$PRUNE, but returned a value of type \(value.typeName)")
    }
}
