// The values that stand for `$name` in statements of the text language: `--param` and `.param`.

import BSON

/// Named values, in the order in which they were given.
struct ShellParameters {
    private var fields = FieldList()

    /// A field for each.
    var document: Document { fields.document }

    /// Sets one; `text` is its value as JSON, or as it stands where it is no JSON.
    /// - Throws: where the name can't be one.
    mutating func set(_ name: some StringProtocol, to text: String) throws(ShellFailure) {
        let name = name.hasPrefix("$") ? String(name.dropFirst()) : String(name)
        guard let first = name.unicodeScalars.first, !("0"..."9" ~= first),
            name.unicodeScalars.allSatisfy({
                $0 == "_" || $0.properties.isAlphabetic || "0"..."9" ~= $0
            })
        else {
            throw ShellFailure(
                message: "'\(name)' is no parameter's name: letters, digits and _ make one")
        }
        guard !text.utf8.contains(0) else {
            throw ShellFailure(message: "a parameter's value must not hold a zero character")
        }
        fields.set(name, (try? ExtendedJSON.parseValue(text)) ?? .string(text))
    }

    /// Sets one that is given as `NAME=VALUE`.
    /// - Throws: where it has another form.
    mutating func set(_ given: String) throws(ShellFailure) {
        guard let sign = given.firstIndex(of: "=") else {
            throw ShellFailure(message: "--param takes NAME=VALUE, not '\(given)'")
        }
        try set(given[..<sign], to: String(given[given.index(after: sign)...]))
    }

    /// What `.param` lists.
    var listing: String {
        let document = document
        if document.isEmpty { return "no parameters; .param NAME VALUE sets one" }
        return document.keys.map { name in
            let value = ExtendedJSON.string(of: OwnedValue(document[name] ?? .null).view)
            return "$\(name) = \(value)"
        }.joined(separator: "\n")
    }

    /// The command that runs a statement with these values.
    func command(_ statement: String) -> Document {
        var command = FieldList(["query": .string(statement)])
        let document = document
        if !document.isEmpty { command.set("params", .document(document)) }
        return command.document
    }
}
