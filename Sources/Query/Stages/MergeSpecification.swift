// $merge: each result becomes an update or an insert of the target collection.
//
// The stage is lowered to what the update command can do. A result's values at the paths `on` make
// the filter; the mode makes the update:
//
//     replace       the result as a replacement
//     merge         {$set: result}
//     keepExisting  {$setOnInsert: result}
//     fail          an insert of the result
//     [stages]      an update by pipeline, with the result as $$new
//
// The first three are upserts by themselves; beside a pipeline an upsert inserts the result.

package import BSON

/// A parsed $merge.
package final class MergeSpecification: Sendable {
    /// What becomes of a target document that a result matches.
    package enum WhenMatched: Sendable {
        case replace
        case merge
        case keepExisting
        case fail
        case pipeline(UpdateStages)
    }

    /// What becomes of a result that matches no target document.
    package enum WhenNotMatched: String, Sendable {
        case insert
        case discard
        case fail
    }

    /// The database; nil for the one that the command runs on.
    package let database: String?
    /// The collection.
    package let collection: String
    /// The paths by which results and target documents are matched.
    package let on: [FieldPath]
    package let whenMatched: WhenMatched
    package let whenNotMatched: WhenNotMatched
    /// How the values at `on` are compared; nil for binary.
    package let collation: Collation?
    /// `let`: evaluated over each result, in the slots behind that of `$$new`.
    private let variables: [Expression]

    private init(
        target: OutSpecification, on: [FieldPath], _ whenMatched: WhenMatched,
        _ whenNotMatched: WhenNotMatched, collation: Collation?, variables: [Expression]
    ) {
        database = target.database
        collection = target.collection
        self.on = on
        self.whenMatched = whenMatched
        self.whenNotMatched = whenNotMatched
        self.collation = collation
        self.variables = variables
    }

    // MARK: Results

    /// The update that a result means; nil where it is to be inserted.
    ///
    /// Throws what the update's parser and the variables' expressions throw.
    package func update(for result: DocumentView) throws(DBError) -> Update? {
        switch whenMatched {
        case .fail: return nil
        case .replace: return try Update.parse(ValueView(type: .document, bytes: result.bytes))
        case .merge: return try Self.update("$set", result)
        case .keepExisting: return try Self.update("$setOnInsert", result)
        case .pipeline(let stages): return Update(stages.binding(try variables(of: result)))
        }
    }

    /// Whether an upsert inserts the result as it is, and not what the update makes of nothing.
    package var insertsResult: Bool {
        if case .pipeline = whenMatched { return true }
        return false
    }

    private static func update(
        _ name: String, _ result: DocumentView
    ) throws(DBError) -> Update {
        let fields = Document(copying: result)
        let update = OwnedValue(.document([name: .document(fields)]))
        return try Update.parse(update.view)
    }

    private func variables(of result: DocumentView) throws(DBError) -> [OwnedValue?] {
        var values: [OwnedValue?] = [
            OwnedValue(copying: ValueView(type: .document, bytes: result.bytes))
        ]
        var context = EvaluationContext()
        for variable in variables {
            let value = try variable.evaluate(result, &context)
            values.append(value.isMissing ? nil : OwnedValue(copying: value.view))
        }
        return values
    }

    /// The filter that finds the target document of a result.
    ///
    /// `acceptsNull` says whether null and missing values are found by a unique index.
    /// Throws 51132 for null or missing values otherwise, 51185 for arrays.
    package func filter(
        for result: DocumentView, acceptsNull: Bool
    ) throws(DBError) -> Document {
        var writer = DocumentWriter()
        let start = writer.openDocument()
        for path in on {
            let condition = writer.openDocument(path.dotted)
            try append(path, of: result, acceptsNull: acceptsNull, &writer)
            writer.close(condition)
        }
        writer.close(start)
        return Document(unchecked: writer.take())
    }

    private func append(
        _ path: FieldPath, of result: DocumentView, acceptsNull: Bool,
        _ writer: inout DocumentWriter
    ) throws(DBError) {
        var value = ValueView(type: .document, bytes: result.bytes)
        for segment in path.segments {
            if value.type == .array { throw Self.isArray(path) }
            guard let next = value.document?.value(segment.name.span.bytes) else {
                if acceptsNull { return writer.append("$eq", OwnedValue(.null)) }
                throw Self.isNull(path)
            }
            value = next
        }
        if value.type == .array { throw Self.isArray(path) }
        if value.isNullish, !acceptsNull { throw Self.isNull(path) }
        writer.append("$eq", value)
    }

    private static func isArray(_ path: FieldPath) -> DBError {
        .location(51185, "$merge write error: 'on' field '\(path)' cannot be an array")
    }

    private static func isNull(_ path: FieldPath) -> DBError {
        .location(
            51132, "$merge write error: 'on' field '\(path)' cannot be missing, null or undefined")
    }
}

