// The syntax tree of a statement. Values that must be known before a statement runs (documents,
// limits) are still expressions here: parameters are bound when it is lowered.

import BSON

/// A statement as it was written.
enum TextStatement: Sendable {
    case read(TextPipeline)
    case explain(TextPipeline, verbosity: String)
    case live(TextPipeline)
    /// Brings deleted documents back, or removes them for good.
    case trash(TextName, condition: TextExpression, isPurge: Bool)
    case insert(into: TextName, [TextExpression])
    /// Copies the rows of a pipeline.
    case insertRows(into: TextName, TextPipeline)
    case update(TextName, condition: TextExpression, changes: [TextChange], isUpsert: Bool)
    case delete(from: TextName, condition: TextExpression)
    case createIndex(TextIndex)
    case dropIndex(TextName, on: TextName)
    case createCollection(
        TextName, capped: TextCap?, softDelete: TextSoftDelete?, validator: TextValidator?)
    case dropCollection(TextName)
    case renameCollection(TextName, to: TextName)
    case alterCollection(TextName, TextAlteration)
    /// The rules' text, or with `isFile` the name of a file beside the migration.
    case deployRules(TextExpression, isFile: Bool)
}

extension TextStatement {
    /// Where errors are shown that concern the statement as a whole.
    var errorOffset: Int {
        switch self {
        case .dropIndex(let index, _): index.offset
        case .deployRules(let text, _): text.offset
        default: subject?.offset ?? 0
        }
    }

    /// The collection that the statement is about.
    var subject: TextName? {
        switch self {
        case .read(let pipeline), .explain(let pipeline, _), .live(let pipeline): pipeline.source
        case .insert(let name, _), .insertRows(let name, _), .update(let name, _, _, _),
            .delete(let name, _), .trash(let name, _, _), .createCollection(let name, _, _, _),
            .dropCollection(let name), .renameCollection(let name, _),
            .alterCollection(let name, _):
            name
        case .createIndex(let index): index.collection
        case .dropIndex(_, let collection): collection
        case .deployRules: nil
        }
    }
}

/// A name and its place.
struct TextName: Sendable {
    let name: String
    let offset: Int
}

/// `from NAME | stage | …`.
struct TextPipeline: Sendable {
    let source: TextName
    /// Which deleted documents are among the rows; nil for none.
    let deleted: TextDeleted?
    let stages: [TextStage]
}

/// A dotted path of field names.
struct TextPath: Sendable {
    let segments: [String]
    let offset: Int

    var dotted: String { segments.joined(separator: ".") }

    /// The field in an expression.
    var value: Value { .string("$" + dotted) }
}

/// A key of an order or an index.
struct TextKey: Sendable {
    let path: TextPath
    let isDescending: Bool
}

/// One assignment of `set`, one `unset`, `rename` or `convert`.
enum TextChange: Sendable {
    case set(TextPath, TextExpression)
    case unset(TextPath)
    case rename(TextPath, to: TextPath)
    /// `otherwise`: what stands in place of a value that can't be converted.
    case convert(TextPath, to: TextName, otherwise: TextExpression?)

    /// The paths that it changes.
    var paths: [TextPath] {
        switch self {
        case .set(let path, _), .unset(let path), .convert(let path, _, _): [path]
        case .rename(let path, let target): [path, target]
        }
    }
}

/// A stage of a pipeline.
enum TextStage: Sendable {
    case `where`(TextExpression)
    case sort([TextKey])
    case limit(TextExpression)
    case skip(TextExpression)
    case select([TextEntry])
    case set([TextChange])
    case count
    /// `key` is nil for one group of everything.
    case group(key: TextExpression?, outputs: [TextEntry])
    case unwind(TextPath, index: TextName?, keepsEmpty: Bool)
    case join(TextName, local: TextPath, foreign: TextPath, output: TextName)
}

/// `capped SIZE [max COUNT]`.
struct TextCap: Sendable {
    let size: TextExpression
    let count: TextExpression?
}

/// `softDelete [RETENTION]`.
struct TextSoftDelete: Sendable {
    let retention: TextExpression?
}

/// `validator … [level …] [action …]`.
struct TextValidator: Sendable {
    enum Condition: Sendable {
        case `where`(TextExpression)
        case jsonSchema(TextExpression)
        case none
    }

    let condition: Condition
    let level: String?
    let action: String?
}

/// What `alter collection` changes.
enum TextAlteration: Sendable {
    case softDelete(TextSoftDelete)
    case finalDeletes
    case validator(TextValidator)
}

/// `create index …`.
struct TextIndex: Sendable {
    let collection: TextName
    let keys: [TextKey]
    let name: TextName?
    let isUnique: Bool
    let condition: TextExpression?
    /// Seconds after which documents expire.
    let expireAfter: TextExpression?
}
