// $sort, and find's sort; with a limit only the first documents are kept.

import BSON

final class SortStage: StageExecution {
    private let pattern: SortPattern
    private var encoder = KeyEncoder()
    private let sorter: DocumentSorter

    /// `limit`: how many documents are wanted of the sort; nil for all.
    init(
        _ pattern: SortPattern, limit: Int?, _ resources: ExecutionResources,
        _ next: StageExecution
    ) {
        self.pattern = pattern
        sorter = DocumentSorter("Sort", limit: limit, resources)
        super.init(next)
    }

    override var memoryBytes: Int { sorter.byteCount }

    override func push(_ document: DocumentView, arrayPosition: Int?) throws(DBError) -> Bool {
        encoder.removeAll()
        try pattern.appendKey(of: document, to: &encoder)
        try sorter.insert(document, key: encoder.bytes, arrayPosition: arrayPosition)
        return true
    }

    override func endInput() throws(DBError) {
        try sorter.endInput()
    }

    override func drainOne() throws(DBError) -> Bool {
        try sorter.next { _, document, position throws(DBError) in
            _ = try passOn(document, arrayPosition: position)
        }
    }
}
