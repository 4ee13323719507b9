// A command's fields, checked against its table in one walk and then found by name. Only places are
// kept; values stay where they lie in the request.

import BSON
import Wire

/// Where the fields of one command lie.
struct Arguments: Sendable {
    /// More fields than any command has, since none may come twice.
    static let fieldsMax = 56

    /// One field that the client sent.
    struct Entry: Sendable {
        /// The field's place in the command's table.
        var place: UInt8 = 0
        var type = BSONType.null
        /// Where the payload lies in the body.
        var offset: UInt32 = 0
        var byteCount: UInt32 = 0
    }

    private var entries = InlineArray<56, Entry>(repeating: Entry())
    private var count = 0
    /// Whether a common field came that changes how the command runs.
    private(set) var hasSpecialCommonFields = false

    /// Checks a command's document.
    ///
    /// - Throws: `DBError` with MongoDB's codes: 40415 unknown field, 40413 duplicate, 40414
    ///   missing, 14 wrong type.
    init(
        _ request: borrowing Request, _ command: CommandDefinition
    ) throws(DBError) {
        let table = command.fields
        let body = request.body
        var seen: UInt64 = 0
        var seenHigh: UInt64 = 0
        var elements = body.makeIterator()
        var isFirst = true
        while let element = elements.next() {
            if isFirst {
                // The command's own name, in whatever spelling; its type the command checks.
                isFirst = false
                add(place: Self.commandPlace, element.value, in: body)
                continue
            }
            guard let place = table.place(of: element.name) else {
                if command.options.contains(.takesAnyField) { continue }
                throw DBError(
                    .idlUnknownField,
                    "BSON field '\(command.name).\(element.nameString)' is an unknown field.")
            }
            let bit = UInt64(1) << UInt64(place & 63)
            let isRepeated = place < 64 ? seen & bit != 0 : seenHigh & bit != 0
            if isRepeated {
                throw DBError(
                    .idlDuplicateField,
                    "BSON field '\(command.name).\(element.nameString)' is a duplicate field")
            }
            let spec = table.specs[place]
            if spec.isAbsent(element.value.type) { continue }
            if place < 64 { seen |= bit } else { seenHigh |= bit }
            guard spec.types.contains(element.value.type) else {
                throw Self.wrongType(command, spec, element.value.type)
            }
            if place >= FieldTable.quietCommonCount, place < FieldTable.common.count {
                hasSpecialCommonFields = true
            }
            add(place: UInt8(truncatingIfNeeded: place), element.value, in: body)
        }
        for place in table.required {
            let bit = UInt64(1) << UInt64(place & 63)
            if (place < 64 ? seen & bit : seenHigh & bit) != 0 { continue }
            let name = table.specs[place].name
            if request.sequence(named: name) != nil { continue }
            throw DBError(
                .idlMissingField,
                "BSON field '\(command.name).\(name)' is missing but a required field")
        }
    }

    /// The place that stands for the command's own name.
    private static let commandPlace = UInt8.max

    private mutating func add(place: UInt8, _ value: ValueView, in body: DocumentView) {
        guard count < Self.fieldsMax else { return }
        let range = body.bytes.byteOffsets(of: value.bytes) ?? 0..<0
        entries[count] = Entry(
            place: place, type: value.type, offset: UInt32(truncatingIfNeeded: range.lowerBound),
            byteCount: UInt32(truncatingIfNeeded: range.count))
        count += 1
    }

    /// The entry of the field named `name`.
    func entry(_ name: StaticString, _ table: FieldTable) -> Entry? {
        for index in 1..<max(1, count) {
            let entry = entries[index]
            let spec = table.specs[Int(entry.place)].name
            if spec.utf8CodeUnitCount == name.utf8CodeUnitCount,
                spec.utf8Start == name.utf8Start || RawSpan(spec).equals(name)
            {
                return entry
            }
        }
        return nil
    }

    /// Whether every field that was sent is at one of `places` in the command's table.
    func hasOnly(_ places: PlaceSet) -> Bool {
        for index in 1..<max(1, count) where !places.contains(Int(entries[index].place)) {
            return false
        }
        return true
    }

    /// The entry of the command's own name.
    var commandEntry: Entry { entries[0] }

    static func wrongType(
        _ command: CommandDefinition, _ spec: FieldSpec, _ type: BSONType
    ) -> DBError {
        DBError(
            spec.mismatch,
            "BSON field '\(command.name).\(spec.name)' is the wrong type '\(type.alias)', "
                + "expected \(spec.types.expectation)")
    }
}

/// Some fields of a command, by their places in its table; below 128.
struct PlaceSet: Sendable {
    private var low: UInt64 = 0
    private var high: UInt64 = 0

    /// The fields of those names, and the common ones that need no attention.
    init(_ names: Set<String>, of fields: [FieldSpec]) {
        for place in 0..<FieldTable.quietCommonCount { insert(place) }
        for (index, field) in fields.enumerated() where names.contains("\(field.name)") {
            insert(index + FieldTable.common.count)
        }
    }

    private mutating func insert(_ place: Int) {
        if place < 64 { low |= 1 << UInt64(place) } else { high |= 1 << UInt64(place & 63) }
    }

    func contains(_ place: Int) -> Bool {
        let bits = place < 64 ? low : high
        return bits >> UInt64(place & 63) & 1 != 0
    }
}

extension DBError.Code {
    /// 40413: a field came twice.
    static let idlDuplicateField = DBError.Code(rawValue: 40413)
    /// 40414: a required field did not come.
    static let idlMissingField = DBError.Code(rawValue: 40414)
    /// 40415: a field that the command does not have.
    static let idlUnknownField = DBError.Code(rawValue: 40415)
}
