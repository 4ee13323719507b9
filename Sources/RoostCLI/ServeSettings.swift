// What `roost serve` runs with: flags win over environment variables, which win over defaults.
//
// A wrong value is refused before anything is opened, in one line that names the flag or variable it
// came from, what is wrong and what would be right.

import BSON
import Gateway
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

    /// Reads the `ROOST_…` variables that `serve` knows.
    static var current: Environment {
        var variables: [String: String] = [:]
        for name in names {
            if let value = getenv(name) { variables[name] = String(cString: value) }
        }
        return Environment(variables)
    }

    /// The variables that `serve` knows, one for each option.
    static let names = [
        "DIR", "LISTEN", "DURABILITY", "QUOTA", "CHANGE_LOG_HOURS", "CHANGE_LOG_SIZE",
        "MAX_CONNECTIONS", "TLS_CERT", "TLS_KEY", "TLS_CA", "REPLICA_SET", "ADVERTISE",
        "SERIALIZABLE", "LOG_LEVEL", "RULES", "EXPLAIN_DENIALS", "TEST_COMMANDS", "AUTH",
        "JWT_ISSUER", "JWT_AUDIENCE", "JWT_JWKS", "MIGRATIONS", "MIGRATIONS_DATABASE",
        "MAIL_COMMAND", "ACCESS_LOG", "SMTP", "SMTP_PASSWORD_FILE", "MAIL_FROM", "AUDIT", "HTTP_CA",
        "SIGN_IN_PROVIDERS", "HTTP", "HTTP_RATE",
    ].map { "ROOST_\($0)" }
}

/// A wrong value of a flag or variable.
struct SettingError: Error, CustomStringConvertible {
    let description: String
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
    /// The security rules to put in force; nil for those that the folder holds.
    var rulesFile: String?
    /// The folder of migrations to apply before serving.
    var migrationsFolder: String?
    /// The database that they are about.
    var migrationsDatabase = "test"
    /// Whether errors tell app users why they are denied.
    var explainsDenials = false
    var server = ServerOptions()
    /// The HTTP door; nil for none.
    var http: GatewaySettings? = GatewaySettings(
        host: "127.0.0.1", port: Self.httpPort, isExplicit: false)

    /// Where the HTTP door is, where nobody says otherwise.
    private static let httpPort = 8_027

    /// The least that makes sense.
    static let quotaBytesMin: UInt64 = 16 << 20

    init(_ flags: Serve, _ environment: Environment) throws(SettingError) {
        let given = Given(environment)
        folder = flags.folder ?? environment["ROOST_DIR"] ?? "./data"
        rulesFile = flags.rules ?? environment["ROOST_RULES"]
        migrationsFolder = given(flags.migrations, "migrations")?.value
        migrationsDatabase =
            given(flags.migrationsDatabase, "migrations-database")?.value ?? "test"
        explainsDenials = flags.explainDenials || environment["ROOST_EXPLAIN_DENIALS"] == "1"
        try readAddresses(flags, given)
        if let text = given(flags.durability, "durability") {
            guard ["full", "relaxed"].contains(text.value) else {
                throw text.wrong("'full' or 'relaxed'")
            }
            isRelaxed = text.value == "relaxed"
        }
        quotaBytes = try given(flags.quota, "quota")?.bytes(atLeast: Self.quotaBytesMin)
        if let hours = try given(flags.changeLogHours, "change-log-hours")?.number(in: 1...87_600) {
            changeLog.ageSecondsMax = Int64(hours) * 3_600
        }
        if let bytes = try given(flags.changeLogSize, "change-log-size")?.bytes(atLeast: 1 << 16) {
            changeLog.bytesMax = bytes
        }
        if let count = try given(flags.maxConnections, "max-connections")?.number(in: 1...1_000_000)
        {
            server.connectionsMax = count
        }
        try readHTTP(flags, given)
        try readTLS(flags, given)
        try readAuthentication(flags, given)
        if let text = given(flags.logLevel, "log-level") {
            guard let level = Logger.Level(rawValue: text.value) else {
                throw text.wrong("one of \(Logger.Level.allCases.map(\.rawValue).listed)")
            }
            logLevel = level
        }
        let isSerializable = try given(nil, "serializable")?.truth()
        server.transactionsAreSerializable = flags.serializable || isSerializable == true
        let offersTestCommands = try given(nil, "test-commands")?.truth()
        server.offersTestCommands = flags.testCommands || offersTestCommands == true
        server.commandLine = CommandLine.arguments
    }

