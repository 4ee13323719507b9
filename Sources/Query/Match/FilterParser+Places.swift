// Reads $geoWithin, $geoIntersects, $near and $nearSphere, and $text.

internal import BSON

extension FilterParser {
    /// Reads a document of operators that asks for a place; nil when it doesn't. Such an operator
    /// stands alone, but for the distances of $near.
    func parsePlace(
        _ path: FieldPath, _ operators: DocumentView, depth: Int
    ) throws(DBError) -> FilterNode? {
        var elements = operators.makeIterator()
        while let element = elements.next() {
            let test: GeoPredicate.Test
            switch element.nameString {
            case "$geoWithin", "$within":
                try Self.requireAlone(operators)
                test = .within(try Self.region(element.value))
            case "$geoIntersects":
                try Self.requireAlone(operators)
                test = .intersects(try Self.intersecting(element.value))
            case "$near", "$nearSphere", "$geoNear":
                test = .near(try parseNear(element, operators))
            default: continue
            }
            let source = OwnedValue(.document(Document(copying: operators)))
            return .geo(path, GeoPredicate(test, source: source))
        }
        return nil
    }

    private static func requireAlone(_ operators: DocumentView) throws(DBError) {
        guard operators.count == 1 else {
            throw DBError(.badValue, "A geo condition must be the only one of its field")
        }
    }

    // MARK: $geoWithin and $geoIntersects

    private static func region(_ value: ValueView) throws(DBError) -> GeoRegion {
        guard let shapes = value.document else {
            throw DBError(.badValue, "$geoWithin needs an object with a shape")
        }
        var region: GeoRegion?
        var elements = shapes.makeIterator()
        while let element = elements.next() {
            if element.name.equals("$uniqueDocs") { continue }
            guard region == nil else {
                throw DBError(.badValue, "$geoWithin takes one shape")
            }
            region = try Self.region(element.nameString, element.value)
        }
        guard let region else { throw DBError(.badValue, "$geoWithin needs a shape") }
        return region
    }

    private static func region(
        _ name: String, _ value: ValueView
    ) throws(DBError) -> GeoRegion {
        switch name {
        case "$box":
            let corners = try points(value, name)
            guard corners.count >= 2 else { throw DBError(.badValue, "$box needs two corners") }
            return .box(GeoBox(corners[0], corners[1]))
        case "$polygon":
            let corners = try points(value, name)
            guard corners.count >= 3 else {
                throw DBError(.badValue, "Polygon must have at least 3 points")
            }
            return .ring(corners)
        case "$center":
            let (center, radius) = try circle(value, name)
            return .circle(center: center, radius: radius)
        case "$centerSphere":
            let (center, radius) = try circle(value, name)
            guard center.isOnSphere else {
                throw DBError(.badValue, "Spherical CRS point must be in bounds: \(name)")
            }
            let shape = try GeoShape([.cap(center, radius: min(radius, .pi))])
            return .sphere(shape, GeoBox(aroundCapAt: center, radians: radius))
        case "$geometry":
            guard let object = value.document, let type = object.value("type")?.string,
                type == "Polygon" || type == "MultiPolygon",
                case .shape(let shape) = try GeoJSON.read(object)
            else {
                throw DBError(
                    .badValue,
                    "$geoWithin not supported with provided geometry: use a Polygon or "
                        + "MultiPolygon")
            }
            return .sphere(shape, nil)
        default: throw DBError(.badValue, "unknown geo specifier: \(name)")
        }
    }

    private static func intersecting(_ value: ValueView) throws(DBError) -> GeoShape {
        guard let object = value.document, object.count == 1,
            let element = object.first, element.name.equals("$geometry")
        else {
            throw DBError(.badValue, "$geoIntersects needs a $geometry")
        }
        switch try GeoValue.read(element.value, isExact: true) {
        case .shape(let shape): return shape
        case .point(let point, _):
            guard point.isOnSphere else {
                throw DBError(.badValue, "longitude/latitude is out of bounds")
            }
            return try GeoShape([.point(point)])
        }
    }

    /// A list of points, each an array or object of two numbers.
    private static func points(
        _ value: ValueView, _ name: String
    ) throws(DBError) -> [GeoPoint] {
        guard let list = value.nested else {
            throw DBError(.badValue, "\(name) needs an array of points")
        }
        var points: [GeoPoint] = []
        var elements = list.makeIterator()
        while let element = elements.next() {
            guard let point = GeoPoint(element.value, isExact: true) else {
                throw DBError(.badValue, "Point must only contain two numeric elements: \(name)")
            }
            points.append(point)
        }
        return points
    }

    /// A center and a radius.
    private static func circle(
        _ value: ValueView, _ name: String
    ) throws(DBError) -> (GeoPoint, Double) {
        guard let list = value.nested else {
            throw DBError(.badValue, "\(name) needs an array of center and radius")
        }
        var elements = list.makeIterator()
        guard let first = elements.next(), let center = GeoPoint(first.value, isExact: true) else {
            throw DBError(.badValue, "The center of \(name) needs two numbers")
        }
        guard let radius = elements.next()?.value.anyDouble, radius >= 0 else {
            throw DBError(.badValue, "radius must be a non-negative number: \(name)")
        }
        guard elements.next() == nil else {
            throw DBError(.badValue, "Only 2 fields allowed for \(name)")
        }
        return (center, radius)
    }

    // MARK: $near

