import Testing
import BSON
import Query

/// One row of an update table: a document, an update, and the document or error that follows.
struct UpdateCase: CustomTestStringConvertible, Sendable {
    enum Expected: Sendable {
        case document(Document)
        case unchanged
        case code(Int32)
    }

    var document: Document
    var update: Value
    var arrayFilters: [Value] = []
    var position: Int?
    var isInsert = false
    var expected: Expected

    init(
        _ document: Document, _ update: Value, _ expected: Document, position: Int? = nil,
        filters: [Value] = [], isInsert: Bool = false
    ) {
        self.document = document
        self.update = update
        self.expected = .document(expected)
        self.position = position
        self.arrayFilters = filters
        self.isInsert = isInsert
    }

    init(
        unchanged document: Document, _ update: Value, position: Int? = nil,
        filters: [Value] = []
    ) {
        self.init(document, update, document, position: position, filters: filters)
        expected = .unchanged
    }

    init(
        _ document: Document, _ update: Value, code: Int32, position: Int? = nil,
        filters: [Value] = []
    ) {
        self.init(document, update, document, position: position, filters: filters)
        expected = .code(code)
    }

    var testDescription: String { "\(update) on \(Value.document(document))" }

    /// Applies the update and says what came out.
    func run() -> Outcome {
        do {
            let update = try parseUpdate(update, arrayFilters: arrayFilters)
            return try applyUpdate(
                update, to: document, position: position, isInsert: isInsert)
        } catch {
            return .failed(error.code.rawValue, error.message)
        }
    }
}

enum Outcome: Equatable {
    case unchanged
    case changed(Document)
    case failed(Int32, String)

    var code: Int32? {
        if case .failed(let code, _) = self { code } else { nil }
    }
}

let testTime = WriteTime(
    millis: 1_700_000_000_123, timestamp: Timestamp(seconds: 1_700_000_000, ordinal: 7))

func parseUpdate(
    _ update: Value, arrayFilters: [Value] = [], constants: Document? = nil,
    _ options: UpdateOptions = UpdateOptions()
) throws(DBError) -> Update {
    let argument = OwnedValue(update)
    let filters = OwnedValue(.array(arrayFilters))
    if let constants {
        return try Update.parse(argument.view, constants: constants.view, options)
    }
    return try Update.parse(
        argument.view, arrayFilters: arrayFilters.isEmpty ? nil : filters.view.array, options)
}

func applyUpdate(
    _ update: Update, to document: Document, position: Int? = nil, isInsert: Bool = false
) throws(DBError) -> Outcome {
    var writer = DocumentWriter()
    writer.append("guard", true)
    let start = writer.count
    var scratch = UpdateScratch()
    let changed = try update.apply(
        to: document.view, arrayPosition: position, isInsert: isInsert, time: testTime,
        into: &writer, &scratch)
    guard changed else { return writer.count == start ? .unchanged : .failed(-1, "left bytes") }
    return .changed(Document(unchecked: Array(writer.bytes[start...])))
}
