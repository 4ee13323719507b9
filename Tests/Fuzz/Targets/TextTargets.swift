// Fuzz targets of what comes as text: Extended JSON, the text query language, resume tokens.

import BSON
import Query
import Roost

extension FuzzTarget {
    static let textTargets = [extendedJSON, textQuery, decimal, resumeToken]

    private static let extendedJSON = FuzzTarget(text: "json", seeds: jsonSeeds) { text in
        let value: Value
        do throws(DBError) {
            value = try ExtendedJSON.parseValue(text)
        } catch {
            try check(
                error.message.contains("line") && error.message.contains("column"),
                "an error without its place: \(error.message)")
            return
        }
        let canonical = ExtendedJSON.string(of: OwnedValue(value).view, canonical: true)
        let again = try ExtendedJSON.parseValue(canonical)
        try check(
            ExtendedJSON.string(of: OwnedValue(again).view, canonical: true) == canonical,
            "canonical text changes: \(canonical)")
        let relaxed = ExtendedJSON.string(of: OwnedValue(value).view)
        let third = try ExtendedJSON.parseValue(relaxed)
        try check(
            ExtendedJSON.string(of: OwnedValue(third).view) == relaxed,
            "relaxed text changes: \(relaxed)")
    }

    private static let textQuery = FuzzTarget(text: "text", seeds: textSeeds) { text in
        let parameters: Document = ["a": 1, "b": ["x", nil], "c": ["d": "e"]]
        _ = TextQuery.isIncomplete(text)
        let command: TextCommand
        do throws(DBError) {
            command = try TextQuery.compile(
                text, parameters: parameters.view, ExpressionScope())
        } catch {
            if error.code == .failedToParse {
                try check(
                    error.details["line"] != nil && error.details["column"] != nil,
                    "an error without its place: \(error.message)")
            }
            return
        }
        if case .read(_, let stages, let deleted) = command {
            let list = OwnedValue(.array(stages))
            var scope = ExpressionScope()
            if deleted != nil { scope.metadata = .deletion }
            // What it lowers to is a pipeline; what is wrong there has been said before.
            _ = try Pipeline.parse(DocumentView(list.view.bytes), scope)
        }
    }

    private static let decimal = FuzzTarget(
        text: "decimal",
        seeds: [
            "0", "-1.50", "1E+6144", "9.999999999999999999999999999999999E6144", "NaN",
            "-Infinity", "1E-6176", "0.000000000000000000000000000000000000001",
        ]
    ) { text in
        guard let number = Decimal128(text) else { return }
        let shown = number.description
        guard let again = Decimal128(shown) else { throw FuzzFault("\(shown) can't be read") }
        try check(again.description == shown, "\(text) is \(shown), then \(again)")
    }

    private static let resumeToken = FuzzTarget(
        text: "token",
        seeds: [
            "820000000100000001000000000000000000000000000000", "82",
            "8200000001000000010000000000010000000000000001",
        ]
    ) { text in
        let document: Document = ["_data": .string(text)]
        let token = try ResumeToken(document.view)
        try check(token.document["_data"] == .string(text.uppercased()), "a token changes")
    }

    // MARK: Seeds

    private static let jsonSeeds = [
        #"{"a": [1, 2.5, -0.0, 1e300, "x\n\u00e9\ud83d\ude00", null, true], "b": {}}"#,
        #"{"$oid": "0123456789abcdef01234567"}"#, #"{"$numberLong": "-9223372036854775808"}"#,
        #"{"$numberDecimal": "1.0E+10"}"#, #"{"$date": {"$numberLong": "-1"}}"#,
        #"{"$date": "1970-01-01T00:00:00.001Z"}"#, #"{"$date": "2024-02-29T23:59:59+02:00"}"#,
        #"{"$binary": {"base64": "//8=", "subType": "00"}}"#,
        #"{"$binary": "AA==", "$type": "80"}"#,
        #"{"$uuid": "01234567-89ab-cdef-0123-456789abcdef"}"#,
        #"{"$regex": "a", "$options": "ix"}"#, #"{"$timestamp": {"t": 4294967295, "i": 0}}"#,
        #"{"$code": "x", "$scope": {"y": {"$maxKey": 1}}}"#, #"{"$numberDouble": "Infinity"}"#,
        #"{"$regularExpression": {"pattern": "a/b", "options": "imsx"}}"#,
        #"{"$ref": "c", "$id": 1, "$db": "d"}"#, #"{"a": {"$gt": {"$numberInt": "5"}}}"#,
    ]

    private static let textSeeds = [
        #"from orders | where status == "open" && total > 100 && "gift" in tags | sort -createdAt"#,
        "from orders | limit 20 | select { id: _id, total, city: customer.address.city }",
        "from orders | group status { n: count(), revenue: sum(total) } | sort -revenue",
        "from orders | join customers on customerId == _id as customer | skip 1",
        "insert into orders { status: \"open\", total: 5, list: [1, 2.5, $a, null, true] }",
        #"update orders where status == "open" set total = total * 1.1 - 2 % 3, unset note"#,
        "delete from orders where total == 0 || !(a.b != $c)",
        "restore orders where _id == 7", "purge from orders where deletedAt() < now()",
        "from a withDeleted | select { at: deletedAt(), by: deletedBy() }",
        "create collection a softDelete \"30d\"",
        "create index on orders (status, -createdAt) unique where status != \"void\"",
        "drop index x on orders", "create collection a capped 100000 max 5", "drop collection a",
        "explain from orders | where a in [1, 2] | count",
        "live from orders | where ownerId == $a",
        "from a | where any(x in tags: x.y > 1) && all(z in b: z is string) | unwind tags",
        "from a | set b = if(c > 1, \"x\", lower(d)), e = f[0].g ?? 1 | where `odd name` == 'q'",
        "from a -- remark\n| where date(\"2020-01-01\") < b && c is not null && d like /x/i",
    ]
}
