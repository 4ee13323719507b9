// Merging runs of keyed records: a record is a key behind its length, then a payload.

import BSON

/// A record of a run: a key, by whose bytes runs are ordered, and what belongs to it.
struct SpillRecord {
    private let bytes: [UInt8]
    private let keyEnd: Int

    /// Bytes of the length in front of the key.
    private static let headBytes = 4

    /// Reads a record that `head` began.
    init(_ bytes: [UInt8]) {
        var length = 0
        for index in 0..<min(Self.headBytes, bytes.count) {
            length |= Int(bytes[index]) << (8 * index)
        }
        self.bytes = bytes
        keyEnd = min(Self.headBytes + length, bytes.count)
    }

    /// What stands before the payload: the key and its length.
    static func head(_ key: RawSpan) -> [UInt8] {
        var head: [UInt8] = []
        head.reserveCapacity(headBytes + key.byteCount)
        for shift in stride(from: 0, to: 32, by: 8) {
            head.append(UInt8(truncatingIfNeeded: key.byteCount >> shift))
        }
        head.append(copying: key)
        return head
    }

    /// The key.
    var key: RawSpan {
        @_lifetime(borrow self)
        get { bytes.span.bytes.extracting(min(Self.headBytes, keyEnd)..<keyEnd) }
    }

    /// What belongs to the key.
    var payload: RawSpan {
        @_lifetime(borrow self)
        get { bytes.span.bytes.extracting(keyEnd..<bytes.count) }
    }
}

/// Several runs as one, by key; equal keys in the order of the runs.
///
/// Runs are few (each is as large as the memory of a stage), so the next record is found by looking
/// at the head of each.
struct SpillMerge {
    private var heads: [(record: SpillRecord, run: SpillRun)] = []

    /// Begins to read the runs.
    init(_ runs: [SpillRun]) throws(DBError) {
        for run in runs {
            if let bytes = try run.next() { heads.append((SpillRecord(bytes), run)) }
        }
    }

    /// The place of the run whose record comes next; nil at the end.
    private var first: Int? {
        var first: Int?
        for index in heads.indices {
            guard let best = first else {
                first = index
                continue
            }
            let (record, least) = (heads[index].record, heads[best].record)
            if record.key.compareBytes(least.key) < 0 { first = index }
        }
        return first
    }

    /// The next record, nil at the end.
    mutating func next() throws(DBError) -> SpillRecord? {
        guard let first else { return nil }
        let record = heads[first].record
        if let bytes = try heads[first].run.next() {
            heads[first].record = SpillRecord(bytes)
        } else {
            heads.remove(at: first)
        }
        return record
    }

    /// Whether the next record has this key.
    func nextHasKey(_ key: RawSpan) -> Bool {
        guard let first else { return false }
        let record = heads[first].record
        return record.key.equals(key)
    }
}
