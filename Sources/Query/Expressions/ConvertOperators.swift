// $convert $toBool $toDate $toDecimal $toDouble $toInt $toLong $toObjectId $toString $toUUID.
//
// A conversion that is not possible is 241; `onError` of $convert catches that and nothing else.

import BSON

enum ConvertOperators {
    static let rows: [OperatorRow] = [
        shorthand("$toBool", .bool), shorthand("$toDate", .date),
        shorthand("$toDecimal", .decimal128), shorthand("$toDouble", .double),
        shorthand("$toInt", .int32), shorthand("$toLong", .int64),
        shorthand("$toObjectId", .objectID), shorthand("$toString", .string),
        shorthand("$toUUID", .binary, ConversionOptions(subtype: 4, format: .uuid)),
        .custom("$convert", parseConvert),
    ]

    private static func shorthand(
        _ name: String, _ target: BSONType,
        _ options: ConversionOptions = ConversionOptions(format: .auto)
    ) -> OperatorRow {
        let called = StrictOperator(nullRule: .nullIfAny) { arguments, context throws(DBError) in
            try convert(arguments(0, context), to: target, options, &context)
        }
        return .custom(name) { argument, program throws(DBError) in
            if let list = argument.array, list.count != 1 {
                throw .location(50723, "\(name) requires a single argument, got \(list.count)")
            }
            let arguments = try OperatorTable.parseList(name, argument, 1...1, &program)
            return try program.strict(called, arguments)
        }
    }

    // MARK: $convert

    /// The arguments in the order of the operator's children.
    private static let names = [
        "input", "to", "onError", "onNull", "format", "byteOrder", "base",
    ]

    private static let convertOperator = LazyOperator { call, context throws(DBError) in
        let input = try call(0, &context)
        let target = try call(1, &context)
        if input.isNullish {
            if !target.isNullish { _ = try targetType(target) }
            let onNull = try call(3, &context)
            return onNull.isAbsent ? .null : onNull
        }
        if target.isNullish { return .null }
        let type = try targetType(target)
        let options = try ConversionOptions(
            input, target, type, format: try call(4, &context), byteOrder: try call(5, &context),
            base: try call(6, &context))
        do throws(DBError) {
            return try convert(input, to: type, options, &context)
        } catch {
            guard error.code == .conversionFailure else { throw error }
            let onError = try call(2, &context)
            if onError.isAbsent { throw error }
            return onError
        }
    }

    @Sendable
    private static func parseConvert(
        _ argument: ValueView, _ program: inout ProgramBuilder
    ) throws(DBError) -> Int {
        guard let object = argument.document else {
            throw DBError(
                .failedToParse,
                "$convert expects an object of named arguments but found: \(argument.type.alias)")
        }
        var parsed: [String: Int] = [:]
        var elements = object.makeIterator()
        while let element = elements.next() {
            let name = element.nameString
            guard names.contains(name) else {
                throw DBError(.failedToParse, "$convert found an unknown argument: \(name)")
            }
            parsed[name] = try program.parse(element.value)
        }
        for name in ["input", "to"] where parsed[name] == nil {
            throw DBError(.failedToParse, "Missing '\(name)' parameter to $convert")
        }
        let arguments = names.map { parsed[$0] ?? program.add(.absent) }
        return program.lazy(convertOperator, arguments)
    }

    /// The type that `to` names, by alias or number, or in {type: …}.
    private static func targetType(_ value: ValueRef) throws(DBError) -> BSONType {
        if value.isType(.document) {
            guard let type = value.nested.value("type") else {
                throw DBError(.failedToParse, "$convert's 'to' object lacks 'type'")
            }
            return try targetType(ValueRef(type))
        }
        if value.isType(.string) {
            let name = value.view.text
            if let type = BSONType.allCases.first(where: { $0.alias == name }) { return type }
            throw DBError(.badValue, "Unknown type name: \(name)")
        }
        guard let number = Number(value) else {
            throw DBError(
                .failedToParse,
                "$convert's 'to' argument must be a string or number, but is \(value.typeName)")
        }
        guard let code = number.exactInt64 else {
            throw DBError(
                .failedToParse, "In $convert, numeric 'to' argument is not an integer")
        }
        let type = code == -1 ? BSONType.minKey : UInt8(exactly: code).flatMap(BSONType.init)
        guard let type else {
            throw DBError(
                .failedToParse,
                "In $convert, numeric value for 'to' does not correspond to a "
                    + "BSON type: \(code)")
        }
        return type
    }

    // MARK: Conversions

    static func failure(_ value: ValueRef, _ target: BSONType, _ why: String) -> DBError {
        DBError(
            .conversionFailure,
            "Failed to convert \(value.typeName) to \(target.alias) in $convert: \(why)")
    }

    /// `value`, which is not null, as `target`.
    static func convert(
        _ value: ValueRef, to target: BSONType, _ options: ConversionOptions,
        _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        if value.isType(target), ![.minKey, .maxKey, .binary].contains(target) { return value }
        switch target {
        case .bool: return context.make(value.isTruthy)
        case .string: return try toString(value, options, &context)
        case .binary: return try BinaryConversion.binary(value, options, &context)
        case .int32:
            let number = try toInteger(value, target, options)
            guard let small = Int32(exactly: number) else {
                throw failure(value, target, "the value is out of range")
            }
            return context.make(small)
        case .int64: return context.make(try toInteger(value, target, options))
        case .double: return context.make(try toDouble(value, options))
        case .decimal128: return context.make(try toDecimal(value))
        case .date: return context.make(try toDate(value), .date)
        case .objectID:
            guard value.isType(.string), let id = ObjectID(value.view.text) else {
                throw failure(value, target, "24 hexadecimal digits are needed")
            }
            return context.make(OwnedValue(.objectID(id)))
        default: throw failure(value, target, "there is no such conversion")
        }
    }

