// First stages whose documents the server has, not the engine: $listLocalSessions, $listSessions,
// $currentOp, $collStats, $indexStats and $planCacheStats become $documents with what they list.

import BSON
import Query
import Roost

enum ServerStages {
    /// The stages with the first replaced, where it is one of the server's; else nil.
    /// `namespace`: the collection that the pipeline reads.
    ///
    /// - Throws: 73 where such a stage is run in the wrong place, 323 under a strict API, and what
    ///   each says of its argument.
    static func replacing(
        _ stages: DocumentView, on namespace: Namespace, _ call: borrowing CommandCall
    ) throws(DBError) -> [Value]? {
        guard let first = first(of: stages),
            let documents = try documents(first.nameString, first.value, namespace, call)
        else { return nil }
        return replacing(first: documents, of: ViewRead.values(stages))
    }

    /// Compiles the stages that a new view puts before each read.
    ///
    /// - Throws: 73 for a first stage that reads no collection, and what the stages themselves say.
    static func viewPipeline(
        _ stages: [Value], _ call: borrowing CommandCall
    ) throws(DBError) -> Pipeline {
        let list = OwnedValue(.array(stages))
        let compiler = try QueryCompiler(call)
        guard let array = list.view.array, let stage = first(of: array)?.nameString else {
            return try compiler.pipeline(stages)
        }
        guard !withoutCollection.contains(stage) else {
            throw DBError(
                .invalidNamespace, "\(stage) reads no collection, so a view can't begin with it")
        }
        guard ofCollections.contains(stage) else { return try compiler.pipeline(stages) }
        return try compiler.pipeline(replacing(first: [], of: stages))
    }

    /// First stages that make documents of nothing.
    private static let withoutCollection: Set<String> = [
        "$changeStream", "$currentOp", "$documents", "$listLocalSessions", "$listSessions",
    ]

    /// First stages of the server's that tell of a collection.
    private static let ofCollections: Set<String> = [
        "$collStats", "$indexStats", "$planCacheStats",
    ]

    @_lifetime(copy stages)
    private static func first(of stages: DocumentView) -> ElementView? {
        guard let stage = stages.first?.value.document, stage.count == 1 else { return nil }
        return stage.first
    }

    private static func replacing(first documents: [Value], of stages: [Value]) -> [Value] {
        [["$documents": ["$literal": .array(documents)]]] + stages.dropFirst()
    }

    private static func documents(
        _ stage: String, _ argument: ValueView, _ namespace: Namespace,
        _ call: borrowing CommandCall
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
            return try indexStats(namespace, call)
        case "$planCacheStats":
            try checkStrictAPI(stage, call)
            try checkPlace(!call.commandValue.isNumeric, stage, "a collection")
            guard let object = argument.document, object.isEmpty else {
                throw DBError(
                    .failedToParse, "\(stage) takes no options: write {\(stage): {}}")
            }
            return try PlanCacheCommands.statistics(namespace, call)
        case "$collStats":
            return [.document(try CollStatsStage.document(argument, namespace, call))]
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
    private static func indexStats(
        _ namespace: Namespace, _ call: borrowing CommandCall
    ) throws(DBError) -> [Value] {
        guard let entry = call.core.engine.collection(namespace) else { return [] }
        try entry.checkIsNoView()
        let specifications = [entry.idIndexSpecification] + entry.indexes.map(\.specification)
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
