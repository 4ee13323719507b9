// Methods of paths, places and bytes.

internal import BSON
import Glibc

extension RuleEvaluator {
    /// `bind({'name': 'value'})` puts values in the place of `{name}`.
    func pathMethod(
        _ method: BuiltinMethod, _ path: RulePath, _ arguments: [RuleValue]
    ) throws(RuleFailure) -> RuleValue {
        guard method == .bind else { throw notFound(method) }
        guard arguments[0].isMap else {
            throw mismatch("path", method, arguments[0], expected: "map")
        }
        var segments: [String] = []
        for segment in path.segments {
            guard segment.hasPrefix("{"), segment.hasSuffix("}"), segment.utf8.count > 2 else {
                segments.append(segment)
                continue
            }
            let name = String(segment.dropFirst().dropLast())
            switch arguments[0].value(ofKey: name) {
            case .string(let text): segments.append(text)
            case nil: throw failure(.undefinedProperty(name))
            case .some(let value):
                throw mismatch("path", method, value, expected: "map of strings")
            }
        }
        return .path(RulePath(segments))
    }

    func latlngMethod(
        _ method: BuiltinMethod, _ place: RuleLatLng, _ arguments: [RuleValue]
    ) throws(RuleFailure) -> RuleValue {
        switch method {
        case .latitude: return .float(place.latitude)
        case .longitude: return .float(place.longitude)
        case .distance:
            guard case .latlng(let other) = arguments[0] else {
                throw mismatch("latlng", method, arguments[0], expected: "latlng")
            }
            return .float(place.distanceMeters(to: other))
        default: throw notFound(method)
        }
    }

    /// `toBase64` is safe for URLs and padded, `toHexString` has capitals: so answers production.
    func bytesMethod(
        _ method: BuiltinMethod, _ bytes: [UInt8]
    ) throws(RuleFailure) -> RuleValue {
        switch method {
        case .size: return .int(Int64(bytes.count))
        case .toBase64:
            var text: [UInt8] = []
            Base64.append(bytes.span.bytes, to: &text)
            let safe = text.map { letter in
                letter == UInt8(ascii: "+")
                    ? UInt8(ascii: "-") : letter == UInt8(ascii: "/") ? UInt8(ascii: "_") : letter
            }
            return .string(String(decoding: safe, as: UTF8.self))
        case .toHexString:
            let digits = Array("0123456789ABCDEF".utf8)
            let text = bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
            return .string(String(decoding: text, as: UTF8.self))
        default: throw notFound(method)
        }
    }
}

extension RuleLatLng {
    /// The way on a sphere of the earth's mean radius, by the haversine formula.
    func distanceMeters(to other: RuleLatLng) -> Double {
        let radians = Double.pi / 180
        let height = sin((other.latitude - latitude) * radians / 2)
        let width = sin((other.longitude - longitude) * radians / 2)
        let chord =
            height * height
            + cos(latitude * radians) * cos(other.latitude * radians) * width * width
        return 2 * 6_371_000 * asin(min(1, chord.squareRoot()))
    }
}
