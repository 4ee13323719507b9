// What `roost serve` runs with: flags win over environment variables, which win over defaults.

import ArgumentParser
import Glibc
import Logging
import Roost
import Server

/// The process's environment variables.
struct Environment {
    private let variables: [String: String]

    init(_ variables: [String: String]) {
        self.variables = variables
    }

    /// The variable's value; nil where it is not set or empty.
    subscript(_ name: String) -> String? {
        variables[name].flatMap { $0.isEmpty ? nil : $0 }
    }

    /// Whether the variable says yes.
    func isTrue(_ name: String) -> Bool { ["1", "true", "yes"].contains(self[name]) }

    /// Reads the `ROOST_…` variables that `serve` knows.
    static var current: Environment {
        let names = [
            "DIR", "LISTEN", "DURABILITY", "QUOTA", "MAX_CONNECTIONS", "TLS_CERT", "TLS_KEY",
            "TLS_CA", "REPLICA_SET", "ADVERTISE", "SERIALIZABLE", "LOG_LEVEL", "TEST_COMMANDS",
            "CHANGE_LOG_HOURS", "CHANGE_LOG_SIZE",
        ]
        var variables: [String: String] = [:]
        for name in names {
            if let value = getenv("ROOST_\(name)") {
                variables["ROOST_\(name)"] = String(cString: value)
            }
        }
        return Environment(variables)
    }
}

/// Checked settings.
struct ServeSettings {
    var folder: String
    var isRelaxed = false
    /// In bytes; nil for no bound but the disk.
    var quotaBytes: UInt64?
    /// How long changes are kept.
    var changeLog = LogLimits()
    var logLevel = Logger.Level.info
    var server = ServerOptions()

    init(_ flags: Serve, _ environment: Environment) throws {
        folder = flags.folder ?? environment["ROOST_DIR"] ?? "./data"
        let addresses =
            flags.listen.isEmpty
            ? (environment["ROOST_LISTEN"] ?? "127.0.0.1:27017").split(separator: ",").map {
                String($0)
            } : flags.listen
        server.listen = try addresses.map { text in
            guard let address = ServerOptions.Address(text) else {
                throw ValidationError("'\(text)' is no address; --listen takes HOST:PORT")
            }
            return address
        }
        switch flags.durability ?? environment["ROOST_DURABILITY"] ?? "full" {
        case "full": isRelaxed = false
        case "relaxed": isRelaxed = true
        case let other:
            throw ValidationError("--durability is 'full' or 'relaxed', not '\(other)'")
        }
        if let text = flags.quota ?? environment["ROOST_QUOTA"] {
            guard let bytes = Self.bytes(text) else {
                throw ValidationError(
                    "--quota '\(text)' is no size; examples: 500MB, 20GiB, 1073741824")
            }
            quotaBytes = bytes
        }
        try readChangeLog(flags, environment)
        try readConnections(flags, environment)
        try readTLS(flags, environment)
        server.replicaSet = flags.replicaSet ?? environment["ROOST_REPLICA_SET"]
        server.advertise = flags.advertise ?? environment["ROOST_ADVERTISE"]
        if server.advertise != nil, server.replicaSet == nil {
            throw ValidationError("--advertise needs --replica-set NAME")
        }
        let level = flags.logLevel ?? environment["ROOST_LOG_LEVEL"] ?? "info"
        guard let logLevel = Logger.Level(rawValue: level) else {
            throw ValidationError("--log-level '\(level)' is no level; info is the default")
        }
        self.logLevel = logLevel
        server.transactionsAreSerializable =
            flags.serializable || environment.isTrue("ROOST_SERIALIZABLE")
        server.offersTestCommands =
            flags.testCommands || environment.isTrue("ROOST_TEST_COMMANDS")
        server.commandLine = CommandLine.arguments
    }

    private mutating func readConnections(_ flags: Serve, _ environment: Environment) throws {
        if let count = flags.maxConnections {
            server.connectionsMax = count
        } else if let text = environment["ROOST_MAX_CONNECTIONS"] {
            guard let count = Int(text) else {
                throw ValidationError("ROOST_MAX_CONNECTIONS '\(text)' is no number")
            }
            server.connectionsMax = count
        }
        guard server.connectionsMax > 0 else {
            throw ValidationError("--max-connections must be at least 1")
        }
    }

    private mutating func readChangeLog(_ flags: Serve, _ environment: Environment) throws {
        if let hours = flags.changeLogHours
            ?? environment["ROOST_CHANGE_LOG_HOURS"].flatMap({ Int($0) })
        {
            guard (1...87_600).contains(hours) else {
                throw ValidationError("--change-log-hours is between 1 and 87600, not \(hours)")
            }
            changeLog.ageSecondsMax = Int64(hours) * 3_600
        }
        if let text = flags.changeLogSize ?? environment["ROOST_CHANGE_LOG_SIZE"] {
            guard let bytes = Self.bytes(text) else {
                throw ValidationError(
                    "--change-log-size '\(text)' is no size; examples: 500MB, 20GiB, 1073741824")
            }
            changeLog.bytesMax = bytes
        }
    }

    private mutating func readTLS(_ flags: Serve, _ environment: Environment) throws {
        let certificate = flags.tlsCert ?? environment["ROOST_TLS_CERT"]
        let key = flags.tlsKey ?? environment["ROOST_TLS_KEY"]
        let authority = flags.tlsCa ?? environment["ROOST_TLS_CA"]
        switch (certificate, key) {
        case (let certificate?, let key?):
            server.tls = ServerOptions.TLS(
                certificateFile: certificate, keyFile: key, authorityFile: authority)
        case (nil, nil):
            if authority != nil {
                throw ValidationError("--tls-ca needs --tls-cert and --tls-key")
            }
        default:
            throw ValidationError("--tls-cert and --tls-key go together")
        }
    }

    /// Reads `1024`, `500MB`, `20GiB`.
    static func bytes(_ text: String) -> UInt64? {
        let digits = text.prefix { $0.isNumber }
        guard let number = UInt64(digits) else { return nil }
        let factors: [String: UInt64] = [
            "": 1, "B": 1, "KB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000,
            "TB": 1_000_000_000_000, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40,
            "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40,
        ]
        let unit = text.dropFirst(digits.count).filter { $0 != " " }.uppercased()
        guard let factor = factors[unit] else { return nil }
        let (product, overflows) = number.multipliedReportingOverflow(by: factor)
        return overflows ? nil : product
    }
}
