// `roost serve`: options from flags and environment, then the server until a signal stops it.

import ArgumentParser
import Glibc
import BSON
import Gateway
import Logging
import NIOCore
import Roost
import Server
import ServiceLifecycle
import UnixSignals

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Serve the database in a folder.",
        discussion: """
            The folder is made if it is not there. Stop with Ctrl-C or SIGTERM: what runs
            is answered, then the database closes. Nothing that was acknowledged is lost
            even when the process is killed.

            EXAMPLES
              roost serve                                 ./data on 127.0.0.1:27017
              roost serve /var/lib/roost --listen 0.0.0.0:27017 --listen '[::1]:27018'
              roost serve --durability relaxed            faster writes; a power cut may
                                                          take the last of them, and
                                                          never damages the rest
              roost serve --quota 20GiB --max-connections 500
              roost serve --tls-cert server.pem --tls-key server.key
              roost serve --replica-set rs0 --advertise db.example.com:27017

            ENVIRONMENT
              Every option can also be a variable: ROOST_DIR, ROOST_LISTEN (addresses
              separated by commas), ROOST_DURABILITY, ROOST_QUOTA, ROOST_CHANGE_LOG_HOURS,
              ROOST_CHANGE_LOG_SIZE, ROOST_MAX_CONNECTIONS, ROOST_TLS_CERT, ROOST_TLS_KEY,
              ROOST_TLS_CA, ROOST_REPLICA_SET, ROOST_ADVERTISE, ROOST_SERIALIZABLE=1,
              ROOST_LOG_LEVEL, ROOST_MIGRATIONS, ROOST_MIGRATIONS_DATABASE, ROOST_RULES,
              ROOST_EXPLAIN_DENIALS=1, ROOST_AUTH, ROOST_JWT_ISSUER, ROOST_JWT_AUDIENCE,
              ROOST_JWT_JWKS, ROOST_MAIL_COMMAND, ROOST_SMTP, ROOST_SMTP_PASSWORD_FILE,
              ROOST_MAIL_FROM, ROOST_ACCESS_LOG, ROOST_AUDIT, ROOST_HTTP_CA,
              ROOST_SIGN_IN_PROVIDERS, ROOST_HTTP, ROOST_HTTP_RATE,
              ROOST_TEST_COMMANDS=1. A flag wins over its variable.

            EXIT STATUS
              0 after a graceful stop; 64 for a wrong option or variable; 1 where the
              folder can't be opened or an address can't be listened on; 74 where the data
              file can't be read any more (it was cut, the disk fails): see roost verify.
            """)

    @Argument(help: "The folder of the database (default: ./data).")
    var folder: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Where to listen; may repeat (default: 127.0.0.1:27017). A number alone is a port on 127.0.0.1; 0.0.0.0 listens on all addresses.",
            valueName: "host:port"))
    var listen: [String] = []

    @Option(
        help: ArgumentHelp(
            "Where to listen for HTTP and WebSocket (default: 127.0.0.1:8027); 'off' for nowhere.",
            valueName: "host:port|off"))
    var http: String?

    @Option(
        help: ArgumentHelp(
            "Most HTTP requests a second of one user, or of one address that isn't signed in (default: no bound).",
            valueName: "n"))
    var httpRate: String?

    @Option(
        help: ArgumentHelp(
            "'full' syncs before acknowledging; 'relaxed' may lose the last writes at a power cut.",
            valueName: "full|relaxed"))
    var durability: String?

    @Option(
        help: ArgumentHelp(
            "Most the data may take on disk, such as 500MB or 20GiB; the redo log comes on top.",
            valueName: "size"))
    var quota: String?

    @Option(
        help: ArgumentHelp(
            "Hours that changes are kept for streams to resume (default: 24).", valueName: "n"))
    var changeLogHours: String?

    @Option(
        help: ArgumentHelp(
            "Most that kept changes may take, such as 1GiB (default: a tenth of the quota, or of the disk and at most 4GiB).",
            valueName: "size"))
    var changeLogSize: String?

    @Option(help: ArgumentHelp("Most connections at once (default: 10000).", valueName: "n"))
    var maxConnections: String?

    @Option(help: ArgumentHelp("The server's certificate chain, PEM.", valueName: "file"))
    var tlsCert: String?

    @Option(help: ArgumentHelp("The certificate's private key, PEM.", valueName: "file"))
    var tlsKey: String?

    @Option(
        help: ArgumentHelp(
            "Roots of clients' certificates, PEM; clients must then show one.", valueName: "file"))
    var tlsCa: String?

    @Option(
        help: ArgumentHelp(
            "Present the server as a replica set of one with this name.", valueName: "name"))
    var replicaSet: String?

    @Option(
        help: ArgumentHelp(
            "The address that a replica set tells drivers to connect to.", valueName: "host:port"))
    var advertise: String?

    @Flag(
        help: """
            Refuse commits of transactions whose reads no longer hold, so that they have the effect \
            of running one after another (also for one: readConcern {level: 'serializable'}).
            """)
    var serializable = false

    @Option(
        help: ArgumentHelp(
            "trace, debug, info, notice, warning, error or critical (default: info).",
            valueName: "level"))
    var logLevel: String?

    @Option(
        help: ArgumentHelp(
            "'required': everyone signs in, and the first start makes an administrator; 'off': nobody (default: once there is an account; before, only this machine is served).",
            valueName: "required|off"))
    var auth: String?

    @Option(
        help: ArgumentHelp("The issuer of app users' tokens (JWT), their 'iss'.", valueName: "name")
    )
    var jwtIssuer: String?

    @Option(help: ArgumentHelp("The 'aud' that app users' tokens must have.", valueName: "name"))
    var jwtAudience: String?

    @Option(
        help: ArgumentHelp(
            "The issuer's keys: a file or https URL of a JSON Web Key Set (default: what the issuer's OpenID configuration names).",
            valueName: "file|url"))
    var jwtJwks: String?

    @Option(
        help: ArgumentHelp(
            "Roots that certificates of issuers and of the mail server are checked with, PEM (default: the system's).",
            valueName: "file"))
    var httpCa: String?

    @Option(
        help: ArgumentHelp(
            "Providers that app users may sign in with (OpenID Connect), in JSON: see Authentication.md.",
            valueName: "file"))
    var signInProviders: String?

    @Option(
        help: ArgumentHelp(
            "What admin.system.audit notes: 'identity' (sign-ins, changes of accounts and rules, refusals; the default), 'accesses' (also each command that bypasses the rules) or 'off'.",
            valueName: "level"))
    var audit: String?

    @Option(
        help: ArgumentHelp(
            "Shell command that gets each message to an app user on its standard input, such as 'sendmail -t'; with it, sign-ups confirm their address.",
            valueName: "command"))
    var mailCommand: String?

    @Option(
        help: ArgumentHelp(
            "Record what app users ask and what the rules say, with the documents, for 'roost rules replay'.",
            valueName: "file"))
    var accessLog: String?

    @Option(
        help: ArgumentHelp(
            "Mail server for messages to app users: smtps://[USER@]HOST, or smtp:// with STARTTLS; with it, sign-ups confirm their address.",
            valueName: "url"))
    var smtp: String?

    @Option(
        help: ArgumentHelp("A file with the mail server's password.", valueName: "file"))
    var smtpPasswordFile: String?

    @Option(
        help: ArgumentHelp(
            "Whom messages come from, such as 'App <no-reply@example.com>'.", valueName: "address"))
    var mailFrom: String?

    @Option(
        help: ArgumentHelp(
            "Put these security rules in force: what app users may do.", valueName: "file"))
    var rules: String?

    @Option(
        help: ArgumentHelp("Apply this folder's migrations before serving.", valueName: "folder"))
    var migrations: String?

    @Option(
        help: ArgumentHelp(
            "The database that the migrations are about (default: test).", valueName: "name"))
    var migrationsDatabase: String?

    @Flag(help: "Tell app users why the security rules deny a request; for development.")
    var explainDenials = false

    @Flag(help: "Offer configureFailPoint, for drivers' own test suites.")
    var testCommands = false

    func run() async throws {
        returnLargeBlocks()
        let settings: ServeSettings
        do throws(SettingError) {
            settings = try ServeSettings(self, Environment.current)
        } catch {
            Self.refuse(error.description)
            throw ExitCode(64)
        }
        let recentLog = LogLines()
        LoggingSystem.bootstrap { label in
            var handler = LineLogHandler(label: label, recent: recentLog)
            handler.logLevel = settings.logLevel
            return handler
        }
        let logger = Logger(label: "roost")
        try await serve(settings, logger, recentLog)
    }

    /// One line on standard error.
    private static func refuse(_ message: String) {
        var line = "Error: \(message) (see roost serve --help)\n"
        line.withUTF8 { bytes in _ = write(STDERR_FILENO, bytes.baseAddress, bytes.count) }
    }

    /// Makes the first account, and shows its password this once.
    private func makeFirstAdministrator(_ engine: RoostEngine) throws {
        do throws(DBError) {
            guard try !Administrator.hasAccounts(engine) else { return }
            let password = Administrator.newPassword()
            try Administrator.create("admin", password: password, engine)
            Terminal.write(
                """
                This is the first start with --auth required. The administrator was made:

                    user      admin
                    password  \(password)

                The password is shown only now. Change it with
                    db.runCommand({updateUser: "admin", pwd: "..."}) on database admin


                """)
        } catch {
            throw FailureMessage.about(error, "cannot make the administrator")
        }
    }

    private func serve(
        _ settings: ServeSettings, _ logger: Logger, _ recentLog: LogLines
    ) async throws {
        let engine = try OpenedEngine(settings, logger).engine
        defer { engine.close() }
        engine.explainFaults()
        if let reason = engine.writesStoppedReason {
            logger.error("only reads are possible", metadata: ["reason": "\(reason)"])
        }
        engine.audit.level = settings.server.audit
        if settings.server.authentication == .required { try makeFirstAdministrator(engine) }
        try deploy(settings, engine)
        try migrate(settings, engine, logger)
        let server = try await Server(options: settings.server, engine: engine, logger: logger)
        recentLog.connect(server.recentLog)
        // Before the other services: the HTTP door needs the server's loops.
        do {
            try await server.start()
        } catch {
            await server.stop()
            throw FailureMessage(description: "\(error)")
        }
        var services: [ServiceGroupConfiguration.ServiceConfiguration] = [
            .init(service: server, successTerminationBehavior: .gracefullyShutdownGroup)
        ]
        if var http = settings.http {
            http.notReadyReason = {
                let reasons = server.readiness.reasons
                return reasons.isEmpty ? nil : reasons.joined(separator: "; ")
            }
            http.metrics = { server.metricsText }
            http.version = Version.roost
            http.tls = try makeTLSHandlers(server)
            // It stops first, since its requests run on the server.
            let gateway = Gateway(settings: http, door: server, logger: logger)
            services.append(
                .init(service: gateway, successTerminationBehavior: .gracefullyShutdownGroup))
        }
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: services,
                gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
        do {
            try await group.run()
        } catch let error as GatewayListenError {
            throw FailureMessage(description: "\(error)")
        }
        logger.info("stopped")
    }
}

