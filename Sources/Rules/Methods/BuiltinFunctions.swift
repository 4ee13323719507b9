// Functions of the language: lookups, conversions, and those of the namespaces.

internal import BSON
import Glibc

extension RuleEvaluator {
    /// Calls a function; the number of arguments is right.
    mutating func callBuiltin(
        _ function: BuiltinFunction, _ arguments: [RuleValue], _ id: ExpressionID
    ) throws(RuleFailure) -> RuleValue {
        switch function {
        case .get: return try get(arguments[0], after: false)
        case .getAfter: return try get(arguments[0], after: true)
        case .exists: return try exists(arguments[0], after: false)
        case .existsAfter: return try exists(arguments[0], after: true)
        case .debug:
            trace?.debugged.append((id, arguments[0]))
            return arguments[0]
        case .path: return try makePath(arguments)
        case .int: return .int(try int(arguments))
        case .float: return .float(try float(arguments))
        case .string: return .string(try text(of: arguments[0]))
        case .mathAbs, .mathCeil, .mathFloor, .mathRound, .mathSqrt, .mathPow, .mathIsNaN:
            return try math(function, arguments)
        case .hashingMD5, .hashingSHA256, .hashingCRC32, .hashingCRC32C:
            return .bytes(try hash(function, arguments))
        case .timestampDate: return try timestampDate(arguments)
        case .timestampValue:
            guard case .int(let millis) = arguments[0] else {
                throw wrongArguments(function, arguments, "int")
            }
            return try timestamp(Int128(millis) * 1_000_000)
        case .durationValue: return try durationValue(arguments)
        case .durationTime: return try durationTime(arguments)
        case .durationAbs:
            guard case .duration(let length) = arguments[0] else {
                throw wrongArguments(function, arguments, "duration")
            }
            return try duration(length.nanos < 0 ? -length.nanos : length.nanos)
        case .latlngValue: return try makePlace(arguments)
        }
    }

    /// The failure that arguments are of other types.
    func wrongArguments(
        _ function: BuiltinFunction, _ arguments: [RuleValue], _ expected: String
    ) -> RuleFailure {
        if arguments.contains(where: { if case .null = $0 { true } else { false } }) {
            return failure(.nullValue)
        }
        let types = arguments.map(\.typeName).joined(separator: ", ")
        return failure(
            .unsupported(
                "\(function.rawValue)(\(types))", expected: "\(function.rawValue)(\(expected))"))
    }

    private func makePath(_ arguments: [RuleValue]) throws(RuleFailure) -> RuleValue {
        guard case .string(let text) = arguments[0] else {
            throw wrongArguments(.path, arguments, "string")
        }
        let segments = text.split(separator: "/").map(String.init)
        guard !segments.isEmpty, segments.count <= rules.limits.pathSegmentsMax else {
            throw failure(.other("'\(text.prefix(100))' is no path."))
        }
        return .path(RulePath(segments))
    }

    private func makePlace(_ arguments: [RuleValue]) throws(RuleFailure) -> RuleValue {
        guard let latitude = arguments[0].number, let longitude = arguments[1].number else {
            throw wrongArguments(.latlngValue, arguments, "float, float")
        }
        guard let place = RuleLatLng(latitude: latitude, longitude: longitude) else {
            throw failure(
                .other(
                    "Latitude should be in [-90,90] range and longitude should be in [-180,180] "
                        + "range. latitude: \(latitude), longitude: \(longitude)."))
        }
        return .latlng(place)
    }

    // MARK: Conversions

    private func conversion(_ value: RuleValue, to type: String) -> RuleFailure {
        if case .null = value { return failure(.nullValue) }
        var argument = value.typeName
        if case .string(let text) = value { argument = String(text.prefix(100)) }
        return failure(.conversion(argument: argument, from: value.typeName, to: type))
    }

    /// Floats are cut and saturate, NaN is 0.
    private func int(_ arguments: [RuleValue]) throws(RuleFailure) -> Int64 {
        switch arguments[0] {
        case .int(let value): return value
        case .float(let value): return Self.saturated(value)
        case .string(let text):
            let digits =
                text.utf8.first == UInt8(ascii: "+") || text.utf8.first == UInt8(ascii: "-")
                ? text.utf8.dropFirst() : text.utf8[...]
            guard !digits.isEmpty, digits.allSatisfy({ 48...57 ~= $0 }), let value = Int64(text)
            else { throw conversion(arguments[0], to: "int") }
            return value
        default: throw conversion(arguments[0], to: "int")
        }
    }

    static func saturated(_ value: Double) -> Int64 {
        if value.isNaN { return 0 }
        if value >= 0x1p63 { return .max }
        if value < -0x1p63 { return .min }
        return Int64(value)
    }

    private func float(_ arguments: [RuleValue]) throws(RuleFailure) -> Double {
        switch arguments[0] {
        case .int(let value): return Double(value)
        case .float(let value): return value
        case .string(let text):
            let units = text.utf8.drop { $0 <= 32 }
            var trimmed = String(decoding: units, as: UTF8.self)
            while let last = trimmed.utf8.last, last <= 32 { trimmed.unicodeScalars.removeLast() }
            let sign = trimmed.hasPrefix("-") ? -1.0 : 1.0
            let body =
                trimmed.hasPrefix("-") || trimmed.hasPrefix("+")
                ? String(trimmed.unicodeScalars.dropFirst()) : trimmed
            if body == "NaN" { return .nan }
            if body == "Infinity" { return sign * .infinity }
            guard let first = body.utf8.first, 48...57 ~= first || first == UInt8(ascii: "."),
                body.utf8.allSatisfy({ 48...57 ~= $0 || ".eE+-".utf8.contains($0) }),
                let value = Double(body.hasPrefix(".") ? "0" + body : body)
            else { throw conversion(arguments[0], to: "float") }
            return sign * value
        default: throw conversion(arguments[0], to: "float")
        }
    }

    /// The text of a value, as `string()` and `join()` give it.
    func text(of value: RuleValue) throws(RuleFailure) -> String {
        switch value {
        case .string(let text): return text
        case .int(let number): return String(number)
        case .float(let number):
            if number.isNaN { return "NaN" }
            if number.isInfinite { return number < 0 ? "-Infinity" : "Infinity" }
            return "\(number)"
        case .bool(let truth): return truth ? "true" : "false"
        case .null: return "null"
        case .path(let path): return path.text
        case .bytes(let bytes):
            guard let text = String(validating: bytes, as: UTF8.self) else {
                throw conversion(value, to: "string")
            }
            return text
        default: throw conversion(value, to: "string")
        }
    }

    // MARK: Numbers

    private func math(
        _ function: BuiltinFunction, _ arguments: [RuleValue]
    ) throws(RuleFailure) -> RuleValue {
        guard let number = arguments[0].number else {
            throw wrongArguments(function, arguments, "number")
        }
        switch function {
        case .mathAbs:
            // The least int has no opposite, and stays.
            if case .int(let value) = arguments[0] { return .int(value < 0 ? 0 &- value : value) }
            return .float(number.magnitude)
        case .mathCeil: return .float(number.rounded(.up))
        case .mathFloor: return .float(number.rounded(.down))
        case .mathRound:
            if case .int(let value) = arguments[0] { return .int(value) }
            return .int(Self.saturated((number + 0.5).rounded(.down)))
        case .mathSqrt: return .float(number.squareRoot())
        case .mathIsNaN: return .bool(number.isNaN)
        default:
            guard let exponent = arguments[1].number else {
                throw wrongArguments(function, arguments, "number, number")
            }
            return .float(pow(number, exponent))
        }
    }
}
