// `roost stat`: a line a second about a running server, like mongostat.

import ArgumentParser
import BSON

struct StatCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stat",
        abstract: "Show what a running server does, a line a second.",
        discussion: """
            Operations are for each second; read and write are the mean time of one, and
            sync that of a sync of the redo log. queue is how many writes wait, file the
            data file's size, res the process's memory.

            EXAMPLES
              roost stat
              roost stat --uri mongodb://ann@db.example.com --interval 5
              roost stat --count 1 --json
            """)

    @OptionGroup var options: WatchOptions

    func run() async throws {
        let isJSON = options.json
        var lines = 0
        do {
            try await options.watch(["serverStatus": 1]) { reply, before, seconds in
                let line = StatLine(reply, before, seconds)
                if isJSON {
                    Terminal.writeLine(line.json)
                    return
                }
                if lines.isMultiple(of: 20) { Terminal.writeLine(StatLine.header) }
                lines += 1
                Terminal.writeLine(line.text)
            }
        } catch let error as DBError {
            throw FailureMessage.about(error, "cannot watch the server")
        }
    }
}

/// What happened between two looks.
struct StatLine {
    /// Each column's name and what it shows.
    private var columns: [(name: String, value: Double, text: String)] = []

    private static let counters = ["insert", "query", "update", "delete", "getmore", "command"]
    private static let width = 8

    init(_ reply: Reply, _ before: Reply, _ seconds: Double) {
        for name in Self.counters {
            let count = reply.number("opcounters", name) - before.number("opcounters", name)
            add(name, count / seconds, Figure.short)
        }
        for (name, section) in [("read", "reads"), ("write", "writes")] {
            let count =
                reply.number("opLatencies", section, "ops")
                - before.number("opLatencies", section, "ops")
            let time =
                reply.number("opLatencies", section, "latency")
                - before.number("opLatencies", section, "latency")
            add(name, count > 0 ? time / count : 0, Figure.micros)
        }
        let syncs =
            reply.number("redo", "syncMicros", "count")
            - before.number("redo", "syncMicros", "count")
        let syncTime =
            reply.number("redo", "syncMicros", "sum") - before.number("redo", "syncMicros", "sum")
        add("sync", syncs > 0 ? syncTime / syncs : 0, Figure.micros)
        add("queue", reply.number("globalLock", "currentQueue", "total"), Figure.short)
        add("conn", reply.number("connections", "current"), Figure.short)
        add("live", reply.number("live", "subscriptions"), Figure.short)
        for (name, field) in [("in", "bytesIn"), ("out", "bytesOut")] {
            let bytes = reply.number("network", field) - before.number("network", field)
            add(name, bytes / seconds, Figure.bytes)
        }
        add("file", reply.number("store", "fileBytes"), Figure.bytes)
        add("res", reply.number("mem", "resident") * 1_048_576, Figure.bytes)
    }

    private mutating func add(_ name: String, _ value: Double, _ text: (Double) -> String) {
        columns.append((name, value, text(value)))
    }

    /// The names of the columns.
    static var header: String {
        StatLine(Reply([:]), Reply([:]), 1).columns
            .map { Figure.padded($0.name, width) }.joined() + "      time"
    }

    /// The figures for people.
    var text: String {
        columns.map { Figure.padded($0.text, Self.width) }.joined() + "  " + Figure.timeOfDay
    }

    /// The figures for programs: times in microseconds, sizes in bytes.
    var json: String {
        let columns = columns
        let document = Document { writer in
            for column in columns { writer.append(column.name, Figure.rounded(column.value)) }
        }
        return document.description
    }
}
