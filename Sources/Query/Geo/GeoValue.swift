// Reading places out of documents and queries: GeoJSON objects, and legacy pairs such as
// `[x, y]` and `{lng: x, lat: y}`.

internal import BSON

/// A place as a document or a query gives it.
enum GeoValue {
    /// A GeoJSON Point, or a legacy pair (`isLegacy`), which may lie outside the sphere's range.
    case point(GeoPoint, isLegacy: Bool)
    /// Any other GeoJSON object.
    case shape(GeoShape)

    /// Reads a place.
    ///
    /// `isExact`: a legacy pair must have no further members, as in queries.
    /// - Throws: `badValue` (2) saying what is wrong with it.
    static func read(_ value: ValueView, isExact: Bool = false) throws(DBError) -> GeoValue {
        if let object = value.document, object.value("type") != nil || object.first == nil {
            return try GeoJSON.read(object)
        }
        guard let point = GeoPoint(value, isExact: isExact) else {
            throw DBError(
                .badValue,
                "unknown GeoJSON type or malformed coordinate pair: use {type: 'Point', "
                    + "coordinates: [longitude, latitude]} or [x, y]")
        }
        return .point(point, isLegacy: true)
    }

    /// Reads a stored place; nil for what is none. Allocates nothing for points.
    static func stored(_ value: ValueView) -> GeoValue? {
        guard value.type == .document || value.type == .array else { return nil }
        return try? read(value)
    }
}

extension GeoPoint {
    /// The first two members of an array or object, if they are finite numbers.
    init?(_ value: ValueView, isExact: Bool = false) {
        guard let members = value.nested else { return nil }
        var elements = members.makeIterator()
        guard let x = elements.next()?.value.anyDouble, let y = elements.next()?.value.anyDouble,
            x.isFinite, y.isFinite
        else { return nil }
        if isExact, elements.next() != nil { return nil }
        self.init(x: x, y: y)
    }
}

/// Reads GeoJSON.
enum GeoJSON {
    /// Deepest nesting of geometry collections.
    private static let depthMax = 20

    /// Which sides of a ring are meant.
    private static let strictWinding = "urn:x-mongodb:crs:strictwinding:EPSG:4326"

    /// Reads an object of GeoJSON.
    /// - Throws: `badValue` (2).
    static func read(_ object: DocumentView) throws(DBError) -> GeoValue {
        if object.value("type")?.string == "Point" {
            if try keepsWinding(object) {
                throw DBError(.badValue, "The strict winding order is for polygons only")
            }
            return .point(try position(object.value("coordinates")), isLegacy: false)
        }
        var pieces: [GeoShape.Piece] = []
        try append(object, to: &pieces, depth: 0)
        return .shape(try GeoShape(pieces))
    }

    /// The center of a search: a point, also without its type, or a pair of numbers; nil for
    /// anything else and what is out of bounds.
    static func center(_ value: ValueView) -> GeoPoint? {
        var center = GeoPoint(value, isExact: true)
        if let object = value.document, let coordinates = object.value("coordinates") {
            let type = object.value("type")
            guard type == nil || type?.string == "Point" else { return nil }
            center = GeoPoint(coordinates)
        }
        return center.flatMap { $0.isOnSphere ? $0 : nil }
    }

    /// The position of a GeoJSON Point; nil for anything else.
    static func point(_ value: ValueView) -> GeoPoint? {
        guard let object = value.document, object.value("type")?.string == "Point" else {
            return nil
        }
        return try? position(object.value("coordinates"))
    }

    private static func append(
        _ object: DocumentView, to pieces: inout [GeoShape.Piece], depth: Int
    ) throws(DBError) {
        guard let type = object.value("type")?.string else {
            throw DBError(.badValue, "GeoJSON must have a string 'type'")
        }
        let keepsWinding = try keepsWinding(object)
        if keepsWinding, type != "Polygon" {
            throw DBError(.badValue, "The strict winding order is for polygons only")
        }
        let coordinates = object.value("coordinates")
        switch type {
        case "Point": pieces.append(.point(try position(coordinates)))
        case "LineString": pieces.append(.line(try positions(coordinates)))
        case "Polygon": pieces.append(try polygon(coordinates, keepsWinding: keepsWinding))
        case "MultiPoint":
            for point in try positions(coordinates) { pieces.append(.point(point)) }
        case "MultiLineString":
            try forEach(coordinates) { line throws(DBError) in
                pieces.append(.line(try positions(line)))
            }
        case "MultiPolygon":
            try forEach(coordinates) { member throws(DBError) in
                pieces.append(try polygon(member, keepsWinding: false))
            }
        case "GeometryCollection":
            guard depth < depthMax else {
                throw DBError(.badValue, "GeometryCollections are nested too deeply")
            }
            try forEach(object.value("geometries")) { member throws(DBError) in
                guard let member = member.document else {
                    throw DBError(.badValue, "GeometryCollection members must be objects")
                }
                try append(member, to: &pieces, depth: depth + 1)
            }
        default: throw DBError(.badValue, "unknown GeoJSON type: '\(type)'")
        }
    }

    private static func polygon(
        _ coordinates: ValueView?, keepsWinding: Bool
    ) throws(DBError) -> GeoShape.Piece {
        var rings: [[GeoPoint]] = []
        try forEach(coordinates) { ring throws(DBError) in
            let points = try positions(ring)
            guard points.count >= 4, points.first == points.last else {
                throw DBError(
                    .badValue,
                    "GeoJSON loops need four positions at least, the last equal to the first")
            }
            rings.append(points)
        }
        if keepsWinding, rings.count > 1 {
            throw DBError(.badValue, "Polygons of strict winding order have one loop")
        }
        return .polygon(rings, keepsWinding: keepsWinding)
    }

    private static func positions(_ value: ValueView?) throws(DBError) -> [GeoPoint] {
        var points: [GeoPoint] = []
        try forEach(value) { member throws(DBError) in points.append(try position(member)) }
        return points
    }

    private static func position(_ value: ValueView?) throws(DBError) -> GeoPoint {
        guard let value, let point = GeoPoint(value) else {
            throw DBError(.badValue, "GeoJSON positions need two numbers")
        }
        guard point.isOnSphere else {
            throw DBError(
                .badValue,
                "longitude/latitude is out of bounds, lng: \(point.x) lat: \(point.y)")
        }
        return point
    }

    /// Runs `body` for each member of an array that has any.
    private static func forEach(
        _ value: ValueView?, _ body: (ValueView) throws(DBError) -> Void
    ) throws(DBError) {
        guard let array = value?.array, array.first != nil else {
            throw DBError(.badValue, "GeoJSON coordinates must be a non-empty array")
        }
        var elements = array.makeIterator()
        while let element = elements.next() { try body(element.value) }
    }

    /// Whether the coordinate system asks for the strict winding order.
    private static func keepsWinding(_ object: DocumentView) throws(DBError) -> Bool {
        guard let crs = object.value("crs") else { return false }
        guard let system = crs.document, system.value("type")?.string == "name",
            let name = system.value("properties")?.document?.value("name")?.string
        else {
            throw DBError(
                .badValue, "GeoJSON crs must be {type: 'name', properties: {name: string}}")
        }
        switch name {
        case "EPSG:4326", "urn:ogc:def:crs:OGC:1.3:CRS84": return false
        case strictWinding: return true
        default: throw DBError(.badValue, "Unknown CRS name: \(name)")
        }
    }
}
