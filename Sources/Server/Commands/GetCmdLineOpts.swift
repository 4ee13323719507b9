// getCmdLineOpts: how the server was started.

import BSON
import Wire

enum GetCmdLineOpts {
    static let definition = CommandDefinition(
        "getCmdLineOpts", .adminOnly, access: .cluster([.getCmdLineOpts]),
        help: "says how the server was started"
    ) { call, reply throws(DBError) in
        let options = call.core.options
        let port = options.listen.first?.port ?? 27_017
        reply.append("argv", .array(options.commandLine.map { .string($0) }))
        reply.append(
            "parsed",
            .document(
                Document { writer in
                    writer.append(
                        "net",
                        Document { writer in
                            writer.append(
                                "bindIp",
                                options.listen.map(\.host).joined(separator: ","))
                            writer.append("port", Int32(port))
                        })
                    if let name = options.replicaSet {
                        writer.append("replication", ["replSet": .string(name)] as Value)
                    }
                    if options.offersTestCommands {
                        writer.append("setParameter", ["enableTestCommands": "1"] as Value)
                    }
                }))
        return .done
    }
}
