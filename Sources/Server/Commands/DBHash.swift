// dbHash: a digest of each collection of a database, by which two copies are compared.
//
// As in MongoDB, a collection's digest is the MD5 of its documents in the order of `_id`, and the
// database's that of its collections' digests in the order of their names. Documents in another
// order (of capped collections and time series) are taken as they lie.

import BSON
import Query
import Roost
import Wire

enum DBHash {
    static let definition = CommandDefinition(
        "dbHash", aliases: ["dbhash"], .takesAnyField,
        access: .database([.dbHash]), help: "shows a digest of each collection", run: run)

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let database = call.database
        try Namespace.validate(database: database)
        let start = ContinuousClock.now
        let wanted = names(call.body.value("collections"))
        let engine = call.core.engine
        let entries = engine.catalog.collections(of: database).filter { entry in
            entry.view == nil && !entry.namespace.isSystem
                && (wanted.isEmpty || wanted.contains(entry.namespace.collection))
        }
        var reads: [(entry: CollectionEntry, cursor: QueryCursor)] = []
        for entry in entries {
            var request = FindRequest(
                entry.namespace, filter: try QueryCompiler(call, entry.namespace).filter(nil))
            request.deadline = call.special.deadline
            reads.append((entry, try engine.openCursor(request)))
        }
        let ticket = call.ticket()
        let work = reads
        engine.readerPool.submit { reader in
            ticket.answer { reply throws(DBError) in
                var total = Digest()
                var digests: [(name: String, digest: String)] = []
                for (entry, cursor) in work {
                    var digest = Digest()
                    while try cursor.advanceFully(
                        reader, documentsMax: Digest.batch, into: &digest) != .exhausted
                    {}
                    let text = digest.finish()
                    total.append(text)
                    digests.append((entry.namespace.collection, text))
                }
                write(digests, work.map(\.entry), total.finish(), start, &reply)
            }
        }
        return .deferred
    }

    /// The names that are asked for; what is no list of strings asks for all, as in MongoDB.
    private static func names(_ value: ValueView?) -> Set<String> {
        guard let list = value?.array else { return [] }
        var names: Set<String> = []
        var elements = list.makeIterator()
        while let element = elements.next() {
            if let name = element.value.string { names.insert(name) }
        }
        return names
    }

    private static func write(
        _ digests: [(name: String, digest: String)], _ entries: [CollectionEntry],
        _ total: String, _ start: ContinuousClock.Instant, _ reply: inout ReplyWriter
    ) {
        reply.append("host", HostInfo.hostName)
        let collections = Document { writer in
            for (name, digest) in digests { writer.append(name, digest) }
        }
        reply.append("collections", document: collections)
        let capped = entries.filter { $0.traits.capped != nil }
        reply.append(
            "capped", .array(capped.map { .string($0.namespace.collection) }))
        let uuids = Document { writer in
            for entry in entries { writer.append(entry.namespace.collection, entry.uuid.value) }
        }
        reply.append("uuids", document: uuids)
        reply.append("md5", total)
        let time = (ContinuousClock.now - start).components
        reply.append(
            "timeMillis",
            Int32(clamping: time.seconds * 1_000 + time.attoseconds / 1_000_000_000_000_000))
    }

    /// The MD5 of what it is given.
    private struct Digest: DocumentSink {
        /// Documents read before the cursor comes back.
        static let batch = 100_000

        private var digest = MD5()

        mutating func append(_ document: DocumentView) {
            digest.append(document.bytes)
        }

        mutating func append(_ text: String) {
            for byte in text.utf8 { digest.append(byte) }
        }

        /// The digest in hexadecimal digits. Ends the input.
        mutating func finish() -> String { digest.finishHexadecimal() }
    }
}
