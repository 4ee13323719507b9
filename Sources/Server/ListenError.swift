// Why an address can't be listened on, and what to do: a taken port names its owner, found in
// /proc/net/tcp (which socket) and /proc/PID/fd (whose it is).

import Glibc
import NIOCore

/// An address that can't be listened on.
package struct ListenError: Error, CustomStringConvertible {
    /// What a person reads.
    package let description: String

    /// What a person should do about files for TLS.
    init(tls problem: String) {
        description = problem
    }

    init(_ address: ServerOptions.Address, _ cause: any Error) {
        guard let error = cause as? IOError else {
            description =
                cause is SocketAddressError || cause is SocketAddressError.UnknownHost
                ? "cannot listen on \(address): the name '\(address.host)' is not known; give an "
                    + "address of this machine, such as 127.0.0.1:\(address.port) or 0.0.0.0:"
                    + "\(address.port)"
                : "cannot listen on \(address): \(cause)"
            return
        }
        switch error.errnoCode {
        case EADDRINUSE:
            let owner = PortOwner.find(port: address.port)
            let who = owner.map { "by \($0.program) (pid \($0.pid))" } ?? "by another program"
            let stop = owner.map { "stop it (kill \($0.pid))" } ?? "stop that program"
            let other = PortOwner.freePort(after: address.port).map { port in
                ": roost serve --listen \(address.host):\(port)"
            }
            description =
                "cannot listen on \(address): the port is taken \(who). Either \(stop), or choose "
                + "another port\(other ?? "")"
        case EACCES:
            description =
                "cannot listen on \(address): not permitted. Ports below 1024 need privileges; "
                + "choose another with --listen"
        case EADDRNOTAVAIL:
            description =
                "cannot listen on \(address): no network interface of this machine has that "
                + "address. 0.0.0.0 listens on all"
        default:
            description =
                "cannot listen on \(address): \(String(cString: strerror(error.errnoCode)))"
        }
    }
}

/// The process that listens on a TCP port.
package struct PortOwner {
    let pid: Int
    let program: String

    /// Looks it up; nil where it can't be seen (another user's process, another system).
    static func find(port: Int) -> PortOwner? {
        let inodes = Set(
            tables.flatMap { listening($0) }.filter { $0.port == port }.map(\.inode))
        guard !inodes.isEmpty else { return nil }
        for entry in folderEntries("/proc") {
            guard let pid = Int(entry), !inodes.isDisjoint(with: sockets(of: pid)) else { continue }
            return PortOwner(pid: pid, program: fileLines("/proc/\(pid)/comm").first ?? "?")
        }
        return nil
    }

    /// The TCP ports that a process listens on, from the lowest; none where it can't be seen.
    package static func ports(of pid: Int) -> [Int] {
        let own = Set(sockets(of: pid))
        let found = tables.flatMap { listening($0) }.filter { own.contains($0.inode) }
        return Set(found.map(\.port)).sorted()
    }

    /// The inodes of a process' sockets.
    private static func sockets(of pid: Int) -> [String] {
        folderEntries("/proc/\(pid)/fd").compactMap { descriptor in
            guard let target = linkTarget("/proc/\(pid)/fd/\(descriptor)"),
                target.hasPrefix("socket:["), target.hasSuffix("]")
            else { return nil }
            return String(target.dropFirst(8).dropLast())
        }
    }

    /// The next port that nobody listens on now, whatever the address; from 1024 on again behind
    /// the last one. Nil where all are taken.
    static func freePort(after port: Int) -> Int? {
        let taken = Set(tables.flatMap { listening($0) }.map(\.port))
        let last = 65_535
        return (port + 1..<max(port + 1, last + 1)).first { !taken.contains($0) }
            ?? (1_024..<last).first { !taken.contains($0) }
    }

    private static let tables = ["/proc/net/tcp", "/proc/net/tcp6"]

    /// The sockets in a table of /proc/net that listen.
    private static func listening(_ path: String) -> [(port: Int, inode: String)] {
        fileLines(path).dropFirst().compactMap { line in
            let fields = line.split(separator: " ")
            // sl, local address, remote address, state (0A: listening), …, inode in the tenth.
            guard fields.count > 9, fields[3] == "0A",
                let hex = fields[1].split(separator: ":").last, let port = Int(hex, radix: 16)
            else { return nil }
            return (port, String(fields[9]))
        }
    }

    private static func folderEntries(_ path: String) -> [String] {
        guard let folder = opendir(path) else { return [] }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            // SAFETY: the entry is read before the next readdir, which may reuse it.
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            names.append(name)
        }
        return names
    }

    private static func linkTarget(_ path: String) -> String? {
        var buffer = [UInt8](repeating: 0, count: 256)
        let count = readlink(path, &buffer, buffer.count)
        return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
    }

    private static func fileLines(_ path: String) -> [String] {
        guard let file = fopen(path, "r") else { return [] }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = fread(&chunk, 1, chunk.count, file)
            if count == 0 { break }
            bytes.append(contentsOf: chunk[..<count])
        }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
    }
}
