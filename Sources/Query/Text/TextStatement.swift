// The syntax tree of a statement. Values that must be known before a statement runs (documents,
// limits) are still expressions here: parameters are bound when it is lowered.

/// A statement as it was written.
enum TextStatement: Sendable {
    case read(TextPipeline)
    case explain(TextPipeline, verbosity: String)
    case live(TextPipeline)
    /// Brings deleted documents back, or removes them for good.
    case trash(TextName, condition: TextExpression, isPurge: Bool)
    case insert(into: TextName, [TextExpression])
    case update(TextName, condition: TextExpression, changes: [TextChange], isUpsert: Bool)
    case delete(from: TextName, condition: TextExpression)
    case createIndex(TextIndex)
    case dropIndex(TextName, on: TextName)
    case createCollection(TextName, capped: TextCap?, softDelete: TextSoftDelete?)
    case dropCollection(TextName)
}

extension TextStatement {
    /// Where errors are shown that concern the statement as a whole.
    var errorOffset: Int {
        if case .dropIndex(let index, _) = self { return index.offset }
        return subject?.offset ?? 0
    }

    /// The collection that the statement is about.
    var subject: TextName? {
        switch self {
        case .read(let pipeline), .explain(let pipeline, _), .live(let pipeline): pipeline.source
        case .insert(let name, _), .update(let name, _, _, _), .delete(let name, _),
            .trash(let name, _, _), .createCollection(let name, _, _), .dropCollection(let name):
            name
        case .createIndex(let index): index.collection
        case .dropIndex(_, let collection): collection
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
}

/// A key of an order or an index.
struct TextKey: Sendable {
    let path: TextPath
    let isDescending: Bool
}

/// One assignment of `set`, or one `unset`.
enum TextChange: Sendable {
    case set(TextPath, TextExpression)
    case unset(TextPath)

    var path: TextPath {
        switch self {
        case .set(let path, _), .unset(let path): path
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
