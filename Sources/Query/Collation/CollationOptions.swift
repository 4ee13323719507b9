// The document of a collation's options.

import BSON
import CICU

/// What a collation's document says; nil for what it leaves to the locale.
struct CollationOptions {
    private(set) var locale = ""
    private var strength: Int32?
    private var caseLevel: Bool?
    private var caseFirst: Int32?
    private var numericOrdering: Bool?
    private var alternate: Int32?
    private var maxVariable: Int32?
    private var normalization: Bool?
    private var backwards: Bool?

    private static let caseFirstNames = ["off", "lower", "upper"]
    private static let alternateNames = ["non-ignorable", "shifted"]
    private static let maxVariableNames = ["punct", "space"]

    /// Reads and checks the document; see `Collation.parse` for the errors.
    init(_ document: DocumentView) throws(DBError) {
        var hasLocale = false
        var elements = document.makeIterator()
        while let element = elements.next() {
            // Null is as good as nothing, but not for backwards.
            let name = element.nameString
            if element.value.type == .null, name != "locale", name != "backwards",
                Self.names.contains(name)
            {
                continue
            }
            switch name {
            case "locale":
                locale = try Self.string(element)
                hasLocale = true
            case "strength": strength = try Self.strength(element)
            case "caseLevel": caseLevel = try Self.flag(element)
            case "caseFirst": caseFirst = try Self.choice(element, Self.caseFirstNames)
            case "numericOrdering": numericOrdering = try Self.flag(element)
            case "alternate": alternate = try Self.choice(element, Self.alternateNames)
            case "maxVariable": maxVariable = try Self.choice(element, Self.maxVariableNames)
            case "normalization": normalization = try Self.flag(element)
            case "backwards": backwards = try Self.flag(element)
            case "version": try Self.checkVersion(try Self.string(element))
            default:
                throw DBError(
                    DBError.Code(rawValue: 40415),
                    "BSON field 'collation.\(name)' is an unknown field.")
            }
        }
        guard hasLocale else {
            throw DBError(
                DBError.Code(rawValue: 40414),
                "BSON field 'collation.locale' is missing but a required field")
        }
    }

    private static let names: Set<String> = [
        "locale", "strength", "caseLevel", "caseFirst", "numericOrdering", "alternate",
        "maxVariable", "normalization", "backwards", "version",
    ]

    private static func mismatch(_ element: ElementView, _ expected: String) -> DBError {
        DBError(
            .typeMismatch,
            "BSON field 'collation.\(element.nameString)' is the wrong type "
                + "'\(element.value.type.alias)', expected \(expected)")
    }

    private static func unknown(_ element: ElementView, _ value: String) -> DBError {
        DBError(
            .badValue,
            "Enumeration value '\(value)' for field 'collation.\(element.nameString)' is not a "
                + "valid value.")
    }

    private static func string(_ element: ElementView) throws(DBError) -> String {
        guard element.value.type == .string, let text = element.value.string else {
            throw mismatch(element, "type 'string'")
        }
        return text
    }

    private static func flag(_ element: ElementView) throws(DBError) -> Bool {
        guard let flag = element.value.bool else { throw mismatch(element, "type 'bool'") }
        return flag
    }

    private static func choice(
        _ element: ElementView, _ names: [String]
    ) throws(DBError) -> Int32 {
        let name = try string(element)
        guard let index = names.firstIndex(of: name) else { throw unknown(element, name) }
        return Int32(index)
    }

    private static func strength(_ element: ElementView) throws(DBError) -> Int32 {
        let value = element.value
        guard value.isNumeric else {
            throw mismatch(element, "types '[int, decimal, double, long']")
        }
        let number =
            value.type == .decimal128
            ? value.decimal128?.rounded(.toNearestOrEven).exactInt64 : value.truncatedInt64
        guard let number, (1...5).contains(number) else {
            throw unknown(element, value.numberText)
        }
        return Int32(number)
    }

    private static func checkVersion(_ version: String) throws(DBError) {
        guard version == Collation.version else {
            throw DBError(
                DBError.Code(rawValue: 161),
                "Requested collation version \(version), but the only available version is "
                    + Collation.version)
        }
    }

    /// Sets what was given on the locale's collator, and checks that the options make sense
    /// together. Errors: 2.
    func apply(to collator: Collator) throws(DBError) {
        if let strength { try collator.set(CICU_STRENGTH, strength) }
        if let caseLevel { try collator.set(CICU_CASE_LEVEL, caseLevel ? 1 : 0) }
        if let caseFirst { try collator.set(CICU_CASE_FIRST, caseFirst) }
        if let numericOrdering { try collator.set(CICU_NUMERIC, numericOrdering ? 1 : 0) }
        if let alternate { try collator.set(CICU_ALTERNATE, alternate) }
        try collator.set(CICU_MAX_VARIABLE, maxVariable ?? 0)
        if let normalization { try collator.set(CICU_NORMALIZATION, normalization ? 1 : 0) }
        if let backwards { try collator.set(CICU_BACKWARDS, backwards ? 1 : 0) }
        let level = collator.value(CICU_STRENGTH)
        if backwards == true, level == 1 {
            throw DBError(.badValue, "'backwards' is invalid with 'strength' of 1")
        }
        if let caseFirst, caseFirst != 0, level < 3, collator.value(CICU_CASE_LEVEL) == 0 {
            throw DBError(
                .badValue,
                "'caseFirst' is invalid unless 'caseLevel' is on or 'strength' is greater than 2")
        }
    }

    /// The document with what the locale decides filled in.
    func document(as collator: Collator) -> Document {
        Document { writer in
            writer.append("locale", locale)
            writer.append("caseLevel", collator.value(CICU_CASE_LEVEL) != 0)
            writer.append("caseFirst", Self.caseFirstNames[Int(collator.value(CICU_CASE_FIRST))])
            writer.append("strength", collator.value(CICU_STRENGTH))
            writer.append("numericOrdering", collator.value(CICU_NUMERIC) != 0)
            writer.append("alternate", Self.alternateNames[Int(collator.value(CICU_ALTERNATE))])
            writer.append(
                "maxVariable", Self.maxVariableNames[Int(collator.value(CICU_MAX_VARIABLE))])
            writer.append("normalization", collator.value(CICU_NORMALIZATION) != 0)
            writer.append("backwards", collator.value(CICU_BACKWARDS) != 0)
            writer.append("version", Collation.version)
        }
    }
}
