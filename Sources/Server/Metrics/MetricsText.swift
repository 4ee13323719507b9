// Figures as text, in the exposition format that Prometheus reads (version 0.0.4): for each name a
// line of help and one of its type, then a line for each series.

import BSON

/// Builds the text.
struct MetricsText {
    private(set) var text = ""

    /// What a name's values mean.
    enum Kind: String {
        case counter, gauge, histogram
    }

    /// One series' value; `labels` are pairs of name and value.
    struct Series {
        var labels: [(name: String, value: String)] = []
        var value: Double
    }

    /// A name with one series.
    mutating func add(_ kind: Kind, _ name: String, _ value: some BinaryInteger, _ help: String) {
        add(kind, name, Double(value), help)
    }

    /// A name with one series.
    mutating func add(_ kind: Kind, _ name: String, _ value: Double, _ help: String) {
        add(kind, name, [Series(value: value)], help)
    }

    /// A name with a series for each of some labels.
    mutating func add(_ kind: Kind, _ name: String, _ series: [Series], _ help: String) {
        head(kind, name, help)
        for one in series { line(name, one.labels, one.value) }
    }

    /// A histogram's buckets up to each of some bounds, in the unit of its sum.
    struct Buckets {
        var labels: [(name: String, value: String)] = []
        /// How many values don't exceed each bound.
        var bounds: [(bound: Double, count: UInt64)]
        var count: UInt64
        var sum: Double
    }

    /// A name with a histogram for each of some labels.
    mutating func add(_ name: String, _ histograms: [Buckets], _ help: String) {
        head(.histogram, name, help)
        for one in histograms {
            for (bound, count) in one.bounds {
                line("\(name)_bucket", one.labels + [("le", Self.number(bound))], Double(count))
            }
            line("\(name)_bucket", one.labels + [("le", "+Inf")], Double(one.count))
            line("\(name)_sum", one.labels, one.sum)
            line("\(name)_count", one.labels, Double(one.count))
        }
    }

    private mutating func head(_ kind: Kind, _ name: String, _ help: String) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n"
    }

    private mutating func line(
        _ name: String, _ labels: [(name: String, value: String)], _ value: Double
    ) {
        text += name
        if !labels.isEmpty {
            text += "{"
            for (index, label) in labels.enumerated() {
                if index > 0 { text += "," }
                text += "\(label.name)=\"\(Self.escaped(label.value))\""
            }
            text += "}"
        }
        text += " \(Self.number(value))\n"
    }

    /// Whole numbers without a fraction.
    static func number(_ value: Double) -> String {
        if let whole = Int64(exactly: value) { return "\(whole)" }
        return "\(value)"
    }

    /// A label's value, in which backslashes, quotes and ends of lines are escaped.
    static func escaped(_ value: String) -> String {
        var escaped = ""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\\": escaped += "\\\\"
            case "\"": escaped += "\\\""
            case "\n": escaped += "\\n"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
