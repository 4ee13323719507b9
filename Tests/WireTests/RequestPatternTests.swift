// Which requests count as repetitions of an earlier one: those that would have been parsed into the
// same with another value, and no others.

import BSON
import NIOCore
import Testing

@testable import Wire

@Suite struct RequestPatternTests {
    /// A find of one `_id`, as drivers send it.
    static func find(
        _ id: Value, collection: Value = "c", limit: Int32 = 1, flags: UInt32 = 0,
        requestID: Int32 = 7
    ) -> [UInt8] {
        Frames.message(
            flags: flags, requestID: requestID,
            Frames.body([
                "find": collection, "filter": ["_id": id], "limit": .int32(limit), "$db": "d",
            ]))
    }

    /// The pattern that a first request leaves; nil where it leaves none.
    static func pattern(of message: [UInt8]) -> RequestPattern? {
        var state = ConnectionState()
        state.receive(ByteBuffer(bytes: message))
        guard case .request(let request) = state.next(),
            let id = request.body.value("filter")?.document?.value("_id")
        else { return nil }
        return RequestPattern(request, open: id)
    }

    /// The `_id` that a second message repeats the first with; nil where it has to be parsed.
    static func repeated(_ first: [UInt8], _ second: [UInt8]) -> Value? {
        guard let pattern = pattern(of: first) else { return nil }
        var state = ConnectionState()
        state.receive(ByteBuffer(bytes: second))
        guard let (_, message) = state.nextRepetition(of: pattern) else { return nil }
        guard let value = pattern.value(in: message) else { return nil }
        return Value(value)
    }

    @Test(
        arguments: [
            (1, 2), (.int64(1), .int64(-7)), (1.5, .double(.nan)), ("abc", "xyz"), ("aé", "éa"),
            (.date(1), .date(2)),
            (.objectID(ObjectID(head: 1, tail: 2)), .objectID(ObjectID(head: 3, tail: 4))),
            (.binary(subtype: 4, [1, 2, 3]), .binary(subtype: 4, [4, 5, 6])),
        ] as [(Value, Value)])
    func anotherValueRepeats(one: Value, other: Value) {
        let value = Self.repeated(Self.find(one), Self.find(other))
        #expect(value.map { ["_id": $0] as Document } == ["_id": other])
    }

    @Test(arguments: [
        // Another type, another size, another subtype.
        (find(1), find(.int64(1))), (find("abc"), find("abcd")), (find(1), find(1.0)),
        (find(.binary(subtype: 4, [1])), find(.binary(subtype: 0, [1]))),
        // Another command.
        (find(1), find(1, collection: "e")), (find(1), find(1, limit: 2)),
        (find(1), find(1, flags: 2)), (find(1, flags: 1 << 16), find(1, flags: 1 << 16)),
        // Types whose bytes have a structure.
        (find(["a": 1]), find(["a": 1])), (find(.binary(subtype: 2, [1])), find(2)),
        (find(true), find(true)),
    ])
    func anythingElseIsParsed(one: [UInt8], other: [UInt8]) {
        #expect(Self.repeated(one, other) == nil)
    }

    @Test func badTextIsLeftToTheParser() throws {
        let first = Self.find("abc")
        var second = first
        let place = try #require(second.firstIndex(of: UInt8(ascii: "b")))
        second[place] = 0xFF
        #expect(Self.repeated(first, second) == nil)
    }

    @Test func longRequestsLeaveNoPattern() {
        let name = Value.string(String(repeating: "n", count: 2_000))
        #expect(Self.pattern(of: Self.find(1, collection: name)) == nil)
    }

    @Test func aRepetitionIsARequest() throws {
        let pattern = try #require(Self.pattern(of: Self.find(1)))
        var state = ConnectionState()
        let second = Self.find(2, requestID: 8)
        let third = Self.find(3, requestID: 9)
        state.receive(ByteBuffer(bytes: second + third[..<20]))
        #expect(state.nextRepetition(of: pattern)?.id == 8)
        #expect(state.isBusy)
        #expect(state.nextRepetition(of: pattern) == nil)
        state.finished()
        // The next is not whole yet.
        #expect(state.nextRepetition(of: pattern) == nil)
        state.receive(ByteBuffer(bytes: third[20...]))
        #expect(state.nextRepetition(of: pattern)?.id == 9)
        #expect(!state.isInsideFrame)
    }
}
