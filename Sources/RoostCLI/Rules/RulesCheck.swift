// `roost rules check`: what is wrong with a rules file, and what is suspicious.

import ArgumentParser
import BSON
import Query
import Rules

struct RulesCheck: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Check a rules file.",
        discussion: """
            Prints what is wrong, each with its place and a caret, and ends with status 1
            if anything is an error: then the file can't be used. Warnings are for what
            can be used but probably isn't meant: names that there aren't, rules that
            never allow or allow everyone, matches that overlap.

            EXAMPLE
              roost rules check firestore.rules
            """)

    @Argument(help: "The rules file.")
    var file: String

    @Flag(help: "Print one JSON document.")
    var json = false

    @Flag(help: "Let warnings count as errors.")
    var strict = false

    func run() throws {
        let report = RulesChecker.check(try RulesFiles.parse(file))
        let errors = report.problems.count { $0.severity == .error }
        let warnings = report.problems.count + report.omitted - errors
        if json {
            print(Self.json(report, file, errors: errors, warnings: warnings))
        } else {
            for problem in report.problems { print(problem.text(in: report.files)) }
            if report.omitted > 0 { print("and \(report.omitted) more warnings") }
            print(
                "\(file): \(Self.count(errors, "error")), \(Self.count(warnings, "warning"))")
        }
        if errors > 0 || strict && warnings > 0 { throw ExitCode(1) }
    }

    private static func count(_ number: Int, _ noun: String) -> String {
        "\(number) \(noun)\(number == 1 ? "" : "s")"
    }

    private static func json(
        _ report: RulesChecker.Report, _ file: String, errors: Int, warnings: Int
    ) -> String {
        let problems = report.problems.map { problem -> Value in
            let found =
                report.files.indices.contains(Int(problem.range.file))
                ? report.files[Int(problem.range.file)] : nil
            let place = found?.place(of: problem.range)
            return .document(
                [
                    "severity": .string(problem.severity.rawValue),
                    "code": .string(problem.code.rawValue),
                    "file": .string(found?.name ?? file),
                    "line": .int32(Int32(clamping: place?.line ?? 0)),
                    "column": .int32(Int32(clamping: place?.column ?? 0)),
                    "offset": .int32(problem.range.start), "end": .int32(problem.range.end),
                    "message": .string(problem.message),
                    "expected": .array(problem.expected.map { .string($0) }),
                ])
        }
        let document: Document = [
            "file": .string(file), "errors": .int32(Int32(clamping: errors)),
            "warnings": .int32(Int32(clamping: warnings)), "problems": .array(problems),
        ]
        return ExtendedJSON.string(of: document.view)
    }
}