    private func parseNear(
        _ element: ElementView, _ operators: DocumentView
    ) throws(DBError) -> GeoNear {
        let name = element.nameString
        guard options.context == .find else {
            throw DBError(
                DBError.Code(rawValue: 5_626_500), "\(name) is not allowed in this context")
        }
        guard !isNegated, !isElement, !isAlternative else {
            throw DBError(.badValue, "geo $near must be top-level expr")
        }
        if let object = element.value.document, object.value("$geometry") != nil {
            try Self.requireAlone(operators)
            return try Self.nearPoint(object, name)
        }
        guard let center = GeoPoint(element.value) else {
            throw DBError(.badValue, "invalid point in geo near query: \(name) needs two numbers")
        }
        return try Self.nearPair(center, element, operators)
    }

    /// `{$geometry: …, $minDistance: …, $maxDistance: …}`: metres on the sphere.
    private static func nearPoint(
        _ object: DocumentView, _ name: String
    ) throws(DBError) -> GeoNear {
        var center: GeoPoint?
        var (least, most) = (0.0, Double.infinity)
        var elements = object.makeIterator()
        while let element = elements.next() {
            switch element.nameString {
            case "$geometry": center = GeoJSON.center(element.value)
            case "$minDistance": least = try metres(element)
            case "$maxDistance": most = try metres(element)
            default:
                throw DBError(
                    .badValue,
                    "invalid argument in geo near query: \(element.nameString)")
            }
        }
        guard let center else {
            throw DBError(.badValue, "$geometry of \(name) must be a GeoJSON Point within bounds")
        }
        return GeoNear(
            center: center, isSpherical: true, isGeoJSON: true,
            least: least, most: most)
    }

    private static func metres(_ element: ElementView) throws(DBError) -> Double {
        guard let distance = element.value.anyDouble, distance.isFinite, distance >= 0 else {
            throw DBError(
                .badValue, "\(element.nameString) must be a finite non-negative number")
        }
        return distance
    }

    /// `$near: [x, y], $minDistance: …, $maxDistance: …`: the plane's units, or radians.
    private static func nearPair(
        _ center: GeoPoint, _ near: ElementView, _ operators: DocumentView
    ) throws(DBError) -> GeoNear {
        let isSpherical = near.name.equals("$nearSphere")
        var (least, most) = (0.0, Double.infinity)
        func distance(_ value: ValueView, _ code: Int32, _ name: String) throws(DBError) -> Double {
            guard let distance = value.anyDouble, distance >= 0 else {
                throw DBError(
                    DBError.Code(rawValue: code), "\(name) must be a non-negative number")
            }
            return distance
        }
        // An old form: the greatest distance behind the pair.
        if let pair = near.value.nested, pair.count == 3, let third = Self.third(of: pair) {
            most = try distance(third, 16895, "the distance")
        }
        var elements = operators.makeIterator()
        while let element = elements.next() {
            switch element.nameString {
            case "$near", "$nearSphere", "$geoNear", "$uniqueDocs": break
            case "$minDistance": least = try distance(element.value, 16894, "$minDistance")
            case "$maxDistance": most = try distance(element.value, 16896, "$maxDistance")
            default:
                throw DBError(
                    .badValue, "invalid argument in geo near query: \(element.nameString)")
            }
        }
        if isSpherical, !center.isOnSphere {
            throw DBError(.badValue, "The center of $nearSphere is out of bounds")
        }
        return GeoNear(
            center: center, isSpherical: isSpherical, isGeoJSON: false, least: least, most: most)
    }

    @_lifetime(copy list)
    private static func third(of list: DocumentView) -> ValueView? {
        var elements = list.makeIterator()
        _ = elements.next()
        _ = elements.next()
        return elements.next()?.value
    }

    // MARK: $text

    /// Reads `{$search: …, $language: …, $caseSensitive: …, $diacriticSensitive: …}`.
    func parseText(_ value: ValueView, depth: Int) throws(DBError) -> FilterNode {
        guard !isElement, !isNegated else {
            throw DBError(.badValue, "$text can only be applied to the top-level document")
        }
        guard options.context == .find || options.context == .match else {
            throw DBError(.badValue, "$text is not allowed in this context")
        }
        guard let object = value.document else {
            throw DBError(.badValue, "$text expects an object")
        }
        guard let words = object.value("$search") else {
            throw DBError(.noSuchKey, "Missing expected field \"$search\"")
        }
        guard let words = words.string else {
            throw DBError(.typeMismatch, "\"$search\" had the wrong type: expected string")
        }
        var search = TextPredicate.Search(text: words)
        var elements = object.makeIterator()
        while let element = elements.next() {
            let name = element.nameString
            switch name {
            case "$search": break
            case "$language":
                guard let given = element.value.string else {
                    throw DBError(
                        .typeMismatch, "\"$language\" had the wrong type: expected string")
                }
                guard let language = TextLanguage(given) else {
                    throw DBError(.badValue, "unsupported language: \"\(given)\" for text search")
                }
                search.language = language
            case "$caseSensitive", "$diacriticSensitive":
                guard let flag = element.value.bool else {
                    throw DBError(.typeMismatch, "\"\(name)\" had the wrong type: expected bool")
                }
                if name == "$caseSensitive" {
                    search.sensitivity.keepsCase = flag
                } else {
                    search.sensitivity.keepsMarks = flag
                }
            default: throw DBError(.badValue, "extra fields in $text: \(name)")
            }
        }
        return .text(TextPredicate(search))
    }
}
