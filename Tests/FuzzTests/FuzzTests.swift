import BSON
import Foundation
import FuzzTargets
import TestSupport
import Testing

@testable import RoostCLI

/// Every parser of outside input: the inputs that once broke it, and some thousand more. tools/fuzz
/// goes on from here.
@Suite struct FuzzTests {
    /// The shell's parser lives in the executable, where libFuzzer's can't reach it.
    static let script = FuzzTarget(
        "script", .text,
        seeds: [
            "db.coll.find({a: {$gt: 5}, 'b.c': /x\\/y/i}).sort({a: -1}).limit(3)",
            "db.getCollection(\"a b\").aggregate([{$group: {_id: '$a', n: {$sum: 1}}}])",
            "db['x'].insertOne({_id: ObjectId('0123456789abcdef01234567'), d: ISODate(\"2020-01-01\")})",
            "db.runCommand({ping: 1, n: NumberLong('5'), m: NumberDecimal('1.5'), u: UUID()}); // x",
            "db.c.updateMany({}, {$set: {a: [1, .5, -2e3, 0x1F, null, true, undefined, NaN]}})",
            "db.c.find({t: Timestamp(1, 2), b: BinData(0, 'AQID'), k: MinKey, i: -Infinity})",
        ].map { Array($0.utf8) }
    ) { bytes in
        let text = String(decoding: bytes, as: UTF8.self)
        _ = ScriptParser.isScript(text)
        do throws(ScriptError) {
            _ = try ScriptParser.parse(text)
        } catch {
            guard error.offset <= text.utf8.count, !error.message.isEmpty else {
                throw FuzzFault("an error at \(error.offset): \(error.message)")
            }
        }
    }

    static let targets = FuzzTarget.all + [script]

    /// Files below Tests/Fuzz/Seeds/TARGET, each an input that was a fault once.
    private static func seedFiles(_ target: FuzzTarget) throws -> [URL] {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Fuzz/Seeds/\(target.name)")
        guard FileManager.default.fileExists(atPath: folder.path) else { return [] }
        return try FileManager.default.contentsOfDirectory(
            at: folder, includingPropertiesForKeys: nil)
    }

    @Test(arguments: targets)
    func faultsOfThePast(_ target: FuzzTarget) throws {
        for file in try Self.seedFiles(target) {
            let text = try String(contentsOf: file, encoding: .utf8)
            let input = try #require(target.input(ofFile: text), "\(file.path) can't be read")
            do {
                try target.run(input)
            } catch {
                Issue.record("\(file.lastPathComponent): \(error)")
            }
        }
        for input in target.seeds { try target.run(input) }
    }

    @Test(arguments: targets)
    func mutations(_ target: FuzzTarget) throws {
        let environment = ProcessInfo.processInfo.environment
        guard let wanted = environment["ROOST_FUZZ_SECONDS"].flatMap(Int.init) else {
            try target.runMutations(seed: 1, count: 400)
            return
        }
        guard
            environment["ROOST_FUZZ_TARGETS"]?.split(separator: " ").contains(
                Substring(target.name)) ?? true
        else { return }
        let end = ContinuousClock.now + .seconds(wanted)
        let seed =
            environment["ROOST_FUZZ_SEED"].flatMap(UInt64.init) ?? .random(in: 0 ... .max)
        print("\(target): seed \(seed)")
        let inputs = try target.runMutations(seed: seed, count: .max) { ContinuousClock.now < end }
        print("\(target): \(inputs) inputs")
    }
}
