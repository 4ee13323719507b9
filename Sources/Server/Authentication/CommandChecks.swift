// What commands ask for whose fields decide it: pipelines, writes of several kinds or collections,
// renames, views.

import BSON
import Query
import Roost
import Wire

extension CommandAccess {
    /// aggregate: what each stage reads or writes.
    static let aggregate = CommandAccess.fields { call, rights throws(DBError) in
        let namespace = Namespace(
            call.database, call.commandValue.string ?? ForeignCollection.ofDatabase)
        guard let stages = call.value("pipeline")?.array else { return }
        try PipelineRights(rights).check(
            stages, namespace, bypasses: call.truth("bypassDocumentValidation") == true, call)
    }

    /// live: reading, and following.
    static let live = CommandAccess.fields { call, rights throws(DBError) in
        let namespace = Namespace(call.database, call.commandValue.string ?? "")
        try rights.require([.find, .changeStream], on: namespace, call)
        if let stages = call.value("pipeline")?.array {
            try PipelineRights(rights).check(stages, namespace, bypasses: false, call)
        }
    }

    /// getMore: still to be allowed to read. Results that belong to no collection are their
    /// session's, and end when rights are withdrawn.
    static let getMore = CommandAccess.fields { call, rights throws(DBError) in
        let collection = call.string("collection") ?? ""
        if collection.hasPrefix("$cmd") { return }
        try rights.require([.find], on: Namespace(call.database, collection), call)
    }

    static let killCursors = CommandAccess.fields { call, rights throws(DBError) in
        let collection = call.commandValue.string ?? ""
        if collection.hasPrefix("$cmd") || rights.authority.allowsOnCluster([.killAnyCursor]) {
            return
        }
        try rights.require([.killCursors], on: Namespace(call.database, collection), call)
    }

    static let insert = CommandAccess.fields { call, rights throws(DBError) in
        let namespace = Namespace(call.database, call.commandValue.string ?? "")
        try rights.require(call.withBypass([.insert]), on: namespace, call)
    }

    static let update = CommandAccess.fields { call, rights throws(DBError) in
        var actions: ActionSet = [.update]
        try StatementReader.forEach("updates", call) { statement throws(DBError) in
            if statement.value("upsert")?.isTruthy == true { actions.insert(.insert) }
        }
        let namespace = Namespace(call.database, call.commandValue.string ?? "")
        try rights.require(call.withBypass(actions), on: namespace, call)
    }

    static let findAndModify = CommandAccess.fields { call, rights throws(DBError) in
        var actions: ActionSet = [.find]
        actions.insert(call.truth("remove") == true ? .remove : .update)
        if call.truth("upsert") == true { actions.insert(.insert) }
        let namespace = Namespace(call.database, call.commandValue.string ?? "")
        try rights.require(call.withBypass(actions), on: namespace, call)
    }

    static let bulkWrite = CommandAccess.fields { call, rights throws(DBError) in
        var namespaces: [Namespace] = []
        try StatementReader.forEach("nsInfo", call) { entry throws(DBError) in
            let name = entry.value("ns")?.string ?? ""
            let parts = name.split(separator: ".", maxSplits: 1)
            namespaces.append(
                Namespace(
                    parts.first.map(String.init) ?? "",
                    parts.dropFirst().first.map(String.init) ?? ""))
        }
        var needed = [ActionSet](repeating: [], count: namespaces.count)
        try StatementReader.forEach("ops", call) { operation throws(DBError) in
            guard let first = operation.first, let place = first.value.exactInteger,
                needed.indices.contains(Int(clamping: place))
            else { return }
            let index = Int(clamping: place)
            switch first.nameString {
            case "insert": needed[index].insert(.insert)
            case "delete": needed[index].insert(.remove)
            default:
                needed[index].insert(.update)
                if operation.value("upsert")?.isTruthy == true { needed[index].insert(.insert) }
            }
        }
        for (index, namespace) in namespaces.enumerated() {
            // Naming a collection tells whether it is there.
            let actions = needed[index].isEmpty ? [.insert] : needed[index]
            try rights.require(call.withBypass(actions), on: namespace, call)
        }
    }

    /// create: also to read what a view shows.
    static let create = CommandAccess.fields { call, rights throws(DBError) in
        let namespace = Namespace(call.database, call.commandValue.string ?? "")
        let isView = call.value("viewOn") != nil
        let allowed = rights.authority.actions(on: namespace)
        guard allowed.contains(.createCollection) || (!isView && allowed.contains(.insert)) else {
            throw AccountRights.refusal(call)
        }
        try checkView(call, rights)
    }

    /// collMod: also to read what a view shows.
    static let collMod = CommandAccess.fields { call, rights throws(DBError) in
        let namespace = Namespace(call.database, call.commandValue.string ?? "")
        try rights.require([.collMod], on: namespace, call)
        try checkView(call, rights)
    }

