// $listLocalSessions and $listSessions: the sessions that the server remembers.

import BSON

enum SessionStages {
    /// SHA-256 of nothing: whom sessions belong to while there are no users.
    private static let nobody: [UInt8] = [
        0xE3, 0xB0, 0xC4, 0x42, 0x98, 0xFC, 0x1C, 0x14, 0x9A, 0xFB, 0xF4, 0xC8, 0x99, 0x6F, 0xB9,
        0x24, 0x27, 0xAE, 0x41, 0xE4, 0x64, 0x9B, 0x93, 0x4C, 0xA4, 0x95, 0x99, 0x1B, 0x78, 0x52,
        0xB8, 0x55,
    ]

    /// The sessions; none where named users' are asked for.
    static func documents(
        _ stage: String, _ argument: ValueView, _ call: borrowing CommandCall
    ) throws(DBError) -> [Value] {
        guard let object = argument.document else {
            throw DBError(
                .typeMismatch,
                "\(stage) options must be specified in an object, but found: "
                    + argument.type.alias)
        }
        var wantsAll = false
        var namesUsers = false
        var fields = object.makeIterator()
        while let field = fields.next() {
            let value = field.value
            switch field.nameString {
            case "allUsers":
                guard let all = value.isNullish ? false : value.bool else {
                    throw wrongType("\(stage).allUsers", value)
                }
                wantsAll = all
            case "users": namesUsers = try checkUsers(value, stage)
            case let name:
                throw DBError(
                    .idlUnknownField, "BSON field '\(stage).\(name)' is an unknown field.")
            }
        }
        guard !(wantsAll && namesUsers) else {
            throw DBError(
                DBError.Code(rawValue: 12),
                "\(stage) may not specify {allUsers:true} and {users:[...]} at the same time")
        }
        if namesUsers { return [] }
        let now = Clock.coarseNanos
        let wall = Clock.wallMillis
        return call.core.sessions.all.map { session, lastUse in
            let age = now > lastUse ? Int64((now - lastUse) / 1_000_000) : 0
            return [
                "_id": ["id": session.value, "uid": .binary(subtype: 0, nobody)],
                "lastUse": .date(wall - age),
            ]
        }
    }

    /// Whether `users` names any.
    private static func checkUsers(_ value: ValueView, _ stage: String) throws(DBError) -> Bool {
        if value.isNullish { return false }
        guard let list = value.array else { throw wrongType("\(stage).users", value) }
        var namesAny = false
        var elements = list.makeIterator()
        while let element = elements.next() {
            if element.value.isNullish { continue }
            guard let user = element.value.document else {
                throw wrongType("\(stage).users.\(element.nameString)", element.value)
            }
            namesAny = true
            try checkUser(user, "\(stage).users")
        }
        return namesAny
    }

    private static func checkUser(_ user: DocumentView, _ place: String) throws(DBError) {
        var fields = user.makeIterator()
        while let field = fields.next() {
            guard field.name.equals("user") || field.name.equals("db") else {
                throw DBError(
                    .idlUnknownField,
                    "BSON field '\(place).\(field.nameString)' is an unknown field.")
            }
            guard field.value.isNullish || field.value.type == .string else {
                throw wrongType("\(place).\(field.nameString)", field.value)
            }
        }
        for name: StaticString in ["user", "db"] where user.value(name)?.string == nil {
            throw DBError(
                .idlMissingField,
                "BSON field '\(place).\(name)' is missing but a required field")
        }
    }

    private static func wrongType(_ place: String, _ value: ValueView) -> DBError {
        DBError(
            .typeMismatch, "BSON field '\(place)' is the wrong type '\(value.type.alias)'")
    }
}
