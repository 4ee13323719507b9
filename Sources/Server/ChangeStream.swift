// $changeStream: where it may be run, and what the stages behind it may be.

import BSON
import Query
import Roost

enum ChangeStream {
    /// The change stream that the pipeline begins with; nil where it begins with another stage.
    ///
    /// - Throws: what its argument and the stages behind it throw; 72 for a read concern other than
    ///   majority, 323 under a strict API where it is not allowed.
    static func request(
        _ call: borrowing CommandCall, _ namespace: Namespace
    ) throws(DBError) -> ChangeStreamRequest? {
        guard let stages = call.value("pipeline")?.array,
            let first = stages.first?.value.document, first.count == 1,
            let stage = first.first, stage.name.equals("$changeStream")
        else { return nil }
        guard let argument = stage.value.document else {
            throw DBError(
                DBError.Code(rawValue: 50808),
                "$changeStream stage expects a document as argument")
        }
        try checkReadConcern(call)
        let scope = try scope(argument, call, namespace)
        let (rest, splits) = behind(stages)
        let pipeline = try QueryCompiler(call).pipeline(rest)
        try Pipeline.checkForChanges(stages)
        return try ChangeStreamRequest(
            argument, namespace, scope, pipeline: pipeline, splitsLargeEvents: splits)
    }

    private static func checkReadConcern(_ call: borrowing CommandCall) throws(DBError) {
        guard let level = call.document("readConcern")?.value("level")?.string,
            level != "majority"
        else { return }
        throw DBError(
            .invalidOptions,
            "Read concern level '\(level)' is not supported for $changeStream; leave it out, or use "
                + "'majority'")
    }

    private static func scope(
        _ argument: DocumentView, _ call: borrowing CommandCall, _ namespace: Namespace
    ) throws(DBError) -> ChangeScope {
        if call.commandValue.isNumeric {
            let isForCluster = argument.value("allChangesForCluster")?.bool == true
            if isForCluster, call.database == "admin" { return .server }
            try checkMayBeWatched(call.database, "$changeStream")
            return .database(call.database)
        }
        try checkMayBeWatched(namespace.database, "$changeStream")
        guard !namespace.isSystem else {
            throw DBError(
                .invalidNamespace,
                "$changeStream may not be opened on the internal \(namespace) collection")
        }
        if let entry = call.core.engine.collection(namespace) {
            try entry.checkIsNoView()
            try entry.checkIsNoTimeSeries()
        }
        return .collection(namespace)
    }

    private static func checkMayBeWatched(
        _ database: String, _ stage: String
    ) throws(DBError) {
        guard !["admin", "config", "local"].contains(database) else {
            throw DBError(
                .invalidNamespace, "\(stage) may not be opened on the internal \(database) database"
            )
        }
    }

    /// The stages behind the first, without the one that splits events, and whether that is there.
    private static func behind(_ stages: DocumentView) -> (stages: [Value], splits: Bool) {
        var rest: [Value] = []
        var splits = false
        var elements = stages.makeIterator()
        _ = elements.next()
        while let element = elements.next() {
            if element.value.document?.first?.nameString == Pipeline.splitStage {
                splits = true
            } else {
                rest.append(Value(element.value))
            }
        }
        return (rest, splits)
    }
}
