// buildInfo: the version that drivers and tools read to decide what they may ask for.

import BSON
import Wire

enum BuildInfo {
    static let definition = CommandDefinition(
        "buildInfo", aliases: ["buildinfo"], [],
        access: .open, help: "says the version and how the server was built"
    ) { _, reply throws(DBError) in
        reply.append("version", Version.compatible)
        reply.append("gitVersion", "roost-\(Version.roost)")
        reply.append("roostVersion", Version.roost)
        reply.append("modules", .array([]))
        reply.append("allocator", "system")
        reply.append("javascriptEngine", "none")
        reply.append("sysInfo", "deprecated")
        reply.append("versionArray", .array(Version.compatibleParts))
        reply.append("openssl", ["running": "BoringSSL", "compiled": "BoringSSL"])
        reply.append("buildEnvironment", [:])
        reply.append("bits", Int32(64))
        reply.append("debug", false)
        reply.append("maxBsonObjectSize", Int32(Limits.documentBytesMax))
        reply.append("storageEngines", ["lmdb"])
        return .done
    }
}