// MARK: - Parsing

extension MergeSpecification {
    /// Reads the stage's argument: a collection's name, or a document.
    ///
    /// Throws 51178, 51182 and 51186 to 51191 for types, 14, 40413, 40414 and 40415 for fields, 2
    /// for unknown modes, 51181 for modes that don't go together, 51199 for `let` without a
    /// pipeline.
    static func parse(
        _ value: ValueView, _ scope: ExpressionScope
    ) throws(DBError) -> MergeSpecification {
        if let name = value.string {
            return MergeSpecification(
                target: OutSpecification(database: nil, collection: name), on: byID, .merge,
                .insert, collation: scope.collation, variables: [])
        }
        guard let object = value.document else {
            throw .location(
                51182,
                "$merge only supports a string or object argument, but found \(value.type.alias)")
        }
        var fields = StageFields("$merge")
        var elements = object.makeIterator()
        while let element = elements.next() {
            try fields.take(
                element, known: ["into", "on", "let", "whenMatched", "whenNotMatched"])
        }
        guard let into = object.value("into") else {
            throw DBError.location(
                40414, "BSON field '$merge.into' is missing but a required field")
        }
        let target = try parseInto(into)
        let on = try parseOn(object.value("on"))
        let whenNotMatched = try parseWhenNotMatched(
            try fields.string("whenNotMatched", in: object))
        let variables = try parseLet(object.value("let"), scope)
        let whenMatched = try parseWhenMatched(
            object.value("whenMatched"), variables, hasLet: isWritten(object.value("let")), scope)
        try checkModes(whenMatched, whenNotMatched)
        return MergeSpecification(
            target: target, on: on, whenMatched, whenNotMatched, collation: scope.collation,
            variables: variables.map { $0.value })
    }

    private static let byID = [FieldPath("_id")]

    private static func isWritten(_ value: ValueView?) -> Bool {
        guard let value else { return false }
        return !value.isNullish
    }

    private static func parseInto(_ value: ValueView) throws(DBError) -> OutSpecification {
        if let name = value.string { return OutSpecification(database: nil, collection: name) }
        guard let object = value.document else {
            throw .location(
                51178,
                "$merge 'into' field  must be either a string or an object, but found "
                    + value.type.alias)
        }
        var fields = StageFields("$merge.into")
        var elements = object.makeIterator()
        while let element = elements.next() {
            try fields.take(element, known: ["db", "coll"])
        }
        let database = try fields.string("db", in: object)
        guard let collection = try fields.string("coll", in: object) else {
            throw .location(
                5_786_801, "$merge 'into' field must specify a 'coll' that is not null or missing")
        }
        return OutSpecification(database: database, collection: collection)
    }

