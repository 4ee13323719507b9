import BSON
import TestSupport
import Testing

@testable import Roost

/// What change streams tell of an update, applied to the document before, gives the one after.
@Suite struct UpdateDescriptionTests {
    private static func describe(_ before: Document, _ after: Document) -> Document {
        var description = UpdateDescription()
        description.compare(before.view, after.view)
        return Document { writer in description.write(into: &writer, showsAmbiguity: true) }
    }

    /// An update and what is told of it.
    struct Case: Sendable {
        let before: Document
        let after: Document
        let updated: Document
        var removed: [Value] = []
    }

    @Test(arguments: [
        Case(before: ["a": 1], after: ["a": 2], updated: ["a": 2]),
        Case(before: ["a": 1], after: ["a": 1, "b": 2], updated: ["b": 2]),
        Case(before: ["a": 1, "b": 2], after: ["b": 2], updated: [:], removed: ["a"]),
        Case(before: ["a": 1], after: ["a": .int64(1)], updated: ["a": .int64(1)]),
        Case(
            before: ["a": ["b": 1, "c": 2]], after: ["a": ["b": 1, "c": 3]], updated: ["a.c": 3]),
        Case(
            before: ["a": ["b": 1, "c": 2]], after: ["a": ["c": 2]], updated: [:], removed: ["a.b"]),
        Case(before: ["a": [1, 2]], after: ["a": [1, 2, 3]], updated: ["a.2": 3]),
        Case(
            before: ["a": [["b": 1, "c": "x"]]], after: ["a": [["b": 2, "c": "x"]]],
            updated: ["a.0.b": 2]),
        // Only the whole tells a new order, or a name with a dot.
        Case(
            before: ["a": ["b": 1, "c": 2]], after: ["a": ["c": 2, "b": 1]],
            updated: ["a": ["c": 2, "b": 1]]),
        Case(
            before: ["a": ["x.y": 1, "c": 2]], after: ["a": ["x.y": 2, "c": 2]],
            updated: ["a": ["x.y": 2, "c": 2]]),
    ])
    func tellsWhatChanged(_ example: Case) {
        let description = Self.describe(example.before, example.after)
        #expect(description["updatedFields"] == .document(example.updated))
        #expect(description["removedFields"] == .array(example.removed))
    }

    @Test func tellsShorterArrays() {
        let description = Self.describe(
            ["_id": 1, "array": ["foo", ["a": "bar"], 1, 2, 3]],
            ["_id": 1, "array": ["foo", ["a": "bar"]]])
        #expect(description["truncatedArrays"] == [["field": "array", "newSize": 2]])
        #expect(description["updatedFields"] == [:])
    }

    @Test func namesAmbiguousPaths() {
        let description = Self.describe(
            ["a": [["1": 1, "b": "long"]]], ["a": [["1": 2, "b": "long"]]])
        #expect(description["disambiguatedPaths"] == ["a.0.1": ["a", 0, "1"]])
        #expect(Self.describe(["a": [1]], ["a": [2]])["disambiguatedPaths"] == nil)
    }

    @Test(arguments: 0..<40 as Range<UInt64>) func appliedGivesTheDocumentAfter(_ seed: UInt64) {
        var generator = DocumentGenerator(seed: seed)
        for round in 0..<50 {
            let before = Self.distinct(generator.document())
            let after = Self.mutated(before, &generator)
            let found = Self.applied(Self.describe(before, after), to: before)
            let wanted = DescribedValue(.document(after))
            #expect(found.isSame(as: wanted), "seed \(seed) round \(round): \(before) → \(after)")
        }
    }

    /// The document without names that come twice or hold dots: paths can't say those.
    private static func distinct(_ document: Document) -> Document {
        guard case .fields(let fields) = DescribedValue(.document(document)) else {
            return document
        }
        var names: Set<String> = []
        let kept = fields.filter { names.insert($0.name).inserted && !$0.name.contains(".") }
        guard case .document(let made) = DescribedValue.fields(kept).value else { return document }
        return made
    }

    private static func mutated(
        _ document: Document, _ generator: inout DocumentGenerator
    ) -> Document {
        var value = DescribedValue(.document(document))
        for _ in 0...generator.random.below(4) { value.mutate(&generator) }
        guard case .document(let made) = value.value else { return document }
        return distinct(made)
    }

