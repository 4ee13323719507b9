// Where in a query's text an operator stands, carried into the compiled expression, so that what
// goes wrong with a document is shown under the operator that met it. The lowering wraps calls as
// `{$_textPlace: [offset, name, call]}`; parsing takes the wrapping off again and has the call's
// errors translated, so that a call costs nothing more than a closure.

import BSON

/// The text that a query was made of.
package final class TextSource: Sendable {
    package let text: String

    package init(_ text: String) {
        self.text = text
    }
}

/// The internal operator that names a call's place. Only scopes with a text know it.
enum TextMark {
    private static let operatorName = "$_textPlace"

    /// `call` with the offset and the name that it has in the text.
    static func wrapped(_ call: Value, _ name: String, at offset: Int) -> Value {
        .document(
            Document {
                $0.append(
                    operatorName,
                    .array([.int64(Int64(offset)), .string(name), call]))
            })
    }

    static let rows = [OperatorRow.custom(operatorName, parse)]

    private static func parse(
        _ argument: ValueView, _ program: inout ProgramBuilder
    ) throws(DBError) -> Int {
        guard let source = program.scope.text, let list = argument.array else {
            throw DBError(.invalidPipelineOperator, "Unrecognized expression '\(operatorName)'")
        }
        var elements = list.makeIterator()
        guard let offset = elements.next()?.value.int64, let name = elements.next()?.value.string,
            let call = elements.next()
        else { throw DBError(.failedToParse, "\(operatorName) takes a place, a name and a call") }
        let own = call.value.document?.first?.nameString
        let translate = { @Sendable (error: DBError) in
            TextWording.located(error, name, own: own, at: Int(offset), in: source.text)
        }
        do throws(DBError) {
            let node = try program.parse(call.value)
            program.translateErrors(of: node, translate)
            return node
        } catch {
            throw translate(error)
        }
    }
}

/// Errors of the aggregation in the words of the text language.
enum TextWording {
    /// The error at its place, in the text's own words; as it is where it has a place or where the
    /// text isn't to blame.
    ///
    /// `own`: the operator that `name` became.
    static func located(
        _ error: DBError, _ name: String, own: String?, at offset: Int, in text: String
    ) -> DBError {
        guard isAboutTheText(error) else { return error }
        let message = translated(error.message, own: own, as: name)
        return error.located(at: offset, in: text, message, expected: expectation(of: name))
    }

    /// Whether the statement could be mended: not what time, other clients or the server's state
    /// brought about, nor what has its place already.
    static func isAboutTheText(_ error: DBError) -> Bool {
        if error.details["line"] != nil || error.details["errorLabels"] != nil { return false }
        switch error.code.rawValue {
        // Time limits, killed operations and cursors, shutdown, conflicts, storage.
        case 24, 39, 43, 46, 50, 91, 112, 175, 225, 237, 244, 246, 251, 256, 262, 263, 290, 292,
            11_600, 11_601, 11_602, 14_031:
            return false
        default: return true
        }
    }

    /// The message with the text's names in place of the aggregation's.
    static func translated(_ message: String, own: String? = nil, as name: String = "") -> String {
        var result = ""
        var rest = Substring(message)
        while let dollar = rest.firstIndex(of: "$") {
            result += rest[..<dollar]
            rest = rest[rest.index(after: dollar)...]
            let word = rest.prefix { $0.isASCII && $0.isLetter }
            let operatorName = "$" + word
            // Conversions are $convert inside.
            if operatorName == own || operatorName == "$convert", !name.isEmpty {
                result += result.hasSuffix("can't ") ? String(word) : shown(name)
            } else if let known = names[operatorName] {
                result += result.hasSuffix("can't ") ? String(word) : shown(known)
            } else {
                result += operatorName
            }
            rest = rest[word.endIndex...]
        }
        return result + rest
    }

    /// A function as `lower()`, a symbol in quotes.
    private static func shown(_ name: String) -> String {
        name.utf8.allSatisfy { 97...122 ~= $0 | 0x20 } && name != "in" ? name + "()" : "'\(name)'"
    }

    private static let names: [String: String] = {
        var names = TextFunctions.namesByOperator
        for (operatorName, name) in [
            ("$add", "+"), ("$subtract", "-"), ("$multiply", "*"), ("$divide", "/"),
            ("$mod", "%"), ("$in", "in"), ("$arrayElemAt", "[]"), ("$cond", "?:"), ("$not", "!"),
            ("$and", "&&"), ("$or", "||"), ("$eq", "=="), ("$ne", "!="), ("$lt", "<"),
            ("$lte", "<="), ("$gt", ">"), ("$gte", ">="), ("$match", "where"),
            ("$group", "group"), ("$sort", "sort"), ("$limit", "limit"), ("$skip", "skip"),
            ("$unwind", "unwind"), ("$lookup", "join"), ("$set", "set"), ("$unset", "unset"),
            ("$addFields", "set"), ("$count", "count"), ("$replaceWith", "select"),
            ("$replaceRoot", "select"),
        ] { names[operatorName] = name }
        return names
    }()

    /// What an operator wants.
    private static func expectation(of name: String) -> [String] {
        switch name {
        case "+": ["numbers", "a date and a number", "text on both sides"]
        case "-": ["numbers", "dates"]
        case "*", "abs", "ceil", "exp", "floor", "ln", "log", "pow", "round", "sqrt", "trunc",
            "sin", "cos", "tan":
            ["numbers"]
        case "/", "%": ["numbers, the second of them not 0"]
        case "[]": ["a list and a whole number"]
        case "in": ["a list behind 'in'"]
        default: TextFunctions.expectations(of: name)
        }
    }
}

extension DBError {
    /// The same error with a line and a caret in its message, and with `line`, `column`, `offset`
    /// and `expected` as fields.
    func located(
        at offset: Int, in text: String, _ message: String? = nil, expected: [String] = []
    ) -> DBError {
        let place = TextPlace(of: offset, in: text)
        let details = Document { writer in
            writer.appendFields(of: self.details.view)
            writer.append("line", Int32(clamping: place.line))
            writer.append("column", Int32(clamping: place.column))
            writer.append("offset", Int32(clamping: offset))
            writer.append("expected", .array(expected.map { .string($0) }))
        }
        return DBError(
            code,
            "line \(place.line), column \(place.column): \(message ?? self.message)\n"
                + place.marked,
            details: details, underlying: underlying)
    }
}
