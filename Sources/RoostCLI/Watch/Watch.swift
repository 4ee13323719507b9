// What `roost stat` and `roost top` share: a server that is asked again and again.

import ArgumentParser
import BSON
import Client
import Glibc

/// How to watch a server.
struct WatchOptions: ParsableArguments {
    @Option(help: "Where the server is: mongodb://[USER@]HOST[:PORT].")
    var uri = "mongodb://127.0.0.1:27017"

    @Option(help: "Seconds between two looks.")
    var interval = 1.0

    @Option(help: "How many looks; without it until Ctrl-C.")
    var count: Int?

    @Flag(help: "Print each look as a line of JSON.")
    var json = false

    func validate() throws {
        guard interval >= 0.05, interval <= 86_400 else {
            throw ValidationError("--interval takes seconds, from 0.05 to 86400")
        }
        if let count, count < 1 { throw ValidationError("--count takes a number from 1 on") }
    }

    /// Asks `command` of the server as often as wanted and hands out each reply with the one before
    /// and the seconds between the two.
    func watch(
        _ command: Document, _ body: (Reply, _ before: Reply, _ seconds: Double) -> Void
    ) async throws {
        var target = try ConnectionString(uri)
        if let user = target.user, target.password == nil {
            target.password = PasswordPrompt.ask("Password of \(user): ")
        }
        let connection = try await Connection.open(target)
        defer { connection.close() }
        var before = Reply(try await connection.run(command, database: "admin"))
        var last = ContinuousClock.now
        var looks = 0
        while count.map({ looks < $0 }) ?? true {
            try await Task.sleep(for: .milliseconds(Int64(interval * 1_000)))
            let reply = Reply(try await connection.run(command, database: "admin"))
            let now = ContinuousClock.now
            let time = last.duration(to: now).components
            let seconds = Double(time.seconds) + Double(time.attoseconds) / 1e18
            body(reply, before, max(seconds, 0.001))
            before = reply
            last = now
            looks += 1
        }
    }
}

/// A reply's numbers, by the path to them.
struct Reply {
    let document: Document

    init(_ document: Document) {
        self.document = document
    }

    /// The number at a path; 0 where there is none.
    func number(_ path: String...) -> Double {
        var value = Value.document(document)
        for name in path {
            guard case .document(let inner) = value, let next = inner[name] else { return 0 }
            value = next
        }
        return switch value {
        case .int32(let number): Double(number)
        case .int64(let number): Double(number)
        case .double(let number): number
        default: 0
        }
    }
}

/// Numbers as people read them.
enum Figure {
    /// Three digits and a unit: `1.5k`, `20.1M`.
    static func short(_ value: Double) -> String {
        scaled(value, 1_000, ["", "k", "M", "G", "T"])
    }

    /// Bytes: `512B`, `1.5K`, `20.1M`.
    static func bytes(_ value: Double) -> String {
        scaled(value, 1_024, ["B", "K", "M", "G", "T"])
    }

    /// A time: `85us`, `1.2ms`, `3.0s`.
    static func micros(_ value: Double) -> String {
        scaled(value, 1_000, ["us", "ms", "s"])
    }

    /// A number with two decimals at most.
    static func rounded(_ value: Double) -> Double { (value * 100).rounded() / 100 }

    private static func scaled(_ value: Double, _ step: Double, _ units: [String]) -> String {
        var value = value
        var unit = 0
        while value >= step, unit < units.count - 1 {
            value /= step
            unit += 1
        }
        let tenths = (value * 10).rounded() / 10
        let text = unit == 0 || tenths >= 100 ? "\(Int(value.rounded()))" : "\(tenths)"
        return text + units[unit]
    }

    /// Put at the right end of so many columns.
    static func padded(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.utf8.count)) + text
    }

    /// The time of day.
    static var timeOfDay: String {
        var seconds = time(nil)
        var parts = tm()
        localtime_r(&seconds, &parts)
        return [parts.tm_hour, parts.tm_min, parts.tm_sec]
            .map { $0 < 10 ? "0\($0)" : "\($0)" }.joined(separator: ":")
    }
}
