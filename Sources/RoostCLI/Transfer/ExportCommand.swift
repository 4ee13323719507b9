// `roost export`: a collection's documents, or a query's results, to a file.

import ArgumentParser
import BSON
import Client
import Query

struct ExportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write a collection's documents to a file.",
        discussion: """
            Writes Extended JSON (a document a line, or an array), CSV, or BSON, as the
            file's name tells; gzipped where it ends with .gz. The file has its name only
            when it is whole. JSON is relaxed; --canonical keeps every number's type.

            EXAMPLES
              roost export orders orders.ndjson
              roost export orders orders.json.gz --canonical
              roost export orders open.csv --filter '{status: "open"}' --fields _id,total
              roost export orders - --query 'from orders | where total > 100' | head
              roost export --dump folder --gzip
              roost export --archive all.archive --database shop

            --dump and --archive write whole databases as mongodump does, for
            mongorestore or `roost import`.
            """)

    @Argument(help: "The collection.")
    var collection = ""

    @Argument(help: "The file; - is standard output.")
    var file = "-"

    @Option(help: "Where the server is: mongodb://HOST[:PORT][/DATABASE].")
    var uri = "mongodb://127.0.0.1:27017/test"

    @Option(help: "How to write (default: as the file's name tells, else ndjson).")
    var format: TransferFormat?

    @Option(help: "Which documents: a filter in Extended JSON.")
    var filter: String?

    @Option(help: "Their order, in Extended JSON: {createdAt: -1}.")
    var sort: String?

    @Option(help: "Most documents.")
    var limit: Int32?

    @Option(
        help: "Results of a query in the text language, in place of the collection's documents.")
    var query: String?

    @Option(help: "Fields with commas between: all that is exported; CSV's columns.")
    var fields: String?

    @Flag(help: "Fields of CSV have types, NAME.TYPE(), and so has its header.")
    var columnsHaveTypes = false

    @Option(help: "What stands between the cells of CSV; 'tab' for a tabulator.")
    var separator = ","

    @Flag(help: "Write canonical Extended JSON, which keeps every type.")
    var canonical = false

    @Option(help: ArgumentHelp("Write all collections into a folder.", valueName: "dir"))
    var dump: String?

    @Option(help: ArgumentHelp("Write all collections into one file.", valueName: "file"))
    var archive: String?

    @Option(help: "With --dump and --archive: only this database.")
    var database: String?

    @Flag(help: "With --dump and --archive: compress the files.")
    var gzip = false

    @Flag(help: "Show no progress.")
    var quiet = false

    func validate() throws {
        if dump != nil || archive != nil {
            guard collection.isEmpty, dump == nil || archive == nil else {
                throw ValidationError("--dump and --archive stand alone, without a collection")
            }
            return
        }
        if collection.isEmpty { throw ValidationError("name the collection") }
        if gzip || database != nil {
            throw ValidationError("--gzip and --database go with --dump or --archive")
        }
        if query != nil, filter != nil || sort != nil || limit != nil {
            throw ValidationError("--query stands alone: put filter, sort and limit into it")
        }
        if let query, !TextQuery.isRead(query) {
            throw ValidationError("--query takes a query that reads: from COLLECTION | …")
        }
        if (format ?? TransferFormat(path: file)) == .csv, fields == nil {
            throw ValidationError("CSV needs its columns: --fields _id,name,address.city")
        }
        _ = try CSVOptions.separator(separator)
    }

    func run() async throws {
        if dump != nil || archive != nil { return try await runDump() }
        let names = fields.map { $0.split(separator: ",").map(String.init) } ?? []
        let format = format ?? TransferFormat(path: file) ?? .ndjson
        var writer = try RecordWriter(
            format, isCanonical: canonical, fields: names,
            csv: CSVOptions(
                separator: try CSVOptions.separator(separator), hasTypes: columnsHaveTypes))
        do {
            let server = try ConnectionString(uri)
            let connection = try await Connection.open(server)
            defer { connection.close() }
            try await connection.greet(appName: "roost export")
            let total = try await total(connection, server.database)
            var cursor = try await Cursor(
                try command(names, showsID: format == .csv), database: server.database,
                on: connection, batchSize: 1_000)
            var progress = TransferProgress("exported", isQuiet: quiet)
            let output = try ByteOutput(path: file, gzip: file.hasSuffix(".gz"))
            try output.write(writer.head)
            while let document = try await cursor.next() {
                try output.write(try writer.bytes(of: document))
                let share = total.map { Double(progress.records + 1) / Double(max(1, $0)) }
                progress.add(1, share: share)
            }
            try output.write(writer.foot)
            try output.finish()
            progress.finish()
        } catch let error as DBError {
            throw TransferFailure(error.message)
        }
    }

    private func runDump() async throws {
        let export = DumpExport(uri: uri, database: database, gzip: gzip, isQuiet: quiet)
        do {
            if let dump { try await export.write(folder: dump) }
            if let archive { try await export.write(archive: archive) }
        } catch let error as DBError {
            throw TransferFailure(error.message)
        }
    }

    /// How many documents the collection has, where all of them are exported.
    private func total(
        _ connection: Connection, _ database: String
    ) async throws(DBError) -> Int64? {
        guard query == nil, filter == nil, limit == nil else { return nil }
        let reply = try await connection.run(["count": .string(collection)], database: database)
        return switch reply["n"] {
        case .int32(let count): Int64(count)
        case .int64(let count): count
        default: nil
        }
    }

    /// `showsID`: whether `_id` comes along where it isn't among the fields, for messages.
    private func command(_ names: [String], showsID: Bool) throws(DBError) -> Document {
        if let query { return ["query": .string(query)] }
        let filter = try filter.map(Self.parsed)
        let sort = try sort.map(Self.parsed)
        let paths = Self.projected(names.map(field))
        return Document { writer in
            writer.append("find", collection)
            if let filter { writer.append("filter", filter) }
            if let sort { writer.append("sort", sort) }
            if let limit { writer.append("limit", limit) }
            if !paths.isEmpty {
                let projection = writer.openDocument("projection")
                for path in paths { writer.append(path, 1 as Int32) }
                if !showsID, !paths.contains("_id") { writer.append("_id", 0 as Int32) }
                writer.close(projection)
            }
            writer.append("batchSize", 1_000 as Int32)
        }
    }

    /// The fields that hold the columns': a projection knows no places in lists, and no field
    /// beside one that holds it.
    private static func projected(_ columns: [String]) -> [String] {
        let paths = Set(
            columns.map { column in
                column.split(separator: ".").prefix { Int($0) == nil }.joined(separator: ".")
            })
        return paths.filter { path in
            !path.isEmpty && !paths.contains { path.hasPrefix($0 + ".") }
        }.sorted()
    }

    /// A column's field, without its type.
    private func field(_ column: String) -> String {
        guard columnsHaveTypes, let dot = column.lastIndex(of: ".") else { return column }
        return String(column[..<dot])
    }

    /// A document as people write it in the shell.
    private static func parsed(_ text: String) throws(DBError) -> Document {
        do throws(ScriptError) {
            return try ScriptParser.document(text)
        } catch {
            let place = TextPlace(of: error.offset, in: text)
            throw DBError(.failedToParse, "\(error.message)\n\(place.marked)")
        }
    }
}
