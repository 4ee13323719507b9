// $fill: values for null and missing fields, lowered to $setWindowFields (methods) and $addFields
// (values).

import BSON

enum FillSpecification {
    /// Lowers a $fill to other stages.
    ///
    /// Throws 14, 40414 and 40415 for the fields, 6050200 to 6050204 for outputs and partitions.
    static func parse(
        _ value: ValueView, _ scope: ExpressionScope
    ) throws(DBError) -> [PipelineStage] {
        guard let object = value.document else {
            throw DBError(
                .failedToParse,
                "the $fill stage specification must be an object, found \(value.type.alias)")
        }
        var fields = StageFields("$fill")
        var elements = object.makeIterator()
        while let element = elements.next() {
            try fields.take(
                element, known: ["partitionBy", "partitionByFields", "sortBy", "output"])
        }
        guard let output = object.value("output") else {
            throw .location(40414, "BSON field '$fill.output' is missing but a required field")
        }
        guard let list = output.document, !list.isEmpty else {
            throw .location(
                6_050_203, "The 'output' field of $fill must be an object that is not empty")
        }
        var methods: [(String, Value)] = []
        var values: [(String, Value)] = []
        var outputs = list.makeIterator()
        while let output = outputs.next() {
            try take(output, object.value("sortBy") != nil, &methods, &values)
        }
        var stages: [PipelineStage] = []
        if !methods.isEmpty {
            let window = OwnedValue(
                .document(try windowArgument(object, methods)))
            stages.append(
                .other(StagePlanBox(plan: try WindowSpecification.parse(window.view, scope))))
        }
        if !values.isEmpty {
            let additions = Document { writer in
                for (name, value) in values {
                    let filled: Value = ["$ifNull": [.string("$" + name), value]]
                    writer.append(name, filled)
                }
            }
            let argument = OwnedValue(.document(additions))
            stages.append(.project(try FieldAddition.parse("$addFields", argument.view, scope)))
        }
        return stages
    }

    private static func take(
        _ output: ElementView, _ isSorted: Bool, _ methods: inout [(String, Value)],
        _ values: inout [(String, Value)]
    ) throws(DBError) {
        let name = output.nameString
        guard let object = output.value.document, object.count == 1, let call = object.first else {
            throw .location(
                6_050_200,
                "An output of $fill must be an object with one of 'value' and 'method': \(name)")
        }
        if call.name.equals("value") {
            values.append((name, Value(call.value)))
            return
        }
        guard call.name.equals("method") else {
            throw .location(
                40415, "BSON field '$fill.output.\(call.nameString)' is an unknown field.")
        }
        switch call.value.string {
        case "locf": methods.append((name, ["$locf": .string("$" + name)]))
        case "linear":
            guard isSorted else {
                throw .location(605_001, "The method 'linear' of $fill needs a sortBy")
            }
            methods.append((name, ["$linearFill": .string("$" + name)]))
        default:
            throw .location(6_050_202, "A method of $fill must be 'locf' or 'linear': \(name)")
        }
    }

    private static func windowArgument(
        _ object: DocumentView, _ methods: [(String, Value)]
    ) throws(DBError) -> Document {
        var partition: Value?
        if let value = object.value("partitionBy"), !value.isNullish { partition = Value(value) }
        if let names = object.value("partitionByFields"), !names.isNullish {
            guard partition == nil else {
                throw .location(
                    6_050_204,
                    "$fill takes 'partitionBy' or 'partitionByFields', not both")
            }
            partition = try partitionDocument(names)
        }
        return Document { writer in
            if let partition { writer.append("partitionBy", partition) }
            if let sort = object.value("sortBy") { writer.append("sortBy", sort) }
            let start = writer.openDocument("output")
            for (name, call) in methods { writer.append(name, call) }
            writer.close(start)
        }
    }

    /// The partition by fields: the array of them would be refused, so an object of numbered ones.
    private static func partitionDocument(_ names: ValueView) throws(DBError) -> Value {
        let list = try FieldList.parse(names, "$fill.partitionByFields")
        return .document(
            Document { writer in
                for (index, path) in list.enumerated() {
                    writer.append("f\(index)", "$" + path.dotted)
                }
            })
    }
}

/// Lists of field names in the arguments of stages.
enum FieldList {
    /// Compiles an array of paths. Throws 14 for other types, 16410 and its kin for bad paths.
    static func parse(_ value: ValueView, _ place: String) throws(DBError) -> [FieldPath] {
        guard let array = value.array else {
            throw DBError(
                .typeMismatch,
                "BSON field '\(place)' is the wrong type '\(value.type.alias)', expected type "
                    + "'array'")
        }
        var paths: [FieldPath] = []
        var elements = array.makeIterator()
        while let element = elements.next() {
            guard let name = element.value.string else {
                throw DBError(
                    .typeMismatch,
                    "BSON field '\(place).\(element.nameString)' is the wrong type "
                        + "'\(element.value.type.alias)', expected type 'string'")
            }
            paths.append(try ProjectionParser.path(name))
        }
        return paths
    }
}
