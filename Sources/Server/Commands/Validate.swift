// validate: checks a collection's documents and indexes against each other.

import BSON
import Query
import Roost
import Wire

enum Validate {
    static let definition = CommandDefinition(
        "validate", [],
        fields: [
            FieldSpec("full", .truth), FieldSpec("repair", .truth), FieldSpec("metadata", .truth),
            FieldSpec("background", .truth), FieldSpec("checkBSONConformance", .truth),
            FieldSpec("scandata", .truth), FieldSpec("fixMultikey", .truth),
        ], access: .collection([.validate]), help: "checks a collection for damage", run: run)

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let namespace = try call.namespace()
        try namespace.validate()
        if call.truth("repair") == true {
            throw DBError(.notImplemented, "validate with repair: true is not supported")
        }
        if call.truth("background") == true {
            if call.truth("full") == true {
                throw DBError(
                    .invalidOptions,
                    "Running the validate command with both { background: true } "
                        + "and { full: true } is not supported.")
            }
        }
        let engine = call.core.engine
        guard let entry = engine.collection(namespace) else {
            throw DBError(
                .namespaceNotFound, "Collection '\(namespace)' does not exist to validate.")
        }
        try entry.checkIsNoView()
        let showsRecords = call.truth("metadata") != true
        let ticket = call.ticket()
        let interrupt = Interrupt(deadline: call.special.deadline)
        call.mayEnd(interrupt)
        engine.readerPool.submit { reader in
            ticket.answer { reply throws(DBError) in
                let report = try engine.verify(namespace, interrupt)
                let numbers = try engine.numbers(of: entry, reader)
                write(report, numbers, entry, showsRecords: showsRecords, &reply)
            }
        }
        return .deferred
    }

    private static func write(
        _ report: VerificationReport, _ numbers: CollectionNumbers, _ entry: CollectionEntry,
        showsRecords: Bool, _ reply: inout ReplyWriter
    ) {
        let isValid = report.faults.isEmpty
        reply.append("ns", entry.namespace.description)
        reply.append("uuid", entry.uuid.value)
        if showsRecords {
            reply.append("nInvalidDocuments", Int32(0))
            reply.append("nNonCompliantDocuments", Int32(0))
            reply.append("nrecords", count: report.documents)
        }
        reply.append("nIndexes", count: entry.indexCount)
        let specifications = [entry.idIndexSpecification] + entry.indexes.map(\.specification)
        if showsRecords {
            let counts = [numbers.documents] + numbers.entries.map(\.count)
            let keys = Document { writer in
                for (specification, count) in zip(specifications, counts) {
                    writer.append(name(of: specification), count.smallestValue)
                }
            }
            reply.append("keysPerIndex", document: keys)
        }
        let details = Document { writer in
            for specification in specifications {
                let detail = writer.openDocument(name(of: specification))
                writer.append("valid", isValid)
                writer.append("spec", specification)
                writer.close(detail)
            }
        }
        reply.append("indexDetails", document: details)
        reply.append("repairMode", "None")
        reply.append("valid", isValid)
        reply.append("repaired", false)
        reply.append("warnings", .array([]))
        reply.append("errors", .array(report.faults.map { .string($0.description) }))
        reply.append("extraIndexEntries", .array([]))
        reply.append("missingIndexEntries", .array([]))
        reply.append("corruptRecords", .array([]))
    }

    private static func name(of specification: Document) -> String {
        if case .string(let name)? = specification["name"] { name } else { "" }
    }
}
