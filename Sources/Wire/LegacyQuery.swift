// Reading OP_QUERY, which drivers still open with: isMaster on `admin.$cmd`. Nothing else is
// accepted in it; MongoDB 5.1 removed the rest.
//
//     int32 flags | cstring namespace | int32 skip | int32 return | document [| document]

package import BSON
package import NIOCore

extension Request {
    /// Parses the `OP_QUERY` at the buffer's reader index; `buffer` holds just that message.
    package init(
        legacyQuery buffer: ByteBuffer, header: MessageHeader, isCompressed: Bool = false
    ) throws(DBError) {
        let span = buffer.readableBytesSpan
        let end = span.byteCount
        let nameStart = MessageHeader.byteCount + 4
        guard end > nameStart, let nameEnd = span.offsetOfZero(from: nameStart, to: end),
            end - nameEnd - 1 >= 8
        else {
            throw DBError(.invalidBSON, "OP_QUERY ends inside its namespace")
        }
        let namespace = span.extracting(nameStart..<nameEnd)
        let suffix: StaticString = ".$cmd"
        let databaseBytes = namespace.byteCount - suffix.utf8CodeUnitCount
        guard databaseBytes > 0,
            namespace.extracting(databaseBytes..<namespace.byteCount).equals(suffix)
        else {
            throw DBError(
                .unsupportedOpQueryCommand,
                "Unsupported OP_QUERY command: only hello and isMaster can be sent this way. "
                    + "The client driver may require an upgrade")
        }
        let database = String(utf8: namespace.extracting(0..<databaseBytes))
        let document = try documentRange(span, at: nameEnd + 9, end: end)
        guard document.count <= WireLimits.commandBytesMax else {
            throw DBError(.bsonObjectTooLarge, "the command's document is too large")
        }
        try validate(
            document: span.extracting(document),
            depthMax: Limits.nestingDepthMax + WireLimits.commandNestingExtra)
        let body = try Self.unwrappedQuery(span, document)
        try Self.checkIsHello(DocumentView(span.extracting(body)))
        self.init(
            id: header.requestID, kind: .legacyQuery, flags: [], isCompressed: isCompressed,
            buffer: buffer, bodyRange: body, legacyDatabase: database)
    }

    /// The command in `{$query: {…}, $readPreference: …}`, which some drivers send, or the document
    /// itself.
    private static func unwrappedQuery(
        _ span: RawSpan, _ document: Range<Int>
    ) throws(DBError) -> Range<Int> {
        guard let first = DocumentView(span.extracting(document)).first,
            first.name.equals("$query") || first.name.equals("query"),
            let nested = first.value.document,
            let inner = span.byteOffsets(of: nested.bytes)
        else { return document }
        return inner
    }

    private static func checkIsHello(_ body: DocumentView) throws(DBError) {
        guard let name = body.first?.name else {
            throw DBError(.unsupportedOpQueryCommand, "Unsupported OP_QUERY command: empty")
        }
        if name.equals("isMaster") || name.equals("ismaster") || name.equals("hello") { return }
        throw DBError(
            .unsupportedOpQueryCommand,
            "Unsupported OP_QUERY command: \(String(utf8: name)). "
                + "The client driver may require an upgrade")
    }
}
