// The keys of an issuer that is configured by a URL: fetched when the server starts, every hour, and
// when a token names a key that isn't known (the issuer has rotated its keys), that at most every
// ten seconds. While the issuer can't be asked, the last good keys serve on.

import BSON
import Logging
import Roost
import Synchronization

/// Where an issuer's keys are.
package enum KeySource: Sendable {
    /// At that URL, as a JSON Web Key Set.
    case keySet(String)
    /// Where the OpenID configuration of that issuer says (OpenID Connect Discovery 1.0).
    case discovery(String)
}

/// What an issuer says of itself.
struct IssuerConfiguration: Sendable {
    let keySetURL: String
    let authorizationURL: String?
    let tokenURL: String?
    /// Whether the token endpoint takes the client's secret as a field, rather than in a header.
    let takesSecretInForm: Bool

    /// Asks an issuer.
    /// - Throws: 6 HostUnreachable; 9 FailedToParse where the answer is another issuer's.
    init(_ issuer: String, _ fetcher: HTTPFetcher) throws(DBError) {
        let base = issuer.hasSuffix("/") ? String(issuer.dropLast()) : issuer
        let found = try fetcher.object(base + "/.well-known/openid-configuration")
        guard found.view.value("issuer")?.string == issuer,
            let keys = found.view.value("jwks_uri")?.string
        else {
            throw DBError(
                .failedToParse,
                "the OpenID configuration is not that of '\(issuer)', or has no jwks_uri")
        }
        keySetURL = keys
        authorizationURL = found.view.value("authorization_endpoint")?.string
        tokenURL = found.view.value("token_endpoint")?.string
        var methods: [String] = []
        if let list = found.view.value("token_endpoint_auth_methods_supported")?.array {
            var elements = list.makeIterator()
            while let element = elements.next() { methods.append(element.value.string ?? "") }
        }
        takesSecretInForm = methods.contains("client_secret_post")
    }
}

/// Keeps a verifier's keys up to date. Safe from any thread.
final class IssuerKeys: Sendable {
    /// Least time between two fetches because of an unknown key.
    private static let missingMillis: Int64 = 10_000

    private let verifier: TokenVerifier
    private let source: KeySource
    private let fetcher: HTTPFetcher
    private let logger: Logger
    private let lastFetch = Mutex<Int64>(0)

    init(_ verifier: TokenVerifier, _ source: KeySource, _ fetcher: HTTPFetcher, _ logger: Logger) {
        self.verifier = verifier
        self.source = source
        self.fetcher = fetcher
        self.logger = logger
    }

    /// Whether an unknown key is a reason to fetch now; counts as a fetch.
    func mayFetchForMissing() -> Bool {
        let now = Clock.wallMillis
        return lastFetch.withLock { last in
            guard now - last >= Self.missingMillis else { return false }
            last = now
            return true
        }
    }

    /// Fetches the keys; where that fails, those that are known stay. Waits.
    /// - Returns: whether there are new ones.
    @discardableResult
    func fetch() -> Bool {
        lastFetch.withLock { $0 = Clock.wallMillis }
        do throws(DBError) {
            let url: String
            switch source {
            case .keySet(let given): url = given
            case .discovery(let issuer):
                url = try IssuerConfiguration(issuer, fetcher).keySetURL
            }
            let found = try fetcher.object(url)
            verifier.replaceKeys(try TokenKeySet(found))
            return true
        } catch {
            logger.warning(
                "an issuer's keys could not be fetched; those known serve on",
                metadata: ["issuer": "\(verifier.issuer)", "error": "\(error.message)"])
            return false
        }
    }
}

/// Percent-encoding of form fields and query parts (RFC 3986).
enum PercentCoding {
    static func encode(_ text: String) -> String { AppAccounts.percentEncoded(text) }
}
