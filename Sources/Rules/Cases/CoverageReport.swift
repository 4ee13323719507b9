// Coverage of rules by their test cases, as text and as a page.

internal import Query

extension RuleCoverage {
    /// `file:line:column: what lacks a test`, a line each, and how much is covered.
    package var text: String {
        var lines: [String] = []
        for gap in gaps {
            let file = rules.syntax.files[Int(gap.range.file)]
            let place = file.place(of: gap.range)
            lines.append("\(file.name):\(place.line):\(place.column): \(gap.text)")
        }
        lines.append(summary)
        return lines.joined(separator: "\n")
    }

    /// `coverage: 12 of 14 outcomes (85%)`.
    package var summary: String {
        let (count, all) = seen
        let percent = all == 0 ? 100 : 100 * count / all
        return "coverage: \(count) of \(all) outcomes (\(percent)%)"
    }

    /// A page with the rules' text: green where both outcomes were seen, yellow where one was, red
    /// where none. It needs nothing else.
    package var html: String {
        var page = """
            <!doctype html>
            <html lang="en"><head><meta charset="utf-8"><title>Coverage of rules</title><style>
            body { font: 15px system-ui, sans-serif; margin: 2rem; }
            pre { line-height: 1.5; border: 1px solid #ccc; padding: 1rem; overflow-x: auto; }
            .both { background: #d5f5d5; } .one { background: #fff3c0; } .none { background: #ffd6d6; }
            </style></head><body><h1>Coverage of rules</h1>
            <p>\(Self.escaped(summary))</p>
            <p><span class="both">seen true and false</span> <span class="one">seen one way</span>
            <span class="none">never seen</span></p>

            """
        for number in rules.syntax.files.indices {
            page += "<h2>\(Self.escaped(rules.syntax.files[number].name))</h2>\n<pre>"
            page += marked(file: Int32(clamping: number))
            page += "</pre>\n"
        }
        return page + "</body></html>\n"
    }

    private struct Mark {
        let start: Int
        let end: Int
        let kind: String
        let title: String
    }

    private func marks(file: Int32) -> [Mark] {
        var marks: [Mark] = []
        for (number, count) in allows.enumerated() {
            let allow = rules.syntax.allows[number]
            guard allow.range.file == file else { continue }
            let refused = count.tried - count.granted
            let start = Int(allow.range.start)
            // The word alone: its condition has marks of its own.
            marks.append(
                Mark(
                    start: start, end: start + 5,
                    kind: Self.kind(count.granted, refused),
                    title: "granted \(count.granted), refused \(refused)"))
        }
        for id in parts where rules.syntax[id].range.file == file {
            let count = counts[Int(id.index)]
            marks.append(
                Mark(
                    start: Int(rules.syntax[id].range.start),
                    end: Int(rules.syntax[id].range.end),
                    kind: Self.kind(count.isTrue + count.other, count.isFalse + count.failed),
                    title: "true \(count.isTrue), false \(count.isFalse), failed \(count.failed)"))
        }
        return marks.sorted { ($0.start, -$0.end) < ($1.start, -$1.end) }
    }

    private static func kind(_ one: Int, _ other: Int) -> String {
        one > 0 && other > 0 ? "both" : one + other > 0 ? "one" : "none"
    }

    /// The text with its marks, which nest.
    private func marked(file: Int32) -> String {
        let bytes = Array(rules.syntax.files[Int(file)].text.utf8)
        var result = ""
        var open: [Int] = []
        var offset = 0
        func copy(to end: Int) {
            let end = min(max(end, offset), bytes.count)
            result += Self.escaped(String(decoding: bytes[offset..<end], as: UTF8.self))
            offset = end
        }
        for mark in marks(file: file) {
            while let end = open.last, end <= mark.start {
                copy(to: end)
                result += "</span>"
                open.removeLast()
            }
            copy(to: mark.start)
            result += "<span class=\"\(mark.kind)\" title=\"\(mark.title)\">"
            open.append(min(mark.end, open.last ?? mark.end))
        }
        while let end = open.popLast() {
            copy(to: end)
            result += "</span>"
        }
        copy(to: bytes.count)
        return result
    }

    private static func escaped(_ text: String) -> String {
        var result = ""
        for character in text.unicodeScalars {
            switch character {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            default: result.unicodeScalars.append(character)
            }
        }
        return result
    }
}
