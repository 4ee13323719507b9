// The arguments of $convert that say how: format, byteOrder, base, and the subtype of binary data.

import BSON

/// How a conversion writes what can be written in several ways.
struct ConversionOptions {
    /// Notations of binary data as text.
    enum Format: String {
        case auto, base64, base64url, hex, utf8, uuid
    }

    /// The subtype of binary data to make.
    var subtype: UInt8 = 0
    /// Nil where the conversion needs none.
    var format: Format?
    /// Whether the bytes of numbers begin with the most significant one.
    var isBigEndian = false
    /// The base of numbers as text; nil is as numbers are usually written.
    var base: Int?

    init(subtype: UInt8 = 0, format: Format? = nil) {
        self.subtype = subtype
        self.format = format
    }

    /// Checks the arguments that matter for the conversion of `input` to `type`; others are
    /// ignored.
    init(
        _ input: ValueRef, _ target: ValueRef, _ type: BSONType, format: ValueRef,
        byteOrder: ValueRef, base: ValueRef
    ) throws(DBError) {
        if target.isType(.document) { try readSubtype(target) }
        let isBinary = input.isType(.binary) || type == .binary
        if isBinary, input.isType(.string) || type == .string {
            try readFormat(format, input, type)
        }
        if isBinary, !byteOrder.isNullish { try readByteOrder(byteOrder) }
        if !base.isNullish, input.isType(.string) || type == .string { try readBase(base) }
    }

    private mutating func readSubtype(_ target: ValueRef) throws(DBError) {
        guard let value = target.nested.value("subtype") else { return }
        guard let number = Number(ValueRef(value)) else {
            throw .location(
                4_341_106,
                "$convert's 'subtype' argument must be a number, but is \(value.type.alias)"
            )
        }
        guard let code = number.exactInt64 else {
            throw .location(4_341_107, "In $convert, numeric 'subtype' argument is not an integer")
        }
        guard (0...8).contains(code) || (128...255).contains(code) else {
            throw .location(
                4_341_108,
                "In $convert, numeric value for 'subtype' does not correspond to a BinData type: "
                    + "\(code)")
        }
        subtype = UInt8(code)
    }

    private mutating func readFormat(
        _ value: ValueRef, _ input: ValueRef, _ type: BSONType
    ) throws(DBError) {
        if value.isNullish {
            throw .location(
                4_341_115,
                "Format must be specified when converting from '\(input.typeName)' to "
                    + "'\(type.alias)'")
        }
        guard value.isType(.string) else {
            throw .location(
                4_341_114,
                "$convert requires that 'format' be a string, found: \(value.typeName)")
        }
        guard let known = Format(rawValue: value.view.text) else {
            throw .location(
                4_341_125, "Invalid 'format' argument for $convert: \(value.view.text)")
        }
        format = known
    }

    private mutating func readByteOrder(_ value: ValueRef) throws(DBError) {
        guard value.isType(.string) else {
            throw .location(
                9_130_001,
                "$convert requires that 'byteOrder' be a string, found: \(value.typeName)")
        }
        switch value.view.text {
        case "little": isBigEndian = false
        case "big": isBigEndian = true
        case let text:
            throw .location(
                9_130_002,
                "Invalid 'byteOrder' argument for $convert: '\(text)'; it is 'little' or 'big'")
        }
    }

    private mutating func readBase(_ value: ValueRef) throws(DBError) {
        guard let number = Number(value)?.exactInt64 else {
            throw .location(
                3_501_300, "In $convert, 'base' argument is not an integer: \(value.typeName)")
        }
        guard [2, 8, 10, 16].contains(number) else {
            throw .location(
                3_501_301,
                "In $convert, 'base' argument is not valid: \(number); it is 2, 8, 10 or 16")
        }
        base = Int(number)
    }
}