    private mutating func readAddresses(_ flags: Serve, _ given: Given) throws(SettingError) {
        if !flags.listen.isEmpty || given(nil, "listen") != nil {
            var addresses: [ServerOptions.Address] = []
            let texts =
                flags.listen.isEmpty
                ? given(nil, "listen")?.list ?? []
                : flags.listen.map { GivenText(value: $0, origin: "--listen") }
            for text in texts {
                let address = try text.address(example: "0.0.0.0:27017")
                guard address.port == 0 || !addresses.contains(address) else {
                    throw text.wrong("an address that is not named twice")
                }
                addresses.append(address)
            }
            server.listen = addresses
        }
        if let text = given(flags.replicaSet, "replica-set") {
            guard !text.value.isEmpty,
                text.value.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x2F && $0 != 0x2C })
            else {
                throw text.wrong("a name without spaces, commas and slashes, such as rs0")
            }
            server.replicaSet = text.value
        }
        if let text = given(flags.advertise, "advertise") {
            let address = try text.address(example: "db.example.com:27017")
            guard text.value.hasSuffix(":\(address.port)"), address.port > 0,
                !text.value.hasPrefix(":")
            else { throw text.wrong("HOST:PORT, such as db.example.com:27017") }
            guard server.replicaSet != nil else {
                throw SettingError(description: "\(text.origin) needs --replica-set NAME")
            }
            server.advertise = text.value
        }
    }

    private mutating func readHTTP(_ flags: Serve, _ given: Given) throws(SettingError) {
        if let text = given(flags.http, "http") {
            if text.value == "off" {
                http = nil
            } else {
                // A host alone takes the usual port, not the one of the TCP door.
                let address = try text.address(example: "127.0.0.1:\(Self.httpPort)")
                let hasPort =
                    text.value.hasSuffix("\(address.port)") || text.value.hasSuffix(":0")
                http = GatewaySettings(
                    host: address.host, port: hasPort ? address.port : Self.httpPort,
                    isExplicit: true)
            }
        }
        if let count = try given(flags.httpRate, "http-rate")?.number(in: 0...1_000_000) {
            http?.requestsPerSecond = count
        }
    }

    private mutating func readAuthentication(
        _ flags: Serve, _ given: Given
    ) throws(SettingError) {
        if let text = given(flags.auth, "auth") {
            guard let policy = AuthenticationPolicy(rawValue: text.value),
                policy != .onceThereIsAnAccount
            else { throw text.wrong("'required' or 'off'") }
            server.authentication = policy
        }
        if let text = given(flags.audit, "audit") {
            guard let level = AuditLevel(rawValue: text.value) else {
                throw text.wrong("one of \(AuditLevel.allCases.map(\.rawValue).listed)")
            }
            server.audit = level
        }
        server.accessLog = given(flags.accessLog, "access-log")?.value
        try readMail(flags, given)
        let authority = given(flags.httpCa, "http-ca")
        try authority?.checkReadable()
        server.httpAuthorityFile = authority?.value
        try readProviders(given(flags.signInProviders, "sign-in-providers"))
        try readIssuer(flags, given)
    }

    /// How messages reach app users.
    private mutating func readMail(_ flags: Serve, _ given: Given) throws(SettingError) {
        server.mailCommand = given(flags.mailCommand, "mail-command")?.value
        let sender = given(flags.mailFrom, "mail-from")
        let password = given(flags.smtpPasswordFile, "smtp-password-file")
        guard let text = given(flags.smtp, "smtp") else {
            if let lone = sender ?? password {
                throw SettingError(description: "\(lone.origin) needs --smtp URL")
            }
            return
        }
        guard var mail = MailServer(text.value) else {
            throw text.wrong("a URL such as smtps://app@mail.example.com (no password in it)")
        }
        guard server.mailCommand == nil else {
            throw SettingError(description: "\(text.origin) and --mail-command exclude each other")
        }
        guard let sender else {
            throw SettingError(description: "\(text.origin) needs --mail-from ADDRESS")
        }
        mail.from = sender.value
        guard mail.sender != nil else {
            throw sender.wrong("an address, such as 'App <no-reply@example.com>'")
        }
        guard (mail.user != nil) == (password != nil) else {
            throw SettingError(
                description: "a user in \(text.origin) and --smtp-password-file go together")
        }
        if let password {
            try password.checkReadable()
            let lines = KeyFile.read(password.value).split(whereSeparator: \.isNewline)
            guard lines.count == 1, let line = lines.first else {
                throw password.wrong("a file whose one line is the password")
            }
            mail.password = String(line)
        }
        server.mailServer = mail
    }

    /// Whose tokens are accepted, and where the keys are.
    private mutating func readIssuer(_ flags: Serve, _ given: Given) throws(SettingError) {
        let issuer = given(flags.jwtIssuer, "jwt-issuer")
        let audience = given(flags.jwtAudience, "jwt-audience")
        let keys = given(flags.jwtJwks, "jwt-jwks")
        let hasKeys = keys != nil || issuer.map { HTTPAddress($0.value) != nil } == true
        guard let issuer, let audience, hasKeys else {
            if issuer == nil, audience == nil, keys == nil { return }
            throw SettingError(
                description: "--jwt-issuer, --jwt-audience and --jwt-jwks go together; the last "
                    + "may be left out where the issuer is an https URL")
        }
        guard issuer.value != AppAccounts.issuer else {
            throw issuer.wrong("another name: 'roost' is the issuer of the accounts kept here")
        }
        var known = TokenKeySet([])
        if let keys, HTTPAddress(keys.value) == nil {
            try keys.checkReadable()
            do throws(DBError) {
                known = try TokenKeySet(jwks: Array(KeyFile.read(keys.value).utf8))
            } catch {
                throw SettingError(
                    description: "\(keys.origin) '\(keys.value)': \(error.message)")
            }
        } else {
            server.tokenKeys = keys.map { KeySource.keySet($0.value) } ?? .discovery(issuer.value)
        }
        server.tokens = TokenVerifier(
            issuer: issuer.value, audience: audience.value, keys: known)
    }

    private mutating func readProviders(_ file: GivenText?) throws(SettingError) {
        guard let file else { return }
        try file.checkReadable()
        do throws(DBError) {
            server.providers = try SignInProvider.list(Array(KeyFile.read(file.value).utf8))
        } catch {
            throw SettingError(description: "\(file.origin) '\(file.value)': \(error.message)")
        }
    }

    private mutating func readTLS(_ flags: Serve, _ given: Given) throws(SettingError) {
        let certificate = given(flags.tlsCert, "tls-cert")
        let key = given(flags.tlsKey, "tls-key")
        let authority = given(flags.tlsCa, "tls-ca")
        for file in [certificate, key, authority] { try file?.checkReadable() }
        switch (certificate, key) {
        case (let certificate?, let key?):
            server.tls = ServerOptions.TLS(
                certificateFile: certificate.value, keyFile: key.value,
                authorityFile: authority?.value)
        case (nil, nil):
            if let authority {
                throw SettingError(
                    description: "\(authority.origin) needs --tls-cert and --tls-key")
            }
        default:
            throw SettingError(description: "--tls-cert and --tls-key go together")
        }
    }
}

/// Looks for a setting's value, flags first.
private struct Given {
    let environment: Environment

    init(_ environment: Environment) {
        self.environment = environment
    }

    /// The value of the option `name`, as on the command line without the dashes.
    func callAsFunction(_ flag: String?, _ name: String) -> GivenText? {
        if let flag { return GivenText(value: flag, origin: "--\(name)") }
        let variable = "ROOST_" + name.uppercased().map { $0 == "-" ? "_" : String($0) }.joined()
        return environment[variable].map { GivenText(value: $0, origin: variable) }
    }
}