    private static func checkView(
        _ call: borrowing CommandCall, _ rights: AccountRights
    ) throws(DBError) {
        guard let source = call.string("viewOn") else { return }
        let namespace = Namespace(call.database, source)
        if let stages = call.value("pipeline")?.array {
            try PipelineRights(rights).check(stages, namespace, bypasses: false, call)
        } else {
            try rights.require([.find], on: namespace, call)
        }
    }

    static let renameCollection = CommandAccess.fields { call, rights throws(DBError) in
        func split(_ name: String?) -> Namespace {
            let parts = (name ?? "").split(separator: ".", maxSplits: 1)
            return Namespace(
                parts.first.map(String.init) ?? "", parts.dropFirst().first.map(String.init) ?? "")
        }
        let source = split(call.commandValue.string)
        let target = split(call.string("to"))
        let dropsTarget = call.truth("dropTarget") == true
        let isInside = source.database == target.database
        if isInside, !source.isSystem, !target.isSystem, !dropsTarget,
            rights.authority.actions(onDatabase: source.database)
                .contains(.renameCollectionSameDB)
        {
            return
        }
        try rights.require([.find, .dropCollection], on: source, call)
        try rights.require(
            dropsTarget
                ? [.insert, .createIndex, .dropCollection] : [.insert, .createIndex],
            on: target, call)
    }

    static let cloneCollection = CommandAccess.fields { call, rights throws(DBError) in
        let source = Namespace(call.database, call.commandValue.string ?? "")
        let target = Namespace(call.database, call.body.value("toCollection")?.string ?? "")
        try rights.require([.find], on: source, call)
        try rights.require([.insert, .createIndex, .convertToCapped], on: target, call)
    }

    /// dataSize names a whole namespace.
    static let dataSize = CommandAccess.fields { call, rights throws(DBError) in
        let parts = (call.commandValue.string ?? "").split(separator: ".", maxSplits: 1)
        let namespace = Namespace(
            parts.first.map(String.init) ?? "", parts.dropFirst().first.map(String.init) ?? "")
        try rights.require([.find], on: namespace, call)
    }

    /// listCollections: names of what is allowed need no right of their own.
    static let listCollections = CommandAccess.fields { call, rights throws(DBError) in
        if call.truth("nameOnly") == true, call.truth("authorizedCollections") == true { return }
        try rights.require([.listCollections], onDatabase: call.database, call)
    }

    /// listDatabases: names of what is allowed need no right of their own.
    static let listDatabases = CommandAccess.fields { call, rights throws(DBError) in
        if call.value("authorizedDatabases")?.bool == false {
            try rights.require(onCluster: [.listDatabases], call)
        }
    }

    /// killSessions: whoever knows a session's id may end it; all of them takes a right.
    static let killSessions = CommandAccess.fields { call, rights throws(DBError) in
        if call.commandValue.array?.isEmpty != false {
            try rights.require(onCluster: [.killAnySession], call)
        }
    }

    /// profile: to look, and to change.
    static let profile = CommandAccess.fields { call, rights throws(DBError) in
        let isLooking = call.commandValue.exactInteger.map { $0 < 0 } ?? false
        let profile = Namespace(call.database, Profiler.collection)
        if isLooking, rights.authority.actions(on: profile).contains(.find) { return }
        try rights.require([.enableProfiler], onDatabase: call.database, call)
    }

    /// query: looked at when the text is compiled.
    static let text = CommandAccess.account

    /// explain: looked at when the explained command is known.
    static let explain = CommandAccess.account
}

extension CommandCall {
    /// Checks a statement of the text language.
    /// - Throws: 13 Unauthorized.
    func authorize(_ command: TextCommand) throws(DBError) {
        guard case .account(let name, let authority) = connection.access.grant else { return }
        let rights = AccountRights(account: name, authority: authority)
        let namespace = Namespace(database, command.collection)
        switch command {
        case .read(_, let stages, _), .explain(_, let stages, _, _):
            try PipelineRights(rights).check(stages, namespace, self)
        case .live(_, let stages):
            try rights.require([.find, .changeStream], on: namespace, self)
            try PipelineRights(rights).check(stages, namespace, self)
        case .insert, .restore:
            try rights.require(withBypass([.insert]), on: namespace, self)
        case .update(_, _, _, let isUpsert):
            try rights.require(
                withBypass(isUpsert ? [.update, .insert] : [.update]), on: namespace, self)
        case .delete, .purge: try rights.require([.remove], on: namespace, self)
        case .createIndex: try rights.require([.createIndex], on: namespace, self)
        case .dropIndex: try rights.require([.dropIndex], on: namespace, self)
        case .createCollection: try rights.require([.createCollection], on: namespace, self)
        case .dropCollection: try rights.require([.dropCollection], on: namespace, self)
        case .insertRows(_, let source, let stages, _):
            try rights.require([.insert], on: namespace, self)
            try PipelineRights(rights).check(stages, Namespace(database, source), self)
        case .renameCollection:
            try rights.require([.renameCollectionSameDB], onDatabase: database, self)
        case .alterCollection: try rights.require([.collMod], on: namespace, self)
        case .deployRules: try rights.require(onCluster: [.setParameter], self)
        }
    }
}
