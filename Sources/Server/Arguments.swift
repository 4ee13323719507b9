// A command's fields, checked against its table in one walk and then found by name. Only places are
// kept; values stay where they lie in the request.

import BSON
import Wire

/// Where the fields of one command lie. A connection reuses one for all its commands.
final class Arguments {
    /// More fields than any command has, since none may come twice.
    static let fieldsMax = 56

    /// One field that the client sent.
    struct Entry: Sendable {
        /// The field's place in the command's table.
        var place: UInt8 = 0
        /// `FieldTable.hash` of its name.
        var hash: UInt8 = 0
        var type = BSONType.null
        /// Where the payload lies in the body.
        var offset: UInt32 = 0
        var byteCount: UInt32 = 0
    }

    private var entries = InlineArray<56, Entry>(repeating: Entry())
    private var count = 0
    /// A bit for each hash below 64 that some entry has, so that what is not there costs nothing.
    private var hashes: UInt64 = 0
    /// The places of all entries.
    private var places = PlaceSet()

    init() {}

    /// Forgets what it holds, and checks a command's document.
    ///
    /// - Throws: `DBError` with MongoDB's codes: 40415 unknown field, 40413 duplicate, 40414
    ///   missing, 40571 no `$db`, 14 wrong type.
    func read(
        _ request: borrowing Request, _ command: CommandDefinition
    ) throws(DBError) {
        count = 0
        hashes = 0
        places = PlaceSet()
        do throws(DBError) {
            try readFields(request, command)
        } catch {
            // Without a database nothing else matters.
            try Self.checkDatabase(request)
            throw error
        }
        if !places.contains(FieldTable.databasePlace) { try Self.checkDatabase(request) }
    }

    private static func checkDatabase(_ request: borrowing Request) throws(DBError) {
        if request.kind == .message, request.body.value("$db") == nil {
            throw DBError(
                DBError.Code(rawValue: 40_571), "OP_MSG requests require a $db argument")
        }
    }

    private func readFields(
        _ request: borrowing Request, _ command: CommandDefinition
    ) throws(DBError) {
        let table = command.fields
        let body = request.body
        var elements = body.makeIterator()
        // The command's own name comes first, in whatever spelling; its type the command checks.
        if let element = elements.next() {
            add(place: Self.commandPlace, hash: 0, element.value, in: body)
        }
        while let element = elements.next() {
            guard let place = table.place(of: element.name) else {
                if command.options.contains(.takesAnyField) { continue }
                throw DBError(
                    .idlUnknownField,
                    "BSON field '\(command.name).\(element.nameString)' is an unknown field.")
            }
            if places.contains(place) {
                throw DBError(
                    .idlDuplicateField,
                    "BSON field '\(command.name).\(element.nameString)' is a duplicate field")
            }
            let (isAbsent, isRight) = table.check(element.value.type, at: place)
            if isAbsent { continue }
            guard isRight else {
                throw Self.wrongType(command, table.specs[place], element.value.type)
            }
            places.insert(place)
            let hash = FieldTable.hash(element.name)
            hashes |= 1 << UInt64(hash & 63)
            add(
                place: UInt8(truncatingIfNeeded: place), hash: UInt8(truncatingIfNeeded: hash),
                element.value, in: body)
        }
        for place in table.required where !places.contains(place) {
            let name = table.specs[place].name
            if request.sequence(named: name) != nil { continue }
            throw DBError(
                .idlMissingField,
                "BSON field '\(command.name).\(name)' is missing but a required field")
        }
    }

    /// The place that stands for the command's own name.
    private static let commandPlace = UInt8.max

    private func add(
        place: UInt8, hash: UInt8, _ value: ValueView, in body: DocumentView
    ) {
        guard count < Self.fieldsMax else { return }
        let range = body.bytes.byteOffsets(of: value.bytes) ?? 0..<0
        entries[count] = Entry(
            place: place, hash: hash, type: value.type,
            offset: UInt32(truncatingIfNeeded: range.lowerBound),
            byteCount: UInt32(truncatingIfNeeded: range.count))
        count += 1
    }

    /// The entry of the field named `name`.
    func entry(_ name: StaticString, _ table: FieldTable) -> Entry? {
        let hash = FieldTable.hash(RawSpan(name))
        guard hashes >> UInt64(hash & 63) & 1 != 0 else { return nil }
        for index in 1..<max(1, count)
        where entries[index].hash == UInt8(truncatingIfNeeded: hash)
            && table.isName(name, at: Int(entries[index].place))
        {
            return entries[index]
        }
        return nil
    }

    /// The value of the field named `name`, nil where it was not sent.
    @_lifetime(borrow request)
    func value(
        _ name: StaticString, _ request: borrowing Request, _ command: CommandDefinition
    ) -> ValueView? {
        guard let entry = entry(name, command.fields) else { return nil }
        let start = Int(entry.offset)
        return ValueView(
            type: entry.type,
            bytes: request.body.bytes.extracting(start..<start + Int(entry.byteCount)))
    }

    /// Whether a common field came that changes how the command runs.
    var hasSpecialCommonFields: Bool { !places.isDisjoint(with: .specialCommon) }

    /// Whether every field that was sent is at one of `places` in the command's table.
    func hasOnly(_ allowed: PlaceSet) -> Bool { places.isSubset(of: allowed) }

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

    /// The common fields that change how a command runs.
    static let specialCommon = PlaceSet(
        FieldTable.quietCommonCount..<FieldTable.common.count)

    /// No field.
    init() {}

    private init(_ places: Range<Int>) {
        for place in places { insert(place) }
    }

    /// The fields of those names, and the common ones that need no attention.
    init(_ names: Set<String>, of fields: [FieldSpec]) {
        for place in 0..<FieldTable.quietCommonCount { insert(place) }
        for (index, field) in fields.enumerated() where names.contains("\(field.name)") {
            insert(index + FieldTable.common.count)
        }
    }

    mutating func insert(_ place: Int) {
        if place < 64 { low |= 1 << UInt64(place) } else { high |= 1 << UInt64(place & 63) }
    }

    func contains(_ place: Int) -> Bool {
        let bits = place < 64 ? low : high
        return bits >> UInt64(place & 63) & 1 != 0
    }

    func isSubset(of other: PlaceSet) -> Bool {
        low & ~other.low == 0 && high & ~other.high == 0
    }

    func isDisjoint(with other: PlaceSet) -> Bool {
        low & other.low == 0 && high & other.high == 0
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
