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
    /// The one table that exists from the start: the engine's catalog.
    package static let catalog = TableID(rawValue: 1)
    /// The first number that `createTable` hands out.
    static let firstFree = TableID(rawValue: 16)

    /// By number, which is the order of creation.
    package static func < (left: TableID, right: TableID) -> Bool {
        left.rawValue < right.rawValue
    }

    /// `table 17`.
    package var description: String { "table \(rawValue)" }
}
