// Fuzz targets of what comes as bytes: BSON, frames of the wire, keys of indexes.

import BSON
import NIOCore
import Wire

extension FuzzTarget {
    static let bytesTargets = [bson, frames, keys]

    /// Validation, and every way to walk what it lets through.
    private static let bson = FuzzTarget(
        "bson", .document, seeds: documentSeeds.compactMap { try? ExtendedJSON.parse($0).bytes }
    ) { bytes in
        try validate(document: bytes.span.bytes)
        let view = DocumentView(bytes.span.bytes)
        let owned = Document(copying: view)
        let rebuilt = rebuilt(owned)
        // Array elements may have any names; rebuilt, they have their index.
        try check(
            rebuilt.view.compare(view) == 0, "a document isn't equal to the one built of its values"
        )
        try checkIsDocument(rebuilt.bytes.span.bytes, "a writer")
        try check(owned.bytes == bytes, "a copy differs")
        try check(view.compare(view) == 0, "a document isn't equal to itself")
        try checkText(of: rebuilt)
        try checkOrder(of: rebuilt)
    }

    /// The same values, written anew at every depth.
    private static func rebuilt(_ document: Document) -> Document {
        Document { writer in
            for (name, value) in fields(of: document.view) { writer.append(name, rebuilt(value)) }
        }
    }

    private static func rebuilt(_ value: Value) -> Value {
        switch value {
        case .document(let document): .document(rebuilt(document))
        case .array(let values): .array(values.map { rebuilt($0) })
        case .codeWithScope(let code, let scope): .codeWithScope(code, rebuilt(scope))
        default: value
        }
    }

    /// Canonical text brings every document back, but for what reads as a typed value.
    private static func checkText(of document: Document) throws {
        let text = ExtendedJSON.string(of: document.view, canonical: true)
        let parsed: Document
        do {
            parsed = try ExtendedJSON.parse(text)
        } catch {
            let isAmbiguous = text.contains("\"$")
            try check(isAmbiguous, "canonical text can't be read: \(error)")
            return
        }
        guard !hasDollar(.document(document)) else { return }
        let again = ExtendedJSON.string(of: parsed.view, canonical: true)
        try check(again == text, "canonical text changes: \(text) to \(again)")
        // Text has one form for NaN, and for what decimal128 encodes in many ways.
        let isSame =
            text.contains("NaN") || parsed.bytes == document.bytes
            || text.contains("numberDecimal") && parsed.view.compare(document.view) == 0
        try check(
            isSame,
            "canonical text makes another document: \(text)")
        _ = ExtendedJSON.string(of: document.view)
    }

    private static func hasDollar(_ value: Value) -> Bool {
        switch value {
        case .document(let document), .codeWithScope(_, let document):
            return fields(of: document.view).contains {
                $0.0.hasPrefix("$") || hasDollar($0.1)
            }
        case .array(let values): return values.contains(where: hasDollar)
        default: return false
        }
    }

    /// Keys are in the order of values, whichever way they are stored.
    private static func checkOrder(of document: Document) throws {
        let values = fields(of: document.view).prefix(12).map { OwnedValue($0.1) }
        for left in values {
            for right in values {
                let order = left.view.compare(right.view)
                let reverse = right.view.compare(left.view).signum()
                try check(
                    reverse == -order.signum(),
                    "\(left) and \(right) compare in one direction")
                for descending in [false, true] {
                    let keys = [left, right].map { value in
                        var encoder = KeyEncoder()
                        encoder.append(value.view, descending: descending)
                        return encoder.bytes
                    }
                    let byBytes = byteOrder(keys[0], keys[1])
                    try check(
                        byBytes == (descending ? -order.signum() : order.signum()),
                        "keys of \(left) and \(right) aren't in the order of the values")
                }
            }
        }
    }

    /// Frames in one piece and byte by byte: the same actions, then answers to them.
    private static let frames = FuzzTarget("wire", .bytes, seeds: frameSeeds) { bytes in
        var whole = ConnectionState()
        whole.receive(ByteBuffer(bytes: bytes))
        let expected = actions(&whole)
        guard bytes.count <= 2_000 else { return }
        var pieces = ConnectionState()
        var found: [String] = []
        for byte in bytes {
            pieces.receive(ByteBuffer(bytes: [byte]))
            found += actions(&pieces)
        }
        try check(found == expected, "in pieces \(found), whole \(expected)")
    }

    private static func actions(_ state: inout ConnectionState) -> [String] {
        var actions: [String] = []
        while true {
            switch state.next() {
            case .wait: return actions
            case .close(let reason): return actions + [reason]
            case .refuse(let id, _, let error, _): actions.append("\(id) \(error)")
            case .request(let request):
                var text = "\(request.id) \(request.body.extendedJSON)"
                for sequence in request.sequences {
                    text += " \(request.bytes(sequence.documents).byteCount) \(sequence.count)"
                }
                actions.append(text)
                state.finished()
            }
        }
    }

