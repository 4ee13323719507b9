import BSON
import TestSupport
import Testing

@testable import Roost

/// A client's list, to which events are applied as the protocol says.
struct ClientRows {
    private(set) var rows: [LiveRow] = []
    private(set) var isReady = false
    private(set) var resets = 0
    private(set) var eventCount = 0
    /// A `text` that no document may have.
    var forbidden: String?

    init(_ rows: [LiveRow] = []) {
        self.rows = rows
    }

    /// Applies an event; records what does not fit.
    mutating func apply(_ event: Document) {
        let op = event["op"]
        eventCount += 1
        if let forbidden, case .document(let document)? = event["doc"] {
            #expect(document["text"] != .string(forbidden))
        }
        if op == "ready" { return isReady = true }
        if op == "reset" {
            rows = []
            isReady = false
            resets += 1
            return
        }
        guard let id = event["id"].map({ OwnedValue($0) }) else {
            Issue.record("no id: \(event)")
            return
        }
        let index: Int? = if case .int32(let number)? = event["index"] { Int(number) } else { nil }
        let known = rows.firstIndex { $0.id == id }
        let row: LiveRow? =
            if case .document(let document)? = event["doc"] {
                LiveRow(id: id, document: document.bytes)
            } else { nil }
        switch (op, known, row) {
        case ("added", nil, let row?): rows.insert(row, at: index ?? rows.count)
        case ("changed", let known?, let row?):
            #expect(index == nil || index == known)
            rows[known] = row
        case ("removed", let known?, nil):
            #expect(index == nil || index == known)
            rows.remove(at: known)
        case ("moved", let known?, let row?):
            #expect(event["from"] == .int32(Int32(known)))
            rows.remove(at: known)
            rows.insert(row, at: index ?? 0)
        default: Issue.record("does not fit: \(event)")
        }
    }
}

/// Differences of results, and windows, against doing it anew.
@Suite struct LiveRowsTests {
    private static func row(_ id: Int, _ value: Int) -> LiveRow {
        let document: Document = ["_id": .int32(Int32(id)), "v": .int32(Int32(value))]
        return LiveRow(id: OwnedValue(.int32(Int32(id))), document: document.bytes)
    }

    private static func list(_ random: inout RandomSource) -> [LiveRow] {
        (0..<random.below(12)).shuffled(using: &random).prefix(random.below(12) + 1).map {
            row($0, random.below(3))
        }
    }

    @Test(arguments: [true, false])
    func eventsMakeTheOldResultTheNew(isOrdered: Bool) {
        var random = RandomSource(seed: 7)
        for round in 0..<600 {
            let old = Self.list(&random)
            var new = Self.list(&random)
            if round % 3 == 0, !old.isEmpty {
                // One row moves.
                new = old
                let moved = new.remove(at: random.below(new.count))
                new.insert(moved, at: random.below(new.count + 1))
            }
            var events = LiveEventWriter()
            LiveDifference.write(
                from: old, to: new, isOrdered: isOrdered, token: "t", into: &events)
            if round % 3 == 0, isOrdered, !old.isEmpty { #expect(events.count <= 1) }
            var client = ClientRows(old)
            let frame = events.take(end: Timestamp(rawValue: 1), token: "t", isOrdered: isOrdered)
            frame.forEach { client.apply(Document(copying: $0)) }
            if isOrdered {
                #expect(client.rows == new)
            } else {
                #expect(Set(client.rows.map(\.document)) == Set(new.map(\.document)))
            }
        }
    }

    @Test func mergedFramesSayTheSame() {
        var random = RandomSource(seed: 3)
        for _ in 0..<300 {
            let first = Self.list(&random)
            var rows = first
            var frames: [LiveFrame] = []
            for _ in 0..<5 {
                let next = Self.list(&random)
                var events = LiveEventWriter()
                LiveDifference.write(
                    from: rows, to: next, isOrdered: false, token: nil, into: &events)
                frames.append(
                    events.take(end: Timestamp(rawValue: 1), token: "t", isOrdered: false))
                rows = next
            }
            var client = ClientRows(first)
            LiveFrame.merged(frames)?.forEach { client.apply(Document(copying: $0)) }
            #expect(Set(client.rows.map(\.document)) == Set(rows.map(\.document)))
        }
    }

    /// Keys are two bytes; the result is what sorting all of them gives.
    @Test(arguments: [(0, 3), (2, 5), (10, 40)])
    func windowsAgainstSorting(skip: Int, limit: Int) throws {
        var random = RandomSource(seed: UInt64(limit))
        var all: [Int: LiveRow] = [:]
        var window = LiveWindow(skip: skip, limit: limit)
        func key(_ number: Int) -> [UInt8] {
            [UInt8(truncatingIfNeeded: number >> 8), UInt8(truncatingIfNeeded: number)]
        }
        var refills = 0
        for round in 0..<1_500 {
            let number = random.below(600)
            if all[number] != nil {
                all[number] = nil
                window.remove(key(number))
            } else if round < 600 || random.oneIn(2) {
                let row = Self.row(number, round)
                all[number] = row
                try window.insert(key(number), row)
            }
            let sorted = all.sorted { $0.key < $1.key }
            if window.needsRefill {
                refills += 1
                let first = sorted.prefix(window.capacity)
                window.fill(
                    first.map { LiveWindow.Entry(key: key($0.key), row: $0.value) },
                    isComplete: first.count < window.capacity)
            }
            #expect(window.visible == sorted.dropFirst(skip).prefix(limit).map(\.value))
            #expect(window.entries.count <= window.capacity)
        }
        #expect(refills < 1_000)
    }
}
