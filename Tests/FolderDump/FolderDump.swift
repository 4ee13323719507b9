// Opens folders one after another, checks each and says all that is in it: what the tests of power
// loss compare with what was acknowledged. Built by tools/powerloss alone.
//
// Reads lines from standard input: `dump FOLDER`, or `work FOLDER`, which also opens the folder as a
// server does, writes to it, and checks it again. Answers with lines, the last one a dot:
//     open TEXT                        it can't be opened, or not be checked: why
//     fault TEXT                       something is wrong in it
//     doc DATABASE.COLLECTION ID CRC   a document, with the CRC-32 of its bytes
//     trash DATABASE.COLLECTION ID     a deleted one that is kept
//     collection DATABASE.COLLECTION   a collection
//     index DATABASE.COLLECTION NAME   a finished index
// Changes are folded: what the change log says of a collection's documents must be what it holds.

import BSON
import CZlib
import Glibc
import Logging
import Query
import Roost
import Storage

@main
struct FolderDump {
    static func main() {
        LoggingSystem.bootstrap { _ in SwiftLogNoOpLogHandler() }
        while let line = readLine() {
            var answer = Answer()
            let parts = line.split(separator: " ", maxSplits: 1)
            if parts.count == 2 {
                dump(String(parts[1]), &answer)
                if parts[0] == "work", answer.isSound { work(String(parts[1]), &answer) }
            }
            answer.send()
        }
    }

    /// Everything in the folder, and what is wrong with it.
    private static func dump(_ path: String, _ answer: inout Answer) {
        do {
            let database = try Database(at: path, options: checking)
            defer { database.close() }
            let report = try database.engine.verify()
            for fault in report.faults { answer.fault("\(fault)") }
            let entries = database.engine.catalog.collections.values
            for entry in entries where entry.view == nil {
                let name = "\(entry.namespace)"
                answer.say("collection \(name)")
                for index in entry.indexes where index.isReady {
                    answer.say("index \(name) \(index.name)")
                }
                let collection = database.collection(
                    entry.namespace.database, entry.namespace.collection)
                for document in try collection.find(scope: .live) {
                    answer.say("doc \(name) \(identifier(document)) \(checksum(document))")
                }
                for document in try collection.find(scope: .onlyDeleted) {
                    answer.say("trash \(name) \(identifier(document))")
                }
            }
            try compareWithLog(database, &answer)
        } catch {
            answer.problem("open \(error)")
        }
    }

    /// Goes on as a server would: tidies up, writes, closes, checks.
    private static func work(_ path: String, _ answer: inout Answer) {
        do {
            let database = try Database(at: path, options: serving)
            let probe = database.collection("probe", "probe")
            for number in 0..<3 {
                try probe.insert(["n": .int32(Int32(number))])
            }
            try probe.createIndex(["n": 1])
            let count = try probe.count()
            database.close()
            let again = try Database(at: path, options: checking)
            defer { again.close() }
            if try again.collection("probe", "probe").count() != count {
                answer.fault("what was written after the recovery is not there")
            }
            for fault in try again.engine.verify().faults {
                answer.fault("after more writes: \(fault)")
            }
        } catch {
            answer.problem("open after more writes: \(error)")
        }
    }

    private static var checking: EngineOptions {
        var options = serving
        options.checksAllPages = true
        options.tidiesUp = false
        return options
    }

    private static var serving: EngineOptions {
        var options = EngineOptions()
        options.readerThreads = 1
        options.scanThreads = 1
        return options
    }

    // MARK: The change log

    /// What the log's last word on each document is, against the documents.
    private static func compareWithLog(
        _ database: Database, _ answer: inout Answer
    ) throws {
        let engine = database.engine
        let stages = Document()
        let pipeline = try Pipeline.parse(stages.view, ExpressionScope())
        let request = ChangeStreamRequest(
            logFrom: Timestamp(seconds: 1, ordinal: 0), Namespace("local", "oplog.rs"),
            pipeline: pipeline)
        let cursor = engine.openCursor(request)
        var fold = LogFold()
        var seen = -1
        let reader = try engine.store.makeReader()
        while seen < fold.count {
            seen = fold.count
            _ = try cursor.advanceFully(reader, documentsMax: .max, into: &fold)
        }
        for entry in engine.catalog.collections.values
        where entry.view == nil && !entry.namespace.isOplog {
            let name = "\(entry.namespace)"
            let logged = fold.live[name] ?? []
            var stored: Set<String> = []
            let collection = database.collection(
                entry.namespace.database, entry.namespace.collection)
            for document in try collection.find() { stored.insert(identifier(document)) }
            for id in logged.symmetricDifference(stored).sorted().prefix(5) {
                answer.fault(
                    "\(name): \(id) is \(stored.contains(id) ? "stored" : "not stored"), which "
                        + "the change log does not say")
            }
        }
    }

    /// Which documents there are by the changes.
    private struct LogFold: DocumentSink {
        var live: [String: Set<String>] = [:]
        var count = 0
        var byteCount = 0

        mutating func append(_ event: DocumentView) {
            count += 1
            byteCount += event.bytes.byteCount
            guard let names = event.value("ns")?.document else { return }
            let name = FolderDump.text(names, "db") + "." + FolderDump.text(names, "coll")
            guard let key = event.value("documentKey")?.document else {
                switch FolderDump.text(event, "operationType") {
                case "drop": live[name] = nil
                case "rename":
                    guard let to = event.value("to")?.document else { return }
                    let target = FolderDump.text(to, "db") + "." + FolderDump.text(to, "coll")
                    live[target] = live.removeValue(forKey: name)
                default: break
                }
                return
            }
            let id = FolderDump.text(key, "_id")
            switch FolderDump.text(event, "operationType") {
            case "insert", "update", "replace": live[name, default: []].insert(id)
            case "delete": live[name]?.remove(id)
            default: break
            }
        }
    }

    // MARK: Text

    private static func checksum(_ document: Document) -> UInt {
        document.bytes.withUnsafeBufferPointer { bytes in
            // SAFETY: the pointer is used within the call.
            crc32(0, bytes.baseAddress, UInt32(bytes.count))
        }
    }

    private static func identifier(_ document: Document) -> String {
        text(document.view, "_id")
    }

    /// A field as it is told; "" where there is none.
    private static func text(_ document: borrowing DocumentView, _ field: StaticString) -> String {
        guard let value = document.value(field) else { return "" }
        return value.string ?? ShellNotation.string(value)
    }
}

/// The lines about one folder.
private struct Answer {
    private var text = ""
    private(set) var isSound = true

    mutating func say(_ line: String) {
        text += line.contains("\n") ? line.split(separator: "\n").joined(separator: " | ") : line
        text += "\n"
    }

    mutating func problem(_ line: String) {
        isSound = false
        say(line)
    }

    mutating func fault(_ line: String) { problem("fault \(line)") }

    func send() {
        var bytes = Array((text + ".\n").utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { write(1, $0.baseAddress, $0.count) }
            guard count > 0 else { exit(1) }
            bytes = bytes.dropFirst(count)
        }
    }
}
