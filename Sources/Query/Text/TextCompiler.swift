// Statements to commands: the stages' meaning, and what must be known before a statement runs.

import BSON

struct TextCompiler {
    private let text: String
    private let parameters: [String: Value]
    private let scope: ExpressionScope
    private let marksPlaces: Bool

    /// `marksPlaces`: whether calls carry their places, as `TextQuery.compile` says.
    init(
        text: String, parameters: [String: Value], scope: ExpressionScope, marksPlaces: Bool
    ) {
        self.text = text
        self.parameters = parameters
        self.scope = scope
        self.marksPlaces = marksPlaces
    }

    private func lowering(readsFields: Bool = true) -> TextLowering {
        TextLowering(parameters, readsFields: readsFields, scope, marksPlaces: marksPlaces)
    }

    /// What a statement asks for.
    func command(_ statement: TextStatement) throws(DBError) -> TextCommand {
        switch statement {
        case .insert(let collection, let values):
            return .insert(collection: collection.name, documents: try documents(values))
        default: break
        }
        do throws(TextError) {
            return try plain(statement)
        } catch {
            throw error.located(in: text)
        }
    }

    /// A statement in which nothing is evaluated.
    private func plain(_ statement: TextStatement) throws(TextError) -> TextCommand {
        var lowering = self.lowering()
        switch statement {
        case .read(let pipeline):
            return .read(
                collection: pipeline.source.name, stages: try stages(pipeline),
                deleted: pipeline.deleted)
        case .live(let pipeline):
            return .live(collection: pipeline.source.name, stages: try stages(pipeline))
        case .explain(let pipeline, let verbosity):
            return .explain(
                collection: pipeline.source.name, stages: try stages(pipeline),
                deleted: pipeline.deleted, verbosity: verbosity)
        case .update(let collection, let condition, let changes, let isUpsert):
            return .update(
                collection: collection.name, filter: try lowering.filter(condition),
                stages: try self.changes(changes, &lowering), isUpsert: isUpsert)
        case .delete(let collection, let condition):
            return .delete(collection: collection.name, filter: try lowering.filter(condition))
        case .trash(let collection, let condition, let isPurge):
            let filter = try lowering.filter(condition)
            return isPurge
                ? .purge(collection: collection.name, filter: filter)
                : .restore(collection: collection.name, filter: filter)
        case .createIndex(let index):
            return .createIndex(
                collection: index.collection.name, specification: try specification(index))
        case .dropIndex(let index, let collection):
            return .dropIndex(collection: collection.name, name: index.name)
        case .createCollection(let name, let cap, let softDelete):
            let given = if let softDelete { try options(softDelete) } else { try options(cap) }
            return .createCollection(collection: name.name, options: given)
        case .dropCollection(let name): return .dropCollection(collection: name.name)
        case .insert:
            throw TextError(at: 0, "this statement has no plain form")
        }
    }

    // MARK: Stages

    private func stages(_ pipeline: TextPipeline) throws(TextError) -> [Value] {
        var stages: [Value] = []
        for stage in pipeline.stages { stages += try lower(stage) }
        return stages
    }

    private func lower(_ stage: TextStage) throws(TextError) -> [Value] {
        var lowering = self.lowering()
        switch stage {
        case .where(let condition):
            return [["$match": .document(try lowering.filter(condition))]]
        case .sort(let keys): return [["$sort": .document(try pattern(keys))]]
        case .limit(let count):
            return [["$limit": .int64(try lowering.wholeNumber(count, "the limit", atLeast: 1))]]
        case .skip(let count):
            return [["$skip": .int64(try lowering.wholeNumber(count, "the number", atLeast: 0))]]
        case .select(let entries): return [["$replaceWith": try lowering.object(entries)]]
        case .set(let changes): return try self.changes(changes, &lowering)
        case .count: return [["$count": "count"]] + orElse(["count": 0])
        case .group(let key, let outputs):
            let stage = try group(key, outputs, &lowering)
            if key != nil { return [stage] }
            return [stage] + orElse(TextAccumulators.emptyGroup(outputs))
        case .unwind(let path, let index, let keepsEmpty):
            var fields: [(String, Value)] = [("path", .string("$" + (try dotted(path))))]
            if let index {
                try TextLowering.checkName(index.name, at: index.offset)
                fields.append(("includeArrayIndex", .string(index.name)))
            }
            if keepsEmpty { fields.append(("preserveNullAndEmptyArrays", true)) }
            return [["$unwind": document(fields)]]
        case .join(let other, let local, let foreign, let output):
            try TextLowering.checkName(output.name, at: output.offset)
            return [
                [
                    "$lookup": [
                        "from": .string(other.name), "localField": .string(try dotted(local)),
                        "foreignField": .string(try dotted(foreign)), "as": .string(output.name),
                    ]
                ]
            ]
        }
    }

    /// Stages that give `row` where there is none: as in SQL, a count of nothing is 0.
    private func orElse(_ row: Document) -> [Value] {
        // What is read of a collection only where the limit leaves room costs nothing else.
        [
            [
                "$unionWith": [
                    "pipeline": [["$documents": [["$literal": .document(row)]]]]
                ]
            ], ["$limit": 1],
        ]
    }

