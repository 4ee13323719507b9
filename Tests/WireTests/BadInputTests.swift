// Broken messages: each ends in an error that names it or in a closed connection, never in a trap.

import BSON
import NIOCore
import Testing

@testable import Wire

@Suite struct BadInputTests {
    struct Case: CustomTestStringConvertible, Sendable {
        let name: String
        let bytes: [UInt8]
        let outcome: Outcome
        var testDescription: String { name }
    }

    static let headers: [Case] = [
        Case(name: "nothing", bytes: [], outcome: .wait),
        Case(name: "half a header", bytes: [16, 0, 0, 0, 1], outcome: .wait),
        Case(
            name: "negative length", bytes: Frames.frame(opCode: 2013, length: -1, []),
            outcome: .closed),
        Case(
            name: "length zero", bytes: Frames.frame(opCode: 2013, length: 0, []),
            outcome: .closed),
        Case(
            name: "length below a header", bytes: Frames.frame(opCode: 2013, length: 15, []),
            outcome: .closed),
        Case(
            name: "length above the limit",
            bytes: Frames.frame(opCode: 2013, length: 48_000_001, []), outcome: .closed),
        Case(
            name: "length at the limit, content to come",
            bytes: Frames.frame(opCode: 2013, length: 48_000_000, []), outcome: .wait),
        Case(
            name: "unknown opcode", bytes: Frames.frame(opCode: 2003, [0, 0, 0, 0]),
            outcome: .closed),
        Case(name: "a reply", bytes: Frames.frame(opCode: 1, []), outcome: .closed),
        Case(
            name: "HTTP", bytes: Array("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8),
            outcome: .closed),
    ]

    static let messages: [Case] = [
        Case(
            name: "sound", bytes: Frames.message(Frames.body(Frames.ping)), outcome: .request),
        Case(
            name: "header only", bytes: Frames.frame(opCode: 2013, []), outcome: .refused(22)),
        Case(
            name: "flags only", bytes: Frames.frame(opCode: 2013, [0, 0, 0, 0]),
            outcome: .refused(22)),
        Case(
            name: "unknown required flag",
            bytes: Frames.message(flags: 1 << 4, Frames.body(Frames.ping)),
            outcome: .refused(40429)),
        Case(
            name: "unknown optional flag",
            bytes: Frames.message(flags: 1 << 20, Frames.body(Frames.ping)), outcome: .request),
        Case(
            name: "two bodies",
            bytes: Frames.message(Frames.body(Frames.ping), Frames.body(Frames.ping)),
            outcome: .refused(40430)),
        Case(
            name: "no body", bytes: Frames.message(Frames.sequence("documents", [["a": 1]])),
            outcome: .refused(40587)),
        Case(
            name: "unknown section", bytes: Frames.message(Frames.body(Frames.ping), [2, 0, 0]),
            outcome: .refused(40432)),
        Case(
            name: "garbage after the sections",
            bytes: Frames.message(Frames.body(Frames.ping), [9]), outcome: .refused(40432)),
        Case(
            name: "body longer than the message",
            bytes: Frames.message([0, 200, 0, 0, 0, 0]), outcome: .refused(22)),
        Case(
            name: "body of negative length",
            bytes: Frames.message([0, 255, 255, 255, 255, 0]), outcome: .refused(22)),
        Case(
            name: "sequence longer than the message",
            bytes: Frames.message(
                Frames.body(Frames.ping), Frames.sequence("d", [["a": 1]], size: 1_000)),
            outcome: .refused(22)),
        Case(
            name: "sequence cutting its document",
            bytes: Frames.message(
                Frames.body(Frames.ping), Frames.sequence("d", [["a": 1]], size: 10)),
            outcome: .refused(22)),
        Case(
            name: "sequence of negative size",
            bytes: Frames.message(
                Frames.body(Frames.ping), Frames.sequence("d", [["a": 1]], size: -5)),
            outcome: .refused(22)),
        Case(
            name: "identifier without end",
            bytes: Frames.message(Frames.body(Frames.ping), [1, 6, 0, 0, 0, 100, 100]),
            outcome: .refused(22)),
        Case(
            name: "the same sequence twice",
            bytes: Frames.message(
                Frames.body(Frames.ping), Frames.sequence("d", []), Frames.sequence("d", [])),
            outcome: .refused(40431)),
        Case(
            name: "sequence overlapping the body",
            bytes: Frames.message(
                Frames.body(Frames.ping), Frames.sequence("ping", [["a": 1]])),
            outcome: .refused(40431)),
        Case(
            name: "wrong checksum",
            bytes: Frames.message(flags: 1, Frames.body(Frames.ping), [1, 2, 3, 4]),
            outcome: .refused(365)),
        Case(
            name: "invalid UTF-8",
            bytes: Frames.message(
                [0, 15, 0, 0, 0, 2, 97, 0, 2, 0, 0, 0, 0xC3, 0, 0]), outcome: .refused(22)),
        Case(
            name: "nested 10,000 deep", bytes: Frames.message([0] + nested(10_000)),
            outcome: .refused(15)),
    ]

    static let others: [Case] = [
        Case(
            name: "legacy hello", bytes: Frames.query("admin.$cmd", ["isMaster": 1]),
            outcome: .request),
        Case(
            name: "legacy query", bytes: Frames.query("test.c", ["a": 1]),
            outcome: .refused(352)),
        Case(
            name: "legacy command", bytes: Frames.query("admin.$cmd", ["ping": 1]),
            outcome: .refused(352)),
        Case(
            name: "legacy query cut", bytes: Frames.frame(opCode: 2004, [0, 0, 0, 0, 97]),
            outcome: .refused(22)),
        Case(
            name: "compressed",
            bytes: Frames.compressed(Frames.message(Frames.body(padded))), outcome: .request),
        Case(
            name: "compressed, size lies low",
            bytes: Frames.compressed(Frames.message(Frames.body(padded)), size: 100),
            outcome: .closed),
        Case(
            name: "compressed, size lies high",
            bytes: Frames.compressed(Frames.message(Frames.body(padded)), size: 47_000_000),
            outcome: .closed),
        Case(
            name: "compressed, size above the limit",
            bytes: Frames.compressed(
                Frames.message(Frames.body(padded)), size: 2_000_000_000),
            outcome: .closed),
        Case(
            name: "compressed, negative size",
            bytes: Frames.compressed(Frames.message(Frames.body(padded)), size: -1),
            outcome: .closed),
        Case(
            name: "compressed by snappy",
            bytes: Frames.compressed(Frames.message(Frames.body(padded)), compressor: 1),
            outcome: .closed),
        Case(
            name: "compressed, cut", bytes: Frames.frame(opCode: 2012, [1, 2, 3]),
            outcome: .closed),
        Case(
            name: "compressed inside compressed",
            bytes: Frames.frame(
                opCode: 2012, Frames.int32(2012) + Frames.int32(4) + [2, 0, 0, 0, 0]),
            outcome: .closed),
    ]

    static var padded: Document {
        ["ping": 1, "$db": "admin", "pad": .string(String(repeating: "x", count: 2_000))]
    }

    static func nested(_ depth: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        for level in 0..<depth {
            bytes += Frames.int32(Int32(5 + (depth - 1 - level) * 8))
            if level < depth - 1 { bytes += [3, 97, 0] }
        }
        return bytes + [UInt8](repeating: 0, count: depth)
    }

    @Test(arguments: headers + messages + others)
    func outcome(_ example: Case) {
        #expect(Outcome(example.bytes) == example.outcome)
    }

    @Test func everyCutOfASoundMessageWaits() {
        let whole = Frames.message(
            Frames.body(Frames.ping), Frames.sequence("d", [["a": 1], ["b": 2]]))
        for count in 0..<whole.count {
            #expect(Outcome(Array(whole.prefix(count))) == .wait)
        }
    }

    /// Random damage never traps.
    @Test func randomDamage() {
        var random = SystemRandomNumberGenerator()
        let whole = Frames.message(
            flags: 0, Frames.body(["find": "c", "filter": ["a": ["b": [1, 2, "x"]]]]),
            Frames.sequence("d", [["a": 1], ["b": "text"]]))
        for _ in 0..<20_000 {
            var bytes = whole
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let index = Int.random(in: 4..<bytes.count, using: &random)
                bytes[index] = UInt8.random(in: 0...255, using: &random)
            }
            _ = Outcome(bytes)
        }
    }
}