    /// Any bytes as a key of an index.
    private static let keys = FuzzTarget("keys", .bytes, seeds: keySeeds) { bytes in
        for descending in [false, true] {
            var decoder = KeyDecoder()
            var offset = 0
            var writer = DocumentWriter()
            let start = writer.openDocument()
            while offset < bytes.count,
                let type = decoder.next(
                    in: bytes.span.bytes, at: &offset, descending: descending)
            {
                decoder.append("", type, to: &writer)
            }
            writer.close(start)
            do throws(DBError) {
                try validate(document: writer.bytes.span.bytes)
            } catch {
                // Keys are made of valid strings, which aren't validated again.
                try check(error.message.contains("UTF-8"), "a key gives \(error)")
                continue
            }
            try checkKeys(of: DocumentView(writer.bytes.span.bytes), descending)
        }
    }

    /// What a key gave has a key that gives it again.
    private static func checkKeys(of document: DocumentView, _ descending: Bool) throws {
        var elements = document.makeIterator()
        while let element = elements.next() {
            guard element.value.keyIsExact else { continue }
            var encoder = KeyEncoder()
            encoder.append(element.value, descending: descending)
            var decoder = KeyDecoder()
            var offset = 0
            let type = decoder.next(
                in: encoder.bytes.span.bytes, at: &offset, descending: descending)
            // It may say that it can't tell the value: of NaN, for one.
            guard let type else { continue }
            try check(offset == encoder.count, "a key isn't read to its end")
            var writer = DocumentWriter()
            let start = writer.openDocument()
            decoder.append("", type, to: &writer)
            writer.close(start)
            let again = DocumentView(writer.bytes.span.bytes)
            guard let value = again.first?.value else { throw FuzzFault("a key gives nothing") }
            try check(
                value.type == element.value.type && value.compare(element.value) == 0,
                "a key gives another value than \(element.value.extendedJSON)")
        }
    }

    /// Names and values in order, copied.
    static func fields(of document: DocumentView) -> [(String, Value)] {
        var fields: [(String, Value)] = []
        var elements = document.makeIterator()
        while let element = elements.next() {
            fields.append((element.nameString, Value(element.value)))
        }
        return fields
    }

    // MARK: Seeds

    private static let documentSeeds = [
        #"{"a": 1, "b": 2.5, "c": "x\u0000y", "d": {"e": [1, {"f": null}]}, "g": true}"#,
        #"{"a": {"$numberLong": "9007199254740993"}, "b": {"$numberDecimal": "1E-6176"}}"#,
        #"{"a": {"$binary": {"base64": "AQID", "subType": "04"}}, "b": {"$minKey": 1}}"#,
        #"{"a": {"$date": "2020-01-01T00:00:00Z"}, "b": {"$timestamp": {"t": 1, "i": 2}}}"#,
        #"{"a": {"$oid": "0123456789abcdef01234567"}, "b": {"$undefined": true}}"#,
        #"{"a": {"$regularExpression": {"pattern": "^a", "options": "i"}}, "b": {"$symbol": "s"}}"#,
        #"{"a": {"$code": "f()", "$scope": {"x": 1}}, "b": {"$numberDouble": "NaN"}}"#,
        #"{"a": {"$dbPointer": {"$ref": "d.c", "$id": {"$oid": "0123456789abcdef01234567"}}}}"#,
        #"{"a": {"$numberDouble": "-0.0"}, "b": {"$numberDecimal": "-0"}, "c": {"$maxKey": 1}}"#,
    ]

    private static let frameSeeds: [[UInt8]] = {
        func frame(_ opCode: UInt8, _ content: [UInt8]) -> [UInt8] {
            [UInt8(16 + content.count), 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, opCode, 7, 0, 0] + content
        }
        let ping = Document { $0.append("ping", 1 as Int32) }.bytes
        let document = Document { $0.append("a", 1 as Int32) }.bytes
        let sequence: [UInt8] =
            [1, UInt8(6 + document.count), 0, 0, 0] + Array("d\0".utf8) + document
        // 2013 is OP_MSG, 2004 OP_QUERY, 2012 OP_COMPRESSED.
        let message = frame(0xDD, [0, 0, 0, 0, 0] + ping)
        return [
            message, message + message, frame(0xDD, [0, 0, 0, 0, 0] + ping + sequence),
            frame(0xD4, [0, 0, 0, 0] + Array("a.$cmd\0".utf8) + [0, 0, 0, 0, 1, 0, 0, 0] + ping),
            frame(
                0xDC,
                [0xDD, 7, 0, 0, UInt8(5 + ping.count), 0, 0, 0, 0, 0, 0, 0, 0, 0] + ping),
            frame(0xDD, [1, 0, 0, 0, 0] + ping + [1, 2, 3, 4]),
        ]
    }()

    private static let keySeeds: [[UInt8]] = documentSeeds.compactMap { seed in
        guard let document = try? ExtendedJSON.parse(seed) else { return nil }
        var encoder = KeyEncoder()
        var elements = document.view.makeIterator()
        while let element = elements.next() { encoder.append(element.value) }
        return encoder.bytes
    }
}