    private static func parseOn(_ value: ValueView?) throws(DBError) -> [FieldPath] {
        guard let value, !value.isNullish else { return byID }
        if let name = value.string { return [try ProgramBuilder.checkedPath(name)] }
        guard let list = value.array else {
            throw .location(
                51186,
                "$merge 'on' field  must be either a string or an array of strings, but found "
                    + value.type.alias)
        }
        guard !list.isEmpty else {
            throw .location(
                51187, "If explicitly specifying $merge 'on', must include at least one field")
        }
        var paths: [FieldPath] = []
        var elements = list.makeIterator()
        while let element = elements.next() {
            guard let name = element.value.string else {
                throw .location(
                    51134,
                    "$merge 'on' array elements must be strings, but found "
                        + element.value.type.alias)
            }
            let path = try ProgramBuilder.checkedPath(name)
            guard !paths.contains(path) else {
                throw .location(31465, "Found a duplicate field '\(name)'")
            }
            paths.append(path)
        }
        return paths
    }

    private static func parseWhenNotMatched(_ name: String?) throws(DBError) -> WhenNotMatched {
        guard let name else { return .insert }
        guard let mode = WhenNotMatched(rawValue: name) else {
            throw unknownMode(name, "whenNotMatched")
        }
        return mode
    }

    private static func unknownMode(_ name: String, _ field: String) -> DBError {
        DBError(
            .badValue,
            "Enumeration value '\(name)' for field '$merge.\(field)' is not a valid value.")
    }

    private static func parseLet(
        _ value: ValueView?, _ scope: ExpressionScope
    ) throws(DBError) -> [(name: String, value: Expression)] {
        guard let value, !value.isNullish else { return [] }
        guard let object = value.document else {
            throw DBError(
                .typeMismatch,
                "BSON field '$merge.let' is the wrong type '\(value.type.alias)', expected type "
                    + "'object'")
        }
        var variables: [(name: String, value: Expression)] = []
        var elements = object.makeIterator()
        while let element = elements.next() {
            let name = element.nameString
            if name == "new" {
                guard element.value.string == "$$ROOT" else {
                    throw .location(
                        51273,
                        "'let' may not define a value for the reserved 'new' variable other than "
                            + "'$$ROOT'")
                }
                continue
            }
            try ExpressionScope.checkUserName(name)
            variables.append((name, try Expression.parse(element.value, scope)))
        }
        return variables
    }

    private static func parseWhenMatched(
        _ value: ValueView?, _ variables: [(name: String, value: Expression)], hasLet: Bool,
        _ scope: ExpressionScope
    ) throws(DBError) -> WhenMatched {
        if let value, let stages = value.array {
            var inner = scope
            for (slot, name) in (["new"] + variables.map(\.name)).enumerated() {
                inner.slots[name] = slot
            }
            return .pipeline(try UpdateStages.parse(stages, inner))
        }
        var name = "merge"
        if let value, !value.isNullish {
            guard let string = value.string else {
                throw .location(
                    51191,
                    "$merge 'whenMatched' field  must be either a string or an array, but found "
                        + value.type.alias)
            }
            name = string
        }
        let mode: WhenMatched
        switch name {
        case "replace": mode = .replace
        case "merge": mode = .merge
        case "keepExisting": mode = .keepExisting
        case "fail": mode = .fail
        default: throw unknownMode(name, "whenMatched")
        }
        guard !hasLet else {
            throw .location(
                51199, "Cannot use 'let' variables with 'whenMatched: \(name)' mode")
        }
        return mode
    }

    private static func checkModes(
        _ whenMatched: WhenMatched, _ whenNotMatched: WhenNotMatched
    ) throws(DBError) {
        let name: String
        switch whenMatched {
        case .replace, .merge, .pipeline: return
        case .keepExisting: name = "keepExisting"
        case .fail: name = "fail"
        }
        guard whenNotMatched == .insert else {
            throw .location(
                51181,
                "Combination of $merge modes 'whenMatched: \(name)' and 'whenNotMatched: "
                    + "\(whenNotMatched.rawValue)' is not supported")
        }
    }
}
