// What must be known before a statement runs: the documents of an insert, indexes, the options of
// collections.

import BSON

extension TextCompiler {
    /// The documents of an insert: each expression's value, or the elements of a list.
    func documents(_ expressions: [TextExpression]) throws(DBError) -> [Document] {
        var documents: [Document] = []
        for expression in expressions {
            let value = try evaluated(expression)
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

    /// The value of an expression that reads no document.
    private func evaluated(_ expression: TextExpression) throws(DBError) -> Value {
        var context = EvaluationContext.forConstants()
        let empty = Document()
        var scope = scope
        scope.text = TextSource(text)
        let value: Value
        do throws(TextError) {
            var lowering = TextLowering(parameters, readsFields: false, scope, marksPlaces: true)
            value = try lowering.raw(expression)
        } catch {
            throw error.located(in: text)
        }
        let owned = OwnedValue(value)
        let compiled = try Expression.parse(owned.view, scope)
        return Value(try compiled.evaluate(empty.view, &context).view)
    }

    /// A validator as `create` and `collMod` take it.
    func options(_ validator: TextValidator) throws(DBError) -> Document {
        let condition: Document
        switch validator.condition {
        case .none: condition = Document()
        case .where(let expression):
            do throws(TextError) {
                // Errors of evaluation are those of the documents that are written later.
                var lowering = TextLowering(parameters, readsFields: true, scope)
                condition = try lowering.filter(expression)
            } catch {
                throw error.located(in: text)
            }
        case .jsonSchema(let expression):
            guard case .document(let schema) = try evaluated(expression) else {
                throw TextError(
                    at: expression.offset, expected: ["a schema: a document or a parameter"],
                    found: "something else"
                ).located(in: text)
            }
            condition = ["$jsonSchema": .document(schema)]
        }
        return Document { writer in
            writer.append("validator", condition)
            if let level = validator.level { writer.append("validationLevel", level) }
            if let action = validator.action { writer.append("validationAction", action) }
        }
    }

    // MARK: Schema

    func specification(_ index: TextIndex) throws(TextError) -> Document {
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

    func options(_ softDelete: TextSoftDelete) throws(TextError) -> Document {
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

    func options(_ cap: TextCap?) throws(TextError) -> Document {
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
