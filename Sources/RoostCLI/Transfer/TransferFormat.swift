// `roost import` and `roost export`: documents between a collection and a file.
//
//     file ──▶ ByteInput ──▶ RecordReader ──▶ ImportRun ──▶ insert or update commands
//     cursor ──▶ RecordWriter (a format's text or bytes) ──▶ ByteOutput ──▶ file
//
// Both run in constant memory: a chunk of the file, a batch of documents, and the commands that are
// on their way. Gzip is seen by its first bytes and written where the file's name ends with .gz.

import ArgumentParser

/// How documents lie in a file.
enum TransferFormat: String, CaseIterable, ExpressibleByArgument {
    /// Extended JSON, a document a line.
    case ndjson
    /// Extended JSON: an array, or documents behind each other over any number of lines.
    case json
    /// Comma-separated values (RFC 4180) below a header of fields.
    case csv
    /// BSON documents behind each other, as mongodump writes a collection.
    case bson

    /// The format that a file's name tells; nil for names that tell none.
    init?(path: String) {
        var name = path.lowercased()
        if name.hasSuffix(".gz") { name.removeLast(3) }
        switch name.split(separator: ".").last {
        case "ndjson", "jsonl": self = .ndjson
        case "json": self = .json
        case "csv": self = .csv
        case "bson": self = .bson
        default: return nil
        }
    }
}

/// Why a file or a record can't be moved; for people.
struct TransferFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}
