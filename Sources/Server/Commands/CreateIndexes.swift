// createIndexes: makes indexes and waits until they are built.

import BSON
import Query
import Roost
import Wire

enum CreateIndexes {
    static let definition = CommandDefinition(
        "createIndexes", [.isWrite, .inStableAPI, .inTransaction, .takesReadConcern],
        fields: [
            FieldSpec("indexes", .array, required: true),
            FieldSpec("commitQuorum", [.number, .string]),
            FieldSpec("ignoreUnknownIndexOptions", .truth), FieldSpec("v", .number),
            FieldSpec("returnOnStart", .truth),
        ], access: .collection([.createIndex]), help: "makes indexes", run: run)

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let namespace = try call.namespace()
        try namespace.validate()
        var specifications: [IndexSpecification] = []
        if let array = call.value("indexes")?.array {
            var elements = array.makeIterator()
            while let element = elements.next() {
                guard let document = element.value.document else {
                    throw DBError(
                        .typeMismatch,
                        "The elements of the 'indexes' array must be objects, but got "
                            + element.value.type.alias)
                }
                specifications.append(try IndexSpecification(document))
            }
        }
        guard !specifications.isEmpty else {
            throw DBError(.badValue, "Must specify at least one index to create")
        }
        if call.value("commitQuorum") != nil, !call.core.topology.isReplicaSet {
            throw DBError(
                .badValue,
                "Standalones can't specify commitQuorum")
        }
        let ticket = call.ticket()
        let concern = call.special.writeConcern
        let answer = { @Sendable (outcome: Result<IndexesCreated, DBError>) in
            ticket.answer { reply throws(DBError) in
                let created = try outcome.get()
                reply.append("numIndexesBefore", Int32(clamping: created.before))
                reply.append("numIndexesAfter", Int32(clamping: created.after))
                reply.append("createdCollectionAutomatically", created.madeCollection)
                if created.before == created.after {
                    reply.append("note", "all indexes already exist")
                }
                WriteReply.appendConcern(concern, &reply)
            }
        }
        if let transaction = call.special.transaction {
            transaction.createIndexes(namespace, specifications, completion: answer)
        } else {
            let interrupt = Interrupt(deadline: call.special.deadline)
            call.mayEnd(interrupt)
            call.core.engine.createIndexes(
                namespace, specifications, interrupt, completion: answer)
        }
        return .deferred
    }
}