    private static func toString(
        _ value: ValueRef, _ options: ConversionOptions, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        if value.isType(.binary) {
            return context.make(try BinaryConversion.text(value, options.format))
        }
        if let base = options.base, let number = Number(value) {
            guard let integer = number.exactInt64 else {
                throw failure(value, .string, "only whole numbers have a text in another base")
            }
            return context.make(String(integer, radix: base, uppercase: true))
        }
        if value.isType(.timestamp) || value.isType(.code) {
            throw failure(value, .string, "there is no such conversion")
        }
        guard let text = TextConversion.text(value) else {
            throw failure(value, .string, "there is no such conversion")
        }
        return context.make(text)
    }

    private static func toInteger(
        _ value: ValueRef, _ target: BSONType, _ options: ConversionOptions = ConversionOptions()
    ) throws(DBError) -> Int64 {
        let integer: Int64?
        switch value.type {
        case .int32, .int64, .double, .decimal128:
            switch Number(value) {
            case .double(let double): integer = Int64(exactly: double.rounded(.towardZero))
            case .decimal(let decimal): integer = decimal.truncatedInt64
            case let number: integer = number?.integer
            }
        case .bool: integer = value.isTruthy ? 1 : 0
        case .date where target == .int64: integer = value.view.dateMillis
        case .binary where target != .date:
            integer = BinaryConversion.integer(
                value, bytesMax: target == .int64 ? 8 : 4, isBig: options.isBigEndian)
        case .string:
            let text = value.view.text
            if let base = options.base {
                integer = Int64(text, radix: base)
            } else {
                integer = isPlainInteger(text) ? Int64(text) : nil
            }
        default: integer = nil
        }
        guard let integer else {
            throw failure(value, target, "the value is no whole number in range")
        }
        return integer
    }

    private static func isPlainInteger(_ text: String) -> Bool {
        let digits =
            text.utf8.first == 45 || text.utf8.first == 43
            ? text.utf8.dropFirst()
            : text.utf8[...]
        return !digits.isEmpty && digits.allSatisfy { (48...57).contains($0) }
    }

    private static func toDouble(
        _ value: ValueRef, _ options: ConversionOptions
    ) throws(DBError) -> Double {
        switch value.type {
        case .int32, .int64: return Number(value)?.double ?? 0
        case .decimal128:
            let decimal = value.view.decimal128 ?? Decimal128(Int32(0))
            let double = decimal.roundedDouble
            if double.isInfinite, decimal.isFinite {
                throw failure(value, .double, "the value is out of range")
            }
            return double
        case .bool: return value.isTruthy ? 1 : 0
        case .date: return Double(value.view.dateMillis ?? 0)
        case .string:
            let text = value.view.text
            if let base = options.base, base != 10 {
                guard let integer = Int64(text, radix: base) else {
                    throw failure(value, .double, "the text is no number to base \(base)")
                }
                return Double(integer)
            }
            guard text.utf8.allSatisfy({ $0 > 32 && $0 < 127 }), let double = Double(text),
                double.isFinite || text.lowercased().contains("inf")
                    || text.lowercased().contains("nan")
            else { throw failure(value, .double, "the text is no number") }
            if double == 0, hasNonzeroDigit(text) {
                throw failure(value, .double, "the number is too small")
            }
            return double
        case .binary:
            guard let double = BinaryConversion.double(value, isBig: options.isBigEndian) else {
                throw failure(value, .double, "4 or 8 bytes are needed")
            }
            return double
        default: throw failure(value, .double, "there is no such conversion")
        }
    }

    /// Whether the number in front of the exponent is other than zero.
    private static func hasNonzeroDigit(_ text: String) -> Bool {
        text.utf8.prefix { $0 | 0x20 != 101 }.contains { (49...57).contains($0) }
    }

    private static func toDecimal(_ value: ValueRef) throws(DBError) -> Decimal128 {
        switch value.type {
        case .int32, .int64, .double:
            return Number(value)?.decimal ?? Decimal128(Int32(0))
        case .bool: return Decimal128(Int32(value.isTruthy ? 1 : 0))
        case .date: return Decimal128(value.view.dateMillis ?? 0)
        case .string:
            guard let decimal = Decimal128(cutting: value.view.text) else {
                throw failure(value, .decimal128, "the text is no decimal number")
            }
            let text = value.view.text
            let isCut = decimal.isZero ? hasNonzeroDigit(text) : decimal.isInfinite
            if isCut, !text.lowercased().contains("inf") {
                throw failure(value, .decimal128, "the number is out of range")
            }
            return decimal
        default: throw failure(value, .decimal128, "there is no such conversion")
        }
    }

    private static func toDate(_ value: ValueRef) throws(DBError) -> Int64 {
        let millis: Int64?
        switch value.type {
        case .int64, .double, .decimal128: millis = try toInteger(value, .date)
        case .string: millis = DateText.parse(value.utf8)
        case .objectID:
            // The seconds of an ObjectId are signed, as MongoDB reads them.
            millis = value.view.objectID.map { Int64(Int32(bitPattern: $0.seconds)) * 1000 }
        case .timestamp: millis = value.view.timestamp.map { Int64($0.seconds) * 1000 }
        default: millis = nil
        }
        guard let millis else { throw failure(value, .date, "the value is no date") }
        return millis
    }
}
