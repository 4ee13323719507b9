// MongoDB Extended JSON v2 (specifications/source/extended-json), both directions.
//
// Canonical form keeps every type and bit but a NaN's payload; relaxed form writes numbers and
// dates between 1970 and 9999 as people do. The parser takes both, and two legacy forms:
// {"$binary": base64, "$type": hex} and {"$regex": pattern, "$options": letters}.
//
// Plain numbers: without point and exponent an int32 or else an int64, else a double. A whole
// number that neither int64 nor double holds exactly, and a number outside the double's range, are
// errors: say $numberDecimal, or $numberDouble to have it rounded.
//
// An object is a typed value if it has one of the type's keys ("$oid" …); what else it holds is then
// an error. Objects with other keys that start with "$" are plain documents, as queries need.

/// Extended JSON v2 to and from BSON.
public enum ExtendedJSON {
    /// The document that a JSON object stands for.
    ///
    /// Throws `failedToParse` with line and column, or `overflow` for too deep nesting.
    public static func parse(_ text: String) throws(DBError) -> Document {
        var text = text
        return try withBytes(of: &text, parse(utf8:))
    }

    /// The document that the UTF-8 of a JSON object stands for.
    public static func parse(utf8 text: RawSpan) throws(DBError) -> Document {
        do throws(JSONError) {
            let node = try JSONParser.parse(text, depthMax: jsonDepthMax)
            guard case .object(let fields) = node.kind else {
                throw JSONError(message: "expected an object", offset: node.offset)
            }
            var reader = ExtendedJSONReader()
            return try validated(try reader.document(fields))
        } catch {
            throw located(error, in: text)
        }
    }

    /// A regular expression's options in the order that the format wants: alphabetical, by scalars,
    /// so that a letter of several bytes stays one.
    static func sorted(options: String) -> String {
        String(String.UnicodeScalarView(options.unicodeScalars.sorted()))
    }

    /// The value that any JSON text stands for.
    public static func parseValue(_ text: String) throws(DBError) -> Value {
        var text = text
        return try withBytes(of: &text) { (text) throws(DBError) -> Value in
            do throws(JSONError) {
                let node = try JSONParser.parse(text, depthMax: jsonDepthMax)
                var reader = ExtendedJSONReader()
                let wrapped = try reader.document([JSONField(name: "", node: node)])
                return try validated(wrapped)[""] ?? .null
            } catch {
                throw located(error, in: text)
            }
        }
    }

    /// The text of a valid document, canonical or relaxed. O(bytes).
    public static func string(of document: DocumentView, canonical: Bool = false) -> String {
        var writer = ExtendedJSONWriter(isCanonical: canonical)
        writer.append(document)
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    /// The text of a valid value, canonical or relaxed. O(bytes).
    public static func string(of value: ValueView, canonical: Bool = false) -> String {
        var writer = ExtendedJSONWriter(isCanonical: canonical)
        writer.append(value)
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    /// Every level of BSON may take two of JSON: {"$code": …, "$scope": {…}} lies in a wrapper.
    private static let jsonDepthMax = 2 * Limits.nestingDepthMax + 8

    private static func withBytes<R>(
        of text: inout String, _ body: (RawSpan) throws(DBError) -> R
    ) throws(DBError) -> R {
        let result = text.withUTF8 { buffer -> Result<R, DBError> in
            do throws(DBError) {
                return .success(try body(buffer.span.bytes))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    /// The reader keeps BSON's rules itself, all but the depth.
    private static func validated(_ document: Document) throws(JSONError) -> Document {
        do throws(DBError) {
            try validate(document: document.bytes.span.bytes)
        } catch {
            throw JSONError(message: error.message, offset: 0)
        }
        return document
    }

    private static func located(_ error: JSONError, in text: RawSpan) -> DBError {
        var line = 1
        var column = 1
        for index in 0..<min(error.offset, text.byteCount) {
            // SAFETY: `index` is below the span's size.
            let byte = text.unsafeLoad(fromByteOffset: index, as: UInt8.self)
            if byte == 0x0A {
                line += 1
                column = 1
            } else if byte & 0xC0 != 0x80 {
                column += 1
            }
        }
        return DBError(
            .failedToParse, "Invalid JSON at line \(line), column \(column): \(error.message)")
    }
}

extension Document: CustomStringConvertible {
    /// The relaxed Extended JSON.
    public var description: String { ExtendedJSON.string(of: view) }
}

extension DocumentView {
    /// The relaxed Extended JSON, for messages and tests.
    package var extendedJSON: String { ExtendedJSON.string(of: self) }
}

extension ValueView {
    /// The relaxed Extended JSON, for messages and tests.
    package var extendedJSON: String { ExtendedJSON.string(of: self) }
}
