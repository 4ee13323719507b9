// $mergeObjects $objectToArray $arrayToObject.

import BSON

enum ObjectOperators {
    static let rows: [OperatorRow] = [
        .list("$mergeObjects", OperatorTable.any, .passed, merge),
        .unary("$objectToArray", objectToArray),
        .unary("$arrayToObject", arrayToObject),
    ]

    // MARK: $mergeObjects

    @Sendable
    private static func merge(
        _ arguments: Arguments, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        var fields = FieldSet(context)
        for index in 0..<arguments.count {
            let value = arguments(index, context)
            // A single array operand (a path through an array) merges its elements.
            if arguments.count == 1, value.isType(.array) {
                var elements = value.nested.makeIterator()
                while let element = elements.next() {
                    try mergeOne(ValueRef(element.value), &fields, &context)
                }
            } else {
                try mergeOne(value, &fields, &context)
            }
        }
        return fields.finish(&context)
    }

    private static func mergeOne(
        _ value: ValueRef, _ fields: inout FieldSet, _ context: inout EvaluationContext
    ) throws(DBError) {
        if value.isNullish { return }
        guard value.isType(.document) else {
            throw .location(
                40400,
                "$mergeObjects requires object inputs, but input is of type "
                    + value.typeName)
        }
        var elements = value.nested.makeIterator()
        while let element = elements.next() {
            fields.set(ValueRef(.string, element.name), ValueRef(element.value), &context)
        }
    }

    // MARK: $objectToArray, $arrayToObject

    @Sendable
    private static func objectToArray(
        _ arguments: Arguments, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        let object = arguments(0, context)
        guard object.isType(.document) else {
            throw .location(
                40390, "$objectToArray requires a document input, found: \(object.typeName)")
        }
        let start = context.stack.count
        var elements = object.nested.makeIterator()
        while let element = elements.next() {
            let pairStart = context.stack.count
            let namesStart = context.names.count
            let key = context.makeString(element.name)
            context.stack.append(key)
            context.stack.append(ValueRef(element.value))
            context.names.append(ValueRef(.string, RawSpan("k")))
            context.names.append(ValueRef(.string, RawSpan("v")))
            let pair = context.makeDocument(fromStack: pairStart, names: namesStart)
            context.stack.append(pair)
        }
        return context.makeArray(fromStack: start)
    }

    @Sendable
    private static func arrayToObject(
        _ arguments: Arguments, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        let array = arguments(0, context)
        guard array.isType(.array) else {
            throw .location(
                40386, "$arrayToObject requires an array input, found: \(array.typeName)")
        }
        var fields = FieldSet(context)
        var isPairs: Bool?
        var elements = array.nested.makeIterator()
        while let element = elements.next() {
            let value = ValueRef(element.value)
            switch value.type {
            case .array:
                if isPairs == false {
                    throw .location(
                        40391,
                        "$arrayToObject requires a consistent input format. Elements must "
                            + "all be arrays or all be objects. Object was detected, now found: "
                            + "array")
                }
                isPairs = true
                try addPair(value, &fields, &context)
            case .document:
                if isPairs == true {
                    throw .location(
                        40396,
                        "$arrayToObject requires a consistent input format. Elements must "
                            + "all be arrays or all be objects. Array was detected, now found: "
                            + "object")
                }
                isPairs = false
                try addObject(value, &fields, &context)
            default:
                // What was seen before decides which of the two forms is missed.
                let code: Int32 = isPairs == nil ? 40398 : isPairs == true ? 40396 : 40391
                throw .location(
                    code,
                    "Unrecognised input type format for $arrayToObject: "
                        + value.typeName)
            }
        }
        return fields.finish(&context)
    }

    private static func addPair(
        _ pair: ValueRef, _ fields: inout FieldSet, _ context: inout EvaluationContext
    ) throws(DBError) {
        guard pair.nested.count == 2 else {
            throw .location(
                40397,
                "$arrayToObject requires an array of size 2 arrays,found array of size: "
                    + "\(pair.nested.count)")
        }
        var elements = pair.nested.makeIterator()
        guard let key = elements.next(), let value = elements.next() else { return }
        guard key.value.type == .string, let name = key.value.utf8 else {
            throw .location(
                40395,
                "$arrayToObject requires an array of key-value pairs, where the key must be "
                    + "of type string. Found key type: \(key.value.type.alias)")
        }
        try checkKey(name, 4_940_400)
        fields.set(ValueRef(.string, name), ValueRef(value.value), &context)
    }

    private static func addObject(
        _ object: ValueRef, _ fields: inout FieldSet, _ context: inout EvaluationContext
    ) throws(DBError) {
        guard object.nested.count == 2 else {
            throw .location(
                40392,
                "$arrayToObject requires an object keys of 'k' and 'v'. Found incorrect "
                    + "number of keys: \(object.nested.count)")
        }
        guard let key = object.nested.value("k"), let value = object.nested.value("v") else {
            throw .location(
                40393, "$arrayToObject requires an object with keys 'k' and 'v'.")
        }
        guard key.type == .string, let name = key.utf8 else {
            throw .location(
                40394,
                "$arrayToObject requires an object with keys 'k' and 'v', where the value "
                    + "of 'k' must be of type string. Found type: \(key.type.alias)")
        }
        try checkKey(name, 4_940_401)
        fields.set(ValueRef(.string, name), ValueRef(value), &context)
    }

    /// A name with a zero byte can't be a field's.
    private static func checkKey(_ name: RawSpan, _ code: Int32) throws(DBError) {
        for index in 0..<name.byteCount
        where name.unsafeLoad(fromByteOffset: index, as: UInt8.self) == 0 {
            throw .location(code, "Key field cannot contain an embedded null byte")
        }
    }
}

/// Fields of a document being built on the context's stack, each name once: a later value takes the
/// place of an earlier one. Linear for few fields, hashed beyond.
struct FieldSet {
    private let start: Int
    private let namesStart: Int
    /// Positions by name, kept from `hashedFrom` fields on.
    private var positions: [[UInt8]: Int] = [:]
    private static let hashedFrom = 24

    init(_ context: borrowing EvaluationContext) {
        start = context.stack.count
        namesStart = context.names.count
    }

    /// Sets a field; `name` is a reference to the bare UTF-8.
    mutating func set(_ name: ValueRef, _ value: ValueRef, _ context: inout EvaluationContext) {
        if let position = position(of: name, context) {
            context.stack[start + position] = value
            return
        }
        let count = context.stack.count - start
        context.stack.append(value)
        context.names.append(name)
        if count + 1 == Self.hashedFrom {
            for index in 0...count {
                positions[[UInt8](copying: context.names[namesStart + index].bytes)] = index
            }
        } else if count >= Self.hashedFrom {
            positions[[UInt8](copying: name.bytes)] = count
        }
    }

    private func position(of name: ValueRef, _ context: borrowing EvaluationContext) -> Int? {
        let count = context.stack.count - start
        if count >= Self.hashedFrom { return positions[[UInt8](copying: name.bytes)] }
        for index in 0..<count
        where context.names[namesStart + index].bytes.equals(name.bytes) { return index }
        return nil
    }

    /// The document; takes the fields off the stack.
    func finish(_ context: inout EvaluationContext) -> ValueRef {
        context.makeDocument(fromStack: start, names: namesStart)
    }
}
