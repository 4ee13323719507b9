import BSON
import Foundation
import TestSupport
import Testing

@testable import Query

@Suite struct TimeZoneTests {
    static let places = [
        "America/New_York", "Europe/Paris", "Australia/Sydney", "Asia/Kolkata", "Pacific/Apia",
        "Europe/London", "America/St_Johns", "Pacific/Chatham", "Asia/Tokyo", "America/Santiago",
    ]

    static func zone(_ name: String) throws -> Query.TimeZone {
        let bytes = Array(name.utf8)
        let zone = Query.TimeZone(bytes.span.bytes)
        return try #require(zone)
    }

    /// Foundation reads the same rules by other code.
    @Test(arguments: places) func offsetsAgreeWithFoundation(_ name: String) throws {
        var random = RandomSource(seed: 11)
        let zone = try Self.zone(name)
        let known = Foundation.TimeZone(identifier: name)
        let oracle = try #require(known)
        for _ in 0..<2000 {
            let seconds = Int64.random(in: -600_000_000...1_760_000_000, using: &random)
            let date = Date(timeIntervalSince1970: Double(seconds))
            #expect(
                zone.offsetSeconds(at: seconds) == Int64(oracle.secondsFromGMT(for: date)),
                "\(name) at \(seconds)")
        }
    }

    /// A wall clock reading leads back to its time, but for hours that clocks show twice.
    @Test(arguments: places) func wallClocksLeadBack(_ name: String) throws {
        var random = RandomSource(seed: 12)
        let zone = try Self.zone(name)
        for _ in 0..<5000 {
            let millis = Int64.random(in: -2_000_000_000_000...4_000_000_000_000, using: &random)
            let civil = zone.civil(millis)
            let back = try #require(zone.millis(civil))
            #expect(zone.civil(back) == civil)
            #expect(back <= millis, "of two readings the first")
        }
    }

    @Test func calendar() {
        var random = RandomSource(seed: 13)
        for _ in 0..<20_000 {
            let millis = Int64.random(in: 0...253_402_300_799_999, using: &random)
            #expect(ISODate.parse(DateText.iso(millis)) == millis)
            #expect(CivilTime(millis: millis).millis == millis)
        }
        for millis in [Int64.min, .max, 0, -1] {
            #expect(CivilTime(millis: millis).millis == millis)
        }
    }

    /// What a format writes, it reads.
    @Test func formatsReadWhatTheyWrite() {
        var random = RandomSource(seed: 14)
        for format in ["%Y-%m-%dT%H:%M:%S.%L%z", "%d %B %Y %H%M%S%L", "%G:%V:%u %H:%M:%S.%L"] {
            for _ in 0..<500 {
                let millis = Int64.random(
                    in: -60_000_000_000_000...200_000_000_000_000, using: &random)
                let text = evaluate([
                    "$dateToString": ["date": .date(millis), "format": .string(format)]
                ])
                guard case .value(let written) = text else {
                    Issue.record("\(text)")
                    continue
                }
                let read: Value = [
                    "$dateFromString": ["dateString": written, "format": .string(format)]
                ]
                #expect(evaluate(read) == .value(.date(millis)), "\(format): \(written)")
            }
        }
    }

    /// Damaged and cut files are no zones, and nothing worse.
    @Test func damagedFiles() throws {
        let file = try #require(
            FileManager.default.contents(atPath: "/usr/share/zoneinfo/Europe/Paris"))
        let bytes = [UInt8](file)
        #expect(ZoneFile.parse(bytes) != nil)
        var random = RandomSource(seed: 15)
        for count in 0..<min(bytes.count, 400) { _ = ZoneFile.parse(Array(bytes.prefix(count))) }
        for _ in 0..<3000 {
            var damaged = bytes
            for _ in 0..<4 {
                damaged[Int.random(in: 0..<damaged.count, using: &random)] = .random(
                    in: 0...255, using: &random)
            }
            if let rules = ZoneFile.parse(damaged) {
                _ = rules.offset(at: .random(in: -4_000_000_000...9_000_000_000, using: &random))
            }
        }
    }

    /// The rule behind the last transition, north and south of the equator.
    @Test(
        arguments: [
            ("CET-1CEST,M3.5.0,M10.5.0/3", 1_782_864_000, 7200),
            ("CET-1CEST,M3.5.0,M10.5.0/3", 1_767_225_600, 3600),
            ("AEST-10AEDT,M10.1.0,M4.1.0/3", 1_767_225_600, 39600), ("<+0330>-3:30", 0, 12600),
            ("EST5EDT,J60,J300", 1_782_864_000, -14400), ("EST5EDT,59,299", 1_767_225_600, -18000),
        ] as [(String, Int64, Int64)])
    func recurringRules(_ text: String, _ seconds: Int64, _ offset: Int64) throws {
        #expect(try #require(RecurringRule(text.utf8)).offset(at: seconds) == offset)
    }

    @Test(arguments: ["", "E", "5", "EST5EDT", "EST5EDT,M13.1.0,M1.1.0", "EST5EDT,M3.1.0", "<EST5"])
    func malformedRules(_ text: String) {
        #expect(RecurringRule(text.utf8) == nil)
    }
}
