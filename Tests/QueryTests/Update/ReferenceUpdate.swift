// Updates on trees of values: slow and plain, to compare `Update.apply` with.

import BSON
import Query

/// One operator on one field.
struct ReferenceStep {
    var name: String
    var path: String
    var operand: Value

    var segments: [String] { path.split(separator: ".").map(String.init) }
}

struct ReferenceError: Error {
    var code: Int32
}

/// A document as its fields in order.
private typealias Fields = [(name: String, value: Value)]

struct ReferenceUpdate {
    var steps: [ReferenceStep]
    var position: Int?

    /// The updated document.
    func apply(to document: Document) throws(ReferenceError) -> Document {
        var result: Value = .document(document)
        for leaf in leaves(document).sorted(by: { precedes($0.path, $1.path) }) {
            result = try leaf.update(result, leaf.path[...], isBelowArray: false) ?? result
        }
        guard case .document(let document) = result else { throw ReferenceError(code: -1) }
        return document
    }

    private func leaves(_ document: Document) -> [ReferenceLeaf] {
        steps.flatMap { step -> [ReferenceLeaf] in
            let path = step.segments.map { $0 == "$" ? String(position ?? 0) : $0 }
            guard step.name == "$rename", case .string(let target) = step.operand else {
                return [ReferenceLeaf(name: step.name, path: path, operand: step.operand)]
            }
            let moved = lookUp(.document(document), path[...])
            let to = target.split(separator: ".").map(String.init)
            return [
                ReferenceLeaf(name: "source", path: path, operand: .null),
                ReferenceLeaf(
                    name: "target", path: to, operand: moved ?? .null, acts: moved != nil),
            ]
        }
    }

    private func precedes(_ left: [String], _ right: [String]) -> Bool {
        for (left, right) in zip(left, right) where left != right {
            let leftIndex = Int(left) ?? .max
            let rightIndex = Int(right) ?? .max
            return leftIndex != rightIndex ? leftIndex < rightIndex : left < right
        }
        return left.count < right.count
    }

    private func lookUp(_ value: Value, _ path: ArraySlice<String>) -> Value? {
        guard let name = path.first else { return value }
        switch value {
        case .document(let document):
            return document[name].flatMap { lookUp($0, path.dropFirst()) }
        case .array(let values):
            guard let index = Int(name), index < values.count else { return nil }
            return lookUp(values[index], path.dropFirst())
        default: return nil
        }
    }
}

private struct ReferenceLeaf {
    var name: String
    var path: [String]
    var operand: Value
    /// Whether it does anything: a `$rename` without its source doesn't.
    var acts = true

    var creates: Bool {
        switch name {
        case "$unset", "$pop", "$pull", "$pullAll", "source": false
        default: acts
        }
    }

    /// The value with the leaf's operation applied below it; nil is missing.
    func update(
        _ value: Value?, _ path: ArraySlice<String>, isBelowArray: Bool
    ) throws(ReferenceError) -> Value? {
        guard let segment = path.first else {
            if isBelowArray, name == "source" && value != nil || name == "target" && acts {
                throw ReferenceError(code: 2)
            }
            return acts ? try operate(value) : value
        }
        let rest = path.dropFirst()
        if segment == "$[]" {
            guard case .array(let values) = value else { throw ReferenceError(code: 2) }
            var updated: [Value] = []
            for value in values {
                updated.append(try update(value, rest, isBelowArray: true) ?? .null)
            }
            return .array(updated)
        }
        switch value {
        case nil:
            let made = try update(nil, rest, isBelowArray: isBelowArray)
            return made.map { made in .document([segment: made]) }
        case .document(let document)?:
            var fields: Fields = document.keys.map { ($0, document[$0] ?? .null) }
            let place = fields.firstIndex { $0.name == segment }
            let made = try update(
                place.map { fields[$0].value }, rest, isBelowArray: isBelowArray)
            if let made {
                if let place { fields[place].value = made } else { fields.append((segment, made)) }
            } else if let place {
                fields.remove(at: place)
            }
            return .document(Document { for (name, value) in fields { $0.append(name, value) } })
        case .array(var values)?:
            guard let index = Int(segment) else { return try refuse(value, rest) }
            if index < values.count {
                values[index] = try update(values[index], rest, isBelowArray: true) ?? .null
            } else if let made = try update(nil, rest, isBelowArray: true) {
                while values.count < index { values.append(.null) }
                values.append(made)
            }
            return .array(values)
        default: return try refuse(value, rest)
        }
    }

