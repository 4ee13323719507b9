// How an app user's live query begins, begins anew under other rules, and ends.

import BSON
import Query
import Storage

extension LiveCursor {
    /// Stops telling a result whose rules or token have ended. What is followed is ended by the
    /// matcher.
    func askAnewIfEnded() {
        guard let binding = request.binding, !binding.isInForce else { return }
        switch phase {
        case .reads(_, let view, _): view.end(Self.done)
        case .tells: break
        case .begins, .follows, .ends: return
        }
        events = LiveEventWriter()
        offset = 0
        phase = .begins(reason: "other security rules are in force, or the token ended", known: nil)
    }

    /// As `begin`, for app users: asks the rules first, in the snapshot that is read.
    func beginBound(
        _ reason: String?, _ known: LiveToken?, _ reader: Reader
    ) throws(DBError) {
        let before = request
        // Of a client that comes back the rules are as they are now, or its token tells.
        engine.live.follow(before, engine)
        let view = try ReadView(engine)
        defer { if case .reads = phase {} else { view.end(Self.done) } }
        let start: Timestamp
        do {
            (start, request) = try bind(before, view)
        } catch {
            let error = DBError(engineFailure: error)
            guard error.code == .unauthorized, before.binding != nil else { throw error }
            return try leave(before, reason, known, view, reader, error)
        }
        do {
            let group = try joined(reader)
            let subscription = subscribe()
            let shown = before.binding == nil ? request : before
            let isSame = shown.identity == request.identity
            if request.keepsRows || (known != nil && !isSame) {
                try tellDifference(
                    shown, reason, known, subscription, group, view, start, reader)
                return
            }
            var past = LivePast(engine, request, view)
            var why = reason
            if let known { why = try past.collect(since: known, until: start) }
            guard known != nil, why == nil else { return startReading(why, view, start) }
            try past.writeRows(projection, into: &events)
            finish(start)
            engine.live.arrive(subscription, group, start)
        } catch {
            let error = DBError(engineFailure: error)
            // Other rules, or a token's end, while it was read: ask again.
            guard error.code == .unauthorized else { throw error }
            if request.binding?.isInForce == false {
                phase = .begins(reason: reason, known: known)
                return
            }
            guard before.binding != nil else { throw error }
            try leave(before, reason, known, view, reader, error)
        }
    }

    /// The place of the view in the log, and the query bound to the rules in it.
    private func bind(
        _ before: LiveRequest, _ view: ReadView
    ) throws -> (Timestamp, LiveRequest) {
        guard let user = before.user,
            let access = try engine.access(of: .app(user), isCounted: before.binding == nil)
        else {
            return (Timestamp(rawValue: 0), before)
        }
        let asked = before.unbound
        let bound = try view.use { reader, state in
            try reader.read { transaction in
                (
                    try transaction.logEnd(),
                    try asked.bound(access, state.catalog, transaction)
                )
            }
        }
        return bound ?? (Timestamp(rawValue: 0), before)
    }

    /// Reads the result, and tells what differs from what `shown` says of the client's.
    private func tellDifference(
        _ shown: LiveRequest, _ reason: String?, _ known: LiveToken?,
        _ subscription: LiveSubscription, _ group: LiveGroup, _ view: ReadView,
        _ start: Timestamp, _ reader: Reader
    ) throws {
        var result: LiveResult?
        var rows: [LiveRow] = []
        if request.keepsRows {
            result = try LiveResult(request, view, engine, reader)
        } else {
            rows = try LiveRead.rows(
                request, view, engine, reader, projection, request.binding?.reading())
        }
        var why = reason
        var old: [LiveRow]?
        if let known {
            switch try self.rows(of: shown, known, start, view, reader) {
            case .success(let rows): old = rows
            case .failure(let unknown): why = unknown.reason
            }
        }
        var end = start
        if let result {
            (rows, end) = engine.live.install(result, subscription, group, start)
        } else {
            engine.live.arrive(subscription, group, start)
        }
        guard let old else {
            reset(why)
            phase = .tells(rows, next: 0, end)
            return
        }
        LiveDifference.write(
            from: old, to: rows, isOrdered: request.isOrdered,
            token: request.token(end, epoch: engine.logEpoch).text, into: &events)
        finish(end)
    }

    /// The rows that `shown` had at a token.
    private func rows(
        of shown: LiveRequest, _ known: LiveToken, _ end: Timestamp, _ view: ReadView,
        _ reader: Reader
    ) throws -> Result<[LiveRow], LivePast.Unknown> {
        var past = LivePast(engine, shown, view)
        if let reason = try past.collect(since: known, until: end) {
            return .failure(LivePast.Unknown(reason: reason))
        }
        return try past.rows(projection, reader)
    }

    /// The rules no longer allow the query: tells that all rows went, then why.
    private func leave(
        _ shown: LiveRequest, _ reason: String?, _ known: LiveToken?, _ view: ReadView,
        _ reader: Reader, _ error: DBError
    ) throws(DBError) {
        phase = .ends(error)
        do {
            let end = try view.use { reader, _ in
                try reader.read { transaction in try transaction.logEnd() }
            }
            if let known, let end,
                case .success(let old) = try rows(of: shown, known, end, view, reader)
            {
                LiveDifference.write(
                    from: old, to: [], isOrdered: shown.isOrdered,
                    token: shown.token(end, epoch: engine.logEpoch).text, into: &events)
            } else {
                reset(reason ?? error.message)
            }
        } catch {
            reset(reason ?? DBError(engineFailure: error).message)
        }
    }
}
