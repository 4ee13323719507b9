// Answers of the command `migrate`, for people.

import BSON

enum MigrateText {
    /// Prints the state of all migrations; answers whether all of them are applied as they are.
    static func printStatus(_ reply: Document) -> Bool {
        var isClean = true
        for migration in documents(reply, "migrations") {
            let state = text(migration["state"])
            if state != "applied" { isClean = false }
            var line = state
            while line.utf8.count < 8 { line += " " }
            line += "  " + text(migration["name"])
            if case .date(let millis)? = migration["at"], state != "pending" {
                line += "  \(ISODate.string(millis: millis) ?? "")"
                line += ", \(text(migration["changed"])) documents changed"
            }
            print(line)
        }
        if case .document(let run)? = reply["run"] {
            isClean = false
            print(
                "a group is \(text(run["state"])): \(text(run["direction"])) "
                    + "\(text(run["migration"])), \(text(run["scanned"])) of "
                    + "\(text(run["total"])) documents; 'roost migrate up' goes on with it")
        }
        if case .document(let lock)? = reply["lock"] {
            print("locked by \(text(lock["owner"]))")
        }
        if case .document(let failure)? = reply["failure"],
            case .document(let error)? = failure["error"]
        {
            print("the last group failed and was taken back: \(text(error["message"]))")
        }
        return isClean
    }

    /// Prints what a group would do.
    static func printPlan(_ reply: Document) {
        let steps = documents(reply, "plan")
        if steps.isEmpty { print("nothing to do") }
        var migration = ""
        for step in steps {
            let name = text(step["direction"]) + " " + text(step["migration"])
            if name != migration {
                print(name)
                migration = name
            }
            print("  " + text(step["statement"]))
            guard let count = step["documents"] else { continue }
            print("    \(text(count)) documents")
            for sample in documents(step, "samples") {
                if let before = sample["before"] { print("    - \(shown(before))") }
                if let after = sample["after"] { print("    + \(shown(after))") }
            }
        }
    }

    private static func documents(_ document: Document, _ name: String) -> [Document] {
        guard case .array(let values)? = document[name] else { return [] }
        return values.compactMap { if case .document(let document) = $0 { document } else { nil } }
    }

    private static func shown(_ value: Value) -> String {
        guard case .document(let document) = value else { return text(value) }
        let text = ExtendedJSON.string(of: document.view)
        return text.count <= 300 ? text : text.prefix(300) + "…"
    }

    private static func text(_ value: Value?) -> String { value.map { Cell.text($0) } ?? "" }
}
