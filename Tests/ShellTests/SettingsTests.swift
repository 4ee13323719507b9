import ArgumentParser
import Testing

@testable import RoostCLI
@testable import Server

/// What flags and environment variables come to.
@Suite struct SettingsTests {
    @Test(arguments: [
        ("127.0.0.1:27018", "127.0.0.1", 27_018), ("27018", "127.0.0.1", 27_018),
        ("localhost", "localhost", 27_017), (":1", "127.0.0.1", 1),
        ("[::1]:27018", "::1", 27_018), ("::1", "::1", 27_017), ("0", "127.0.0.1", 0),
    ])
    func addresses(text: String, host: String, port: Int) {
        #expect(ServerOptions.Address(text) == ServerOptions.Address(host: host, port: port))
    }

    @Test(arguments: ["70000", "a:b", "a b", "http://a:1", "a:-1", "a:65536", "[::1", "a/b"])
    func noAddresses(text: String) {
        #expect(ServerOptions.Address(text) == nil)
    }

    @Test(
        arguments: [
            ("1024", 1_024), ("500MB", 500_000_000), ("20GiB", 20 << 30), ("1 k", 1_024), ("0", 0),
        ] as [(String, UInt64)])
    func sizes(text: String, bytes: UInt64) {
        #expect(GivenText.bytes(text) == bytes)
    }

    @Test(arguments: ["", "MB", "-1", "1.5GB", "12XB", "99999999999TB", "1e3"])
    func noSizes(text: String) {
        #expect(GivenText.bytes(text) == nil)
    }

    @Test func flagsWinAndErrorsNameTheirOrigin() throws {
        var flags = try Serve.parse(["--quota", "64MiB"])
        let environment = Environment(["ROOST_QUOTA": "1", "ROOST_MAX_CONNECTIONS": "7"])
        let settings = try ServeSettings(flags, environment)
        #expect(settings.quotaBytes == 64 << 20)
        #expect(settings.server.connectionsMax == 7)
        flags.quota = nil
        let error = #expect(throws: SettingError.self) { try ServeSettings(flags, environment) }
        #expect(error?.description == "ROOST_QUOTA takes at least 16MiB, not '1'")
    }

    @Test(arguments: [
        ("plain", "plain"), ("", "\"\""), ("two words", "\"two words\""),
        ("a\nb", "\"a\\nb\""), ("say \"x\"", "\"say \\\"x\\\"\""), ("\u{1}", "\"\\u0001\""),
    ])
    func logValues(text: String, written: String) {
        #expect(LineLogHandler.quoted(text) == written)
    }
}
