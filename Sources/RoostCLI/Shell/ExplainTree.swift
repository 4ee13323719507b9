// An explanation as a tree of stages with the figures that matter, and the advice in plain words.

import BSON
import Query

/// Lays an explanation out.
struct ExplainTree {
    private let columns: Int
    private var text = ""

    /// The text for an explanation; its fields, indented, where it has an unknown form.
    static func text(of reply: Document, columns: Int) -> String {
        var tree = ExplainTree(columns: columns)
        guard let planner = document(reply["queryPlanner"]),
            let winning = document(planner["winningPlan"])
        else { return PrettyJSON.text(.document(reply)) + "\n" }
        let statistics = document(reply["executionStats"])
        tree.stage(document(statistics?["executionStages"]) ?? winning, "", "")
        if case .array(let stages)? = Self.document(reply["command"])?["pipeline"],
            !stages.isEmpty
        {
            let names = stages.compactMap { Self.document($0)?.keys.first }
            tree.line("", "Pipeline: " + names.joined(separator: ", "), hanging: "  ")
        }
        if let statistics { tree.totals(statistics) }
        if case .array(let rejected)? = planner["rejectedPlans"], !rejected.isEmpty {
            let count = rejected.count
            tree.line(
                "",
                "\(count) other plan\(count == 1 ? " was" : "s were") considered "
                    + "(.format json shows all)")
        }
        for advice in Self.advice(in: reply) { tree.line("", "Advice: " + advice) }
        return tree.text
    }

    private init(columns: Int) {
        self.columns = max(columns, 40)
    }

    private static func document(_ value: Value?) -> Document? {
        if case .document(let document)? = value { document } else { nil }
    }

    private mutating func stage(_ stage: Document, _ lead: String, _ below: String) {
        line(lead, title(stage), hanging: below + "    ")
        let inner = below + "  "
        if let bounds = Self.document(stage["indexBounds"]) {
            for name in bounds.keys {
                guard case .array(let intervals)? = bounds[name] else { continue }
                line(
                    inner, "\(name): " + intervals.map(Cell.text).joined(separator: ", "),
                    hanging: inner + "    ")
            }
        }
        for name in ["filter", "sortPattern", "transformBy"] {
            guard let value = stage[name], value != .document([:]) else { continue }
            line(inner, "\(name): \(Cell.text(value))", hanging: inner + "    ")
        }
        var inputs: [Document] = []
        if let input = Self.document(stage["inputStage"]) { inputs.append(input) }
        if case .array(let list)? = stage["inputStages"] {
            inputs += list.compactMap { Self.document($0) }
        }
        for (index, input) in inputs.enumerated() {
            let isLast = index == inputs.count - 1
            self.stage(input, below + (isLast ? "└ " : "├ "), below + (isLast ? "  " : "│ "))
        }
    }

    /// `IXSCAN on byStatus { status: 1 }, backward: 3 rows, 5 keys, 3 documents`.
    private func title(_ stage: Document) -> String {
        var title = stage["stage"].map(Cell.text) ?? "?"
        if let name = stage["indexName"] { title += " on " + Cell.text(name) }
        if let keys = stage["keyPattern"] { title += " " + Cell.text(keys) }
        if stage["direction"] == "backward" { title += ", backward" }
        if stage["isMultiKey"] == true { title += ", multikey" }
        if stage["isCached"] == true { title += ", plan from the cache" }
        var figures: [String] = []
        for (name, word) in [
            ("nReturned", "row"), ("keysExamined", "key"), ("docsExamined", "document"),
        ] {
            guard let count = stage[name] else { continue }
            let digits = Cell.text(count)
            figures.append("\(digits) \(word)\(digits == "1" ? "" : "s")")
        }
        return figures.isEmpty ? title : title + ": " + figures.joined(separator: ", ")
    }

    private mutating func totals(_ statistics: Document) {
        func count(_ name: String) -> String { statistics[name].map(Cell.text) ?? "0" }
        line(
            "",
            "Examined \(count("totalKeysExamined")) keys and \(count("totalDocsExamined")) "
                + "documents for \(count("nReturned")) rows in \(count("executionTimeMillis")) ms.")
    }

    /// Texts of fields that are called `advice`, wherever they stand.
    private static func advice(in document: Document) -> [String] {
        var found: [String] = []
        for name in document.keys {
            switch document[name] {
            case .string(let text)? where name == "advice": found.append(text)
            case .array(let list)? where name == "advice": found += list.map(Cell.text)
            case .document(let inner)?: found += advice(in: inner)
            default: break
            }
        }
        return found
    }

    /// Adds a line, broken at spaces where it is too long.
    private mutating func line(_ lead: String, _ content: String, hanging: String = "") {
        var current = lead
        var width = ColumnWidth.of(lead)
        var isFresh = true
        for word in content.split(separator: " ", omittingEmptySubsequences: false) {
            var word = DisplayWidth.visible(String(word))
            if !isFresh, width + 1 + ColumnWidth.of(word) > columns {
                text += current + "\n"
                current = hanging
                width = ColumnWidth.of(hanging)
                isFresh = true
            }
            // A word longer than the line goes on below.
            while width + ColumnWidth.of(word) > columns, columns > ColumnWidth.of(hanging) + 8 {
                let room = columns - width - (isFresh ? 0 : 1)
                let head = DisplayWidth.head(word, columns: room)
                text += current + (isFresh ? "" : " ") + head + "\n"
                word = String(word.dropFirst(head.count))
                current = hanging
                width = ColumnWidth.of(hanging)
                isFresh = true
            }
            current += (isFresh ? "" : " ") + word
            width += ColumnWidth.of(word) + (isFresh ? 0 : 1)
            isFresh = false
        }
        text += current + "\n"
    }
}
