// hostInfo: the machine that the server runs on.

import BSON
import Glibc
import Wire

enum HostInfo {
    static let definition = CommandDefinition(
        "hostInfo", [], access: .cluster([.hostInfo]), help: "describes the machine"
    ) { _, reply throws(DBError) in
        let system = reply.openDocument("system")
        reply.append("currentTime", dateMillis: Clock.wallMillis)
        reply.append("hostname", hostName)
        reply.append("cpuAddrSize", Int32(64))
        let memory = Int64((sysconf(Int32(_SC_PHYS_PAGES)) * pageBytes) >> 20)
        let cores = Int32(clamping: sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        reply.append("memSizeMB", memory)
        reply.append("memLimitMB", memory)
        reply.append("numCores", cores)
        reply.append("numCoresAvailableToProcess", cores)
        // How they lie on the board isn't looked up.
        reply.append("numPhysicalCores", cores)
        reply.append("numCpuSockets", Int32(1))
        reply.append("numNumaNodes", Int32(1))
        reply.append("cpuArch", architecture)
        reply.append("numaEnabled", false)
        reply.close(system)
        let os = reply.openDocument("os")
        reply.append("type", "Linux")
        reply.append("name", "Linux")
        reply.append("version", kernelVersion)
        reply.close(os)
        let extra = reply.openDocument("extra")
        reply.append("versionString", "Linux version \(kernelVersion)")
        reply.append("pageSize", Int64(pageBytes))
        reply.close(extra)
        return .done
    }

    /// The machine's name.
    static let hostName: String = {
        var name = [UInt8](repeating: 0, count: 256)
        let status = name.withUnsafeMutableBytes { bytes in
            bytes.withMemoryRebound(to: CChar.self) { characters in
                characters.baseAddress.map { gethostname($0, 255) } ?? -1
            }
        }
        guard status == 0 else { return "localhost" }
        return String(decoding: name.prefix { $0 != 0 }, as: UTF8.self)
    }()

    private static let pageBytes = sysconf(Int32(_SC_PAGESIZE))

    private static var architecture: String {
        #if arch(arm64)
            "aarch64"
        #else
            "x86_64"
        #endif
    }

    private static var kernelVersion: String {
        var names = utsname()
        guard uname(&names) == 0 else { return "unknown" }
        return withUnsafeBytes(of: names.release) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
    }

    /// Memory of this process in bytes: addresses in use, and what of them lies in RAM, file-backed
    /// pages included.
    static var processMemory: (virtual: Int, resident: Int) {
        guard let file = fopen("/proc/self/statm", "r") else { return (0, 0) }
        defer { fclose(file) }
        var line = [UInt8](repeating: 0, count: 128)
        let count = fread(&line, 1, line.count, file)
        let pages = String(decoding: line[..<count], as: UTF8.self).split(separator: " ")
            .map { Int($0) ?? 0 }
        return pages.count > 1 ? (pages[0] * pageBytes, pages[1] * pageBytes) : (0, 0)
    }
}
