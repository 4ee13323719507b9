// validateDBMetadata: says which indexes go beyond the stable API: sparse ones do, and text ones.

import BSON
import Query
import Roost
import Wire

enum ValidateDBMetadata {
    static let definition = CommandDefinition(
        "validateDBMetadata", [],
        fields: [
            FieldSpec("apiParameters", .document, required: true), FieldSpec("db", .string),
            FieldSpec("collection", .string),
        ], access: .cluster([.listDatabases]), help: "says what goes beyond the stable API",
        run: run)

    private static let parameterFields = [
        FieldSpec("version", .string, required: true),
        FieldSpec("strict", .bool, refusesNull: true),
        FieldSpec("deprecationErrors", .bool, refusesNull: true),
    ]

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        if let parameters = call.document("apiParameters") {
            try StatementReader.check(
                parameters, "validateDBMetadata.apiParameters", parameterFields)
            guard parameters.value("version")?.string == "1" else {
                throw DBError(.apiVersionError, "API version must be \"1\"")
            }
        }
        if let database = call.string("db") { try check(database: database) }
        if let collection = call.string("collection") { try check(collection: collection) }
        let isStrict = call.document("apiParameters")?.value("strict")?.bool == true
        let list = reply.openArray("apiVersionErrors")
        if isStrict { appendErrors(call, &reply) }
        reply.close(list)
        return .done
    }

    private static func appendErrors(_ call: borrowing CommandCall, _ reply: inout ReplyWriter) {
        let database = call.string("db")
        let collection = call.string("collection")
        let catalog = call.core.engine.catalog
        for name in catalog.databases where database == nil || name == database {
            for entry in catalog.collections(of: name)
            where collection == nil || entry.namespace.collection == collection {
                for index in entry.indexes where index.isSparse || index.pattern.text != nil {
                    let element = reply.openElement()
                    reply.append("ns", entry.namespace.description)
                    reply.append("code", DBError.Code.apiStrictError.rawValue)
                    reply.append("codeName", DBError.Code.apiStrictError.name)
                    reply.append(
                        "errmsg",
                        "The index with name \(index.name) is not allowed in API version 1.")
                    reply.close(element)
                }
            }
        }
    }

    /// A name that could be a database's.
    private static func check(database: String) throws(DBError) {
        guard !database.isEmpty else {
            throw DBError(DBError.Code(rawValue: 28_539), "The database's name is empty")
        }
        guard !database.utf8.contains(0), !database.contains("."), database.utf8.count < 64 else {
            throw DBError(.invalidNamespace, "Invalid database name: '\(database)'")
        }
        guard !database.contains(where: { " /\\\"".contains($0) }) else {
            throw DBError(
                DBError.Code(rawValue: 13_280), "invalid db name: \(database)")
        }
    }

    /// A name that could be a collection's.
    private static func check(collection: String) throws(DBError) {
        guard !collection.isEmpty, !collection.hasPrefix("."), !collection.utf8.contains(0) else {
            throw DBError(.invalidNamespace, "Invalid collection name: \(collection)")
        }
    }
}