extension Serve {
    /// What speaks TLS on the HTTP door.
    private func makeTLSHandlers(_ server: Server) throws -> (@Sendable () -> any ChannelHandler)? {
        do {
            return try server.makeTLSHandlers()
        } catch {
            throw FailureMessage(description: "\(error)")
        }
    }

    /// Applies the migrations of the folder that the settings name.
    private func migrate(
        _ settings: ServeSettings, _ engine: RoostEngine, _ logger: Logger
    ) throws {
        guard let folder = settings.migrationsFolder else { return }
        do throws(DBError) {
            let files = try MigrationFile.folder(folder)
            let done = try engine.migrate(files, database: settings.migrationsDatabase) { _ in }
            if !done.isEmpty {
                logger.info(
                    "migrated",
                    metadata: [
                        "database": "\(settings.migrationsDatabase)", "migrations": "\(done)",
                    ])
            }
        } catch {
            throw FailureMessage(description: "cannot migrate: \(error.message)")
        }
    }

    /// Puts the rules in force that the settings name, if they aren't yet.
    private func deploy(_ settings: ServeSettings, _ engine: RoostEngine) throws {
        engine.rules.denials.tellsUsers = settings.explainsDenials
        guard let path = settings.rulesFile else { return }
        let texts = try RulesFiles.texts(path)
        let current = engine.rules.current?.files.map { [$0.name, $0.text] }
        if current == texts.map({ [$0.name, $0.text] }) { return }
        do throws(DBError) {
            _ = try engine.deployRules(texts, by: "serve --rules")
        } catch {
            throw FailureMessage(description: error.message)
        }
    }
}

/// Opens the folder that the settings name.
private struct OpenedEngine {
    let engine: RoostEngine

    init(_ settings: ServeSettings, _ logger: Logger) throws {
        var options = EngineOptions()
        options.durability = settings.isRelaxed ? .relaxed : .full
        options.quotaBytes = settings.quotaBytes
        options.changeLog = settings.changeLog
        options.scanThreads = availableProcessors()
        do throws(DBError) {
            engine = try RoostEngine(path: settings.folder, options: options, logger: logger)
        } catch {
            throw FailureMessage.about(error, "cannot open '\(settings.folder)'")
        }
    }
}

/// A message for a person; ArgumentParser prints errors by their description.
struct FailureMessage: Error, CustomStringConvertible {
    let description: String

    /// What failed and why; only the reason where that already says what could not be opened.
    static func about(_ error: DBError, _ failure: String) -> FailureMessage {
        FailureMessage(
            description: error.message.hasPrefix("cannot open ")
                ? error.message : "\(failure): \(error.message)")
    }
}
