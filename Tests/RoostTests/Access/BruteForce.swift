// What an app user's read must give, by asking the rules about every document, one by one, and giving
// those that may be seen to the same read without any rules.

import BSON
import Foundation
import Query
import Rules

@testable import Roost

/// Answers of the engine beside those of brute force.
final class BruteForce {
    /// What is asked about; the second lies below documents of the first.
    static let collections = ["docs", "docs.subs"]

    enum Outcome {
        /// The answer is the right one, of so many rows.
        case asExpected(Int)
        /// Refused, and it may be.
        case refused
        case otherwise(String)
    }

    private struct Known: RuleDocuments {
        var documents: [String: Document] = [:]

        func document(
            at segments: ArraySlice<String>, in database: String, after: Bool
        ) throws(DBError) -> Document? {
            documents[segments.joined(separator: "/")]
        }
    }

    private let database: Database
    private var known = Known()
    private var stored: [String: [Document]] = [:]

    /// Makes what no round changes.
    init(_ database: Database) throws {
        self.database = database
        let members = database.collection("app", "members")
        try members.insert(["_id": "ann", "level": 1, "of": "x"])
        try members.insert(["_id": "0123456789abcdef01234567", "level": 2, "owner": "ann"])
        try database.collection("app", "open").insert(
            contentsOf: RandomRules.users.enumerated().map {
                ["_id": .int32(Int32($0.offset)), "k": .string($0.element)]
            })
        for name in Self.collections {
            for keys: Document in [["owner": 1], ["tags": 1], ["n": -1], ["m.a": 1]] {
                try database.collection("app", name).createIndex(keys)
            }
        }
    }

    /// Puts documents in place of those of a collection, each `_id` once.
    func store(_ made: [Document], in name: String) throws {
        let collection = database.collection("app", name)
        try collection.delete([:])
        var ids: Set<[UInt8]> = []
        try collection.insert(
            contentsOf: made.filter { document in
                var key = KeyEncoder()
                if let id = document.view.value("_id") { _ = RecordKey.encode(id, nil, into: &key) }
                return ids.insert(key.bytes).inserted
            })
        stored[name] = try collection.find(sort: ["_id": 1])
        known.documents = [:]
        for name in ["members"] + Self.collections {
            let namespace = Namespace("app", name)
            // Texts win over ids that are written alike.
            let documents = try database.collection("app", name).find().sorted {
                $1.view.value("_id")?.string != nil && $0.view.value("_id")?.string == nil
            }
            for document in documents {
                guard let id = document.view.value("_id"),
                    id.string != nil || id.objectID != nil || id.int64 != nil || id.int32 != nil,
                    let segments = CollectionPath(namespace)?.segments(of: id)
                else { continue }
                known.documents[segments.joined(separator: "/")] = document
            }
        }
    }

    // MARK: Both answers

    /// Runs a read as that user and compares.
    func compare(
        _ read: RandomRead, _ name: String, _ user: AppUser, _ rules: RuleSet
    ) throws -> Outcome {
        // Not every combination of operator and value is a filter.
        guard (try? parsed(read.filter)) != nil else { return .asExpected(0) }
        guard let access = try database.engine.access(of: .app(user)) else {
            return .otherwise("no access")
        }
        let found: Result<[Document], DBError> = answer(read, name, access)
        let (seen, mustRefuse) = try sight(of: read, name, access, rules)
        let expected: Result<[Document], DBError> = try expected(read, seen)
        switch (found, expected) {
        case (.failure(let error), _)
        where error.code == .unauthorized && !rules.filters:
            return .refused
        case (.success(let found), _) where mustRefuse:
            return .otherwise("answered \(found), and must be refused")
        case (.success(let found), .success(let expected)):
            let isSame =
                read.isOrdered ? found == expected : Set(found) == Set(expected)
            return isSame && found.count == expected.count
                ? .asExpected(found.count)
                : .otherwise("found \(found) in place of \(expected)")
        case (.failure, .failure): return .asExpected(0)
        // Bounds save it from looking at what brute force fails on.
        case (.success, .failure): return .asExpected(0)
        case (.failure(let error), .success(let expected)):
            return .otherwise("failed (\(error.message)) in place of \(expected)")
        }
    }

