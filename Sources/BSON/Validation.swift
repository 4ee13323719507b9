// Checking foreign bytes once, at the boundary.
//
// Guarantees for bytes that pass: every length, terminator and type is right, so every view walks
// the whole document; names, strings, code, symbols, namespaces and both parts of regular
// expressions are UTF-8; bools are 0 or 1; old binary data (subtype 2) has the right inner length;
// nothing is nested deeper than the limit, so recursion over documents is bounded. Names of array
// elements are not checked (MongoDB accepts any).
//
// One pass, O(bytes); the recursion stops at the depth limit however deep the input is nested.

/// Checks that `bytes` are exactly one valid document.
///
/// `depthMax` counts levels below the top. Throws `overflow` (15) for deeper nesting, else
/// `invalidBSON` (22); the message says at which byte and field.
package func validate(
    document bytes: RawSpan, depthMax: Int = Limits.nestingDepthMax
) throws(DBError) {
    do throws(ValidationFailure) {
        try Validator(bytes: bytes, depthMax: depthMax).checkDocument(0..<bytes.byteCount, depth: 0)
    } catch {
        throw error.dbError(depthMax: depthMax)
    }
}

/// What is wrong, and where; the fields around it are added on the way up.
private struct ValidationFailure: Error {
    let reason: StaticString
    let offset: Int
    var isTooDeep = false
    /// Innermost first.
    var path: [String] = []

    func inside(_ name: RawSpan) -> ValidationFailure {
        var failure = self
        let shown = name.byteCount <= 64 ? name : name.extracting(first: 64)
        failure.path.append(String(utf8: shown))
        return failure
    }

    func dbError(depthMax: Int) -> DBError {
        var place = "at byte \(offset)"
        if !path.isEmpty {
            // The outermost names say enough.
            let shown = path.reversed().prefix(8).joined(separator: ".")
            place += " in field '\(shown)\(path.count > 8 ? "…" : "")'"
        }
        if isTooDeep {
            return DBError(
                .overflow, "Document is nested more than \(depthMax) levels deep, \(place)")
        }
        return DBError(.invalidBSON, "Invalid BSON: \(reason), \(place)")
    }
}

private struct Validator: ~Escapable {
    let bytes: RawSpan
    let depthMax: Int

    @_lifetime(copy bytes)
    init(bytes: RawSpan, depthMax: Int) {
        self.bytes = bytes
        self.depthMax = depthMax
    }

    // SAFETY (all loads in this file): callers compare the offset with an end that lies within
    // `bytes` first.

    private func int32(at offset: Int) -> Int {
        Int(Int32(littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: Int32.self)))
    }

    private func byte(at offset: Int) -> UInt8 {
        bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
    }

    /// Checks that `range` is exactly one document.
    func checkDocument(_ range: Range<Int>, depth: Int) throws(ValidationFailure) {
        guard range.count >= 5 else {
            throw ValidationFailure(
                reason: "a document has at least 5 bytes", offset: range.lowerBound)
        }
        guard depth <= depthMax else {
            throw ValidationFailure(reason: "", offset: range.lowerBound, isTooDeep: true)
        }
        guard int32(at: range.lowerBound) == range.count else {
            throw ValidationFailure(
                reason: "the document's length does not match its bytes", offset: range.lowerBound)
        }
        let end = range.upperBound - 1
        guard byte(at: end) == 0 else {
            throw ValidationFailure(reason: "the document does not end with a zero", offset: end)
        }
        var offset = range.lowerBound + 4
        while offset < end {
            let typeByte = byte(at: offset)
            guard let type = BSONType(rawValue: typeByte) else {
                throw ValidationFailure(
                    reason: typeByte == 0
                        ? "the document ends before its length" : "unknown type of element",
                    offset: offset)
            }
            let nameStart = offset + 1
            let (nameEnd, isASCII) = bytes.scanName(from: nameStart)
            guard nameEnd < end else {
                throw ValidationFailure(reason: "a field's name does not end", offset: nameStart)
            }
            do throws(ValidationFailure) {
                if !isASCII {
                    try checkUTF8(nameStart..<nameEnd, "a field's name is not UTF-8")
                }
                offset = try checkValue(type, at: nameEnd + 1, end: end, depth: depth)
            } catch {
                throw error.inside(bytes.extracting(unchecked: nameStart..<nameEnd))
            }
        }
    }

    /// Checks a value that begins at `offset` and must end at or before `end`; returns its end.
    @inline(__always)
    private func checkValue(
        _ type: BSONType, at offset: Int, end: Int, depth: Int
    ) throws(ValidationFailure) -> Int {
        let size = bytes.payloadSize(of: type, at: offset)
        guard size >= 0, size <= end - offset else {
            throw ValidationFailure(
                reason: "a value's length is wrong or points behind its document", offset: offset)
        }
        let valueEnd = offset + size
        switch type {
        case .int32, .int64, .double, .date, .timestamp, .objectID, .decimal128, .null, .undefined,
            .minKey, .maxKey:
            break
        case .bool:
            guard byte(at: offset) <= 1 else {
                throw ValidationFailure(reason: "a bool is neither 0 nor 1", offset: offset)
            }
        case .string, .symbol, .code: try checkText(offset..<valueEnd)
        case .document, .array: try checkDocument(offset..<valueEnd, depth: depth + 1)
        case .binary: try checkBinary(offset..<valueEnd)
        case .regex:
            let patternEnd = bytes.indexOfZero(from: offset)
            try checkUTF8(offset..<patternEnd, "a pattern is not UTF-8")
            try checkUTF8(patternEnd + 1..<valueEnd - 1, "a pattern's options are not UTF-8")
        case .dbPointer: try checkText(offset..<valueEnd - 12)
        case .codeWithScope:
            // payloadSize has checked that code and the smallest scope fit.
            let scopeStart = offset + 8 + int32(at: offset + 4)
            try checkText(offset + 4..<scopeStart)
            try checkDocument(scopeStart..<valueEnd, depth: depth + 1)
        }
        return valueEnd
    }

    /// Checks a length-prefixed text whose length is known to fit: its zero byte, its UTF-8.
    private func checkText(_ range: Range<Int>) throws(ValidationFailure) {
        let last = range.upperBound - 1
        guard byte(at: last) == 0 else {
            throw ValidationFailure(reason: "a string does not end with a zero", offset: last)
        }
        try checkUTF8(range.lowerBound + 4..<last, "a string is not UTF-8")
    }

    private func checkBinary(_ range: Range<Int>) throws(ValidationFailure) {
        guard byte(at: range.lowerBound + 4) == 2 else { return }
        let content = range.lowerBound + 5..<range.upperBound
        guard content.count >= 4, int32(at: content.lowerBound) == content.count - 4 else {
            throw ValidationFailure(
                reason: "binary data of subtype 2 has a wrong inner length",
                offset: content.lowerBound)
        }
    }

    private func checkUTF8(
        _ range: Range<Int>, _ reason: StaticString
    ) throws(ValidationFailure) {
        if let offset = bytes.firstInvalidUTF8(in: range) {
            throw ValidationFailure(reason: reason, offset: offset)
        }
    }
}
