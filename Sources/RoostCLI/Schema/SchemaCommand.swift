// `roost schema`: what a collection's documents look like.

import ArgumentParser
import BSON
import Client

struct SchemaCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "schema", abstract: "Propose a schema for a collection.",
        subcommands: [SchemaInfer.self])
}

struct SchemaInfer: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "infer",
        abstract: "Print a $jsonSchema that a collection's documents meet.",
        discussion: """
            Looks at all documents, or with --sample at so many chosen at random (then
            others may not meet it). With --apply it becomes the collection's validator.

            EXAMPLES
              roost schema infer orders --uri mongodb://127.0.0.1:27017/shop
              roost schema infer orders --sample 10000 > orders.json
              roost schema infer orders --apply
            """)

    @Argument(help: "The collection.")
    var collection: String

    @Option(help: "Where the server is: mongodb://HOST[:PORT][/DATABASE].")
    var uri = "mongodb://127.0.0.1:27017/test"

    @Option(help: ArgumentHelp("How many documents to look at.", valueName: "count"))
    var sample: Int32?

    @Flag(help: "Make it the collection's validator.")
    var apply = false

    func validate() throws {
        if let sample, sample < 1 { throw ValidationError("--sample is at least 1") }
    }

    func run() async throws {
        do throws(DBError) {
            try await infer()
        } catch {
            throw FailureMessage(description: error.message)
        }
    }

    private func infer() async throws(DBError) {
        let server = try ConnectionString(uri)
        let connection = try await Connection.open(server)
        defer { connection.close() }
        try await connection.greet(appName: "roost schema")
        var inference = SchemaInference()
        var count = 0
        var cursor = try await Cursor(command, database: server.database, on: connection)
        while let document = try await cursor.next() {
            inference.add(document.view)
            count += 1
        }
        guard count > 0 else {
            throw DBError(.namespaceNotFound, "'\(collection)' has no documents")
        }
        let schema = inference.schema
        print(ExtendedJSON.string(of: schema.view))
        guard apply else { return }
        _ = try await connection.run(
            [
                "collMod": .string(collection),
                "validator": ["$jsonSchema": .document(schema)],
            ], database: server.database)
    }

    private var command: Document {
        guard let sample else {
            return ["find": .string(collection), "filter": [:], "batchSize": 1_000]
        }
        return [
            "aggregate": .string(collection), "pipeline": [["$sample": ["size": .int32(sample)]]],
            "cursor": [:],
        ]
    }
}
