// Log lines on standard error: time, level, message, then `name=value` pairs.

import Glibc
import Logging
import Server
import Synchronization

/// Where log lines also go, so that `getLog` can show them; the server exists later than the log.
final class LogLines: Sendable {
    private let target = Mutex<RecentLog?>(nil)

    func connect(_ log: RecentLog) {
        target.withLock { $0 = log }
    }

    func append(_ line: String) {
        target.withLock { $0 }?.append(line)
    }
}

/// Writes one line a log entry to standard error.
struct LineLogHandler: LogHandler {
    let label: String
    let recent: LogLines
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.info

    init(label: String, recent: LogLines) {
        self.label = label
        self.recent = recent
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var line = "\(Self.timestamp()) \(event.level.rawValue) \(event.message)"
        let all = metadata.merging(event.metadata ?? [:]) { _, new in new }
        for (name, value) in all.sorted(by: { $0.key < $1.key }) {
            let text = "\(value)"
            line += " \(name)=\(Self.quoted(text))"
        }
        recent.append(line)
        line += "\n"
        // One write a line, so that lines of several threads don't mix.
        line.withUTF8 { bytes in
            _ = write(STDERR_FILENO, bytes.baseAddress, bytes.count)
        }
    }

    /// The text in quotes where it needs them, so that an entry stays one line that can be read
    /// back: clients choose some of these texts.
    static func quoted(_ text: String) -> String {
        let isPlain =
            !text.isEmpty
            && text.unicodeScalars.allSatisfy {
                $0 != " " && $0 != "\"" && $0 != "\\" && $0.value > 31
            }
        if isPlain { return text }
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\":
                quoted += "\\"
                quoted.unicodeScalars.append(scalar)
            case "\n": quoted += "\\n"
            case "\r": quoted += "\\r"
            case "\t": quoted += "\\t"
            case _ where scalar.value < 32:
                quoted += "\\u00\(scalar.value < 16 ? "0" : "")" + String(scalar.value, radix: 16)
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }

    /// The time in UTC by ISO 8601, to the millisecond.
    private static func timestamp() -> String {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        var parts = tm()
        gmtime_r(&now.tv_sec, &parts)
        func padded(_ number: Int, _ width: Int) -> String {
            let text = String(number)
            return String(repeating: "0", count: max(0, width - text.count)) + text
        }
        let date =
            "\(parts.tm_year + 1_900)-\(padded(Int(parts.tm_mon) + 1, 2))-"
            + padded(Int(parts.tm_mday), 2)
        let time =
            "\(padded(Int(parts.tm_hour), 2)):\(padded(Int(parts.tm_min), 2)):"
            + "\(padded(Int(parts.tm_sec), 2)).\(padded(now.tv_nsec / 1_000_000, 3))"
        return "\(date)T\(time)Z"
    }
}
