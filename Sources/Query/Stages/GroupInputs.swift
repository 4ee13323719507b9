// Where a $group's key and arguments come from. Fields of the top level, which most are, are found
// together in one walk over the document; constants are read where they lie.

import BSON

struct GroupInputs {
    private enum Source {
        /// A field that `locate` finds, by its slot.
        case located(Int)
        case constant(ValueRef)
        case evaluated(Expression)
    }

    private var sources: [Source] = []
    private var names: [FieldName] = []
    private var pool: [UInt8] = []
    /// Owns the constants that `sources` refers to.
    private let specification: GroupSpecification

    init(_ specification: GroupSpecification) {
        self.specification = specification
        var fields: [[UInt8]] = []
        for expression in [specification.key] + specification.outputs.map({ $0.argument }) {
            sources.append(source(expression, &fields))
        }
    }

    private mutating func source(_ expression: Expression, _ fields: inout [[UInt8]]) -> Source {
        if let constant = expression.constantReference { return .constant(constant) }
        guard let path = expression.fieldPath, path.segments.count == 1 else {
            return .evaluated(expression)
        }
        let name = path.segments[0].name
        if let slot = fields.firstIndex(of: name) { return .located(slot) }
        guard fields.count < FieldSlots.countMax else { return .evaluated(expression) }
        let offset = pool.count
        pool.append(contentsOf: name)
        names.append(FieldName(at: offset, count: name.count, in: pool))
        fields.append(name)
        return .located(fields.count - 1)
    }

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
        switch sources[index] {
        case .located(let slot):
            guard let value = document.value(slots, slot) else { return .missing }
            return ValueRef(value)
        case .constant(let value): return value
        case .evaluated(let expression): return try expression.evaluate(in: &context)
        }
    }
}
