import Foundation
import Testing

@testable import BSON

/// The BSON corpus of MongoDB's specifications, as PyMongo's source distribution carries it.
enum Corpus {
    struct MissingError: Error, CustomStringConvertible {
        let folder: String
        var description: String {
            "No BSON corpus in \(folder). Run tools/fetch-pymongo, or set ROOST_PYMONGO_SOURCE to"
                + " PyMongo's unpacked source distribution."
        }
    }

    struct Case: Sendable, CustomTestStringConvertible {
        let file: String
        let bsonType: String
        let fields: [String: String]
        var testDescription: String { "\(file): \(fields["description"] ?? "")" }

        subscript(_ name: String) -> String? { fields[name] }

        func bytes(_ name: String) -> [UInt8]? {
            guard let hex = fields[name] else { return nil }
            let digits = hex.utf8.compactMap { hexDigitValue($0) }
            return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
        }
    }

    /// Where the vectors lie: ROOST_PYMONGO_SOURCE, else what tools/fetch-pymongo made.
    static var folder: String {
        let rest = "/test/bson_corpus"
        if let source = ProcessInfo.processInfo.environment["ROOST_PYMONGO_SOURCE"] {
            return source + rest
        }
        let build = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appending(path: "../../.build").standardized.path
        let entries = (try? FileManager.default.contentsOfDirectory(atPath: build)) ?? []
        let source = entries.sorted().last { $0.hasPrefix("pymongo-") } ?? "pymongo-*"
        return build + "/" + source + rest
    }

    /// All cases of a section (`valid`, `decodeErrors`, `parseErrors`) in all files.
    static func cases(_ section: String) throws -> [Case] {
        let files = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        var cases: [Case] = []
        for file in files.sorted() where file.hasSuffix(".json") {
            let data = try Data(contentsOf: URL(fileURLWithPath: folder + "/" + file))
            guard let top = try JSONSerialization.jsonObject(with: data) as? [String: Any] else {
                continue
            }
            for item in top[section] as? [[String: Any]] ?? [] {
                var fields = item.compactMapValues { $0 as? String }
                if item["lossy"] as? Bool == true { fields["lossy"] = "true" }
                cases.append(
                    Case(file: file, bsonType: top["bson_type"] as? String ?? "", fields: fields))
            }
        }
        if cases.isEmpty { throw MissingError(folder: folder) }
        return cases
    }
}

/// JSON texts that differ only in spaces and in the order of nothing are the same.
func normalized(_ json: String) throws -> String {
    func text(_ node: JSONNode) -> String {
        switch node.kind {
        case .null: "null"
        case .bool(let truth): "\(truth)"
        case .number(let number): number.uppercased()
        case .string(let string): string.debugDescription
        case .array(let elements): "[" + elements.map(text).joined(separator: ",") + "]"
        case .object(let fields):
            "{"
                + fields.map { $0.name.debugDescription + ":" + text($0.node) }
                .joined(separator: ",") + "}"
        }
    }
    return text(try JSONParser.parse(Array(json.utf8).span.bytes, depthMax: 100))
}
