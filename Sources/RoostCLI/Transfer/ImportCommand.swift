// `roost import`: a file's documents into a collection.

import ArgumentParser
import BSON
import Client
import Glibc

struct ImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Put a file's documents into a collection.",
        discussion: """
            Reads Extended JSON (a document a line, an array, or documents behind
            each other), CSV with a header, or BSON; gzipped files as well. Records
            that can't be stored are left out and written, with line and reason, to
            FILE.errors.ndjson; then the status is 1. An import that was broken off
            goes on with --resume. Types of CSV stand in its header with
            --columns-have-types: number.int32(),at.date(),tags.json()

            EXAMPLES
              roost import orders orders.ndjson
              roost import orders orders.csv.gz --upsert-by number
              roost import orders typed.csv --columns-have-types
              roost import orders big.ndjson --resume
              zcat x.gz | roost import orders - --uri mongodb://db:27017/shop
              roost import --dump folder --drop
              roost import --archive all.archive --database shop
            """)

    @Argument(help: "The collection; it is made if there is none.")
    var collection = ""

    @Argument(help: "The file; - is standard input.")
    var file = ""

    @Option(help: "Where the server is: mongodb://HOST[:PORT][/DATABASE].")
    var uri = "mongodb://127.0.0.1:27017/test"

    @Option(help: "What the file holds (default: as its name tells, else ndjson).")
    var format: TransferFormat?

    @Option(help: "What stands between the cells of CSV; 'tab' for a tabulator.")
    var separator = ","

    @Flag(help: "The header of the CSV says types: NAME.TYPE().")
    var columnsHaveTypes = false

    @Flag(help: "Leave empty cells of the CSV out; else they are empty texts.")
    var ignoreBlanks = false

    @Option(
        help: "Replace the document with the same value in this field; insert if there is none.")
    var upsertBy: String?

    @Flag(help: "Drop the collection first.")
    var drop = false

    @Flag(help: "Go on where an import of this file was broken off.")
    var resume = false

    @Option(help: "Where records that can't be stored are written (default: FILE.errors.ndjson).")
    var errors: String?

    @Option(help: ArgumentHelp("Load a folder that mongodump made.", valueName: "dir"))
    var dump: String?

    @Option(help: ArgumentHelp("Load an archive that mongodump made.", valueName: "file"))
    var archive: String?

    @Option(help: "With --dump and --archive: only this database.")
    var database: String?

    @Flag(help: "Show no progress.")
    var quiet = false

    func validate() throws {
        if dump != nil || archive != nil {
            guard collection.isEmpty, dump == nil || archive == nil, !resume else {
                throw ValidationError("--dump and --archive stand alone, without a collection")
            }
            return
        }
        if collection.isEmpty || file.isEmpty {
            throw ValidationError("name the collection and the file")
        }
        if drop && resume { throw ValidationError("--drop and --resume exclude each other") }
        if resume && file == "-" { throw ValidationError("standard input can't be resumed") }
        _ = try CSVOptions.separator(separator)
    }

    func run() async throws {
        if dump != nil || archive != nil { return try await runDump() }
        let options = CSVOptions(
            separator: try CSVOptions.separator(separator), hasTypes: columnsHaveTypes,
            ignoresBlanks: ignoreBlanks)
        let name = file == "-" ? "stdin" : file
        let run = try await ImportRun(
            ImportRun.Target(uri: uri, collection: collection, upsertBy: upsertBy),
            ImportState.open(file, resumes: resume),
            errorsPath: errors ?? name + ".errors.ndjson", isQuiet: quiet)
        if drop { try await run.drop() }
        let input = try ByteInput(path: file)
        let format = format ?? TransferFormat(path: file) ?? .ndjson
        let failed = try await run.go(input, RecordReader(input, format, csv: options))
        if failed > 0 { throw ExitCode(1) }
    }

    private func runDump() async throws {
        do {
            let connection = try await Connection.open(ConnectionString(uri))
            try await connection.greet(appName: "roost import")
            let load = DumpImport(connection, database: database, drops: drop, isQuiet: quiet)
            if let dump { try await load.load(folder: dump) }
            if let archive { try await load.load(archive: archive) }
            if load.failed > 0 { throw ExitCode(1) }
        } catch let error as DBError {
            throw TransferFailure(error.message)
        }
    }
}

extension CSVOptions {
    /// The byte that an option names.
    static func separator(_ text: String) throws -> UInt8 {
        if text == "tab" { return 0x09 }
        guard let byte = text.utf8.first, text.utf8.count == 1, byte != UInt8(ascii: "\""),
            byte != 0x0A, byte != 0x0D
        else { throw ValidationError("--separator takes one ASCII character, or 'tab'") }
        return byte
    }
}
