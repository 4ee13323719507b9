// Recorded finds of MongoDB 8.2.4, replayed without a server, where the recordings are at hand.
//
// Each case that only inserts and finds (filter, sort, skip, limit) is run on documents in memory.

import BSON
import FoundationEssentials
import Testing

@testable import Query

private let folder = "/work/shared/answers/cases"

/// Cases that this replay can't pass, by the end of their names.
private let exceptions = [
    // The recording's own comparison of two finds; each of them alone is recorded otherwise.
    "javascript_eq_13]",
    // The planner refuses these, for want of an index.
    "near_without_index]", "nearSphere_without_index]",
    // JavaScript is refused, deliberately.
    "size_with_where]",
    // The reader takes {$regex, $options} for a regex value, as Extended JSON 1 wrote it.
    "elemMatch_regex_case_insensitive]",
]

@Suite(.enabled(if: FileManager.default.fileExists(atPath: folder)))
struct RecordedAnswersTests {
    @Test(arguments: ["core_operator_query", "core_data-types"])
    func finds(_ file: String) throws {
        let data = try #require(FileManager.default.contents(atPath: "\(folder)/\(file).jsonl"))
        var replayed = 0
        var wrong: [String] = []
        for line in data.split(separator: UInt8(ascii: "\n")) {
            // What a client sends may hold what this client's reader refuses: such cases are left
            // to the run against a server.
            guard let recorded = try? ExtendedJSON.parse(String(decoding: line, as: UTF8.self)),
                let verdict = RecordedCase(recorded)?.replay()
            else { continue }
            replayed += 1
            if let complaint = verdict.complaint { wrong.append(complaint) }
        }
        #expect(replayed > 0)
        #expect(wrong.isEmpty, "\(wrong.count) of \(replayed):\n\(wrong.joined(separator: "\n"))")
    }
}

/// A recorded case of inserts and finds.
private struct RecordedCase {
    struct Verdict {
        let complaint: String?
    }

    let name: String
    let steps: [Document]
    let expectations: [Document]

    init?(_ recorded: Document) {
        guard case .string(let name)? = recorded["name"],
            case .array(let steps)? = recorded["steps"],
            case .array(let expectations)? = recorded["expect"]
        else { return nil }
        if exceptions.contains(where: { name.hasSuffix($0) }) { return nil }
        self.name = name
        self.expectations = expectations.compactMap {
            if case .document(let document) = $0 { document } else { nil }
        }
        self.steps = steps.compactMap {
            if case .document(let step) = $0, case .document(let command)? = step["command"] {
                command
            } else {
                nil
            }
        }
        let known: Set<String> = [
            "find", "filter", "sort", "skip", "limit", "insert", "documents", "ordered",
            "batchSize",
            "create",
        ]
        for command in self.steps where !known.isSuperset(of: command.keys) { return nil }
        for command in self.steps where command["insert"] == nil && command["find"] == nil {
            return nil
        }
    }

    /// Runs the case; nil where it expects what this cannot tell.
    func replay() -> Verdict? {
        var stored: [Document] = []
        var answers: [Int: Result<[Document], DBError>] = [:]
        for (index, command) in steps.enumerated() {
            if case .array(let documents)? = command["documents"] {
                stored += documents.compactMap {
                    if case .document(let document) = $0 { document } else { nil }
                }
            } else {
                do throws(DBError) {
                    answers[index] = .success(try find(command, in: stored))
                } catch {
                    answers[index] = .failure(error)
                }
            }
        }
        for expectation in expectations {
            guard let step = integer(expectation["step"]), let answer = answers[step] else {
                return nil
            }
            if let complaint = check(answer, expectation, steps[step]) {
                return complaint.isEmpty ? nil : Verdict(complaint: "\(name): \(complaint)")
            }
        }
        return Verdict(complaint: nil)
    }

    /// What is wrong; empty where this cannot tell.
    private func check(
        _ answer: Result<[Document], DBError>, _ expectation: Document, _ command: Document
    ) -> String? {
        let question = text(command["filter"] ?? nil)
        switch answer {
        case .failure(let error):
            // Operators that Roost lacks yet say so; whether they would be right can't be told.
            if ["$geo", "$near", "$within"].contains(where: { error.message.hasPrefix($0) }) {
                return ""
            }
            guard let code = integer(expectation["code"]) else {
                return "\(question): unexpected \(error)"
            }
            return code == Int(error.code.rawValue) ? nil : "\(question): \(error), wanted \(code)"
        case .success(let documents):
            if let code = integer(expectation["code"]) {
                return "\(question): no error, wanted \(code)"
            }
            guard case .array(let wanted)? = expectation["docs"] else { return "" }
            let found = documents.map { text(.document($0)) }
            let expected = wanted.map { text($0) }
            let isOrdered = expectation["anyOrder"] == nil
            let isSame = isOrdered ? found == expected : found.sorted() == expected.sorted()
            return isSame ? nil : "\(question): found \(found), wanted \(expected)"
        }
    }

    private func find(_ command: Document, in stored: [Document]) throws(DBError) -> [Document] {
        guard case .document(let conditions) = command["filter"] ?? .document([:]) else {
            throw DBError(.typeMismatch, "filter")
        }
        let options = ExpressionScope().filterOptions(.find)
        let filter = try Filter.parse(conditions.view, options)
        var scratch = MatchScratch()
        var found: [Document] = []
        for document in stored where try filter.matches(document.view, &scratch) {
            found.append(document)
        }
        if case .document(let order)? = command["sort"] {
            let pattern = try SortPattern.parse(order.view)
            var keyed: [(key: [UInt8], document: Document)] = []
            for document in found {
                var encoder = KeyEncoder()
                try pattern.appendKey(of: document.view, to: &encoder)
                keyed.append((encoder.bytes, document))
            }
            keyed.sort { $0.key.lexicographicallyPrecedes($1.key) }
            found = keyed.map { $0.document }
        }
        found.removeFirst(min(found.count, integer(command["skip"]) ?? 0))
        if let limit = integer(command["limit"]), limit > 0 { found = Array(found.prefix(limit)) }
        return found
    }

    private func integer(_ value: Value?) -> Int? {
        switch value {
        case .int32(let number): Int(number)
        case .int64(let number): Int(number)
        default: nil
        }
    }
}
