import BSON
import NIOCore
import Testing

@testable import Wire

@Suite struct ReplyWriterTests {
    static func parse(_ buffer: ByteBuffer) throws -> (MessageHeader, Document) {
        let header = try #require(MessageHeader(peeking: buffer))
        #expect(Int(header.length) == buffer.readableBytes)
        let start = header.opCode == 2013 ? 21 : 36
        let bytes = Array(buffer.readableBytesView.dropFirst(start))
        return (header, Document(copying: DocumentView(bytes.span.bytes)))
    }

    @Test func fieldsAndBatches() throws {
        var writer = ReplyWriter()
        writer.begin(.message)
        let cursor = writer.openDocument("cursor")
        let batch = writer.openArray("firstBatch")
        for number in 0..<12 {
            let document: Document = ["n": .int32(Int32(number))]
            writer.append(element: document.view)
        }
        writer.close(batch)
        writer.append("id", Int64(0))
        writer.append("ns", "d.c")
        writer.close(cursor)
        writer.append("ok", 1.0)
        writer.end(requestID: 9, responseTo: 7)
        let (header, document) = try Self.parse(writer.take())
        #expect(header.opCode == 2013 && header.requestID == 9 && header.responseTo == 7)
        let batchValue = (0..<12).map { Value.document(["n": .int32(Int32($0))]) }
        #expect(
            document == [
                "cursor": ["firstBatch": .array(batchValue), "id": .int64(0), "ns": "d.c"],
                "ok": 1.0,
            ])
        #expect(writer.elementCount == 12)
    }

    @Test func restartForgetsWhatWasWritten() throws {
        var writer = ReplyWriter()
        writer.begin(.message)
        writer.append("ok", 1.0)
        writer.end(requestID: 1, responseTo: 1)
        let first = writer.buffer.readableBytes
        writer.begin(.message)
        _ = writer.openArray("half")
        writer.append(element: "written")
        writer.restart()
        writer.append("ok", 0.0)
        writer.end(requestID: 2, responseTo: 2)
        var both = writer.take()
        let slice = both.readSlice(length: first)
        let one = try Self.parse(#require(slice)).1
        let two = try Self.parse(both).1
        #expect(one == ["ok": 1.0])
        #expect(two == ["ok": 0.0])
    }

    @Test func aSplitReplyGoesOnElsewhere() throws {
        var writer = ReplyWriter()
        writer.begin(.message)
        writer.append("ok", 1.0)
        writer.end(requestID: 1, responseTo: 1)
        let first = writer.buffer.readableBytes
        writer.begin(.message)
        let batch = writer.openArray("batch")
        writer.append(element: "a")
        var other = writer.split()
        #expect(writer.buffer.readableBytes == first)
        other.append(element: "b")
        other.close(batch)
        other.end(requestID: 2, responseTo: 2)
        let document = try Self.parse(other.take()).1
        #expect(document == ["batch": ["a", "b"]])
    }

    @Test func legacyReply() throws {
        var writer = ReplyWriter()
        writer.begin(.legacyQuery)
        writer.append("ismaster", true)
        writer.end(requestID: 1, responseTo: 5)
        let buffer = writer.take()
        let (header, document) = try Self.parse(buffer)
        #expect(header.opCode == 1)
        #expect(document == ["ismaster": true])
        #expect(buffer.getInteger(at: 32, endianness: .little, as: Int32.self) == 1)
    }

    @Test func compressedReplyInflatesToItself() throws {
        var writer = ReplyWriter()
        writer.begin(.message)
        writer.append("text", String(repeating: "abc", count: 1_000))
        writer.end(requestID: 1, responseTo: 5)
        let plain = Array(writer.buffer.readableBytesView)
        writer.compressLast()
        let buffer = writer.take()
        let header = try #require(MessageHeader(peeking: buffer))
        #expect(header.opCode == 2012)
        #expect(Int(header.length) == buffer.readableBytes)
        #expect(buffer.readableBytes < plain.count)
        let (message, _) = try Compression.decompress(buffer, header)
        #expect(Array(message.readableBytesView) == plain)
    }
}
