// `roost rules replay`: what other rules would have said to the requests of an access log.

import ArgumentParser
import BSON
import Glibc
import Rules

struct RulesReplay: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay", abstract: "Try rules on requests that were recorded.",
        discussion: """
            Reads what `roost serve --access-log FILE` recorded and asks NEW rules the
            same. Says what would newly be denied and what newly exposed, by method and
            collection, each with one request and the reason, and ends with status 1 if
            there is any. A query counts by the documents that it looked at, at most 20 of
            each; what an index kept it from looking at isn't in the log.

            EXAMPLE
              roost rules replay --log access.log --log access.log.1 --rules new.rules
            """)

    @Option(help: ArgumentHelp("An access log; may be given several times.", valueName: "file"))
    var log: [String]

    @Option(help: ArgumentHelp("The rules to try.", valueName: "file"))
    var rules: String

    @Flag(help: "Print one JSON document.")
    var json = false

    /// Requests that come out alike.
    private struct Group {
        let title: String
        var count = 0
        let place: String
        let example: RecordedRequest
    }

    private struct Findings {
        var requests = 0
        var same = 0
        /// By what they say, then method and collection.
        var groups: [String: [String: Group]] = [:]

        mutating func add(_ kind: String, _ title: String, _ place: String, _ item: RecordedRequest)
        {
            groups[kind, default: [:]][
                title, default: Group(title: title, place: place, example: item)
            ].count += 1
        }

        func count(_ kind: String) -> Int { groups[kind]?.values.reduce(0) { $0 + $1.count } ?? 0 }
    }

    private static let kinds = [
        ("exposed", "newly exposed"), ("denied", "newly denied"), ("unknown", "unknown"),
    ]
    /// Most groups of a kind that are shown.
    private static let groupsMax = 50

    func run() throws {
        let parsed = try RulesFiles.parse(rules)
        guard let newRules = parsed.rules else {
            for problem in parsed.problems where problem.severity == .error {
                print(problem.text(in: parsed.files))
            }
            throw FailureMessage(description: "'\(rules)' can't be used")
        }
        var findings = Findings()
        for path in log { try read(path, newRules, &findings) }
        if json {
            print(ExtendedJSON.string(of: summary(findings, newRules).view))
        } else {
            show(findings, newRules)
        }
        if findings.count("exposed") + findings.count("denied") > 0 { throw ExitCode(1) }
    }

    private func read(_ path: String, _ rules: RuleSet, _ findings: inout Findings) throws {
        guard let file = fopen(path, "r") else {
            throw FailureMessage(
                description: "cannot read '\(path)': \(String(cString: strerror(errno)))")
        }
        defer { fclose(file) }
        var buffer: UnsafeMutablePointer<CChar>?
        var capacity = 0
        defer { free(buffer) }
        var number = 0
        while true {
            let count = getline(&buffer, &capacity, file)
            guard count > 0, let buffer else { break }
            number += 1
            // SAFETY: getline filled `count` bytes of its buffer, which lives until its next call.
            let text = UnsafeBufferPointer(start: buffer, count: count).withMemoryRebound(
                to: UInt8.self
            ) { String(decoding: $0, as: UTF8.self) }
            if text.allSatisfy(\.isWhitespace) { continue }
            guard let line = try? ExtendedJSON.parse(text) else {
                throw FailureMessage(description: "\(path):\(number): this is no line of JSON")
            }
            // How many were lost, says a line of its own.
            if line["lost"] != nil { continue }
            guard let item = RecordedRequest(line) else {
                throw FailureMessage(
                    description: "\(path):\(number): this is no record of an access log")
            }
            sort(item, "\(path):\(number)", rules, &findings)
        }
    }

    private func sort(
        _ item: RecordedRequest, _ place: String, _ rules: RuleSet, _ findings: inout Findings
    ) {
        findings.requests += 1
        let names = item.request.segments.enumerated().filter { $0.offset % 2 == 0 }
            .map(\.element).joined(separator: ".")
        let title = "\(item.request.method.rawValue) \(names)"
        switch item.replay(rules) {
        case .same: findings.same += 1
        case .newlyDenied(let hides):
            let more = hides.isEmpty ? "" : ", hides \(hides.joined(separator: ", "))"
            findings.add("denied", title + more, place, item)
        case .newlyExposed(let shows):
            let more = shows.isEmpty ? "" : ", shows \(shows.joined(separator: ", "))"
            findings.add("exposed", title + more, place, item)
        case .unknown(let path):
            let looked = path.split(separator: "/").first ?? ""
            findings.add("unknown", "\(title), looks up \(looked)", place, item)
        }
    }

    private static func sorted(_ groups: [String: Group]?) -> [Group] {
        (groups ?? [:]).values.sorted { ($1.count, $0.title) < ($0.count, $1.title) }
    }

    private func show(_ findings: Findings, _ rules: RuleSet) {
        for (kind, name) in Self.kinds {
            let groups = Self.sorted(findings.groups[kind])
            guard !groups.isEmpty else { continue }
            print("\(name):")
            for group in groups.prefix(Self.groupsMax) {
                print(
                    "  \(group.title) (\(group.count)), such as \(group.place) as \(group.example.who)"
                )
                guard kind != "unknown" else { continue }
                for line in group.example.explanation(rules).split(separator: "\n") {
                    print("    \(line)")
                }
            }
            if groups.count > Self.groupsMax {
                print("  and \(groups.count - Self.groupsMax) more")
            }
        }
        print(
            "\(findings.requests) requests: \(findings.count("exposed")) newly exposed, "
                + "\(findings.count("denied")) newly denied, \(findings.count("unknown")) unknown, "
                + "\(findings.same) as before")
    }

    private func summary(_ findings: Findings, _ rules: RuleSet) -> Document {
        Document { writer in
            writer.append("requests", Int64(findings.requests))
            writer.append("same", Int64(findings.same))
            for (kind, _) in Self.kinds {
                let groups = Self.sorted(findings.groups[kind])
                writer.append(
                    kind,
                    .array(
                        groups.map { group in
                            [
                                "what": .string(group.title), "count": .int64(Int64(group.count)),
                                "line": .string(group.place), "user": .string(group.example.who),
                                "reason": .string(group.example.explanation(rules)),
                            ]
                        }))
            }
        }
    }
}

extension RecordedRequest {
    /// Who asked, for people.
    fileprivate var who: String { request.auth?.view.value("uid")?.string ?? "nobody" }
}
