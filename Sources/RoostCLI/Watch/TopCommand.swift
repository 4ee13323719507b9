// `roost top`: the collections whose operations take the most time, like mongotop.

import ArgumentParser
import BSON

struct TopCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top",
        abstract: "Show which collections a running server is busy with.",
        discussion: """
            For each collection: the time that its operations took between two looks, how
            many there were for each second, and of both what read and what wrote.

            EXAMPLES
              roost top
              roost top --interval 5 --count 1 --json
            """)

    @OptionGroup var options: WatchOptions

    func run() async throws {
        let isJSON = options.json
        do {
            try await options.watch(["top": 1]) { reply, before, seconds in
                let table = TopTable(reply, before, seconds)
                if isJSON { return Terminal.writeLine(table.json) }
                // Home, and what is below goes.
                if Terminal.isOutput { Terminal.write("\u{1B}[H\u{1B}[J") }
                let rows = Terminal.isOutput ? Terminal.size.rows - 2 : Int.max
                Terminal.write(table.text(rowsMax: max(1, rows)))
            }
        } catch let error as DBError {
            throw FailureMessage.about(error, "cannot watch the server")
        }
    }
}

/// What each collection's operations took between two looks.
struct TopTable {
    private struct Row {
        let namespace: String
        /// Operations, reads and writes: microseconds, and how many.
        var figures: [(name: String, micros: Double, count: Double)] = []

        var micros: Double { figures.first?.micros ?? 0 }
    }

    private var rows: [Row] = []
    private let seconds: Double

    private static let classes = [
        ("total", "total"), ("read", "readLock"), ("write", "writeLock"),
    ]
    private static let width = 10

    init(_ reply: Reply, _ before: Reply, _ seconds: Double) {
        self.seconds = seconds
        guard case .document(let totals)? = reply.document["totals"] else { return }
        for namespace in totals.keys where namespace != "note" {
            var row = Row(namespace: namespace)
            for (name, field) in Self.classes {
                func difference(_ figure: String) -> Double {
                    let now = reply.number("totals", namespace, field, figure)
                    let last = before.number("totals", namespace, field, figure)
                    // A counter that began anew counts from there.
                    return now >= last ? now - last : now
                }
                row.figures.append((name, difference("time"), difference("count")))
            }
            rows.append(row)
        }
        rows.sort { ($1.micros, $0.namespace) < ($0.micros, $1.namespace) }
    }

    /// The table for people.
    func text(rowsMax: Int) -> String {
        let shown = rows.prefix(rowsMax)
        let nameWidth = max(20, shown.map { $0.namespace.utf8.count }.max() ?? 0)
        var text = "ns" + String(repeating: " ", count: nameWidth - 2)
        for (name, _) in Self.classes {
            text += Figure.padded(name, Self.width) + Figure.padded("\(name)/s", Self.width)
        }
        text += "  \(Figure.timeOfDay)\n"
        for row in shown {
            let name = DisplayWidth.visible(row.namespace)
            text += name + String(repeating: " ", count: max(0, nameWidth - name.utf8.count))
            for figure in row.figures {
                text += Figure.padded(Figure.micros(figure.micros), Self.width)
                text += Figure.padded(Figure.short(figure.count / seconds), Self.width)
            }
            text += "\n"
        }
        return text
    }

    /// The table for programs: microseconds and operations between the looks, by collection.
    var json: String {
        let (rows, seconds) = (rows, seconds)
        let document = Document { writer in
            writer.append("seconds", Figure.rounded(seconds))
            let totals = writer.openDocument("collections")
            for row in rows {
                let start = writer.openDocument(row.namespace)
                for figure in row.figures {
                    writer.append("\(figure.name)Micros", Int64(figure.micros))
                    writer.append("\(figure.name)Count", Int64(figure.count))
                }
                writer.close(start)
            }
            writer.close(totals)
        }
        return document.description
    }
}
