// The text query language: `from orders | where total > 100 | sort -total | limit 3`.
//
// Text becomes tokens (TextLexer), tokens a syntax tree (TextParser), and the tree the values from
// which the aggregation's own parsers make expressions, pipelines, filters and updates
// (TextLowering, TextCondition, TextFunctions): there is one IR and one evaluator. Grammar.md is
// the grammar and says what each construct means. Errors of the text carry line and column.
//
// Parameters are bound as constants when the tree is lowered; text is never pasted together.

package import BSON

/// What a statement asks for, ready for the engine's parsers.
package enum TextCommand: Sendable {
    /// A pipeline's stages over a collection.
    case read(collection: String, stages: [Value], deleted: TextDeleted?)
    /// The same, kept up to date.
    case live(collection: String, stages: [Value])
    /// The same, to be explained at that verbosity.
    case explain(collection: String, stages: [Value], deleted: TextDeleted?, verbosity: String)
    case insert(collection: String, documents: [Document])
    /// Copies a pipeline's rows into a collection.
    case insertRows(
        collection: String, source: String, stages: [Value], deleted: TextDeleted?)
    /// Changes all matches by an update pipeline.
    case update(collection: String, filter: Document, stages: [Value], isUpsert: Bool)
    case delete(collection: String, filter: Document)
    /// Brings all deleted documents that match back.
    case restore(collection: String, filter: Document)
    /// Removes all deleted documents that match for good.
    case purge(collection: String, filter: Document)
    /// The index as `createIndexes` describes one.
    case createIndex(collection: String, specification: Document)
    case dropIndex(collection: String, name: String)
    /// The options as `create` takes them.
    case createCollection(collection: String, options: Document)
    case dropCollection(collection: String)
    case renameCollection(collection: String, to: String)
    /// The changes as `collMod` takes them.
    case alterCollection(collection: String, changes: Document)
    /// Security rules: their text, or with `isFile` the name of a file beside the migration.
    case deployRules(text: String, isFile: Bool)
}

/// Which deleted documents a read sees, by the name of the field that asks for it in a command.
package enum TextDeleted: String, Sendable {
    /// Beside the live ones.
    case withDeleted
    /// And no live ones.
    case onlyDeleted
}

/// Compiles statements.
package enum TextQuery {
    /// What a statement asks for.
    ///
    /// O(n) in the text. Throws `failedToParse` with the place (line and column in the message and
    /// as fields) for everything wrong with the text, 115 for statements that Roost lacks yet.
    /// - Parameter marksPlaces: whether expressions carry their places, so that errors of their
    ///   evaluation have line and column too. Only scopes with the text parse those.
    package static func compile(
        _ text: String, parameters: DocumentView?, _ scope: ExpressionScope,
        marksPlaces: Bool = false
    ) throws(DBError) -> TextCommand {
        var values: [String: Value] = [:]
        if let parameters {
            var fields = parameters.makeIterator()
            while let field = fields.next() { values[field.nameString] = Value(field.value) }
        }
        let statement: TextStatement
        do throws(TextError) {
            statement = try TextParser.parse(text)
        } catch {
            throw error.located(in: text)
        }
        return try TextCompiler(
            text: text, parameters: values, scope: scope, marksPlaces: marksPlaces
        ).command(statement)
    }

    /// The names of all functions and accumulators, sorted.
    package static let functionNames = Set(TextFunctions.names + TextAccumulators.names).sorted()

    /// The collection that a statement is about; nil where the text is no statement. O(n).
    package static func collection(of text: String) -> String? {
        (try? TextParser.parse(text))?.subject?.name
    }

    /// Whether a statement only reads; true for what is no statement. O(n).
    package static func isRead(_ text: String) -> Bool {
        guard let statement = try? TextParser.parse(text) else { return true }
        if case .read = statement { return true }
        return false
    }

    /// An error of a statement's execution at the place that it is about: the collection or index
    /// that is named, or one of the documents that are inserted.
    ///
    /// Errors that have a place, or that the text is not to blame for, stay as they are. O(n).
    /// - Parameter document: which of `count` inserted documents was refused.
    package static func located(
        _ error: DBError, in text: String, document: Int? = nil, of count: Int = 0
    ) -> DBError {
        guard TextWording.isAboutTheText(error), let statement = try? TextParser.parse(text) else {
            return error
        }
        var offset = statement.errorOffset
        if let document, error.code != .invalidNamespace, case .insert(_, let values) = statement,
            values.count == count,
            document < values.count
        {
            offset = values[document].offset
        }
        return error.located(at: offset, in: text, TextWording.translated(error.message))
    }

    /// Whether text stops inside brackets, quotes or a pipeline, so that more lines must follow.
    package static func isIncomplete(_ text: String) -> Bool {
        do throws(TextError) {
            _ = try TextParser.parse(text)
            return false
        } catch {
            return error.offset >= text.utf8.count
        }
    }
}