    private static func applied(_ description: Document, to before: Document) -> DescribedValue {
        var value = DescribedValue(.document(before))
        if case .array(let paths)? = description["removedFields"] {
            for case .string(let path) in paths { value.set(path[...], nil) }
        }
        if case .array(let arrays)? = description["truncatedArrays"] {
            for case .document(let array) in arrays {
                guard case .string(let path)? = array["field"],
                    case .int32(let size)? = array["newSize"]
                else { continue }
                value.truncate(path[...], Int(size))
            }
        }
        if case .document(let fields)? = description["updatedFields"] {
            for name in fields.keys { value.set(name[...], fields[name]) }
        }
        return value
    }
}

/// A value that can be changed by paths: the tests' own, naive way.
private indirect enum DescribedValue {
    case fields([(name: String, value: DescribedValue)])
    case elements([DescribedValue])
    case leaf(Value)

    init(_ value: Value) {
        switch value {
        case .document(let document):
            var fields: [(name: String, value: DescribedValue)] = []
            var elements = document.view.makeIterator()
            while let element = elements.next() {
                fields.append((element.nameString, DescribedValue(Value(element.value))))
            }
            self = .fields(fields)
        case .array(let values): self = .elements(values.map { DescribedValue($0) })
        default: self = .leaf(value)
        }
    }

    var value: Value {
        switch self {
        case .fields(let fields):
            .document(
                Document { writer in
                    for (name, value) in fields { writer.append(name, value.value) }
                })
        case .elements(let elements): .array(elements.map(\.value))
        case .leaf(let value): value
        }
    }

    /// Whether both have the same fields; at the top in any order.
    func isSame(as other: DescribedValue) -> Bool {
        guard case .fields(let own) = self, case .fields(let others) = other else { return false }
        func sorted(_ fields: [(name: String, value: DescribedValue)]) -> Value {
            DescribedValue.fields(
                fields.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
            )
            .value
        }
        return OwnedValue(sorted(own)) == OwnedValue(sorted(others))
    }

    mutating func set(_ path: Substring, _ new: Value?) {
        change(path) { _ in new.map { DescribedValue($0) } }
    }

    mutating func truncate(_ path: Substring, _ size: Int) {
        change(path) { old in
            guard case .elements(let elements)? = old else { return old }
            return .elements(Array(elements.prefix(size)))
        }
    }

    private mutating func change(
        _ path: Substring, _ body: (DescribedValue?) -> DescribedValue?
    ) {
        switch self {
        case .fields(var fields):
            // A name at the top may hold dots itself.
            let whole = fields.firstIndex { $0.name.utf8.elementsEqual(path.utf8) }
            let step = path.prefix { $0 != "." }
            let place = whole ?? fields.firstIndex { $0.name.utf8.elementsEqual(step.utf8) }
            if let place, whole != nil || step.endIndex == path.endIndex {
                if let new = body(fields[place].value) {
                    fields[place].value = new
                } else {
                    fields.remove(at: place)
                }
            } else if let place {
                fields[place].value.change(path[step.endIndex...].dropFirst(), body)
            } else if let new = body(nil) {
                fields.append((String(path), new))
            }
            self = .fields(fields)
        case .elements(var elements):
            let step = path.prefix { $0 != "." }
            guard let index = Int(step) else { return }
            if index == elements.count, let new = body(nil) {
                elements.append(new)
            } else if index < elements.count {
                if step.endIndex == path.endIndex {
                    elements[index] = body(elements[index]) ?? elements[index]
                } else {
                    elements[index].change(path[step.endIndex...].dropFirst(), body)
                }
            }
            self = .elements(elements)
        case .leaf: return
        }
    }

    /// Changes something somewhere.
    mutating func mutate(_ generator: inout DocumentGenerator) {
        switch self {
        case .fields(var fields):
            let choice = generator.random.below(5)
            if fields.isEmpty || choice == 0 {
                fields.append(
                    ("n\(generator.random.below(20))", DescribedValue(generator.value(depthMax: 2)))
                )
            } else {
                let place = generator.random.below(fields.count)
                switch choice {
                case 1: fields.remove(at: place)
                case 2: fields[place].value = DescribedValue(generator.value(depthMax: 2))
                default: fields[place].value.mutate(&generator)
                }
            }
            self = .fields(fields)
        case .elements(var elements):
            let choice = generator.random.below(4)
            if elements.isEmpty || choice == 0 {
                elements.append(DescribedValue(generator.value(depthMax: 2)))
            } else {
                let place = generator.random.below(elements.count)
                if choice == 1 {
                    elements.remove(at: place)
                } else {
                    elements[place].mutate(&generator)
                }
            }
            self = .elements(elements)
        case .leaf: self = .leaf(.int32(Int32(generator.random.below(1_000))))
        }
    }
}
