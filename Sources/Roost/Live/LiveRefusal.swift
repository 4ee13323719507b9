// What a live query may not hold: whatever changes without a write.

package import BSON

/// Checks queries before they are compiled.
package enum LiveRefusal {
    /// Refuses what depends on time or chance, or on an index's state.
    /// - Throws: `badValue` (2), which names the operator.
    package static func check(_ value: ValueView) throws(DBError) {
        if let text = value.utf8 {
            for variable in ["$$NOW", "$$CLUSTER_TIME"] where String(utf8: text).hasPrefix(variable)
            {
                throw refusal(
                    variable,
                    "its value changes without a write; give the time as a constant, and "
                        + "ask again when it is over")
            }
        }
        guard let nested = value.nested else { return }
        var elements = nested.makeIterator()
        while let element = elements.next() {
            if let reason = reasons["\(element.nameString)"] {
                throw refusal(element.nameString, reason)
            }
            try check(element.value)
        }
    }

    private static func refusal(_ name: String, _ reason: String) -> DBError {
        DBError(.badValue, "A live query can't use \(name): \(reason)")
    }

    private static let reasons: [String: String] = {
        let chance = "its value is another at each look"
        let place =
            "its results depend on an index, not on the document alone; filter by "
            + "$geoWithin, or by a pattern"
        let state = "it shows the server's state, which changes without a write"
        let writes = "it writes its results"
        return [
            "$rand": chance, "$sampleRate": chance, "$sample": chance, "$text": place,
            "$near": place, "$nearSphere": place, "$geoNear": place, "$currentDate": chance,
            "$collStats": state, "$indexStats": state, "$planCacheStats": state,
            "$currentOp": state, "$listSessions": state, "$listLocalSessions": state,
            "$changeStream": state, "$out": writes, "$merge": writes,
        ]
    }()

    /// The collections that stages read besides their own, by name; views are left as they are.
    package static func foreignNames(_ stages: ValueView) -> [(database: String?, name: String)] {
        var found: [(database: String?, name: String)] = []
        collect(stages, &found)
        return found
    }

    private static func collect(
        _ value: ValueView, _ found: inout [(database: String?, name: String)]
    ) {
        guard let nested = value.nested else { return }
        var elements = nested.makeIterator()
        while let element = elements.next() {
            switch element.nameString {
            case "$lookup", "$graphLookup":
                let from = element.value.document?.value("from")
                if let name = from?.string { found.append((nil, name)) }
                if let document = from?.document, let name = document.value("coll")?.string {
                    found.append((document.value("db")?.string, name))
                }
            case "$unionWith":
                let name = element.value.string ?? element.value.document?.value("coll")?.string
                if let name {
                    found.append((element.value.document?.value("db")?.string, name))
                }
            default: break
            }
            collect(element.value, &found)
        }
    }
}
