// What operations of each collection took, for `top`: a hash table over the names' bytes as they lie
// in requests, so that counting makes no strings.

import BSON
import Roost

/// Times by collection.
struct NamespaceUsage {
    /// What `top` tells apart.
    enum Category: Int, CaseIterable, Sendable {
        case queries, getmore, insert, update, remove, commands

        init(_ kind: OperationKind) {
            switch kind {
            case .find, .query, .live: self = .queries
            case .getMore, .wait: self = .getmore
            case .insert: self = .insert
            case .update: self = .update
            case .delete: self = .remove
            default: self = .commands
            }
        }
    }

    /// How many operations, and their time.
    struct Total: Sendable {
        var count: UInt64 = 0
        var nanos: UInt64 = 0

        static func += (total: inout Total, other: Total) {
            total.count &+= other.count
            total.nanos &+= other.nanos
        }
    }

    /// What is known of one collection.
    struct Entry: Sendable {
        fileprivate let database: [UInt8]
        fileprivate let collection: [UInt8]
        fileprivate let hash: UInt64
        /// Operations by category.
        var categories = InlineArray<6, Total>(repeating: Total())
        /// Those that read.
        var reads = Total()
        /// Those that write.
        var writes = Total()

        fileprivate func isOf(_ database: RawSpan, _ collection: RawSpan) -> Bool {
            let (ownDatabase, ownCollection) = (self.database, self.collection)
            return ownDatabase.span.bytes.equals(database)
                && ownCollection.span.bytes.equals(collection)
        }

        /// The collection's name.
        var namespace: Namespace {
            Namespace(
                String(decoding: database, as: UTF8.self),
                String(decoding: collection, as: UTF8.self))
        }
    }

    /// A collection's place in the table, while the table is what it was.
    struct Place: Sendable {
        fileprivate var index = -1
        fileprivate var generation: UInt32 = 0

        /// No collection's.
        static let none = Place()
    }

    /// Most collections; where there are more, counting begins anew.
    private static let entriesMax = 4_096
    private static let slotCount = 2 * entriesMax

    private(set) var entries: [Entry] = []
    /// Places in `entries` plus 1 by hash; 0 is empty.
    private var slots = [UInt16](repeating: 0, count: NamespaceUsage.slotCount)
    private var generation: UInt32 = 1

    /// Whether a place still is one.
    func isValid(_ place: Place) -> Bool { place.generation == generation }

    /// The place of a collection, made where there is none.
    mutating func place(_ database: RawSpan, _ collection: RawSpan) -> Place {
        var hash: UInt64 = 14_695_981_039_346_656_037
        Self.hash(database, &hash)
        hash = (hash ^ 0x2E) &* 1_099_511_628_211
        Self.hash(collection, &hash)
        var slot = Int(truncatingIfNeeded: hash >> 20) & (Self.slotCount - 1)
        while slots[slot] != 0 {
            let index = Int(slots[slot]) - 1
            if entries[index].hash == hash, entries[index].isOf(database, collection) {
                return Place(index: index, generation: generation)
            }
            slot = (slot + 1) & (Self.slotCount - 1)
        }
        guard entries.count < Self.entriesMax else {
            forgetAll()
            return place(database, collection)
        }
        entries.append(
            Entry(
                database: [UInt8](copying: database), collection: [UInt8](copying: collection),
                hash: hash))
        slots[slot] = UInt16(entries.count)
        return Place(index: entries.count - 1, generation: generation)
    }

    /// Counts an operation.
    mutating func note(_ kind: OperationKind, _ place: Place, nanos: UInt64) {
        guard place.index >= 0, isValid(place) else { return }
        let one = Total(count: 1, nanos: nanos)
        entries[place.index].categories[Category(kind).rawValue] += one
        switch kind.latencyClass {
        case .reads: entries[place.index].reads += one
        case .writes: entries[place.index].writes += one
        default: break
        }
    }

    private mutating func forgetAll() {
        entries = []
        slots = [UInt16](repeating: 0, count: Self.slotCount)
        generation &+= 1
    }

    private static func hash(_ bytes: RawSpan, _ hash: inout UInt64) {
        for offset in 0..<bytes.byteCount {
            // SAFETY: the offset is below the span's size.
            let byte = bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
            hash = (hash ^ UInt64(byte)) &* 1_099_511_628_211
        }
    }
}
