// Answers of one row, as a cursor that is done: how text statements answer that read nothing.

import Roost
import Wire

enum RowReply {
    /// The places to be closed, innermost last.
    struct Mark {
        fileprivate let cursor: Int
        fileprivate let batch: Int
        fileprivate let row: Int
    }

    /// Begins a row; its fields follow.
    static func open(_ reply: inout ReplyWriter) -> Mark {
        let cursor = reply.openDocument("cursor")
        let batch = reply.openArray("firstBatch")
        return Mark(cursor: cursor, batch: batch, row: reply.openElement())
    }

    /// Ends the row, the batch and the cursor.
    static func close(_ mark: Mark, _ namespace: Namespace, _ reply: inout ReplyWriter) {
        reply.close(mark.row)
        BatchRun.writeEnd(
            id: 0, namespace, &reply, cursorMark: mark.cursor, batchMark: mark.batch)
    }
}
