// What a snapshot knows of tables without looking at their entries.

import BSON
import Storage

extension Store.ReadTransaction {
    /// The number of entries of a table; 0 for one that this snapshot doesn't know.
    borrowing func count(_ table: TableID) throws(DBError) -> UInt64 {
        do throws(StorageError) {
            return try entryCount(table)
        } catch .noSuchTable {
            return 0
        } catch {
            throw DBError(storage: error)
        }
    }

    /// Whether this snapshot has the table.
    borrowing func has(_ table: TableID) throws(DBError) -> Bool {
        do throws(StorageError) {
            _ = try entryCount(table)
            return true
        } catch .noSuchTable {
            return false
        } catch {
            throw DBError(storage: error)
        }
    }

    /// The number of entries within ranges, up to `most`. O(entries counted + ranges).
    borrowing func count(
        _ table: TableID, _ ranges: KeyRanges, most: Int
    ) throws(DBError) -> Int {
        do throws(StorageError) {
            var walk = RangeWalk(ranges, isBackward: false)
            var cursor = cursor(table)
            var count = 0
            var found = try walk.start(&cursor)
            while found, count < most {
                count += 1
                found = try walk.next(&cursor)
            }
            return count
        } catch .noSuchTable {
            return 0
        } catch {
            throw DBError(storage: error)
        }
    }
}
