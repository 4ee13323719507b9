// dataSize: how many bytes the documents of a collection, or of a range of an index's keys, have.

import BSON
import Query
import Roost
import Wire

enum DataSize {
    static let definition = CommandDefinition(
        "dataSize", aliases: ["datasize"], [],
        fields: [
            FieldSpec("keyPattern", .document), FieldSpec("min", .document),
            FieldSpec("max", .document), FieldSpec("estimate", .truth),
            FieldSpec("maxSize", .number), FieldSpec("maxObjects", .number),
        ], access: .dataSize, help: "adds up the sizes of documents", run: run)

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let namespace = try namespace(call)
        let hasMin = call.document("min") != nil
        let hasMax = call.document("max") != nil
        guard hasMin == hasMax else {
            throw DBError(.badValue, "dataSize: give 'min' and 'max' together, or neither")
        }
        guard !hasMin || call.document("keyPattern") != nil else {
            throw DBError(
                .operationFailed, "dataSize: 'min' and 'max' need the 'keyPattern' of an index")
        }
        let isEstimate = call.truth("estimate") == true && !hasMin
        guard let entry = call.core.engine.collection(namespace) else {
            write(Sizes(), isEstimate, .zero, &reply)
            return .done
        }
        try entry.checkIsNoView()
        let engine = call.core.engine
        if isEstimate {
            let numbers = try engine.numbers(of: entry, call.connection.loop.reader)
            let sizes = Sizes(documents: numbers.documents, bytes: numbers.dataBytes)
            write(sizes, isEstimate, .zero, &reply)
            return .done
        }
        var request = FindRequest(namespace, filter: try QueryCompiler(call).filter(nil))
        request.min = call.ownedDocument("min")
        request.max = call.ownedDocument("max")
        if hasMin { request.hint = call.ownedValue("keyPattern") }
        request.deadline = call.special.deadline
        let cursor = try engine.openCursor(request)
        let ticket = call.ticket()
        engine.readerPool.submit { reader in
            ticket.answer { reply throws(DBError) in
                let start = ContinuousClock.now
                var sizes = Sizes()
                while try cursor.advanceFully(reader, documentsMax: Sizes.batch, into: &sizes)
                    != .exhausted
                {}
                write(sizes, isEstimate, ContinuousClock.now - start, &reply)
            }
        }
        return .deferred
    }

    /// The collection, whose name is the command's value with its database.
    private static func namespace(_ call: borrowing CommandCall) throws(DBError) -> Namespace {
        let name = call.commandValue.string ?? ""
        guard let dot = name.firstIndex(of: ".") else {
            throw DBError(
                .invalidNamespace,
                "Invalid namespace specified '\(name)': dataSize takes 'database.collection'")
        }
        let namespace = Namespace(String(name[..<dot]), String(name[name.index(after: dot)...]))
        try namespace.validate()
        return namespace
    }

    private static func write(
        _ sizes: Sizes, _ isEstimate: Bool, _ time: Duration, _ reply: inout ReplyWriter
    ) {
        reply.append("size", Int64(sizes.bytes))
        reply.append("numObjects", Int64(sizes.documents))
        reply.append("millis", Int32(clamping: time.components.attoseconds / 1_000_000_000_000_000))
        reply.append("estimate", isEstimate)
    }

    /// What has been read.
    private struct Sizes: DocumentSink {
        /// Documents counted before the cursor comes back.
        static let batch = 100_000

        var documents = 0
        var bytes = 0

        mutating func append(_ document: DocumentView) {
            documents += 1
            bytes += document.bytes.byteCount
        }
    }
}
