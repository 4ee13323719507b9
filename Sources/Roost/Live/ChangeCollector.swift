// From the log to net changes: goes over the records of a run of commits once.

import BSON
import Storage

/// The net changes of some collections between two places of the log.
struct ChangeCollector {
    /// Most bytes of images of one collection; a run that has more is not worth following.
    static let bytesMax = 64 << 20

    /// The changed collections.
    private(set) var sets: [ChangeSet] = []
    /// Records looked at.
    private(set) var records = 0
    /// The newest of them; nil for none.
    private(set) var last: Timestamp?

    /// Those that are about the collections.
    private var noted = 0
    private let names: Set<Namespace>
    private var kept: (database: [UInt8], collection: [UInt8])?
    private var keptSet = 0
    private var image: [UInt8]?
    private var after: [UInt8] = []

    /// Collects changes of `names`.
    init(_ names: Set<Namespace>) {
        self.names = names
    }

    /// The changes of a collection.
    func set(_ namespace: Namespace) -> ChangeSet? {
        sets.first { $0.namespace == namespace }
    }

    /// Goes over all records behind `start`, at most `recordsMax` of the collections (and twenty
    /// times as many of others); false: there are more.
    /// - Throws: `StorageError`, `dataCorruptionDetected`.
    mutating func collect(
        behind start: Timestamp, recordsMax: Int = .max, _ transaction: borrowing ReadTransaction
    ) throws -> Bool {
        var log = transaction.cursor(.changeLog)
        var isFound = try log.seek(to: LogPosition.behind(start).nextKey.span.bytes)
        while isFound {
            if let place = LogPosition(key: log.key) {
                if noted >= recordsMax || records / 20 >= recordsMax, place.sequence != last {
                    return false
                }
                try visit(try ChangeRecordView(place, try log.value()))
                last = place.sequence
                records += 1
            }
            isFound = try log.next()
        }
        return true
    }

    private mutating func visit(_ record: borrowing ChangeRecordView) throws(DBError) {
        switch record.kind {
        case .insert, .update, .replace, .delete, .image:
            guard let set = find(record) else { return }
            noted += 1
            try note(record, in: set)
        case .drop, .rename, .dropDatabase: noteExchange(record)
        case .create, .createIndexes, .dropIndexes, .modify: break
        }
    }

    private mutating func note(
        _ record: borrowing ChangeRecordView, in set: Int
    ) throws(DBError) {
        // The rest of a run that is too long need not be kept.
        if sets[set].isUnknown { return }
        switch record.kind {
        case .image: image = [UInt8](copying: record.document.bytes)
        case .insert: sets[set].note(before: nil, after: record.document.bytes)
        case .delete:
            if record.holdsDocument {
                sets[set].note(before: record.document.bytes, after: nil)
            } else {
                sets[set].isUnknown = true
            }
        case .update, .replace:
            // Taken out, so that they can be lent while the set takes copies.
            var after: [UInt8] = []
            swap(&after, &self.after)
            defer { swap(&after, &self.after) }
            let image = self.image
            self.image = nil
            let delta = try record.delta()
            if let before = record.before(delta) {
                try record.apply(delta, to: before, into: &after)
                sets[set].note(before: before, after: after.span.bytes)
            } else if let before = image {
                try record.apply(delta, to: before.span.bytes, into: &after)
                sets[set].note(before: before.span.bytes, after: after.span.bytes)
            } else {
                sets[set].isUnknown = true
            }
        default: break
        }
        if sets[set].byteCount > Self.bytesMax {
            sets[set].removeAll()
            sets[set].isUnknown = true
        }
    }

    /// The place of the record's collection in `sets`; nil where nobody asks for it.
    private mutating func find(_ record: borrowing ChangeRecordView) -> Int? {
        if let kept, record.collection.equals(kept.collection.span.bytes),
            record.database.equals(kept.database.span.bytes)
        {
            return keptSet < 0 ? nil : keptSet
        }
        kept = ([UInt8](copying: record.database), [UInt8](copying: record.collection))
        keptSet = place(of: record.namespace) ?? -1
        return keptSet < 0 ? nil : keptSet
    }

    private mutating func place(of namespace: Namespace) -> Int? {
        if let known = sets.firstIndex(where: { $0.namespace == namespace }) { return known }
        guard names.contains(namespace) else { return nil }
        sets.append(ChangeSet(namespace))
        return sets.count - 1
    }

    /// Collections that a record makes others of.
    private mutating func noteExchange(_ record: borrowing ChangeRecordView) {
        var touched: [Namespace] = []
        switch record.kind {
        case .dropDatabase:
            let database = String(utf8: record.database)
            touched = names.filter { $0.database.hasSameBytes(as: database) }.sorted {
                $0.collection < $1.collection
            }
        case .rename:
            touched = [record.namespace]
            if let to = record.document.value("to")?.document,
                let database = to.value("db")?.string, let name = to.value("coll")?.string
            {
                touched.append(Namespace(database, name))
            }
        default: touched = [record.namespace]
        }
        for namespace in touched {
            guard let set = place(of: namespace) else { continue }
            sets[set].isUnknown = true
        }
    }
}
