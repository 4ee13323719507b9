// Where a $group's key and arguments come from. Fields of the top level, which most are, are found
// together in one walk over the document; constants are read where they lie.

import BSON

/// Reads the inputs of a group stage from documents. Immutable.
struct GroupInputs {
    private enum Kind {
        /// A field that `locate` finds.
        case located
        case constant
        case evaluated
    }

    /// Plain memory, so that reading it counts no references.
    private struct Source {
        let kind: Kind
        /// The slot of a located field, the index of an expression.
        let index: Int
        let constant: ValueRef
    }

    private var sources: [Source] = []
    private var expressions: [Expression] = []
    private var names: [FieldName] = []
    private var pool: [UInt8] = []
    /// Owns the constants that `sources` refers to.
    private let specification: GroupSpecification

    init(_ specification: GroupSpecification) {
        self.specification = specification
        var fields: [[UInt8]] = []
        for expression in [specification.key]
            + specification.outputs.map({ $0.accumulator.argument })
        {
            sources.append(source(expression, &fields))
        }
    }

    private mutating func source(_ expression: Expression, _ fields: inout [[UInt8]]) -> Source {
        if let constant = expression.constantReference {
            return Source(kind: .constant, index: 0, constant: constant)
        }
        guard let path = expression.fieldPath, path.segments.count == 1 else {
            return evaluated(expression)
        }
        let name = path.segments[0].name
        if let slot = fields.firstIndex(of: name) { return located(slot) }
        guard fields.count < FieldSlots.countMax else { return evaluated(expression) }
        let offset = pool.count
        pool.append(contentsOf: name)
        names.append(FieldName(at: offset, count: name.count, in: pool))
        fields.append(name)
        return located(fields.count - 1)
    }

    private func located(_ slot: Int) -> Source {
        Source(kind: .located, index: slot, constant: .missing)
    }

    private mutating func evaluated(_ expression: Expression) -> Source {
        expressions.append(expression)
        return Source(kind: .evaluated, index: expressions.count - 1, constant: .missing)
    }

    /// Whether some input needs the evaluation context.
    var areEvaluated: Bool { !expressions.isEmpty }

    /// Finds the fields of the top level.
    @inline(__always)
    func locate(_ document: DocumentView) -> FieldSlots {
        names.isEmpty ? FieldSlots() : document.locate(names.span, in: pool.span.bytes)
    }

    /// The input at `index`: 0 is the key, then the accumulators' arguments.
    @inline(__always)
    func value(
        _ index: Int, _ document: DocumentView, _ slots: FieldSlots,
        _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        let source = sources[index]
        switch source.kind {
        case .located:
            guard let value = document.value(slots, source.index) else { return .missing }
            return ValueRef(value)
        case .constant: return source.constant
        case .evaluated: return try expressions[source.index].evaluate(in: &context)
        }
    }
}