    /// Which documents the user sees, as they are seen; and whether strict rules refuse the read
    /// for the one document that it asks for.
    private func sight(
        of read: RandomRead, _ name: String, _ access: RequestAccess, _ rules: RuleSet
    ) throws -> (seen: [Document], mustRefuse: Bool) {
        let namespace = Namespace("app", name)
        let filter = try parsed(read.filter)
        let point = PointFilter.condition(in: filter.root)
        var candidates = stored[name] ?? []
        if let point {
            let only = Filter(point)
            var scratch = MatchScratch()
            candidates = try candidates.filter { try only.matches($0.view, &scratch) }
        }
        var seen: [Document] = []
        for document in candidates {
            guard let id = document.view.value("_id"),
                var request = access.request(
                    point == nil ? .list : .get, namespace, id: id, resource: document)
            else { continue }
            if point == nil { request.query = read.ruleQuery }
            let decision = rules.decide(request, known)
            guard decision.isAllowed else { continue }
            var writer = DocumentWriter()
            FieldMask.write(document.view, hiding: decision.hidden, into: &writer)
            seen.append(Document(copying: DocumentView(writer.bytes.span.bytes)))
        }
        guard point != nil, !rules.filters else { return (seen, false) }
        if !candidates.isEmpty { return (seen, seen.isEmpty) }
        guard case .compare(_, _, let id)? = point,
            let request = access.request(.get, namespace, id: id.view, resource: nil)
        else { return (seen, false) }
        return (seen, !rules.decide(request, known).isAllowed)
    }

    /// The user's read.
    private func answer(
        _ read: RandomRead, _ name: String, _ access: RequestAccess
    ) -> Result<[Document], DBError> {
        Result { () throws(DBError) -> [Document] in
            let namespace = Namespace("app", name)
            switch read {
            case .find(let filter, let sort, let skip, let limit, let projection):
                var request = FindRequest(namespace, filter: try parsed(filter))
                request.sort = sort
                request.skip = skip
                request.limit = limit
                request.projection = try projection.map { document throws(DBError) in
                    try Projection.parse(document.view, for: .find, ExpressionScope())
                }
                request.access = access
                return try run(try database.engine.openCursor(request))
            case .count(let filter, let skip, let limit):
                var request = CountRequest(namespace, filter: try parsed(filter))
                request.skip = skip
                request.limit = limit
                request.access = access
                let asked = request
                return try database.withReader { reader throws(DBError) in
                    let count = try database.engine.count(asked, reader)
                    return [["n": .int64(Int64(count))]]
                }
            case .distinct(let path, let filter):
                var request = DistinctRequest(
                    namespace, path: FieldPath(path), filter: try parsed(filter))
                request.access = access
                let asked = request
                return try database.withReader { reader throws(DBError) in
                    let distinct = database.engine.distinct(asked)
                    while try !distinct.advance(reader, .slice) {}
                    return [Document { distinct.write(into: &$0) }]
                }
            case .aggregate(let stages):
                return try aggregate(stages, on: name, access)
            case .joined(let stages):
                return try aggregate(stages.naming(name), on: "open", access)
            }
        }
    }

