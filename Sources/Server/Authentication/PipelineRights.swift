// What a pipeline's stages need: reading its collection and those that it joins, writing where its
// results go, and what stages about the server show. Stages inside of stages count too.

import BSON
import Query
import Roost
import Wire

struct PipelineRights {
    private let rights: AccountRights

    init(_ rights: AccountRights) {
        self.rights = rights
    }

    /// Checks the stages of a text.
    /// - Throws: 13 Unauthorized.
    func check(
        _ stages: [Value], _ namespace: Namespace, _ call: borrowing CommandCall
    ) throws(DBError) {
        let list = OwnedValue(.array(stages))
        try check(DocumentView(list.view.bytes), namespace, bypasses: false, call)
    }

    /// Checks the stages of a command.
    /// - Throws: 13 Unauthorized.
    func check(
        _ stages: DocumentView, _ namespace: Namespace, bypasses: Bool,
        _ call: borrowing CommandCall
    ) throws(DBError) {
        try checkSource(stages, namespace, call)
        var elements = stages.makeIterator()
        while let element = elements.next() {
            guard let stage = element.value.document?.first else { continue }
            try check(stage, namespace, bypasses: bypasses, call)
        }
    }

    /// What the first stage reads.
    private func checkSource(
        _ stages: DocumentView, _ namespace: Namespace, _ call: borrowing CommandCall
    ) throws(DBError) {
        let first = stages.first?.value.document?.first
        let name = first?.nameString ?? ""
        switch name {
        case "$changeStream":
            let actions: ActionSet = [.find, .changeStream]
            if first?.value.document?.value("allChangesForCluster")?.isTruthy == true {
                let allowed = rights.authority.actions(on: Namespace("\u{1}", "any"))
                guard allowed.contains(actions) else { throw AccountRights.refusal(call) }
            } else if namespace.collection == ForeignCollection.ofDatabase {
                try rights.require(actions, onDatabase: namespace.database, call)
            } else {
                try rights.require(actions, on: namespace, call)
            }
        case "$collStats": try rights.require([.collStats], on: namespace, call)
        case "$indexStats": try rights.require([.indexStats], on: namespace, call)
        case "$planCacheStats": try rights.require([.planCacheRead], on: namespace, call)
        case "$currentOp": try rights.require(onCluster: [.inprog], call)
        case "$listSessions", "$listLocalSessions":
            try rights.require(onCluster: [.listSessions], call)
        case "$queryStats": try rights.require(onCluster: [.queryStatsRead], call)
        case "$listCatalog", "$listClusterCatalog":
            try rights.require(onCluster: [.listClusterCatalog], call)
        case "$documents": break
        default:
            if namespace.collection == ForeignCollection.ofDatabase {
                // Refused by itself, and nothing is read.
                try rights.require([.listCollections], onDatabase: namespace.database, call)
            } else {
                try rights.require([.find], on: namespace, call)
            }
        }
    }

    /// What a stage reads and writes beside its source.
    private func check(
        _ stage: ElementView, _ namespace: Namespace, bypasses: Bool,
        _ call: borrowing CommandCall
    ) throws(DBError) {
        switch stage.nameString {
        case "$lookup", "$graphLookup":
            guard let fields = stage.value.document else { return }
            var foreign: Namespace?
            if let from = fields.value("from") { foreign = place(from, namespace) }
            if let pipeline = fields.value("pipeline")?.array {
                let own = foreign ?? Namespace(namespace.database, ForeignCollection.ofDatabase)
                try check(pipeline, own, bypasses: bypasses, call)
            } else if foreign == nil {
                return
            }
            if let foreign { try rights.require([.find], on: foreign, call) }
        case "$unionWith":
            if let fields = stage.value.document {
                var foreign = Namespace(namespace.database, ForeignCollection.ofDatabase)
                if let name = fields.value("coll") { foreign = place(name, namespace) }
                if let pipeline = fields.value("pipeline")?.array {
                    try check(pipeline, foreign, bypasses: bypasses, call)
                    if foreign.collection == ForeignCollection.ofDatabase { return }
                }
                try rights.require([.find], on: foreign, call)
            } else {
                try rights.require([.find], on: place(stage.value, namespace), call)
            }
        case "$facet":
            try checkEach(stage.value.document, namespace, bypasses: bypasses, call)
        case "$rankFusion", "$scoreFusion":
            let pipelines = stage.value.document?.value("input")?.document?.value("pipelines")
            try checkEach(pipelines?.document, namespace, bypasses: bypasses, call)
        case "$out":
            try require([.insert, .remove], on: stage.value, namespace, bypasses, call)
        case "$merge":
            guard let fields = stage.value.document, let into = fields.value("into") else {
                return try require([.insert, .update], on: stage.value, namespace, bypasses, call)
            }
            try require([.insert, .update], on: into, namespace, bypasses, call)
        default: return
        }
    }

    /// Pipelines by name.
    private func checkEach(
        _ pipelines: DocumentView?, _ namespace: Namespace, bypasses: Bool,
        _ call: borrowing CommandCall
    ) throws(DBError) {
        guard let pipelines else { return }
        var elements = pipelines.makeIterator()
        while let element = elements.next() {
            guard let list = element.value.array else { continue }
            var stages = list.makeIterator()
            // Each begins with the documents that are there already.
            while let item = stages.next() {
                guard let stage = item.value.document?.first else { continue }
                try check(stage, namespace, bypasses: bypasses, call)
            }
        }
    }

    private func require(
        _ actions: ActionSet, on target: ValueView, _ namespace: Namespace, _ bypasses: Bool,
        _ call: borrowing CommandCall
    ) throws(DBError) {
        let all = bypasses ? actions.union([.bypassDocumentValidation]) : actions
        try rights.require(all, on: place(target, namespace), call)
    }

    /// The collection that `"name"` or `{db, coll}` names.
    private func place(_ value: ValueView, _ namespace: Namespace) -> Namespace {
        if let fields = value.document {
            return Namespace(
                fields.value("db")?.string ?? namespace.database,
                fields.value("coll")?.string ?? "")
        }
        return Namespace(namespace.database, value.string ?? "")
    }
}
