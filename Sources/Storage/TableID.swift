/// Names a table for good: the store hands numbers out in ascending order and never reuses one, so
/// that a stale id is an error and never another table.
package struct TableID: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The number; stable on disk.
    package let rawValue: UInt64

    /// Names the table that the store once handed out under this number.
    package init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    /// The store's own bookkeeping: format, identity, registry of tables.
    static let registry = TableID(rawValue: 0)
    /// The engine's catalog; there from the start.
    package static let catalog = TableID(rawValue: 1)
    /// The engine's change log; there from the start.
    package static let changeLog = TableID(rawValue: 2)
    /// The outcomes of retryable writes; there from the start.
    package static let outcomes = TableID(rawValue: 3)
    /// Deleted documents that are kept; there from the start.
    package static let trash = TableID(rawValue: 4)
    /// Users, roles, credentials and keys, which no query reaches; there from the start.
    package static let accounts = TableID(rawValue: 5)
    /// The tables that exist from the start. One that a folder of an older release lacks is made
    /// when it is opened.
    static let permanent = [catalog, changeLog, outcomes, trash, accounts]
    /// The first number that `createTable` hands out.
    static let firstFree = TableID(rawValue: 16)

    /// Whether the table was made in a draft and is not stored.
    package var isInDraft: Bool { rawValue >= Draft.firstTable }

    /// By number, which is the order of creation.
    package static func < (left: TableID, right: TableID) -> Bool {
        left.rawValue < right.rawValue
    }

    /// `table 17`.
    package var description: String { "table \(rawValue)" }
}
