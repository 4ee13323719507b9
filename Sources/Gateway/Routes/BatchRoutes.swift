// POST /api/v1/databases/DB/batch: several requests in one round trip, in one transaction if asked.
//
// Requests run one after another. With `atomic` they read one snapshot, and all of them take effect
// or none: the first that fails ends the transaction. With an Idempotency-Key an atomic batch takes
// effect once; sent again it answers that it had.

import BSON
import NIOCore
import NIOHTTP1
import Wire

enum BatchRoutes {
    static let all = [
        Route(
            .POST, "/api/v1/databases/{db}/batch",
            "Runs several requests, in one transaction if asked", tag: "batch",
            body: #"{"type":"object","properties":{"atomic":{"type":"boolean"},"requests":"#
                + #"{"type":"array","maxItems":\#(GatewayLimits.batchRequestsMax),"items":"#
                + #"{"type":"object","properties":{"method":{"type":"string","enum":"#
                + #"["GET","POST","PUT","PATCH","DELETE"]},"path":{"type":"string"},"#
                + #""body":{"type":"object"},"headers":{"type":"object"}},"#
                + #""required":["method","path"]}}},"required":["requests"],"#
                + #""additionalProperties":false}"#,
            data: #"{"type":"object","properties":{"results":{"type":["array","null"]},"#
                + #""replayed":{"type":"boolean"}}}"#,
            isWrite: true, run: run)
    ]

    private static func run(_ exchange: Exchange) throws(DBError) {
        guard exchange.transaction == nil else {
            throw DBError(.badValue, "a batch can't be part of a batch")
        }
        let body = try exchange.bodyDocument(["atomic", "requests"])
        let requests = try requests(body, exchange)
        let run = BatchRun(exchange, requests)
        guard body["atomic"] == .bool(true) else { return run.next() }
        var session = SecureRandom.bytes(16)
        var number: Int64 = 1
        if let key = exchange.request.headers.first(name: "Idempotency-Key") {
            (session, number) = try IdempotencyKey.parse(key)
            run.transaction = BatchTransaction(session: session, number: number)
            return try run.checkWhetherDone()
        }
        run.transaction = BatchTransaction(session: session, number: number)
        run.next()
    }

    private static func requests(
        _ body: Document, _ exchange: Exchange
    ) throws(DBError) -> [GatewayRequest] {
        guard case .array(let list)? = body["requests"] else {
            throw DBError(.badValue, "the body needs 'requests', a list")
        }
        guard list.count <= GatewayLimits.batchRequestsMax else {
            throw DBError(
                .badValue, "a batch has at most \(GatewayLimits.batchRequestsMax) requests")
        }
        let base = "/api/v1/databases/\(PercentEncoding.encode(exchange.parameter("db")))/"
        var requests: [GatewayRequest] = []
        for (index, item) in list.enumerated() {
            guard case .document(let fields) = item, case .string(let method)? = fields["method"],
                case .string(let path)? = fields["path"]
            else {
                throw DBError(.badValue, "requests[\(index)] needs 'method' and 'path'")
            }
            guard ["GET", "POST", "PUT", "PATCH", "DELETE"].contains(method) else {
                throw DBError(.badValue, "requests[\(index)].method can't be '\(method)'")
            }
            var target = path
            if !path.hasPrefix("/") { target = base + path }
            guard target.hasPrefix(base) else {
                throw DBError(
                    .badValue,
                    "requests[\(index)].path must be about the same database: it begins with "
                        + "\(base), or is what follows that")
            }
            var request = GatewayRequest(
                method: HTTPMethod(rawValue: method), target: target)
            if case .document(let headers)? = fields["headers"] {
                for name in headers.keys {
                    if case .string(let value)? = headers[name] {
                        request.headers.add(name: name, value: value)
                    }
                }
            }
            if case .document(let inner)? = fields["body"] {
                request.body = ByteBuffer(
                    string: ExtendedJSON.string(of: inner.view, canonical: true))
            }
            requests.append(request)
        }
        return requests
    }
}

/// A batch under way.
private final class BatchRun {
    private let exchange: Exchange
    private let requests: [GatewayRequest]
    private var results: [HTTPAnswer] = []
    var transaction: BatchTransaction?

    init(_ exchange: Exchange, _ requests: [GatewayRequest]) {
        self.exchange = exchange
        self.requests = requests
    }

    /// Runs the next request, or ends.
    func next() {
        guard results.count < requests.count else { return commit() }
        let request = requests[results.count]
        exchange.visitor.core.run(
            request, exchange.visitor, as: exchange.guest, in: transaction
        ) { answer in
            self.results.append(answer)
            if self.transaction != nil, answer.status.code >= 400 { return self.abort(answer) }
            self.next()
        }
    }

    private func finish(replayed: Bool = false) {
        let results = results
        exchange.answer(
            .success { writer in
                writer.raw("{\"replayed\":\(replayed),\"results\":")
                writer.raw(replayed ? "null" : "[")
                for (index, result) in results.enumerated() {
                    if index > 0 { writer.raw(",") }
                    writer.raw("{\"status\":\(result.status.code),\"body\":")
                    writer.raw(copying: result.body)
                    writer.raw("}")
                }
                writer.raw(replayed ? "}" : "]}")
            })
    }

    // MARK: Transactions

    /// A commit under the key succeeds only where the batch was committed before.
    func checkWhetherDone() throws(DBError) {
        try end("commitTransaction") { failure in
            if failure == nil { return self.finish(replayed: true) }
            self.next()
        }
    }

    private func commit() {
        guard let transaction, transaction.isOpen else { return finish() }
        do throws(DBError) {
            try end("commitTransaction") { failure in
                if let failure { return self.exchange.fail(failure) }
                self.finish()
            }
        } catch {
            exchange.fail(error)
        }
    }

    /// One failed: none has taken effect.
    private func abort(_ answer: HTTPAnswer) {
        guard let transaction, transaction.isOpen else { return exchange.answer(answer) }
        do throws(DBError) {
            try end("abortTransaction") { _ in self.exchange.answer(answer) }
        } catch {
            exchange.answer(answer)
        }
    }

    private func end(
        _ name: String, _ body: @escaping (DBError?) -> Void
    ) throws(DBError) {
        guard let transaction else { return body(nil) }
        let command = Document { writer in
            writer.append(name, Int32(1))
            writer.append("lsid", ["id": .binary(subtype: 4, transaction.session)] as Document)
            writer.append("txnNumber", transaction.number)
            writer.append("autocommit", false)
            writer.append("$db", "admin")
        }
        try exchange.visitor.link(for: exchange.guest).run(command) { reply in
            body(reply.map { $0.failure } ?? Exchange.ended)
        }
    }
}
