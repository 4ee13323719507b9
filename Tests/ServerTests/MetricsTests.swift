// Figures: the text for Prometheus, times by kind and by collection, readiness, and the lock of fsync.

import BSON
import Roost
import Testing

@testable import Server

@Suite struct MetricsTests {
    /// A text's series by name and labels.
    private static func series(_ text: String) throws -> [String: Double] {
        var found: [String: Double] = [:]
        var types: [String: Substring] = [:]
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ", maxSplits: 3)
            if line.hasPrefix("# TYPE ") {
                #expect(types[String(words[2])] == nil, "\(words[2]) twice")
                types[String(words[2])] = words[3]
                continue
            }
            if line.hasPrefix("#") { continue }
            let space = try #require(line.lastIndex(of: " "))
            let name = String(line[..<space])
            #expect(found[name] == nil, "\(name) twice")
            found[name] = Double(line[line.index(after: space)...])
            #expect(found[name] != nil, "\(line)")
            var family = String(name.prefix { $0 != "{" })
            if types[family] == nil {
                for suffix in ["_bucket", "_sum", "_count"] where family.hasSuffix(suffix) {
                    family.removeLast(suffix.count)
                }
                #expect(types[family] == "histogram", "\(name)")
            }
        }
        return found
    }

    private static func figures(_ client: WireClient) throws -> [String: Double] {
        let reply = try client.run(["metrics": 1], database: "admin")
        guard case .string(let text)? = reply["text"] else { return [:] }
        return try series(text)
    }

    @Test func countsWhatIsDone() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            let before = try Self.figures(client)
            #expect(before["roost_ready"] == 1)
            _ = try client.run(["insert": "c", "documents": [["_id": 1], ["_id": 2]]])
            for _ in 0..<5 { _ = try client.run(["find": "c", "filter": ["_id": 1]]) }
            _ = try client.run(["nothing": 1])
            let after = try Self.figures(client)
            let wanted: [(String, Double)] = [
                ("roost_operation_seconds_count{kind=\"find\"}", 5),
                ("roost_operation_seconds_bucket{kind=\"find\",le=\"+Inf\"}", 5),
                ("roost_operation_seconds_count{kind=\"insert\"}", 1),
                ("roost_opcounters_total{op=\"insert\"}", 2), ("roost_errors_total", 1),
                ("roost_commit_seconds_count", 1),
            ]
            for (name, difference) in wanted {
                let now = try #require(after[name], "\(name)")
                #expect(now - (before[name] ?? 0) >= difference, "\(name)")
            }
            #expect(after["roost_connections"] == 1)
            #expect(after["roost_data_file_bytes", default: 0] > 0)
        }
    }

    @Test func bucketsAscend() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            for number in 0..<Int32(20) {
                _ = try client.run(["insert": "c", "documents": [["_id": .int32(number)]]])
            }
            let reply = try client.run(["metrics": 1], database: "admin")
            guard case .string(let text)? = reply["text"] else { return }
            var last: [String: Double] = [:]
            for line in text.split(separator: "\n") where line.contains("_bucket{") {
                let name = String(line.split(separator: "le=")[0])
                let value = Double(line.split(separator: " ").last ?? "") ?? -1
                #expect(value >= last[name] ?? 0, "\(line)")
                last[name] = value
            }
        }
    }

    @Test func labelsAreEscaped() {
        var text = MetricsText()
        text.add(
            .gauge, "x", [MetricsText.Series(labels: [("a", "q\"\\\nz")], value: 1.5)], "Help.")
        #expect(text.text == "# HELP x Help.\n# TYPE x gauge\nx{a=\"q\\\"\\\\\\nz\"} 1.5\n")
    }

    @Test func topTellsCollectionsApart() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try client.run(["insert": "a", "documents": [["_id": 1]]])
            _ = try client.run(["insert": "b", "documents": [["_id": 1]]])
            for _ in 0..<7 { _ = try client.run(["find": "a", "filter": ["_id": 1]]) }
            _ = try client.run(["query": "from b | where _id == 1"])
            _ = try client.run(["find": "missing"])
            let totals = try client.run(["top": 1], database: "admin").nested("totals")
            #expect(totals["test.missing"] == nil)
            let a = totals.nested("test.a")
            #expect(a.nested("queries").integer("count") == 7)
            #expect(a.nested("insert").integer("count") == 1)
            #expect(a.nested("readLock").integer("count") == 7)
            #expect(a.nested("total").integer("count") == 8)
            #expect(totals.nested("test.b").nested("queries").integer("count") == 1)
            let latencies = try client.run(["serverStatus": 1], database: "admin")
                .nested("opLatencies")
            #expect(latencies.nested("reads").integer("ops") ?? 0 >= 8)
            #expect(latencies.nested("writes").integer("ops") == 2)
        }
    }

    @Test func manyCollectionsAreCounted() {
        var usage = NamespaceUsage()
        for round in 0..<2 {
            for number in 0..<3_000 {
                let name = "c\(number)"
                let place = usage.place("db".utf8Span.span.bytes, name.utf8Span.span.bytes)
                usage.note(round == 0 ? .insert : .find, place, nanos: 1_000)
            }
        }
        #expect(usage.entries.count == 3_000)
        #expect(usage.entries.allSatisfy { $0.reads.count == 1 && $0.writes.count == 1 })
        #expect(usage.entries[17].namespace.description == "db.c17")
        let place = usage.place("db".utf8Span.span.bytes, "c1".utf8Span.span.bytes)
        for number in 3_000..<5_000 {
            let name = "c\(number)"
            _ = usage.place("db".utf8Span.span.bytes, name.utf8Span.span.bytes)
        }
        // Beyond the most that are kept, counting began anew, and old places count nothing.
        #expect(!usage.isValid(place) && usage.entries.count < 4_096)
        usage.note(.find, place, nanos: 1)
        #expect(usage.entries.allSatisfy { $0.reads.count == 0 })
    }

    @Test func writesWaitForTheLockOfFsync() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try client.run(["insert": "c", "documents": [["_id": 1]]])
            let locked = try client.run(["fsync": 1, "lock": true], database: "admin")
            #expect(locked.integer("lockCount") == 1)
            let unready = try client.run(["metrics": 1], database: "admin")
            #expect(unready["ready"] == false)
            let written = Task.detached {
                try WireClient(port: port).run(["insert": "c", "documents": [["_id": 2]]])
                    .integer("n")
            }
            #expect(
                try client.run(["find": "c"]).nested("cursor").documents("firstBatch").count == 1)
            #expect(try client.run(["currentOp": 1], database: "admin")["fsyncLock"] == true)
            let unlocked = try client.run(["fsyncUnlock": 1], database: "admin")
            #expect(unlocked.integer("lockCount") == 0)
            #expect(try await written.value == 1)
            #expect(try client.run(["fsyncUnlock": 1], database: "admin").errorCode == 20)
        }
    }

    /// A lock that nobody takes back doesn't keep the server from stopping, and what waits is done.
    @Test func stoppingLiftsTheLock() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try client.run(["fsync": 1, "lock": true], database: "admin")
        }
    }
}