    private func group(
        _ key: TextExpression?, _ outputs: [TextEntry], _ lowering: inout TextLowering
    ) throws(TextError) -> Value {
        var fields: [(String, Value)] = []
        if let key {
            fields.append(("_id", try lowering.present(key)))
        } else {
            fields.append(("_id", .null))
        }
        for output in outputs {
            try TextLowering.checkName(output.name, at: output.offset)
            guard output.name != "_id" else {
                throw TextError(
                    at: output.offset, "'_id' holds the group's key; choose another name")
            }
            fields.append((output.name, try TextAccumulators.lower(output, &lowering)))
        }
        return ["$group": document(fields)]
    }

    /// `set` and `unset` as stages: all assignments see the document as it came.
    private func changes(
        _ changes: [TextChange], _ lowering: inout TextLowering
    ) throws(TextError) -> [Value] {
        var assigned: [(String, Value)] = []
        var removed: [Value] = []
        var paths: Set<String> = []
        for change in changes {
            let path = try dotted(change.path)
            guard paths.insert(path).inserted else {
                throw TextError(at: change.path.offset, "'\(path)' is changed twice")
            }
            switch change {
            case .set(_, let expression):
                var value = try lowering.present(expression)
                // An object there would be merged into what the field holds.
                if case .object = expression.kind { value = ["$mergeObjects": .array([value])] }
                assigned.append((path, value))
            case .unset: removed.append(.string(path))
            }
        }
        var stages: [Value] = []
        if !assigned.isEmpty { stages.append(["$set": document(assigned)]) }
        if !removed.isEmpty { stages.append(["$unset": .array(removed)]) }
        return stages
    }

    private func pattern(_ keys: [TextKey]) throws(TextError) -> Document {
        var fields: [(String, Value)] = []
        for key in keys {
            let path = try dotted(key.path)
            guard !fields.contains(where: { $0.0 == path }) else {
                throw TextError(at: key.path.offset, "'\(path)' occurs twice")
            }
            guard fields.count < Self.keysMax else {
                throw TextError(
                    at: key.path.offset, "there may be at most \(Self.keysMax) keys")
            }
            fields.append((path, key.isDescending ? -1 : 1))
        }
        return Document { writer in for (name, value) in fields { writer.append(name, value) } }
    }

    /// Most keys of an order or index, as in MongoDB.
    private static let keysMax = 32

    private func dotted(_ path: TextPath) throws(TextError) -> String {
        for segment in path.segments { try TextLowering.checkName(segment, at: path.offset) }
        return path.dotted
    }

    private func document(_ fields: [(String, Value)]) -> Value {
        .document(Document { writer in for (name, value) in fields { writer.append(name, value) } })
    }

    // MARK: Constants

    /// The documents of an insert: each expression's value, or the elements of a list.
    private func documents(_ expressions: [TextExpression]) throws(DBError) -> [Document] {
        var context = EvaluationContext.forConstants()
        let empty = Document()
        var scope = scope
        scope.text = TextSource(text)
        var documents: [Document] = []
        for expression in expressions {
            var value: Value
            do throws(TextError) {
                var lowering = TextLowering(
                    parameters, readsFields: false, scope, marksPlaces: true)
                value = try lowering.raw(expression)
            } catch {
                throw error.located(in: text)
            }
            let owned = OwnedValue(value)
            let compiled = try Expression.parse(owned.view, scope)
            value = Value(try compiled.evaluate(empty.view, &context).view)
            let values = if case .array(let list) = value { list } else { [value] }
            for value in values {
                guard case .document(let document) = value else {
                    let error = TextError(
                        at: expression.offset,
                        expected: ["a document, or a list or parameter of documents"],
                        found: value.type.alias)
                    throw error.located(in: text)
                }
                documents.append(document)
            }
        }
        return documents
    }

    // MARK: Schema

    private func specification(_ index: TextIndex) throws(TextError) -> Document {
        let lowering = self.lowering()
        let keys = try pattern(index.keys)
        var fields: [(String, Value)] = [("key", .document(keys))]
        let generated = index.keys.map { "\($0.path.dotted)_\($0.isDescending ? -1 : 1)" }
        fields.append(("name", .string(index.name?.name ?? generated.joined(separator: "_"))))
        if index.isUnique { fields.append(("unique", true)) }
        if let condition = index.condition {
            fields.append(("partialFilterExpression", try lowering.indexFilter(condition)))
        }
        if let expiry = index.expireAfter {
            let seconds = try lowering.wholeNumber(expiry, "the number of seconds", atLeast: 0)
            fields.append(("expireAfterSeconds", .int64(seconds)))
        }
        return Document { writer in for (name, value) in fields { writer.append(name, value) } }
    }

    private func options(_ softDelete: TextSoftDelete) throws(TextError) -> Document {
        var option = Document()
        if let retention = softDelete.retention {
            guard case .string(let text)? = try lowering(readsFields: false).constant(retention)
            else {
                throw TextError(
                    at: retention.offset,
                    expected: ["a duration such as \"12h\" or \"30d\", or a parameter"],
                    found: "something else")
            }
            option = ["retention": .string(text)]
        }
        return ["softDelete": .document(option)]
    }

    private func options(_ cap: TextCap?) throws(TextError) -> Document {
        guard let cap else { return Document() }
        let lowering = self.lowering(readsFields: false)
        let size = try lowering.wholeNumber(cap.size, "the size in bytes", atLeast: 1)
        let count = try cap.count.map { count throws(TextError) in
            try lowering.wholeNumber(count, "the number of documents", atLeast: 1)
        }
        return Document { writer in
            writer.append("capped", true)
            writer.append("size", size)
            if let count { writer.append("max", count) }
        }
    }
}
