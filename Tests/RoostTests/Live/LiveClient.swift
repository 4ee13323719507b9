import BSON
import Query
import Storage

@testable import Roost

/// A live query with what a client makes of it.
final class LiveClient {
    let request: LiveRequest
    var cursor: LiveCursor
    var rows = ClientRows()

    init(_ engine: RoostEngine, _ request: LiveRequest) {
        self.request = request
        cursor = LiveCursor(engine, request)
    }

    /// Reads all that is there.
    func read(_ reader: Reader) throws {
        while true {
            var sink = LiveDocuments()
            let status = try cursor.advance(reader, documentsMax: 3, into: &sink)
            for index in 0..<sink.batch.count {
                rows.apply(Document(copying: sink.batch[index]))
            }
            if status == .empty { return }
        }
    }

    /// Whether the client's rows are those of the query, when all that is there is read.
    func holdsResult(_ fixture: ReadFixture) throws -> Bool {
        try read(fixture.reader)
        let projection = LiveProjection(request.projection, request.filter)
        let now = try LiveRead.rows(request, nil, fixture.engine, fixture.reader, projection)
        guard rows.isReady else { return false }
        if request.isOrdered { return rows.rows == now }
        return rows.rows.count == now.count
            && Set(rows.rows.map(\.document)) == Set(now.map(\.document))
    }

    /// Reads until the client's rows are those of the query; false if that does not happen.
    func settles(_ fixture: ReadFixture) async throws -> Bool {
        for _ in 0..<4_000 {
            if try holdsResult(fixture) { return true }
            try await Task.sleep(for: .milliseconds(5))
        }
        return false
    }

    /// Reads until it was told all that was written; false if that does not happen.
    func comes(to fixture: ReadFixture) async throws -> Bool {
        for _ in 0..<4_000 {
            try read(fixture.reader)
            if cursor.token?.sequence == fixture.engine.clock.newest { return true }
            try await Task.sleep(for: .milliseconds(5))
        }
        return false
    }

    /// Loses the connection and goes on from its token.
    func resume(_ engine: RoostEngine) {
        let token = cursor.token
        cursor.kill()
        goOn(engine, from: token)
    }

    /// Asks again.
    func goOn(_ engine: RoostEngine, from token: LiveToken?) {
        var again = request
        again.resumeAfter = token
        cursor = LiveCursor(engine, again)
    }
}

/// Live queries as tests ask for them.
enum LiveAsk {
    static let names = Namespace("test", "live")
    /// What joins read.
    static let foreign = Namespace("test", "foreign")

    static func find(
        _ filter: Document, sort: Document? = nil, skip: Int = 0, limit: Int = 0,
        projection: Document? = nil
    ) throws -> LiveRequest {
        let parsed = try Filter.parse(filter.view)
        let scope = ExpressionScope()
        return try LiveRequest(
            names, filter: parsed, sort: try sort.map { try SortPattern.parse($0.view) },
            skip: skip, limit: limit,
            projection: try projection.map { try Projection.parse($0.view, for: .find, scope) },
            identity: Document { writer in
                writer.append("f", filter)
                writer.append("s", sort ?? Document())
                writer.append("k", Int32(skip))
                writer.append("l", Int32(limit))
                writer.append("p", projection ?? Document())
            }.bytes)
    }

    static func aggregate(_ stages: Value...) throws -> LiveRequest {
        let value = OwnedValue(.array(stages))
        let pipeline = try Pipeline.parse(
            DocumentView(value.view.bytes), ExpressionScope())
        return try LiveRequest(
            names, pipeline: pipeline, foreign: [], identity: value.payload)
    }

    /// Stages that join `foreign`.
    static func joining(_ engine: RoostEngine, _ stages: Value...) throws -> LiveRequest {
        let value = OwnedValue(.array(stages))
        var scope = ExpressionScope()
        scope.collections = EngineCollections(engine, database: names.database)
        let pipeline = try Pipeline.parse(DocumentView(value.view.bytes), scope)
        return try LiveRequest(
            names, pipeline: pipeline, foreign: [foreign], identity: value.payload)
    }

    /// A $lookup of the author by the field `a`.
    static let lookup: Value = [
        "$lookup": ["from": "foreign", "localField": "a", "foreignField": "_id", "as": "by"]
    ]
}
