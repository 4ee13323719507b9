// The state machine on sound input: cutting, pipelining, order, back-pressure.

import BSON
import NIOCore
import Testing

@testable import Wire

@Suite struct ConnectionStateTests {
    static func requestID(_ action: ConnectionState.Action) -> Int32? {
        if case .request(let request) = action { request.id } else { nil }
    }

    @Test(arguments: [1, 2, 3, 15, 16, 17, 40, 1_000])
    func bytesInPieces(pieceBytes: Int) {
        let bytes = (1...5).flatMap {
            Frames.message(requestID: Int32($0), Frames.body(Frames.ping))
        }
        var state = ConnectionState()
        var ids: [Int32] = []
        for start in stride(from: 0, to: bytes.count, by: pieceBytes) {
            state.receive(
                ByteBuffer(bytes: bytes[start..<min(bytes.count, start + pieceBytes)]))
            while let id = Self.requestID(state.next()) {
                ids.append(id)
                state.finished()
            }
        }
        #expect(ids == [1, 2, 3, 4, 5])
        #expect(!state.isInsideFrame)
    }

    @Test func aRunningRequestHoldsTheNext() {
        var state = ConnectionState()
        state.receive(
            ByteBuffer(
                bytes: Frames.message(requestID: 1, Frames.body(Frames.ping))
                    + Frames.message(requestID: 2, Frames.body(Frames.ping))))
        #expect(Self.requestID(state.next()) == 1)
        #expect(state.isBusy)
        #expect(Self.requestID(state.next()) == nil)
        state.finished()
        #expect(Self.requestID(state.next()) == 2)
    }

    @Test func readingPausesBehindARunningRequest() {
        var state = ConnectionState()
        state.receive(ByteBuffer(bytes: Frames.message(Frames.body(Frames.ping))))
        #expect(Self.requestID(state.next()) == 7)
        #expect(state.wantsBytes)
        state.receive(ByteBuffer(repeating: 0, count: WireLimits.readAheadBytesMax))
        #expect(!state.wantsBytes)
    }

    @Test func nothingIsDoneAfterClosing() {
        var state = ConnectionState()
        state.receive(ByteBuffer(bytes: Frames.frame(opCode: 99, [])))
        #expect(Outcome(state.next()) == .closed)
        state.receive(ByteBuffer(bytes: Frames.message(Frames.body(Frames.ping))))
        #expect(Outcome(state.next()) == .wait)
        #expect(!state.wantsBytes)
    }

    @Test func bodyAndSequences() throws {
        var state = ConnectionState()
        let documents: [Document] = [["_id": 1], ["_id": 2], ["_id": 3]]
        state.receive(
            ByteBuffer(
                bytes: Frames.message(
                    Frames.sequence("documents", documents),
                    Frames.body(["insert": "c", "$db": "d"]), Frames.sequence("other", []))))
        guard case .request(let request) = state.next() else {
            Issue.record("no request")
            return
        }
        #expect(Document(copying: request.body) == ["insert": "c", "$db": "d"])
        let sequence = try #require(request.sequence(named: "documents"))
        #expect(sequence.count == 3)
        #expect([UInt8](copying: request.bytes(sequence.documents)) == documents.flatMap(\.bytes))
        #expect(request.sequence(named: "other")?.count == 0)
        #expect(request.sequence(named: "updates") == nil)
        #expect(request.wantsReply)
    }

    @Test func checksumOfAReplyIsAcceptedAsARequest() {
        var writer = ReplyWriter()
        writer.begin(.message)
        writer.append("ping", Int32(1))
        writer.end(requestID: 3, responseTo: 0, flags: .checksumPresent)
        var state = ConnectionState()
        state.receive(writer.take())
        guard case .request(let request) = state.next() else {
            Issue.record("refused")
            return
        }
        #expect(request.flags.contains(.checksumPresent))
        #expect(Document(copying: request.body) == ["ping": 1])
    }

    @Test(
        arguments: [
            (
                [
                    0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xFC, 0x03, 0x03, 7, 8, 9, 10,
                    11,
                ], "TLS"
            ),
            (Array("GET / HTTP/1.1\r\n".utf8), "HTTP"), (Array("POST / HTTP/1.1\r".utf8), "HTTP"),
        ] as [([UInt8], String)])
    func otherProtocolsAreNamed(bytes: [UInt8], name: String) {
        var state = ConnectionState()
        state.receive(ByteBuffer(bytes: bytes))
        guard case .close(let reason) = state.next() else {
            Issue.record("not closed")
            return
        }
        #expect(reason.contains(name))
    }

    @Test func noReplyWantedToARefusedMessage() {
        var state = ConnectionState()
        state.receive(ByteBuffer(bytes: Frames.message(flags: 2, [7])))
        guard case .refuse(let id, _, _, let wantsReply) = state.next() else {
            Issue.record("not refused")
            return
        }
        #expect(id == 7)
        #expect(!wantsReply)
    }
}
