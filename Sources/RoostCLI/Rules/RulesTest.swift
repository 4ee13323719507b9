// `roost rules test`: runs the test cases that lie beside rules.

import ArgumentParser
import Glibc
import Rules

struct RulesTest: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test", abstract: "Run test cases of rules.",
        discussion: """
            Runs the cases of every file DIR/*.cases and ends with status 1 if one comes out
            otherwise than it says; then the rules that were tried are shown with the values in
            them. Last comes what no case has reached. A file of cases is text, a case a line:

                rules firestore.rules
                data users/alice {"role": "admin"}

                # an owner reads her own
                allow alice get users/alice
                deny nobody get users/alice
                deny bob{"email_verified": true} update users/alice {"role": "none"}

            WHO is nobody or a user's id with claims; then follow get, list, create, set, update or
            delete, the path, and for writes the document (of update, the changed fields). `data`
            puts a document there, `none PATH` takes it away, `time` sets request.time, and
            `hide ['a']` behind a read says which fields are hidden. A line that begins with space
            goes on with the line before.

            EXAMPLE
              roost rules test ./rules --html coverage.html
            """)

    @Argument(help: "The folder with *.cases and *.rules.")
    var folder = "."

    @Option(help: ArgumentHelp("Write the coverage as a page.", valueName: "file"))
    var html: String?

    func run() throws {
        let names = try Self.files(in: folder)
        let caseFiles = names.filter { $0.hasSuffix(".cases") }
        guard !caseFiles.isEmpty else {
            throw FailureMessage(description: "there is no file '\(folder)/*.cases'")
        }
        var coverages: [(path: String, coverage: RuleCoverage)] = []
        var faults = 0
        var count = 0
        for name in caseFiles {
            let path = "\(folder)/\(name)"
            let text = try RulesFiles.text(path)
            let cases: RuleCases
            do throws(RuleCases.Problem) {
                cases = try RuleCases(text)
            } catch {
                throw FailureMessage(description: "\(path):\(error.line): \(error.message)")
            }
            let rulesPath = try "\(folder)/" + (cases.rules ?? Self.onlyRules(names, for: path))
            let place: Int
            if let known = coverages.firstIndex(where: { $0.path == rulesPath }) {
                place = known
            } else {
                coverages.append((rulesPath, RuleCoverage(try Self.rules(rulesPath))))
                place = coverages.count - 1
            }
            let run = RuleTestRun(
                cases, coverages[place].coverage.rules, coverage: &coverages[place].coverage)
            for result in run.results {
                guard let fault = result.fault else { continue }
                print("\(path):\(result.test.line): \(result.test.name)")
                for line in fault.split(separator: "\n") { print("  \(line)") }
            }
            count += run.results.count
            faults += run.faultCount
        }
        for (_, coverage) in coverages { print(coverage.text) }
        print(
            "\(count) cases, \(faults == 0 ? "all as they say" : "\(faults) otherwise than they say")"
        )
        if let html { try Self.write(coverages.map(\.coverage.html).joined(), to: html) }
        if faults > 0 { throw ExitCode(1) }
    }

    private static func rules(_ path: String) throws -> RuleSet {
        let parsed = try RulesFiles.parse(path)
        guard let rules = parsed.rules else {
            for problem in parsed.problems where problem.severity == .error {
                print(problem.text(in: parsed.files))
            }
            throw FailureMessage(description: "'\(path)' can't be used")
        }
        return rules
    }

    /// The folder's rules file, where the cases don't name theirs.
    private static func onlyRules(_ names: [String], for path: String) throws -> String {
        let rules = names.filter { $0.hasSuffix(".rules") }
        guard let only = rules.first, rules.count == 1 else {
            throw FailureMessage(
                description: "\(path) has to name its rules: rules FILE (there are "
                    + "\(rules.isEmpty ? "none" : rules.joined(separator: ", ")))")
        }
        return only
    }

    private static func files(in folder: String) throws -> [String] {
        guard let stream = opendir(folder) else {
            throw FailureMessage(
                description: "cannot read '\(folder)': \(String(cString: strerror(errno)))")
        }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            // SAFETY: readdir's entry, with its name ended by zero, lives until the next call.
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            names.append(name)
        }
        return names.sorted()
    }

    private static func write(_ text: String, to path: String) throws {
        guard let file = fopen(path, "wb") else {
            throw FailureMessage(
                description: "cannot write '\(path)': \(String(cString: strerror(errno)))")
        }
        let bytes = Array(text.utf8)
        let written = fwrite(bytes, 1, bytes.count, file)
        guard fclose(file) == 0, written == bytes.count else {
            throw FailureMessage(
                description: "cannot write '\(path)': \(String(cString: strerror(errno)))")
        }
    }
}