    private func refuse(_ value: Value?, _ rest: ArraySlice<String>) throws(ReferenceError)
        -> Value?
    {
        if rest.contains("$[]") { throw ReferenceError(code: 2) }
        if creates || name == "$pop" || name == "source" { throw ReferenceError(code: 28) }
        return value
    }

    // MARK: Operations

    private func operate(_ value: Value?) throws(ReferenceError) -> Value? {
        switch name {
        case "$set", "target": return operand
        case "$unset", "source": return nil
        case "$inc", "$mul": return try compute(value)
        case "$min": return value.map { compare(operand, $0) < 0 ? operand : $0 } ?? operand
        case "$max": return value.map { compare(operand, $0) > 0 ? operand : $0 } ?? operand
        case "$push": return .array(try push(try elements(value, orElse: []) ?? []))
        case "$addToSet":
            var values = try elements(value, orElse: []) ?? []
            if !values.contains(where: { compare($0, operand) == 0 }) { values.append(operand) }
            return .array(values)
        case "$pop":
            guard let value else { return nil }
            guard case .array(var values) = value else { throw ReferenceError(code: 14) }
            if !values.isEmpty { values.remove(at: operand == 1 ? values.count - 1 : 0) }
            return .array(values)
        case "$pull":
            return try elements(value, orElse: nil).map { values in
                .array(values.filter { compare($0, operand) != 0 })
            }
        case "$pullAll":
            guard case .array(let gone) = operand else { throw ReferenceError(code: 2) }
            return try elements(value, orElse: nil).map { values in
                .array(values.filter { value in !gone.contains { compare($0, value) == 0 } })
            }
        default: throw ReferenceError(code: -1)
        }
    }

    private func elements(_ value: Value?, orElse none: [Value]?) throws(ReferenceError) -> [Value]?
    {
        guard let value else { return none }
        guard case .array(let values) = value else { throw ReferenceError(code: 2) }
        return values
    }

    private func compute(_ value: Value?) throws(ReferenceError) -> Value {
        let product = name == "$mul"
        switch (value, operand) {
        case (nil, _):
            guard product else { return operand }
            if case .double = operand { return 0.0 }
            if case .int64 = operand { return .int64(0) }
            return 0
        case (.double(let left)?, .double(let right)):
            return .double(product ? left * right : left + right)
        case (.double(let left)?, .int32(let right)):
            return .double(product ? left * Double(right) : left + Double(right))
        case (.int32(let left)?, .double(let right)):
            return .double(product ? Double(left) * right : Double(left) + right)
        case (.int64(let left)?, .double(let right)):
            return .double(product ? Double(left) * right : Double(left) + right)
        case (.int32(let left)?, .int32(let right)):
            let wide = product ? Int64(left) * Int64(right) : Int64(left) + Int64(right)
            return Int32(exactly: wide).map { .int32($0) } ?? .int64(wide)
        case (.int64(let left)?, .int32(let right)):
            let (wide, overflowed) =
                product
                ? left.multipliedReportingOverflow(by: Int64(right))
                : left.addingReportingOverflow(Int64(right))
            if overflowed { throw ReferenceError(code: 2) }
            return .int64(wide)
        default: throw ReferenceError(code: 14)
        }
    }

    private func push(_ stored: [Value]) throws(ReferenceError) -> [Value] {
        guard case .document(let modifiers) = operand,
            case .array(let each)? = modifiers["$each"]
        else { return stored + [operand] }
        var values = stored
        var place = values.count
        if case .int32(let position)? = modifiers["$position"] {
            place = Int(position) < 0 ? values.count + Int(position) : Int(position)
        }
        values.insert(contentsOf: each, at: min(max(place, 0), values.count))
        if case .int32(let order)? = modifiers["$sort"] {
            // Insertion keeps equal elements in order.
            var sorted: [Value] = []
            for value in values {
                let place = sorted.firstIndex { compare(value, $0) * Int(order) < 0 }
                sorted.insert(value, at: place ?? sorted.count)
            }
            values = sorted
        }
        if case .int32(let slice)? = modifiers["$slice"] {
            values =
                slice < 0 ? Array(values.suffix(-Int(slice))) : Array(values.prefix(Int(slice)))
        }
        return values
    }
}

private func compare(_ left: Value, _ right: Value) -> Int {
    let (left, right) = (OwnedValue(left), OwnedValue(right))
    return left.view.compare(right.view)
}
