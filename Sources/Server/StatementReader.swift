// The statements of write commands: an array in the body, or a document sequence beside it, each
// a document whose fields are checked like a command's.

import BSON
import Roost
import Wire

/// Walks the statements of one command.
enum StatementReader {
    /// Calls `body` for each statement, in order.
    ///
    /// - Throws: 16 where there are none or too many, 14 where one is no document.
    static func forEach(
        _ field: StaticString, _ call: borrowing CommandCall,
        _ body: (DocumentView) throws(DBError) -> Void
    ) throws(DBError) {
        if let sequence = call.request.sequence(named: field) {
            try checkCount(sequence.count)
            let bytes = call.bytes(sequence.documents)
            var offset = 0
            while offset < bytes.byteCount {
                // SAFETY: the message parser has checked every document's length.
                let size = Int(
                    UInt32(
                        littleEndian: bytes.unsafeLoadUnaligned(
                            fromByteOffset: offset, as: UInt32.self)))
                try body(DocumentView(bytes.extracting(offset..<offset + size)))
                offset += size
            }
            return
        }
        guard let array = call.value(field)?.array else { return try checkCount(0) }
        try checkCount(array.count)
        var elements = array.makeIterator()
        while let element = elements.next() {
            guard let document = element.value.document else {
                throw DBError(
                    .typeMismatch,
                    "BSON field '\(call.command.name).\(field).\(element.nameString)' is the wrong "
                        + "type '\(element.value.type.alias)', expected type 'object'")
            }
            try body(document)
        }
    }

    private static func checkCount(_ count: Int) throws(DBError) {
        guard (1...Limits.writeBatchMax).contains(count) else {
            throw DBError(
                .invalidLength,
                "Write batch sizes must be between 1 and \(Limits.writeBatchMax). "
                    + "Got \(count) operations.")
        }
    }

    /// Checks a statement's fields against `specs`.
    ///
    /// - Throws: 40415, 40413, 40414, 14, as for commands.
    static func check(
        _ statement: DocumentView, _ place: String, _ specs: [FieldSpec]
    ) throws(DBError) {
        var seen: UInt64 = 0
        var fields = statement.makeIterator()
        while let field = fields.next() {
            var found: Int?
            for (index, spec) in specs.enumerated() where field.name.equals(spec.name) {
                found = index
                break
            }
            guard let found else {
                throw DBError(
                    .idlUnknownField,
                    "BSON field '\(place).\(field.nameString)' is an unknown field.")
            }
            guard seen & (1 << UInt64(found)) == 0 else {
                throw DBError(
                    .idlDuplicateField,
                    "BSON field '\(place).\(field.nameString)' is a duplicate field")
            }
            if specs[found].isAbsent(field.value.type) { continue }
            seen |= 1 << UInt64(found)
            guard specs[found].types.contains(field.value.type) else {
                throw DBError(
                    specs[found].mismatch,
                    "BSON field '\(place).\(field.nameString)' is the wrong type "
                        + "'\(field.value.type.alias)', expected \(specs[found].types.expectation)")
            }
        }
        for (index, spec) in specs.enumerated()
        where spec.isRequired && seen & (1 << UInt64(index)) == 0 {
            throw DBError(
                .idlMissingField,
                "BSON field '\(place).\(spec.name)' is missing but a required field")
        }
    }
}
