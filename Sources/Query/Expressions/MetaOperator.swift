// $meta in expressions: what the query's filter gives for a document.

internal import BSON

enum MetaOperator {
    static let rows: [OperatorRow] = [
        .custom("$meta") { argument, program throws(DBError) in
            guard let kind = argument.string else {
                throw .location(17307, "$meta only supports string arguments")
            }
            if let field = MetadataField.name(ofMeta: kind, program.scope.metadata) {
                let call = OwnedValue(.document(MetadataField.expression(field)))
                return try program.parse(call.view)
            }
            guard kinds.contains(kind) else {
                throw .location(17308, "Unsupported argument to $meta: \(kind)")
            }
            guard !sourceless.contains(kind) else {
                return program.constant(OwnedValue(.undefined).view)
            }
            throw .location(
                40218, "query requires \(kind) metadata, but it is not available")
        }
    ]

    /// Kinds that no query has, and that nobody misses.
    private static let sourceless: Set<String> = ["indexKey", "recordId", "randVal"]

    private static let kinds = sourceless.union([
        "textScore", "geoNearDistance", "geoNearPoint", "searchScore", "searchHighlights",
        "searchScoreDetails", "vectorSearchScore", "score", "scoreDetails", "sortKey",
        "searchSequenceToken", "timeseriesBucketMinTime", "timeseriesBucketMaxTime",
    ])
}
