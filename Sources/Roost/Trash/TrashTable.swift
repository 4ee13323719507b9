// The trash as operations change it: each change keeps record, order by age and totals together.

import BSON
import Storage

enum TrashTable {
    /// How much of a collection is there. Constant time.
    static func totals<T: ReadableTransaction & ~Copyable>(
        _ id: TrashID, _ transaction: borrowing T
    ) throws -> TrashTotals {
        let key = TrashKey.entry(.totals, id)
        do throws(StorageError) {
            guard let entry = try transaction.value(.trash, key.span.bytes) else {
                return TrashTotals()
            }
            if let totals = TrashTotals(entry) { return totals }
        } catch .noSuchTable {
            // A folder of an earlier release that can't be written.
            return TrashTotals()
        }
        throw TrashRecord.damaged
    }

    /// How much there is of all collections. O(collections that have deleted documents).
    static func totals(_ transaction: borrowing ReadTransaction) throws -> TrashTotals {
        let prefix = TrashKey.prefix(.totals)
        var sum = TrashTotals()
        var cursor = transaction.cursor(.trash)
        var isFound = try cursor.seek(to: prefix.span.bytes)
        while isFound, cursor.key.starts(with: prefix.span.bytes) {
            guard let totals = TrashTotals(try cursor.value()) else { throw TrashRecord.damaged }
            sum = sum + totals
            isFound = try cursor.next()
        }
        return sum
    }

    /// Puts a record; an older one under the same record key gives way.
    /// - Parameter value: what `TrashRecord.append` makes.
    static func put(
        _ id: TrashID, _ record: RawSpan, at millis: Int64, _ value: RawSpan,
        _ transaction: inout WriteTransaction
    ) throws {
        let key = TrashKey.record(id, record)
        var change = TrashTotals()
        if let old = try size(key, transaction) {
            let age = TrashKey.age(id, old.millis, record)
            _ = try transaction.delete(.trash, key: age.span.bytes)
            change.bytes = Int64(value.byteCount - old.bytes)
        } else {
            change.count = 1
            change.bytes = Int64(value.byteCount)
        }
        try transaction.put(.trash, key: key.span.bytes, value: value)
        let age = TrashKey.age(id, millis, record)
        try transaction.put(.trash, key: age.span.bytes, value: RawSpan())
        try add(change, to: id, &transaction)
    }

    /// Removes a record; false where there is none.
    static func remove(
        _ id: TrashID, _ record: RawSpan, _ transaction: inout WriteTransaction
    ) throws -> Bool {
        let key = TrashKey.record(id, record)
        guard let old = try size(key, transaction) else { return false }
        _ = try transaction.delete(.trash, key: key.span.bytes)
        let age = TrashKey.age(id, old.millis, record)
        _ = try transaction.delete(.trash, key: age.span.bytes)
        var change = TrashTotals()
        change.count = -1
        change.bytes = -Int64(old.bytes)
        try add(change, to: id, &transaction)
        return true
    }

    /// When a record's document was deleted, and the record's size; nil where there is none.
    private static func size(
        _ key: [UInt8], _ transaction: borrowing WriteTransaction
    ) throws -> (millis: Int64, bytes: Int)? {
        guard let value = try transaction.value(.trash, key.span.bytes) else { return nil }
        return (try TrashRecord(value).millis, value.byteCount)
    }

    private static func add(
        _ change: TrashTotals, to id: TrashID, _ transaction: inout WriteTransaction
    ) throws {
        let totals = try totals(id, transaction) + change
        let (key, entry) = (TrashKey.entry(.totals, id), totals.entry)
        if totals.count == 0 {
            _ = try transaction.delete(.trash, key: key.span.bytes)
        } else {
            try transaction.put(.trash, key: key.span.bytes, value: entry.span.bytes)
        }
    }

    // MARK: Purging

    /// Most records that one operation removes.
    static let purgedMax = 1_000

    /// Removes records of documents deleted at or before that time, the oldest first, at most
    /// `purgedMax`; answers how many.
    static func purge(
        _ id: TrashID, until millis: Int64, _ transaction: inout WriteTransaction
    ) throws -> Int {
        var records: [[UInt8]] = []
        do {
            let prefix = TrashKey.entry(.age, id)
            var cursor = transaction.cursor(.trash)
            var isFound = try cursor.seek(to: prefix.span.bytes)
            while isFound, records.count < purgedMax, cursor.key.starts(with: prefix.span.bytes),
                let time = TrashKey.millis(inAge: cursor.key), time <= millis,
                let record = TrashKey.record(inAge: cursor.key)
            {
                records.append(record)
                isFound = try cursor.next()
            }
        }
        for record in records { _ = try remove(id, record.span.bytes, &transaction) }
        return records.count
    }

    /// Gives up what a collection has in the trash: it is removed step by step afterwards.
    static func drop(_ id: TrashID, _ transaction: inout WriteTransaction) throws -> Bool {
        guard try totals(id, transaction).count > 0 else { return false }
        let (totals, mark) = (TrashKey.entry(.totals, id), TrashKey.entry(.dropped, id))
        _ = try transaction.delete(.trash, key: totals.span.bytes)
        try transaction.put(.trash, key: mark.span.bytes, value: RawSpan())
        return true
    }

    /// Removes at most `purgedMax` entries of collections that are gone; answers how many, 0 when
    /// nothing is left of any.
    static func removeDropped(_ transaction: inout WriteTransaction) throws -> Int {
        guard let id = try firstDropped(transaction) else { return 0 }
        for prefix in [id.prefix, TrashKey.entry(.age, id)] {
            let keys = try keys(prefix, transaction)
            for key in keys { _ = try transaction.delete(.trash, key: key.span.bytes) }
            if !keys.isEmpty { return keys.count }
        }
        let mark = TrashKey.entry(.dropped, id)
        _ = try transaction.delete(.trash, key: mark.span.bytes)
        return 1
    }

    private static func firstDropped(
        _ transaction: borrowing WriteTransaction
    ) throws -> TrashID? {
        let prefix = TrashKey.prefix(.dropped)
        var cursor = transaction.cursor(.trash)
        guard try cursor.seek(to: prefix.span.bytes), cursor.key.starts(with: prefix.span.bytes)
        else { return nil }
        return TrashKey.kind(of: cursor.key)?.id
    }

    private static func keys(
        _ prefix: [UInt8], _ transaction: borrowing WriteTransaction
    ) throws -> [[UInt8]] {
        var keys: [[UInt8]] = []
        var cursor = transaction.cursor(.trash)
        var isFound = try cursor.seek(to: prefix.span.bytes)
        while isFound, keys.count < purgedMax, cursor.key.starts(with: prefix.span.bytes) {
            keys.append([UInt8](copying: cursor.key))
            isFound = try cursor.next()
        }
        return keys
    }
}
