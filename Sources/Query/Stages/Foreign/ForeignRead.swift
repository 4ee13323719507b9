// How stages read other collections. Stages are pure: while a pipeline is compiled its scope says
// which collection a name means (ForeignCollections), while it runs its reader gives that
// collection's results (ForeignReader). The engine and the server implement both.

package import BSON

/// A collection that a stage reads.
package struct ForeignCollection: Sendable {
    /// The database.
    package let database: String
    /// The collection; behind a view, the one that the view reads in the end.
    package let collection: String
    /// The stages of the views on the way, to be run first.
    package let viewStages: [Value]

    /// What stands for the collection where a pipeline is about the database, `{aggregate: 1}`.
    package static let ofDatabase = "$cmd.aggregate"

    /// A collection, and the stages of the views on the way to it.
    package init(database: String, collection: String, viewStages: [Value] = []) {
        self.database = database
        self.collection = collection
        self.viewStages = viewStages
    }
}

/// Says what collections are called; part of the scope in which a pipeline is compiled.
package protocol ForeignCollections: Sendable {
    /// The collection of that name; `database` nil for the one that the command runs on.
    /// A collection that doesn't exist is one without documents.
    ///
    /// - Throws: 73 for a bad name, 165 for views that lie too deep.
    func resolve(database: String?, collection: String) throws(DBError) -> ForeignCollection
}

/// Reads other collections for a running pipeline. Used by the pipeline's thread.
package protocol ForeignReader: AnyObject {
    /// Begins to run a pipeline over a collection. Nothing is read yet.
    func open(
        _ collection: ForeignCollection, _ pipeline: Pipeline
    ) throws(DBError) -> any ForeignCursor
}

/// Results of a pipeline over another collection.
package protocol ForeignCursor: AnyObject {
    /// Appends the next results to `batch`, as many as fit; false: these were the last.
    ///
    /// - Throws: whatever the pipeline throws; `maxTimeMSExpired`, `cursorKilled`.
    func next(into batch: inout DocumentBatch) throws(DBError) -> Bool
}

/// Documents one behind the other.
package struct DocumentBatch {
    private var bytes: [UInt8] = []
    private var ends: [Int] = []

    /// An empty batch.
    package init() {}

    /// How many documents a batch should hold at most.
    package static let documentsMax = 256
    /// How many bytes a batch should hold at most; one document may exceed it.
    package static let bytesMax = 1024 * 1024

    /// The number of documents.
    package var count: Int { ends.count }

    /// Bytes of memory, about.
    package var byteCount: Int { bytes.count + ends.count * MemoryLayout<Int>.stride }

    /// Copies a document.
    package mutating func append(_ document: DocumentView) {
        bytes.append(copying: document.bytes)
        ends.append(bytes.count)
    }

    /// The document at `index`, lent.
    package subscript(_ index: Int) -> DocumentView {
        @_lifetime(borrow self)
        get {
            let start = index == 0 ? 0 : ends[index - 1]
            return DocumentView(bytes.span.bytes.extracting(start..<ends[index]))
        }
    }

    /// Forgets all documents, keeps the memory.
    package mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        ends.removeAll(keepingCapacity: true)
    }
}

extension ExecutionResources {
    /// Begins to run `pipeline`, compiled for `collection`; a pipeline that makes its own documents
    /// needs no reader.
    func open(
        _ collection: ForeignCollection?, _ pipeline: Pipeline
    ) throws(DBError) -> any ForeignCursor {
        guard let collection, !pipeline.isCollectionless else {
            return OwnDocumentsCursor(pipeline, self)
        }
        guard let foreign else {
            throw DBError(
                .commandNotSupported,
                "A pipeline that reads other collections can't run here; run it with 'aggregate'")
        }
        return try foreign.open(collection, pipeline)
    }

    /// Runs `pipeline` and lends each result to `body` until it returns false.
    func forEach(
        _ collection: ForeignCollection?, _ pipeline: Pipeline, _ batch: inout DocumentBatch,
        _ body: (DocumentView) throws(DBError) -> Bool
    ) throws(DBError) {
        let cursor = try open(collection, pipeline)
        var hasMore = true
        while hasMore {
            batch.removeAll()
            hasMore = try cursor.next(into: &batch)
            for index in 0..<batch.count {
                guard try body(batch[index]) else { return }
            }
        }
    }
}

/// The results of a pipeline that makes its own documents.
private final class OwnDocumentsCursor: ForeignCursor {
    private let execution: PipelineExecution

    init(_ pipeline: Pipeline, _ resources: ExecutionResources) {
        execution = PipelineExecution(pipeline, resources)
    }

    func next(into batch: inout DocumentBatch) throws(DBError) -> Bool {
        try execution.finish()
        while batch.count < DocumentBatch.documentsMax, batch.byteCount < DocumentBatch.bytesMax {
            let taken: Void? = try execution.withNext { batch.append($0) }
            guard taken != nil else { return false }
            execution.removeFirst()
        }
        return true
    }
}
