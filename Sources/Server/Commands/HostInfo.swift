// hostInfo: the machine that the server runs on.

import BSON
import Glibc
import Wire

enum HostInfo {
    static let definition = CommandDefinition(
        "hostInfo", [], help: "describes the machine"
    ) { _, reply throws(DBError) in
        let system = reply.openDocument("system")
        reply.append("currentTime", dateMillis: Clock.wallMillis)
        reply.append("hostname", hostName)
        reply.append("cpuAddrSize", Int32(64))
        reply.append("memSizeMB", Int64((sysconf(Int32(_SC_PHYS_PAGES)) * pageBytes) >> 20))
        reply.append("numCores", Int32(clamping: sysconf(Int32(_SC_NPROCESSORS_ONLN))))
        reply.append("cpuArch", architecture)
        reply.append("numaEnabled", false)
        reply.close(system)
        let os = reply.openDocument("os")
        reply.append("type", "Linux")
        reply.append("name", "Linux")
        reply.append("version", kernelVersion)
        reply.close(os)
        let extra = reply.openDocument("extra")
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

    /// Memory of this process that lies in RAM, file-backed pages included, in bytes.
    static var residentBytes: Int {
        guard let file = fopen("/proc/self/statm", "r") else { return 0 }
        defer { fclose(file) }
        var line = [UInt8](repeating: 0, count: 128)
        let count = fread(&line, 1, line.count, file)
        let fields = String(decoding: line[..<count], as: UTF8.self).split(separator: " ")
        return fields.count > 1 ? (Int(fields[1]) ?? 0) * pageBytes : 0
    }
}
