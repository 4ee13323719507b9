// $meta: what a query says of a document beside its fields.

import BSON

enum MetaOperators {
    static let rows: [OperatorRow] = [.custom("$meta", parse)]

    private static let known: Set<String> = [
        "textScore", "randVal", "searchScore", "searchHighlights", "geoNearDistance",
        "geoNearPoint", "recordId", "indexKey", "sortKey", "searchScoreDetails",
        "vectorSearchScore", "searchSequenceToken", "score", "scoreDetails", "deletedAt",
        "deletedBy",
    ]

    /// What the query's filter gives; of the rest names are checked, and a value is missing, or
    /// 40218 where MongoDB insists on its source.
    @Sendable
    private static func parse(
        _ argument: ValueView, _ program: inout ProgramBuilder
    ) throws(DBError) -> Int {
        guard let name = argument.string else {
            throw .location(17307, "$meta only supports string arguments")
        }
        guard known.contains(name) else {
            throw .location(17308, "Unsupported argument to $meta: \(name)")
        }
        if let field = MetadataField.name(ofMeta: name, program.scope.metadata) {
            return program.addRootField(FieldPath(field))
        }
        switch name {
        case "textScore", "geoNearDistance", "geoNearPoint", "score", "scoreDetails", "deletedAt",
            "deletedBy":
            throw MetadataField.unavailable(name)
        default: return program.add(.missing)
        }
    }

    /// `$$ROOT` where documents carry metadata: without it.
    static let bareDocument = StrictOperator(nullRule: .passed) { arguments, context in
        let document = arguments(0, context)
        let start = context.stack.count
        let namesStart = context.names.count
        var elements = document.nested.makeIterator()
        while let element = elements.next() {
            if MetadataField.isOne(element.name) { continue }
            context.stack.append(ValueRef(element.value))
            context.names.append(ValueRef(.string, element.name))
        }
        return context.makeDocument(fromStack: start, names: namesStart)
    }
}
