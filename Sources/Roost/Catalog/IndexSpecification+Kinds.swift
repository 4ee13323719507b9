// Options of createIndexes that belong to text, geo and wildcard indexes.

import BSON
import Query

extension IndexSpecification.Draft {
    /// Reads an option of a special kind of index; false for any other.
    mutating func takeKindOption(_ element: ElementView) throws(DBError) -> Bool {
        let field = element.nameString
        let value = element.value
        switch field {
        case "wildcardProjection":
            guard let projection = value.document else {
                throw Self.mismatch(field, value, "object")
            }
            kindOptions.wildcardProjection = Document(copying: projection)
            keep(element)
        case "weights": kindOptions.weights = OwnedValue(copying: value)
        case "default_language": kindOptions.defaultLanguage = try Self.text(element)
        case "language_override":
            let name = try Self.text(element)
            guard !name.isEmpty, !name.hasPrefix("$"), !name.utf8.contains(0x2E) else {
                throw DBError(.cannotCreateIndex, "language_override is not valid: '\(name)'")
            }
            kindOptions.languageOverride = name
        case "textIndexVersion": try Self.checkVersion(element)
        case "2dsphereIndexVersion": try Self.checkVersion(element)
        case "bits":
            let bits = try Self.number(element)
            guard bits >= 1, bits <= 32 else {
                throw DBError(
                    .invalidOptions, "bits for hash must be > 0 and <= 32, but \(bits) was given")
            }
            kindOptions.grid = PlaneGrid(
                bits: Int(bits), low: kindOptions.grid.low, high: kindOptions.grid.high)
            keepNumber(field, .int32(Int32(bits)))
        case "min":
            let grid = kindOptions.grid
            kindOptions.grid = PlaneGrid(
                bits: grid.bits, low: try Self.number(element), high: grid.high)
            keepNumber(field, .double(kindOptions.grid.low))
        case "max":
            let grid = kindOptions.grid
            kindOptions.grid = PlaneGrid(
                bits: grid.bits, low: grid.low, high: try Self.number(element))
            keepNumber(field, .double(kindOptions.grid.high))
        default: return false
        }
        return true
    }

    private mutating func keepNumber(_ field: String, _ value: Value) {
        let before = options
        options = Document { writer in
            writer.appendFields(of: before.view)
            writer.append(field, value)
        }
    }

    private static func text(_ element: ElementView) throws(DBError) -> String {
        guard let text = element.value.string else {
            throw mismatch(element.nameString, element.value, "string")
        }
        return text
    }

    private static func number(_ element: ElementView) throws(DBError) -> Double {
        guard let number = element.value.anyDouble, number.isFinite else {
            throw mismatch(element.nameString, element.value, "number")
        }
        return number
    }

    /// Versions 1 to 3 are MongoDB's; what is made is always 3.
    private static func checkVersion(_ element: ElementView) throws(DBError) {
        let version = try number(element)
        guard version >= 1, version <= 3 else {
            throw DBError(
                .cannotCreateIndex,
                "unsupported \(element.nameString) \(version): use 3, or leave it out")
        }
    }
}

extension IndexKeyPattern {
    /// The key as the catalog has it: of a text index, `_fts` and `_ftsx` stand for its fields.
    func storedKey(_ key: Document) -> Document {
        guard text != nil, key.view.value("_fts") == nil else { return key }
        return Document { writer in
            var hasText = false
            var elements = key.view.makeIterator()
            while let element = elements.next() {
                guard element.value.string == "text" else {
                    writer.append(element)
                    continue
                }
                if hasText { continue }
                hasText = true
                writer.append("_fts", "text")
                writer.append("_ftsx", 1 as Int32)
            }
        }
    }

    /// Appends the options that MongoDB adds to the specification of such an index.
    func appendKindOptions(to writer: inout DocumentWriter) {
        if let text {
            let weights = writer.openDocument("weights")
            for (path, weight) in text.listedWeights { writer.append(path, weight) }
            writer.close(weights)
            writer.append("default_language", text.languageName)
            writer.append("language_override", text.overrideField)
            writer.append("textIndexVersion", 3 as Int32)
        }
        if parts.contains(where: { $0.kind == .sphere }) {
            writer.append("2dsphereIndexVersion", 3 as Int32)
        }
    }
}
