// What documents have in common, as a $jsonSchema that all of them meet.
//
// A field is required where every document has it. Types are those that occur; a field with few
// distinct strings, each of them often, gets an enum. Nested documents and the elements of lists are
// described in the same way.

import BSON

/// Counts what occurs at one place of documents.
struct SchemaInference {
    /// Most distinct strings of an enum, and how often each occurs at least on average.
    private static let enumMax = 8
    private static let enumRepeatsMin = 10
    /// Most fields of one object that are described; more look like keys of a map.
    private static let fieldsMax = 200
    /// Deeper documents are described by their type alone.
    private static let depthMax = 12

    private let depth: Int
    private var types: Set<String> = []
    private var count = 0
    /// Distinct strings; nil where they are too many.
    private var strings: Set<String>? = []
    private var stringCount = 0
    private var documentCount = 0
    private var fields: [(name: String, place: SchemaInference)] = []
    private var places: [String: Int] = [:]
    private var isMap = false
    /// What the elements of lists have in common, in its one element.
    private var elements: [SchemaInference] = []

    init(depth: Int = 0) {
        self.depth = depth
    }

    /// Takes a document in.
    mutating func add(_ document: DocumentView) {
        count += 1
        addFields(document)
    }

    private mutating func add(_ value: ValueView) {
        count += 1
        types.insert(value.type.alias)
        if let text = value.string {
            stringCount += 1
            if strings?.contains(text) == false { strings?.insert(text) }
            if (strings?.count ?? 0) > Self.enumMax { strings = nil }
        } else if let document = value.document {
            addFields(document)
        } else if let list = value.array, depth < Self.depthMax {
            if elements.isEmpty { elements = [SchemaInference(depth: depth + 1)] }
            var values = list.makeIterator()
            while let element = values.next() { elements[0].add(element.value) }
        }
    }

    private mutating func addFields(_ document: DocumentView) {
        documentCount += 1
        guard depth < Self.depthMax, !isMap else { return }
        var seen: Set<String> = []
        var elements = document.makeIterator()
        while let element = elements.next() {
            let name = element.nameString
            // The first of several fields of a name is the one that is checked.
            guard seen.insert(name).inserted else { continue }
            let place: Int
            if let known = places[name] {
                place = known
            } else {
                guard fields.count < Self.fieldsMax else {
                    isMap = true
                    return
                }
                place = fields.count
                places[name] = place
                fields.append((name, SchemaInference(depth: depth + 1)))
            }
            fields[place].place.add(element.value)
        }
    }

    /// The schema of what was taken in.
    var schema: Document {
        Document { writer in
            writer.append("bsonType", "object")
            writeObject(&writer)
        }
    }

    private func writeObject(_ writer: inout DocumentWriter) {
        guard !isMap, !fields.isEmpty else { return }
        let required = fields.filter { $0.place.count == documentCount }.map { $0.name }
        if !required.isEmpty {
            writer.append("required", .array(required.map { .string($0) }))
        }
        // A schema's names can't hold dots and dollars as paths do; such fields stay undescribed.
        let described = fields.filter { !$0.name.contains(".") && !$0.name.hasPrefix("$") }
        writer.append(
            "properties",
            Document { properties in
                for (name, place) in described {
                    properties.append(name, place.description)
                }
            })
    }

    private var description: Document {
        Document { writer in
            let names = types.sorted()
            if names.count == 1 {
                writer.append("bsonType", names[0])
            } else {
                writer.append("bsonType", .array(names.map { .string($0) }))
            }
            if types.contains("object") { writeObject(&writer) }
            if let elements = elements.first, elements.count > 0 {
                writer.append("items", elements.description)
            }
            if let strings, types == ["string"],
                stringCount >= strings.count * Self.enumRepeatsMin
            {
                writer.append("enum", .array(strings.sorted().map { .string($0) }))
            }
        }
    }
}
