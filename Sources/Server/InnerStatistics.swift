// $collStats at the head of the pipelines inside $lookup and $unionWith: it becomes $documents there
// too, with the numbers of the collection that the pipeline reads.

import BSON
import Roost

extension ServerStages {
    /// The stages with those pipelines replaced; nil where there is none.
    ///
    /// - Throws: what $collStats says of its argument and collection.
    static func replacingInside(
        _ stages: DocumentView, _ call: borrowing CommandCall
    ) throws(DBError) -> [Value]? {
        var replaced: [Value] = []
        var hasAny = false
        var elements = stages.makeIterator()
        while let element = elements.next() {
            if let stage = try rewritten(element.value, call) {
                hasAny = true
                replaced.append(stage)
            } else {
                replaced.append(Value(element.value))
            }
        }
        return hasAny ? replaced : nil
    }

    private static func rewritten(
        _ stage: ValueView, _ call: borrowing CommandCall
    ) throws(DBError) -> Value? {
        guard let join = stage.document?.first,
            join.name.equals("$lookup") || join.name.equals("$unionWith"),
            let argument = join.value.document, let pipeline = argument.value("pipeline")?.array,
            let head = pipeline.first?.value.document, head.count == 1, let first = head.first,
            first.name.equals("$collStats"),
            let collection = collection(of: argument)
        else { return nil }
        let numbers = try CollStatsStage.document(
            first.value, Namespace(call.database, collection), call)
        var inner: [Value] = [["$documents": ["$literal": [.document(numbers)]]]]
        var elements = pipeline.makeIterator()
        _ = elements.next()
        while let element = elements.next() { inner.append(Value(element.value)) }
        let name = join.nameString
        return .document(
            Document { writer in
                let start = writer.openDocument(name)
                var fields = argument.makeIterator()
                while let field = fields.next() {
                    if field.name.equals("pipeline") {
                        writer.append("pipeline", .array(inner))
                    } else {
                        writer.append(field)
                    }
                }
                writer.close(start)
            })
    }

    /// What the join reads.
    private static func collection(of argument: DocumentView) -> String? {
        if let name = argument.value("from")?.string { return name }
        return argument.value("coll")?.string
    }
}
