// $geoNear: lowered to a $match on distance, a $sort by it, and the fields that show it.

internal import BSON

/// Reads $geoNear.
struct GeoNearStage {
    /// Most names of the path that `key` gives.
    private static let keyDepthMax = 180

    private let scope: ExpressionScope
    private var center: (point: GeoPoint, isGeoJSON: Bool)?
    private var distanceField: String?
    private var placeField: String?
    private var key: FieldPath?
    private var query: Filter?
    private var least = 0.0
    private var most = Double.infinity
    private var multiplier = 1.0
    private var isSpherical = false

    /// The stages that do what the stage says.
    ///
    /// Throws 5860400 without `near`, 5860401 and 5860402 where it is no point, 16606 and 16607
    /// for fields that are no strings, 7555701 and 7555702 for distances that read documents.
    static func parse(
        _ value: ValueView, _ scope: ExpressionScope
    ) throws(DBError) -> [PipelineStage] {
        guard let object = value.document else {
            throw .location(10065, "the $geoNear stage specification must be an object")
        }
        var stage = GeoNearStage(scope)
        var elements = object.makeIterator()
        while let element = elements.next() { try stage.take(element) }
        return try stage.stages()
    }

    private init(_ scope: ExpressionScope) { self.scope = scope }

    private mutating func take(_ element: ElementView) throws(DBError) {
        let name = element.nameString
        let value = element.value
        switch name {
        case "near": center = try near(value)
        case "distanceField": distanceField = try field(element, 16606)
        case "includeLocs": placeField = try field(element, 16607)
        case "key":
            guard let path = value.string else { throw Self.mismatch(element, "string") }
            guard !path.isEmpty else {
                throw DBError(.badValue, "$geoNear parameter 'key' cannot be the empty string")
            }
            let key = try ProjectionParser.path(path)
            guard key.segments.count <= Self.keyDepthMax else {
                throw .location(5_729_100, "$geoNear: the path of 'key' is too deep")
            }
            self.key = key
        case "query":
            guard let condition = value.document else { throw Self.mismatch(element, "object") }
            let filter = try FilterHook.parse(condition, scope)
            guard !filter.hasText else {
                throw DBError(.badValue, "$text is not allowed in the query of $geoNear")
            }
            query = filter
        case "spherical": isSpherical = value.isTruthy
        case "distanceMultiplier":
            guard let number = value.anyDouble else { throw Self.mismatch(element, "number") }
            multiplier = try Self.checked(number, name)
        case "minDistance": least = try distance(element, 7_555_701)
        case "maxDistance": most = try distance(element, 7_555_702)
        case "uniqueDocs": break
        case "limit", "num", "start":
            throw .location(
                50858, "$geoNear no longer supports '\(name)': use a $limit stage")
        default: throw DBError(.badValue, "Unknown argument to $geoNear: \(name)")
        }
    }

    private func stages() throws(DBError) -> [PipelineStage] {
        guard let center else { throw .location(5_860_400, "$geoNear requires a 'near' argument") }
        if isSpherical, !center.point.isOnSphere {
            throw DBError(.badValue, "$geoNear: the point is not on the sphere")
        }
        let near = GeoNear(
            center: center.point, isSpherical: isSpherical || center.isGeoJSON,
            isGeoJSON: center.isGeoJSON, least: least, most: most)
        let predicate = GeoPredicate(.near(near), source: OwnedValue(.array([])))
        let path = key ?? GeoNear.openPath
        let filter = Filter(
            .all([.geo(path, predicate), query?.root ?? .alwaysTrue]), collation: scope.collation)
        var stages: [PipelineStage] = [.match(filter), .sort(.byDistance, limit: nil)]
        let shown = shownFields
        if !shown.isEmpty {
            let value = OwnedValue(.document(shown))
            var scope = scope
            scope.metadata.insert(.distance)
            stages.append(.project(try FieldAddition.parse("$geoNear", value.view, scope)))
        }
        return stages
    }

    /// What is added to each document, as $addFields has it.
    private var shownFields: Document {
        Document { writer in
            if let distanceField {
                let distance: Document = ["$meta": "geoNearDistance"]
                if multiplier == 1 {
                    writer.append(distanceField, distance)
                } else {
                    let product = writer.openDocument(distanceField)
                    writer.append("$multiply", .array([.document(distance), .double(multiplier)]))
                    writer.close(product)
                }
            }
            if let placeField {
                writer.append(placeField, ["$meta": "geoNearPoint"] as Document)
            }
        }
    }

    // MARK: Arguments

    private func near(
        _ value: ValueView
    ) throws(DBError) -> (point: GeoPoint, isGeoJSON: Bool) {
        let constant = try constant(value, 5_860_402, "near")
        let view = constant.view
        guard let members = view.nested else {
            throw .location(5_860_401, "$geoNear requires near to be a point")
        }
        if view.type == .document, members.value("coordinates") != nil {
            guard let point = GeoJSON.center(view) else {
                throw DBError(.badValue, "$geoNear requires a GeoJSON Point within bounds")
            }
            return (point, true)
        }
        guard let point = GeoPoint(view), members.count <= 3 else {
            throw DBError(.badValue, "$geoNear requires near to be a point of two numbers")
        }
        return (point, false)
    }

    private func field(_ element: ElementView, _ code: Int32) throws(DBError) -> String {
        guard let field = element.value.string else {
            throw .location(
                code, "$geoNear requires that the '\(element.nameString)' option is a String")
        }
        guard try ProjectionParser.path(field).segments.count < Limits.nestingDepthMax else {
            throw .location(
                5_984_700, "$geoNear: the path of '\(element.nameString)' is too deep")
        }
        return field
    }

    private func distance(_ element: ElementView, _ code: Int32) throws(DBError) -> Double {
        let constant = try constant(element.value, code, element.nameString)
        guard let number = constant.view.anyDouble else { throw Self.mismatch(element, "number") }
        return try Self.checked(number, element.nameString)
    }

    private static func checked(_ number: Double, _ name: String) throws(DBError) -> Double {
        guard number >= 0 else {
            throw DBError(.badValue, "$geoNear: '\(name)' must be nonnegative")
        }
        return number
    }

    /// The value of an expression that reads no document.
    private func constant(
        _ value: ValueView, _ code: Int32, _ name: String
    ) throws(DBError) -> OwnedValue {
        let expression = try Expression.parse(value, scope)
        guard expression.requiredPaths?.isEmpty == true else {
            throw .location(code, "$geoNear requires a constant for '\(name)'")
        }
        var context = EvaluationContext.forConstants()
        let empty = Document()
        let result = try expression.evaluate(empty.view, &context)
        return result.isMissing ? OwnedValue(.undefined) : OwnedValue(copying: result.view)
    }

    private static func mismatch(_ element: ElementView, _ expected: String) -> DBError {
        DBError(
            .typeMismatch,
            "$geoNear: '\(element.nameString)' must be of type \(expected), not "
                + element.value.type.alias)
    }
}
