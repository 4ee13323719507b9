// `roost doctor`: what is wrong on this machine, and what to do about it.

import ArgumentParser
import BSON
import Glibc
import Roost

struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Look at this machine and a database's folder, and say what is wrong.",
        discussion: """
            Looks at the file system, the disk's room and the speed of its syncs, limits on
            files and memory, the clock, time zones, the port, and whether the folder can be
            served. Changes nothing but a small file in the folder, which is removed.

            Ends with status 1 if anything is a problem.

            EXAMPLES
              roost doctor ./data
              roost doctor /var/lib/roost --listen 0.0.0.0:27017 --json
            """)

    @Argument(help: "The folder of the database.")
    var folder = "./data"

    @Option(help: ArgumentHelp("Where the server is to listen.", valueName: "host:port"))
    var listen = "127.0.0.1:27017"

    @Flag(help: "Print a line of JSON for each finding.")
    var json = false

    func run() throws {
        var findings = Checkup(folder: folder).run()
        findings.append(port())
        findings.append(database())
        for finding in findings { show(finding) }
        let problems = findings.count { $0.grade == .bad }
        let warnings = findings.count { $0.grade == .doubtful }
        if !json {
            print(
                problems + warnings == 0
                    ? "Nothing is wrong." : "\(problems) problems, \(warnings) warnings.")
        }
        if problems > 0 { throw ExitCode(1) }
    }

    private func show(_ finding: Finding) {
        guard !json else {
            let document: Document = [
                "subject": .string(finding.subject), "grade": .string(finding.grade.rawValue),
                "found": .string(finding.text), "advice": .string(finding.advice),
            ]
            return print(document.description)
        }
        let mark = Figure.padded(finding.grade.rawValue, 7)
        print("\(mark)  \(finding.subject): \(finding.text)")
        if !finding.advice.isEmpty { print("         -> \(finding.advice)") }
    }

    /// Whether the folder can be served, and by whom it is.
    private func database() -> Finding {
        guard RoostEngine.exists(at: folder) else {
            return Finding(
                subject: "database", grade: .good,
                text: "there is none in '\(folder)'; serve makes it")
        }
        if let process = RoostEngine.owner(of: folder) {
            return Finding(
                subject: "database", grade: .good, text: "served by process \(process)")
        }
        return Finding(
            subject: "database", grade: .good,
            text: "served by nobody now; 'roost verify \(folder)' checks its contents")
    }

    /// Whether the port is free, or who has it.
    private func port() -> Finding {
        let parts = listen.split(separator: ":")
        guard let number = parts.last.flatMap({ UInt16($0) }) else {
            return Finding(
                subject: "port", grade: .bad, text: "'\(listen)' names none",
                advice: "Give --listen HOST:PORT.")
        }
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else {
            return Finding(subject: "port", grade: .doubtful, text: "no socket can be had")
        }
        defer { close(descriptor) }
        var reuses: Int32 = 1
        setsockopt(
            descriptor, SOL_SOCKET, SO_REUSEADDR, &reuses, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = number.bigEndian
        let host = parts.count > 1 ? String(parts[0]) : "127.0.0.1"
        guard inet_pton(AF_INET, host == "localhost" ? "127.0.0.1" : host, &address.sin_addr) == 1
        else {
            return Finding(
                subject: "port", grade: .good, text: "\(listen) is not looked at (no IPv4 address)")
        }
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(descriptor, address, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status != 0 else {
            return Finding(subject: "port", grade: .good, text: "\(listen) is free")
        }
        if errno == EADDRINUSE {
            return Finding(
                subject: "port", grade: .doubtful, text: "\(listen) is taken",
                advice: "If that is no server of this folder, choose another with --listen.")
        }
        return Finding(
            subject: "port", grade: .bad,
            text: "\(listen) can't be listened on: \(String(cString: strerror(errno)))",
            advice: "Ports below 1024 need rights; the address must be this machine's.")
    }
}
