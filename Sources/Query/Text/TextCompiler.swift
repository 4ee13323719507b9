// Statements to commands: the stages' meaning, and what must be known before a statement runs.

import BSON

struct TextCompiler {
    let text: String
    let parameters: [String: Value]
    let scope: ExpressionScope
    let marksPlaces: Bool

    /// `marksPlaces`: whether calls carry their places, as `TextQuery.compile` says.
    init(
        text: String, parameters: [String: Value], scope: ExpressionScope, marksPlaces: Bool
    ) {
        self.text = text
        self.parameters = parameters
        self.scope = scope
        self.marksPlaces = marksPlaces
    }

    func lowering(readsFields: Bool = true) -> TextLowering {
        TextLowering(parameters, readsFields: readsFields, scope, marksPlaces: marksPlaces)
    }

    /// What a statement asks for.
    func command(_ statement: TextStatement) throws(DBError) -> TextCommand {
        switch statement {
        case .insert(let collection, let values):
            return .insert(collection: collection.name, documents: try documents(values))
        case .createCollection(let name, let cap, let softDelete, let validator):
            var given = Document()
            do throws(TextError) {
                given = if let softDelete { try options(softDelete) } else { try options(cap) }
            } catch {
                throw error.located(in: text)
            }
            if let validator {
                let rules = try options(validator)
                given = Document { writer in
                    writer.appendFields(of: given.view)
                    writer.appendFields(of: rules.view)
                }
            }
            return .createCollection(collection: name.name, options: given)
        case .alterCollection(let name, .validator(let validator)):
            return .alterCollection(collection: name.name, changes: try options(validator))
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
        case .insertRows(let collection, let pipeline):
            return .insertRows(
                collection: collection.name, source: pipeline.source.name,
                stages: try stages(pipeline), deleted: pipeline.deleted)
        case .dropCollection(let name): return .dropCollection(collection: name.name)
        case .renameCollection(let name, let target):
            return .renameCollection(collection: name.name, to: target.name)
        case .alterCollection(let name, .softDelete(let softDelete)):
            return .alterCollection(collection: name.name, changes: try options(softDelete))
        case .alterCollection(let name, .finalDeletes):
            return .alterCollection(collection: name.name, changes: ["softDelete": false])
        case .deployRules(let given, let isFile):
            guard case .string(let text)? = try self.lowering(readsFields: false).constant(given)
            else {
                throw TextError(
                    at: given.offset,
                    expected: [isFile ? "a file's name in quotes" : "the rules as text"],
                    found: "something else")
            }
            return .deployRules(text: text, isFile: isFile)
        case .insert, .createCollection, .alterCollection(_, .validator):
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
            for changed in change.paths {
                let path = try dotted(changed)
                guard paths.insert(path).inserted else {
                    throw TextError(at: changed.offset, "'\(path)' is changed twice")
                }
            }
            switch change {
            case .rename(let source, let target):
                // Where there is nothing to rename, the target stays as it is.
                assigned.append(
                    (
                        target.dotted,
                        Self.ifMissing(source, .string("$" + target.dotted), else: source.value)
                    ))
                removed.append(.string(source.dotted))
            case .convert(let path, let type, let otherwise):
                assigned.append(
                    (path.dotted, try converted(path, type, otherwise, &lowering)))
            case .set(let path, let expression):
                var value = try lowering.present(expression)
                // An object there would be merged into what the field holds.
                if case .object = expression.kind { value = ["$mergeObjects": .array([value])] }
                assigned.append((path.dotted, value))
            case .unset(let path): removed.append(.string(path.dotted))
            }
        }
        var stages: [Value] = []
        if !assigned.isEmpty { stages.append(["$set": document(assigned)]) }
        if !removed.isEmpty { stages.append(["$unset": .array(removed)]) }
        return stages
    }

    /// `then` where there is no such field, else `otherwise`.
    private static func ifMissing(
        _ path: TextPath, _ then: Value, else otherwise: Value
    ) -> Value {
        [
            "$cond": .array([
                ["$eq": .array([["$type": path.value], "missing"])], then, otherwise,
            ])
        ]
    }

    /// The field as that type. A field that isn't there isn't made, null stays null.
    private func converted(
        _ path: TextPath, _ type: TextName, _ otherwise: TextExpression?,
        _ lowering: inout TextLowering
    ) throws(TextError) -> Value {
        guard Self.convertedTypes.contains(type.name) else {
            throw TextError(
                at: type.offset, expected: Self.convertedTypes.map { "'\($0)'" },
                found: "'\(type.name)'")
        }
        var fields: [(String, Value)] = [("input", path.value), ("to", .string(type.name))]
        if let otherwise { fields.append(("onError", try lowering.present(otherwise))) }
        var conversion: Value = ["$convert": document(fields)]
        if marksPlaces { conversion = TextMark.wrapped(conversion, "convert", at: path.offset) }
        return Self.ifMissing(path, "$$REMOVE", else: conversion)
    }

    /// What a field can be converted to.
    private static let convertedTypes = [
        "int", "long", "double", "decimal", "string", "bool", "date", "objectId",
    ]

    func pattern(_ keys: [TextKey]) throws(TextError) -> Document {
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
}
