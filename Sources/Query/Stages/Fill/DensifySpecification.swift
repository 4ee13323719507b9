// The argument of $densify.

import BSON

/// A compiled $densify.
struct DensifySpecification: StagePlan {
    /// Between which values documents are made.
    enum Bounds: Sendable {
        /// The least and the greatest value of all documents.
        case full
        /// Those of each partition.
        case partition
        /// From the first, up to but without the second.
        case between(OwnedValue, OwnedValue)
    }

    let field: FieldPath
    let partitionBy: [FieldPath]
    let step: Number
    /// For dates; nil for numbers.
    let unit: DateStep?
    let bounds: Bounds
    let collation: Collation?

    var multiplies: Bool { true }

    /// Most documents that one stage makes, as in MongoDB.
    static let madeMax = 500_000

    func execution(_ next: StageExecution, _ resources: ExecutionResources) -> StageExecution {
        DensifyStage(self, resources, next)
    }

    /// Compiles the argument of $densify.
    ///
    /// Throws 9 for another type than an object, 14, 40414 and 40415 for the fields, 5733401 to
    /// 5733403, 5946802 and 6586400 for the range.
    static func parse(
        _ value: ValueView, _ scope: ExpressionScope
    ) throws(DBError) -> DensifySpecification {
        guard let object = value.document else {
            throw DBError(
                .failedToParse,
                "the $densify stage specification must be an object, found \(value.type.alias)")
        }
        var fields = StageFields("$densify")
        var elements = object.makeIterator()
        while let element = elements.next() {
            try fields.take(element, known: ["field", "partitionByFields", "range"])
        }
        let name = try fields.required(try fields.string("field", in: object), "field")
        let field = try ProjectionParser.path(name)
        var partitionBy: [FieldPath] = []
        if let names = object.value("partitionByFields"), !names.isNullish {
            partitionBy = try FieldList.parse(names, "$densify.partitionByFields")
        }
        guard !partitionBy.contains(where: { $0.isPrefix(of: field) || field.isPrefix(of: $0) })
        else {
            throw .location(
                8_993_000,
                "'field' of $densify can't be one of 'partitionByFields', nor lie in "
                    + "one or around one: \(name)")
        }
        guard let range = object.value("range") else {
            throw .location(40414, "BSON field '$densify.range' is missing but a required field")
        }
        guard let range = range.document else {
            throw DBError(
                .typeMismatch,
                "BSON field '$densify.range' is the wrong type '\(range.type.alias)', expected "
                    + "type 'object'")
        }
        return try parse(
            range, field, partitionBy, scope)
    }

    private static func parse(
        _ range: DocumentView, _ field: FieldPath, _ partitionBy: [FieldPath],
        _ scope: ExpressionScope
    ) throws(DBError) -> DensifySpecification {
        var fields = StageFields("$densify.range")
        var elements = range.makeIterator()
        while let element = elements.next() {
            try fields.take(element, known: ["step", "unit", "bounds"])
        }
        var unit: DateStep?
        if let given = range.value("unit"), !given.isNullish {
            unit = try DateStep.parse(given, "$densify.range.unit")
        }
        guard let step = range.value("step"), let bounds = range.value("bounds") else {
            throw .location(
                40414, "BSON fields '$densify.range.step' and '.bounds' are required fields")
        }
        guard let number = Number(ValueRef(step)) else {
            throw DBError(
                .typeMismatch,
                "BSON field '$densify.range.step' is the wrong type '\(step.type.alias)', expected "
                    + "a number")
        }
        guard number.isFinite, number.double > 0 else {
            throw .location(
                5_733_401,
                "The step parameter in a range statement must be a strictly positive "
                    + "numeric value")
        }
        guard unit == nil || number.exactInt64 != nil else {
            throw .location(
                6_586_400,
                "The step parameter in a range statement must be a whole number when "
                    + "densifying a date range")
        }
        let parsed = try parseBounds(
            bounds, unit, isPartitioned: !partitionBy.isEmpty, scope)
        return DensifySpecification(
            field: field, partitionBy: partitionBy, step: number, unit: unit, bounds: parsed,
            collation: scope.collation)
    }

    private static func parseBounds(
        _ value: ValueView, _ unit: DateStep?, isPartitioned: Bool, _ scope: ExpressionScope
    ) throws(DBError) -> Bounds {
        switch value.string {
        case "full": return .full
        case "partition":
            guard isPartitioned else {
                throw .location(
                    5_733_404,
                    "one may not specify the bounds as 'partition' without 'partitionByFields'")
            }
            return .partition
        default: break
        }
        guard let array = value.array else {
            throw .location(
                5_946_802,
                "Bounds of $densify must be 'full', 'partition' or an array of two values")
        }
        guard array.count == 2 else {
            throw .location(5_733_403, "A bounding array must hold exactly two values")
        }
        var ends: [OwnedValue] = []
        var elements = array.makeIterator()
        while let element = elements.next() {
            let fits = unit == nil ? element.value.type.isNumeric : element.value.type == .date
            guard fits else {
                throw .location(
                    unit == nil ? 5_733_402 : 5_733_406,
                    "Bounds of $densify must be numbers, or dates with a 'unit'")
            }
            ends.append(OwnedValue(copying: element.value))
        }
        let (low, high) = (ends[0], ends[1])
        guard low.view.compare(high.view, nil) <= 0 else {
            throw .location(
                5_733_402, "The bounds of $densify must be in ascending order")
        }
        return .between(low, high)
    }
}
