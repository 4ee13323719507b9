// What app users may run: reading and writing documents, each of which the security rules decide
// about in the engine. Every other command, stage and option is refused before it is looked at, so
// that a new one is closed until someone has thought about it.

import BSON
import Query
import Roost
import Wire

extension CommandCall {
    /// Who asks.
    var principal: Principal { connection.principal }

    /// What the engine is to be told of who asks; nil for those who bypass the rules.
    /// - Throws: 13 Unauthorized for a token that has ended.
    func access() throws(DBError) -> RequestAccess? {
        guard principal.isUnderRules else { return nil }
        return try core.engine.access(of: principal, from: connection.clientIP)
    }
}

enum AppUserCommands {
    private static let names: Set<String> = [
        "find", "count", "distinct", "aggregate", "getMore", "killCursors",
        "insert", "update", "delete", "findAndModify", "bulkWrite", "query", "live",
        "hello", "isMaster", "ping", "buildInfo", "logout", "connectionStatus",
        "saslStart", "saslContinue", "authenticate",
        "startSession", "endSessions", "refreshSessions", "commitTransaction",
        "abortTransaction",
        "changePassword", "enrolTotp", "confirmTotp", "disableTotp", "renewRecoveryCodes",
        "signOutEverywhere",
    ]

    /// Stages that read nothing but what comes in, or collections that the engine asks the rules
    /// about.
    private static let stages: Set<String> = [
        "$match", "$project", "$addFields", "$set", "$unset", "$sort", "$limit", "$skip",
        "$count", "$group", "$unwind", "$replaceRoot", "$replaceWith", "$sortByCount", "$bucket",
        "$bucketAuto", "$sample", "$redact", "$setWindowFields", "$densify", "$fill", "$geoNear",
        "$documents", "$facet", "$lookup", "$graphLookup", "$unionWith", "$merge",
    ]

    /// Why what isn't listed is refused, where that isn't plain.
    private static let reasons: [String: String] = [
        "explain": "plans, bounds and counts tell of documents and fields that the rules may hide",
        "$out": "it replaces a collection, which no rule is about; use $merge",
        "$changeStream": "it must be the first stage of an aggregate",
    ]

    /// Refuses what app users may not run.
    /// - Throws: 13 Unauthorized.
    static func check(_ call: borrowing CommandCall) throws(DBError) {
        let name = "\(call.command.name)"
        guard names.contains(name) else {
            throw try refusal(of: name, call)
        }
        guard name == "aggregate" || name == "live" else {
            if call.truthIfKnown("bypassDocumentValidation") == true {
                throw try refusal("app users may not bypass validators", call)
            }
            return
        }
        if call.truthIfKnown("explain") == true { throw try refusal(of: "explain", call) }
        if call.truthIfKnown("bypassDocumentValidation") == true {
            throw try refusal("app users may not bypass validators", call)
        }
        if let pipeline = call.value("pipeline")?.array {
            var stages = ViewRead.values(pipeline)
            if name == "aggregate", case .document(let first)? = stages.first,
                first.keys == ["$changeStream"]
            {
                stages.removeFirst()
                if case .document(let last)? = stages.last, last.keys == [Pipeline.splitStage] {
                    stages.removeLast()
                }
            }
            try check(stages, call)
        }
    }

    /// Refuses statements of the text language that app users may not run. The commands that they
    /// are lowered to ask the rules.
    /// - Throws: 13 Unauthorized.
    static func check(
        _ statement: TextCommand, _ call: borrowing CommandCall
    ) throws(DBError) {
        guard call.principal.isUnderRules else { return }
        switch statement {
        case .read(_, let stages, nil), .live(_, let stages), .insertRows(_, _, let stages, nil):
            try check(stages, call)
        case .insert, .update, .delete: return
        case .read, .insertRows:
            throw try refusal("deleted documents are for service accounts", call)
        case .explain: throw try refusal(of: "explain", call)
        case .restore, .purge, .createIndex, .dropIndex, .createCollection, .dropCollection,
            .renameCollection, .alterCollection, .deployRules:
            throw try refusal("app users may only read and write documents", call)
        }
    }

    private static func check(
        _ list: [Value], _ call: borrowing CommandCall
    ) throws(DBError) {
        for case .document(let stage) in list {
            for name in stage.keys {
                guard stages.contains(name) else {
                    throw try refusal(of: name, call)
                }
                guard case .document(let body)? = stage[name] else { continue }
                if name == "$facet" {
                    for branch in body.keys {
                        if case .array(let inner)? = body[branch] { try check(inner, call) }
                    }
                } else if case .array(let inner)? = body["pipeline"] {
                    try check(inner, call)
                }
            }
        }
    }

    private static func refusal(
        of name: String, _ call: borrowing CommandCall
    ) throws(DBError) -> DBError {
        let reason = reasons[name].map { ": \($0)" } ?? ""
        return try refusal("app users may not use \(name)\(reason)", call)
    }

    private static func refusal(
        _ reason: String, _ call: borrowing CommandCall
    ) throws(DBError) -> DBError {
        try call.access()?.denial(reason) ?? DBError(.unauthorized, reason)
    }
}
