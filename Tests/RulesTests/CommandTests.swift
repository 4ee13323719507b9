import ArgumentParser
import Foundation
import Testing

@testable import RoostCLI

/// `roost rules check` and `roost rules test`: what they take and how they end.
@Suite struct CommandTests {
    private let folder = FileManager.default.temporaryDirectory
        .appendingPathComponent("rules-\(UUID().uuidString)")

    /// The status that a subcommand ends with.
    private func status(_ arguments: [String]) throws -> Int32 {
        var command = try Roost.parseAsRoot(arguments)
        do {
            try command.run()
            return 0
        } catch let code as ExitCode {
            return code.rawValue
        }
    }

    @Test func statuses() throws {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        func write(_ text: String, _ name: String) throws -> String {
            let file = folder.appendingPathComponent(name)
            try text.write(to: file, atomically: true, encoding: .utf8)
            return file.path
        }
        let rules = """
            rules_version = '2';
            import 'shared';
            service cloud.firestore { match /databases/{db}/documents/users/{uid} {
              allow read: if isOwner(uid); } }
            """
        _ = try write(
            "function isOwner(id) { return request.auth.uid == id; }", "shared.rules")
        let file = try write(rules, "main.rules")
        #expect(try status(["rules", "check", file]) == 0)
        #expect(try status(["rules", "check", file, "--json"]) == 0)
        #expect(try status(["rules", "check", "--strict", file]) == 0)
        let warned = try write(
            rules.replacingOccurrences(of: "isOwner", with: "isOwned"), "w.rules")
        #expect(try status(["rules", "check", warned]) == 0)
        #expect(try status(["rules", "check", "--strict", warned]) == 1)
        let wrong = try write(rules.replacingOccurrences(of: "allow", with: "permit"), "x.rules")
        #expect(try status(["rules", "check", wrong]) == 1)
        #expect(throws: FailureMessage.self) { try status(["rules", "check", file + "x"]) }

        #expect(throws: FailureMessage.self) { try status(["rules", "test", folder.path]) }
        let cases = """
            rules main.rules
            allow alice get users/alice
            deny bob get users/alice
            """
        _ = try write(cases, "users.cases")
        let page = folder.appendingPathComponent("page.html")
        #expect(try status(["rules", "test", folder.path, "--html", page.path]) == 0)
        #expect(try String(contentsOf: page, encoding: .utf8).contains("isOwner"))
        _ = try write(cases + "\nallow bob get users/alice", "users.cases")
        #expect(try status(["rules", "test", folder.path]) == 1)
        _ = try write("maybe bob get users/alice", "users.cases")
        #expect(throws: FailureMessage.self) { try status(["rules", "test", folder.path]) }
    }
}
