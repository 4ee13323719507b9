import BSON
import Query
import TestSupport

@testable import Roost

/// Random writes: one by one, several at once, in transactions.
final class LiveOracleWriter {
    private let database: Database
    private var random: RandomSource
    private let documents: Collection<Document>
    private let authors: Collection<Document>
    private var transactionNumber: Int64 = 0

    /// Ids are below this.
    static let ids = 160

    init(_ database: Database, seed: UInt64) {
        self.database = database
        random = RandomSource(seed: seed)
        documents = database.collection("live", "documents")
        authors = database.collection("live", "authors")
    }

    static func word(_ number: Int) -> String {
        ["ale", "beer", "cider", "dram", "egg", "fish", "gin", "Émile"][number % 8]
    }

    /// Fills both collections.
    func begin() throws {
        for id in Int32(0)..<6 { try authors.insert(["_id": .int32(id), "name": "first"]) }
        try documents.insert(
            contentsOf: (0..<Self.ids / 2).map { document(.int32(Int32($0))) })
    }

    /// One write, most of which commit something. Its description, for messages.
    func step() throws -> String {
        if random.oneIn(20) { return try writeAuthor() }
        if random.oneIn(12) { return try transact() }
        let statement = statement()
        switch statement {
        case .insert(let document):
            try ignoringDuplicates { try documents.insert(document) }
        case .update(let filter, let change, let isMulti, let isUpsert):
            try ignoringDuplicates {
                try documents.update(filter, change, multi: isMulti, upsert: isUpsert)
            }
        case .delete(let filter, let isMulti): try documents.delete(filter, multi: isMulti)
        }
        return "\(statement)"
    }

    /// Removes the collection, as a program that begins anew does.
    func drop() throws {
        try documents.drop()
        try documents.insert(
            contentsOf: (0..<Self.ids / 3).map { document(.int32(Int32($0))) })
    }

    private func ignoringDuplicates(_ body: () throws -> Void) throws {
        do {
            try body()
        } catch DBError.Code.duplicateKey {
            // The id was taken: nothing is written.
        }
    }

    private func writeAuthor() throws -> String {
        let id = Value.int32(Int32(random.below(8)))
        switch random.below(4) {
        case 0:
            try authors.delete(["_id": id])
            return "delete author \(id)"
        default:
            let name = Value.string(Self.word(random.below(8)))
            try authors.update(["_id": id], ["$set": ["name": name]], upsert: true)
            return "author \(id) is \(name)"
        }
    }

    // MARK: Statements

    private enum Statement {
        case insert(Document)
        case update(Document, Document, isMulti: Bool, isUpsert: Bool)
        case delete(Document, isMulti: Bool)
    }

    private func statement() -> Statement {
        let id: Value = .int32(Int32(random.below(Self.ids)))
        switch random.below(20) {
        case 0..<5: return .insert(document(id))
        case 5..<11:
            return .update(
                ["_id": id], change(), isMulti: false, isUpsert: random.oneIn(6))
        case 11..<13:
            return .update(["_id": id], document(id), isMulti: false, isUpsert: random.oneIn(4))
        case 13..<15: return .update(some(), change(), isMulti: true, isUpsert: false)
        case 15..<19: return .delete(["_id": id], isMulti: false)
        default:
            return .delete(["$and": [.document(some()), .document(some())]], isMulti: true)
        }
    }

    /// A filter that several documents match.
    private func some() -> Document {
        random.oneIn(2)
            ? ["g": .int32(Int32(random.below(6)))] : ["s": .string(Self.word(random.below(8)))]
    }

    private func change() -> Document {
        let number = Value.int32(Int32(random.below(20)))
        switch random.below(9) {
        case 0: return ["$set": ["a": number]]
        case 1: return ["$inc": ["b": .int32(Int32(random.below(200) - 100))]]
        case 2: return ["$unset": ["a": 1]]
        case 3: return ["$set": ["s": .string(Self.word(random.below(8)))]]
        case 4: return ["$push": ["tags": .int32(Int32(random.below(6)))]]
        case 5: return ["$pull": ["tags": .int32(Int32(random.below(6)))]]
        case 6: return ["$set": ["n.x": .int32(Int32(random.below(10)))]]
        case 7: return ["$set": ["g": .int32(Int32(random.below(6))), "author": number]]
        default: return ["$set": ["a": [number, .int32(Int32(random.below(20)))]]]
        }
    }

    private func document(_ id: Value) -> Document {
        Document { writer in
            writer.append("_id", id)
            switch random.below(10) {
            case 0: break
            case 1: writer.appendNull("a")
            case 2: writer.append("a", .array([.int32(Int32(random.below(20))), 3]))
            case 3: writer.append("a", Self.word(random.below(8)))
            default: writer.append("a", Int32(random.below(20)))
            }
            if random.oneIn(4) {
                writer.append("b", Double(random.below(1_000)) + 0.5)
            } else {
                writer.append("b", Int32(random.below(1_000)))
            }
            writer.append("s", Self.word(random.below(8)))
            writer.append("n", ["x": .int32(Int32(random.below(10)))] as Document)
            if !random.oneIn(9) { writer.append("g", Int32(random.below(6))) }
            writer.append("author", Int32(random.below(9)))
            let count = random.below(4)
            writer.append(
                "tags", .array((0..<count).map { _ in .int32(Int32(random.below(6))) }))
        }
    }

    // MARK: Transactions

    private func transact() throws -> String {
        let transaction = try database.engine.beginTransaction()
        var text = "transaction:"
        for _ in 0...random.below(6) {
            let statement = statement()
            text += " \(statement);"
            var request = WriteRequest(
                LiveOracleQuery.namespace, time: database.engine.writeTime)
            request.transaction = transaction
            switch statement {
            case .insert(let document): try request.insert(document.view)
            case .update(let filter, let change, let isMulti, let isUpsert):
                let value = OwnedValue(.document(change))
                request.statements.append(
                    .update(
                        UpdateStatement(
                            target: try target(filter),
                            update: try Update.parse(value.view), isMulti: isMulti,
                            isUpsert: isUpsert)))
            case .delete(let filter, let isMulti):
                request.statements.append(
                    .delete(DeleteStatement(target: try target(filter), isMulti: isMulti)))
            }
            let outcome = try database.wait { database.engine.write(request, completion: $0) }
            if outcome.results.last?.error != nil {
                transaction.abort()
                return text + " aborted by an error"
            }
        }
        if random.oneIn(6) {
            transaction.abort()
            return text + " aborted"
        }
        transactionNumber += 1
        let retry = RetryIdentity(
            session: [UInt8](repeating: 7, count: 16), number: transactionNumber)
        try database.wait { transaction.commit(retry, completion: $0) }
        return text
    }

    private func target(_ filter: Document) throws(DBError) -> WriteTarget {
        WriteTarget(filter: try Filter.parse(filter.view), filterDocument: filter)
    }
}
