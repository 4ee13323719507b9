// Conversions of binary data from and to text and numbers.

import BSON

enum BinaryConversion {
    // MARK: From binary data

    /// The two's complement integer in 1, 2, 4 (or 8) bytes; nil for other sizes.
    static func integer(_ value: ValueRef, bytesMax: Int, isBig: Bool) -> Int64? {
        guard let content = value.view.binary?.content, content.byteCount <= bytesMax,
            [1, 2, 4, 8].contains(content.byteCount)
        else { return nil }
        let unused = Int64(64 - content.byteCount * 8)
        return (Int64(bitPattern: bits(content, isBig)) << unused) >> unused
    }

    /// The IEEE number in 4 or 8 bytes; nil for other sizes.
    static func double(_ value: ValueRef, isBig: Bool) -> Double? {
        guard let content = value.view.binary?.content else { return nil }
        switch content.byteCount {
        case 4: return Double(Float(bitPattern: UInt32(bits(content, isBig))))
        case 8: return Double(bitPattern: bits(content, isBig))
        default: return nil
        }
    }

    /// The unsigned number in at most eight bytes.
    private static func bits(_ content: RawSpan, _ isBig: Bool) -> UInt64 {
        var bits: UInt64 = 0
        for index in 0..<content.byteCount {
            let offset = isBig ? index : content.byteCount - 1 - index
            // SAFETY: below the size.
            bits = bits << 8 | UInt64(content.unsafeLoad(fromByteOffset: offset, as: UInt8.self))
        }
        return bits
    }

    /// Binary data as text.
    static func text(
        _ value: ValueRef, _ format: ConversionOptions.Format?
    ) throws(DBError) -> String {
        guard let binary = value.view.binary else { return "" }
        let content = binary.content
        let isUUID = binary.subtype == 4 && content.byteCount == 16
        switch format {
        case .auto where isUUID, nil where isUUID, .uuid:
            guard isUUID else {
                throw ConvertOperators.failure(value, .string, "it is no UUID")
            }
            return TextConversion.uuid(content)
        case .auto, .base64, nil: return base64(content)
        case .base64url:
            let letters = base64(content).utf8.filter { $0 != UInt8(ascii: "=") }
            return String(decoding: letters.map { urlSafe($0) }, as: UTF8.self)
        case .hex:
            var digits: [UInt8] = []
            for byte in [UInt8](copying: content) {
                for digit in [byte >> 4, byte & 15] {
                    digits.append(digit < 10 ? 48 + digit : 55 + digit)
                }
            }
            return String(decoding: digits, as: UTF8.self)
        case .utf8:
            guard let text = String(validating: [UInt8](copying: content), as: UTF8.self) else {
                throw ConvertOperators.failure(value, .string, "the bytes are not UTF-8")
            }
            return text
        }
    }

    private static func base64(_ content: RawSpan) -> String {
        var letters: [UInt8] = []
        Base64.append(content, to: &letters)
        return String(decoding: letters, as: UTF8.self)
    }

    private static func urlSafe(_ letter: UInt8) -> UInt8 {
        switch letter {
        case UInt8(ascii: "+"): UInt8(ascii: "-")
        case UInt8(ascii: "/"): UInt8(ascii: "_")
        default: letter
        }
    }

    // MARK: To binary data

    /// A value as binary data of the subtype asked for.
    static func binary(
        _ value: ValueRef, _ options: ConversionOptions, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        switch value.type {
        case .binary:
            guard value.view.binary?.subtype == options.subtype else {
                throw ConvertOperators.failure(
                    value, .binary, "there is no conversion between subtypes")
            }
            return value
        case .int32, .int64, .double:
            let content = try number(value, options)
            return make(content, options.subtype, &context)
        case .string:
            let format = options.format ?? .auto
            let isUUID = format == .uuid || format == .auto && options.subtype == 4
            guard isUUID == (options.subtype == 4) else {
                throw ConvertOperators.failure(
                    value, .binary, "subtype 4 and format uuid belong together")
            }
            guard let content = decode(value.view.text, isUUID ? .uuid : format) else {
                throw ConvertOperators.failure(
                    value, .binary, "the text is not written as format \(format) says")
            }
            return make(content, options.subtype, &context)
        default:
            throw ConvertOperators.failure(value, .binary, "there is no such conversion")
        }
    }

    private static func number(
        _ value: ValueRef, _ options: ConversionOptions
    ) throws(DBError) -> [UInt8] {
        guard options.subtype != 4 else {
            throw ConvertOperators.failure(value, .binary, "a number is no UUID")
        }
        // BSON's numbers are little-endian already.
        let content = [UInt8](copying: value.bytes)
        return options.isBigEndian ? content.reversed() : content
    }

    private static func make(
        _ content: [UInt8], _ subtype: UInt8, _ context: inout EvaluationContext
    ) -> ValueRef {
        var payload: [UInt8] = []
        func append(count: Int) {
            for shift in [0, 8, 16, 24] {
                payload.append(UInt8(truncatingIfNeeded: count >> shift))
            }
        }
        // Subtype 2 has its length inside once more.
        append(count: subtype == 2 ? content.count + 4 : content.count)
        payload.append(subtype)
        if subtype == 2 { append(count: content.count) }
        return context.make(OwnedValue(type: .binary, payload: payload + content))
    }

    private static func decode(_ text: String, _ format: ConversionOptions.Format) -> [UInt8]? {
        switch format {
        case .auto, .base64: return Base64.decode(text)
        case .base64url:
            var letters = text.utf8.map { plain($0) }
            guard !letters.contains(0) else { return nil }
            if letters.count % 4 != 0, letters.last != UInt8(ascii: "=") {
                while letters.count % 4 != 0 { letters.append(UInt8(ascii: "=")) }
            }
            return Base64.decode(String(decoding: letters, as: UTF8.self))
        case .hex: return hex(Array(text.utf8))
        case .utf8: return Array(text.utf8)
        case .uuid:
            var letters = Array(text.utf8)
            guard letters.count == 36 else { return nil }
            for place in [23, 18, 13, 8] {
                guard letters.remove(at: place) == UInt8(ascii: "-") else { return nil }
            }
            return hex(letters)
        }
    }

    /// The letter of plain base64 for one of the URL-safe form; 0 for others.
    private static func plain(_ letter: UInt8) -> UInt8 {
        switch letter {
        case UInt8(ascii: "-"): UInt8(ascii: "+")
        case UInt8(ascii: "_"): UInt8(ascii: "/")
        case UInt8(ascii: "+"), UInt8(ascii: "/"): 0
        default: letter
        }
    }

    private static func hex(_ letters: [UInt8]) -> [UInt8]? {
        guard letters.count.isMultiple(of: 2) else { return nil }
        var bytes: [UInt8] = []
        for start in stride(from: 0, to: letters.count, by: 2) {
            guard let high = digit(letters[start]), let low = digit(letters[start + 1]) else {
                return nil
            }
            bytes.append(high << 4 | low)
        }
        return bytes
    }

    private static func digit(_ letter: UInt8) -> UInt8? {
        switch letter {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): letter - 48
        case UInt8(ascii: "a")...UInt8(ascii: "f"): letter - 87
        case UInt8(ascii: "A")...UInt8(ascii: "F"): letter - 55
        default: nil
        }
    }
}