    /// The same read over what is seen, without rules.
    private func expected(
        _ read: RandomRead, _ seen: [Document]
    ) throws -> Result<[Document], DBError> {
        if case .joined(let stages) = read {
            let collection = database.collection("app", "seen")
            try collection.delete([:])
            try collection.insert(contentsOf: seen)
            return Result { () throws(DBError) in
                try aggregate(stages.naming("seen"), on: "open", nil)
            }
        }
        return Result { () throws(DBError) -> [Document] in
            switch read {
            case .distinct(let path, let filter):
                var values = DistinctValues(FieldPath(path))
                for document in try over(seen, [["$match": .document(filter)]]) {
                    try values.add(document.view)
                }
                var writer = DocumentWriter()
                let start = writer.openDocument()
                values.write(into: &writer)
                writer.close(start)
                return [Document(unchecked: writer.bytes)]
            case .aggregate(let stages): return try over(seen, stages)
            default: break
            }
            var stages: [Document] = [["$match": .document(read.filter)]]
            if case .find(_, let sort?, _, _, _) = read {
                stages.append(["$sort": .document(sort)])
            }
            if read.skip > 0 { stages.append(["$skip": .int32(Int32(read.skip))]) }
            if read.limit > 0 { stages.append(["$limit": .int32(Int32(read.limit))]) }
            if case .find(_, _, _, _, let projection?) = read {
                stages.append(["$project": .document(projection)])
            }
            let found = try over(seen, stages)
            if case .count = read { return [["n": .int64(Int64(found.count))]] }
            return found
        }
    }

    // MARK: Running

    private func parsed(_ filter: Document) throws(DBError) -> Filter {
        try Filter.parse(filter.view, ExpressionScope().filterOptions(.find))
    }

    private func over(_ documents: [Document], _ stages: [Document]) throws(DBError) -> [Document] {
        let source: Document = [
            "$documents": ["$literal": .array(documents.map { .document($0) })]
        ]
        return try aggregate([source] + stages, on: ForeignCollection.ofDatabase, nil)
    }

    private func aggregate(
        _ stages: [Document], on name: String, _ access: RequestAccess?
    ) throws(DBError) -> [Document] {
        let namespace = Namespace("app", name)
        var scope = ExpressionScope(nowMillis: 0)
        scope.collections = EngineCollections(database.engine, database: "app")
        scope.source = ForeignCollection(database: "app", collection: name)
        let list = OwnedValue(.array(stages.map { .document($0) }))
        let pipeline = try Pipeline.parse(DocumentView(list.view.bytes), scope)
        var request = AggregateRequest(namespace, pipeline: pipeline)
        request.access = access
        return try run(try database.engine.openCursor(request))
    }

    private func run(_ cursor: QueryCursor) throws(DBError) -> [Document] {
        try database.withReader { reader throws(DBError) in
            var sink = DocumentList()
            while try cursor.advanceFully(reader, documentsMax: .max, into: &sink) != .exhausted {}
            return sink.documents
        }
    }
}

extension RandomRead {
    fileprivate var skip: Int {
        switch self {
        case .find(_, _, let skip, _, _), .count(_, let skip, _): skip
        default: 0
        }
    }

    fileprivate var limit: Int {
        switch self {
        case .find(_, _, _, let limit, _), .count(_, _, let limit): limit
        default: 0
        }
    }

    /// Whether the answer has an order.
    fileprivate var isOrdered: Bool {
        switch self {
        case .find(_, let sort, _, _, _): sort != nil
        case .aggregate(let stages): stages.last?.keys != ["$group"]
        default: true
        }
    }

    /// The query's shape as rules see it.
    fileprivate var ruleQuery: RuleRequest.Query {
        var query = RuleRequest.Query()
        if limit > 0 { query.limit = Int64(limit) }
        if case .find(_, let sort, let skip, _, _) = self {
            if skip > 0 { query.offset = Int64(skip) }
            query.orderBy = sort?.keys ?? []
        }
        return query
    }
}

extension [Document] {
    /// The stages with that collection in place of `FOREIGN`.
    fileprivate func naming(_ name: String) -> [Document] {
        map { $0.naming(name) }
    }
}

extension Document {
    fileprivate func naming(_ name: String) -> Document {
        Document { writer in
            for key in keys {
                switch self[key] {
                case .string("FOREIGN")?: writer.append(key, name)
                case .document(let inner)? where key.hasPrefix("$") && key.count > 6:
                    writer.append(key, inner.naming(name))
                case let value?: writer.append(key, value)
                case nil: break
                }
            }
        }
    }
}
