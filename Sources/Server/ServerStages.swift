// First stages whose documents the server has, not the engine: $listLocalSessions, $listSessions,
// $currentOp, $collStats, $indexStats and $planCacheStats become $documents with what they list.

import BSON
import Roost

enum ServerStages {
    /// The stages with the first replaced, where it is one of the server's; else nil.
    ///
    /// - Throws: 73 where such a stage is run in the wrong place, 323 under a strict API, and what
    ///   each says of its argument.
    static func replacing(
        _ stages: DocumentView, _ call: borrowing CommandCall
    ) throws(DBError) -> [Value]? {
        guard let stage = stages.first?.value.document, stage.count == 1, let first = stage.first,
            let documents = try documents(first.nameString, first.value, call)
        else { return nil }
        var replaced: [Value] = [["$documents": ["$literal": .array(documents)]]]
        var elements = stages.makeIterator()
        _ = elements.next()
        while let element = elements.next() { replaced.append(Value(element.value)) }
        return replaced
    }

    private static func documents(
        _ stage: String, _ argument: ValueView, _ call: borrowing CommandCall
    ) throws(DBError) -> [Value]? {
        switch stage {
        case "$listLocalSessions":
            try checkStrictAPI(stage, call)
            try checkPlace(call.commandValue.isNumeric, stage, "the database with {aggregate: 1}")
            return try SessionStages.documents(stage, argument, call)
        case "$listSessions":
            try checkStrictAPI(stage, call)
            let isThere = call.database == "config" && call.commandValue.string == "system.sessions"
            try checkPlace(isThere, stage, "config.system.sessions")
            return try SessionStages.documents(stage, argument, call)
        case "$currentOp":
            try checkStrictAPI(stage, call)
            try checkPlace(
                call.database == "admin" && call.commandValue.isNumeric, stage,
                "the 'admin' database with {aggregate: 1}")
            return CurrentOp.documents(call)
        case "$queryStats":
            try checkStrictAPI(stage, call)
            try checkPlace(
                call.database == "admin" && call.commandValue.isNumeric, stage,
                "the 'admin' database with {aggregate: 1}")
            try checkQueryStats(argument)
            // None are gathered, as in MongoDB while its rate limit for them is 0.
            return []
        case "$indexStats":
            try checkStrictAPI(stage, call)
            return try indexStats(call)
        case "$planCacheStats":
            try checkStrictAPI(stage, call)
            try checkPlace(!call.commandValue.isNumeric, stage, "a collection")
            guard let object = argument.document, object.isEmpty else {
                throw DBError(
                    .failedToParse, "\(stage) takes no options: write {\(stage): {}}")
            }
            return try PlanCacheCommands.statistics(call)
        case "$collStats":
            return [.document(try CollStatsStage.document(argument, try call.namespace(), call))]
        default: return nil
        }
    }

    private static func checkQueryStats(_ argument: ValueView) throws(DBError) {
        guard let object = argument.document else {
            throw DBError(
                .failedToParse,
                "$queryStats takes an object, not a value of type \(argument.type.alias)")
        }
        var fields = object.makeIterator()
        while let field = fields.next() {
            if field.name.equals("transformIdentifiers") { continue }
            throw DBError(
                .idlUnknownField,
                "BSON field '$queryStats.\(field.nameString)' is an unknown field.")
        }
    }

    private static func checkPlace(
        _ isThere: Bool, _ stage: String, _ place: String
    ) throws(DBError) {
        guard isThere else {
            throw DBError(.invalidNamespace, "\(stage) must be run against \(place)")
        }
    }

    private static func checkStrictAPI(
        _ stage: String, _ call: borrowing CommandCall
    ) throws(DBError) {
        guard !call.special.isStrictAPI else {
            throw DBError(
                DBError.Code(rawValue: 323),
                "stage \(stage) is not allowed with 'apiStrict: true' in API Version 1")
        }
    }

    /// One document an index. Uses are not counted.
    private static func indexStats(_ call: borrowing CommandCall) throws(DBError) -> [Value] {
        guard let entry = call.core.engine.collection(try call.namespace()) else { return [] }
        try entry.checkIsNoView()
        let specifications = [ListIndexes.idIndex(of: entry)] + entry.indexes.map(\.specification)
        return specifications.map { specification in
            .document([
                "name": specification["name"] ?? nil, "key": specification["key"] ?? nil,
                "host": .string(HostInfo.hostName),
                "accesses": ["ops": .int64(0), "since": .date(call.core.startMillis)],
                "spec": .document(specification),
            ])
        }
    }
}

extension ValueView {
    /// Whether a field with this value counts as not sent.
    var isNullish: Bool { type == .null || type == .undefined }
}
