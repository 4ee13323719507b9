// Signing in with another provider: OAuth 2.0 authorization code flow with PKCE (RFC 6749, 7636),
// and OpenID Connect's id_token. Any provider that publishes an OpenID configuration will do; the
// file that `--sign-in-providers` names says which:
//
//     {"providers": [{"name": "google", "issuer": "https://accounts.google.com",
//                     "clientID": "…", "clientSecret": "…", "scope": "openid email",
//                     "redirectURIs": ["https://app.example/back"]}]}
//
//     begin ──▶ {url, state}     the app keeps `state` in the browser and sends the user to `url`
//     finish(state, code)        the app compares `state` with what the browser kept, then asks here
//
// What is under way (state, nonce, code verifier) is kept in memory for ten minutes and serves once.

package import BSON
import Crypto
import Roost
import Synchronization
import Wire

/// A provider as it is configured.
package struct SignInProvider: Sendable {
    let name: String
    let issuer: String
    let clientID: String
    let clientSecret: String?
    let scope: String
    let redirectURIs: [String]

    /// Reads a file of providers.
    /// - Throws: 9 FailedToParse with what is wrong.
    package static func list(_ text: [UInt8]) throws(DBError) -> [SignInProvider] {
        guard let file = PlainJSON.object(text), let list = file.view.value("providers")?.array
        else {
            throw DBError(.failedToParse, "this is no JSON of the form {\"providers\": [...]}")
        }
        var providers: [SignInProvider] = []
        var elements = list.makeIterator()
        while let element = elements.next() {
            guard let fields = element.value.document, let provider = SignInProvider(fields) else {
                throw DBError(
                    .failedToParse,
                    "provider \(providers.count + 1) needs name, issuer (an https URL), clientID "
                        + "and redirectURIs")
            }
            guard !providers.contains(where: { $0.name == provider.name }) else {
                throw DBError(.failedToParse, "there are two providers '\(provider.name)'")
            }
            providers.append(provider)
        }
        return providers
    }

    private init?(_ fields: DocumentView) {
        guard let name = fields.value("name")?.string, !name.isEmpty,
            let issuer = fields.value("issuer")?.string, HTTPAddress(issuer) != nil,
            let clientID = fields.value("clientID")?.string,
            let list = fields.value("redirectURIs")?.array
        else { return nil }
        self.name = name
        self.issuer = issuer
        self.clientID = clientID
        clientSecret = fields.value("clientSecret")?.string
        scope = fields.value("scope")?.string ?? "openid email"
        var uris: [String] = []
        var elements = list.makeIterator()
        while let element = elements.next() { uris.append(element.value.string ?? "") }
        guard !uris.isEmpty, !uris.contains("") else { return nil }
        redirectURIs = uris
    }
}

/// The sign-ins with other providers that are under way. Safe from any thread; calls may wait.
final class ProviderSignIns: Sendable {
    /// How long a user may take at the provider, in milliseconds.
    private static let millisMax: Int64 = 10 * 60 * 1_000
    /// Most that are under way.
    private static let pendingMax = 10_000
    /// How long what a provider says of itself is taken for true, in milliseconds.
    private static let knownMillis: Int64 = 3_600_000

    private struct Pending: Sendable {
        let provider: SignInProvider
        let redirectURI: String
        let nonce: String
        let codeVerifier: String
        let user: String?
        let endMillis: Int64
    }

    private struct Known: Sendable {
        let configuration: IssuerConfiguration
        let verifier: TokenVerifier
        let keys: IssuerKeys
        let atMillis: Int64
    }

    private struct State {
        var pending: [String: Pending] = [:]
        var known: [String: Known] = [:]
    }

    private let providers: [SignInProvider]
    private let fetcher: HTTPFetcher
    private let makeKeys: @Sendable (TokenVerifier, String) -> IssuerKeys
    private let state = Mutex(State())

    init(
        _ providers: [SignInProvider], _ fetcher: HTTPFetcher,
        makeKeys: @escaping @Sendable (TokenVerifier, String) -> IssuerKeys
    ) {
        self.providers = providers
        self.fetcher = fetcher
        self.makeKeys = makeKeys
    }

    /// Where to send a user, and the state that comes back.
    /// - Parameter user: links the provider's identity to this user.
    /// - Throws: 2 BadValue for another provider or redirect URI than those configured; 6
    ///   HostUnreachable.
    func begin(
        _ name: String, redirectURI: String?, user: String?
    ) throws(DBError) -> (url: String, state: String) {
        guard let provider = providers.first(where: { $0.name == name }) else {
            throw DBError(
                .badValue, "there is no provider '\(name)': see --sign-in-providers")
        }
        let redirectURI = redirectURI ?? provider.redirectURIs[0]
        guard provider.redirectURIs.contains(redirectURI) else {
            throw DBError(.badValue, "this redirectURI is not one of the provider's")
        }
        let known = try known(provider)
        guard let endpoint = known.configuration.authorizationURL,
            HTTPAddress(endpoint) != nil
        else {
            throw DBError(.hostUnreachable, "the provider names no authorization_endpoint")
        }
        func random() -> String { Base64URL.encode(SecureRandom.bytes(32)) }
        let now = Clock.wallMillis
        let pending = Pending(
            provider: provider, redirectURI: redirectURI, nonce: random(), codeVerifier: random(),
            user: user, endMillis: now + Self.millisMax)
        let state = random()
        let fits = self.state.withLock { all in
            if all.pending.count >= Self.pendingMax {
                all.pending = all.pending.filter { $0.value.endMillis > now }
            }
            guard all.pending.count < Self.pendingMax else { return false }
            all.pending[state] = pending
            return true
        }
        guard fits else {
            throw DBError(.temporarilyUnavailable, "too many sign-ins are under way")
        }
        let challenge = Base64URL.encode(SecureRandom.digest(Array(pending.codeVerifier.utf8)))
        let fields = [
            ("response_type", "code"), ("client_id", provider.clientID),
            ("redirect_uri", redirectURI), ("scope", provider.scope), ("state", state),
            ("nonce", pending.nonce), ("code_challenge", challenge),
            ("code_challenge_method", "S256"),
        ]
        let query = fields.map { "\($0.0)=\(PercentCoding.encode($0.1))" }.joined(separator: "&")
        return (endpoint + (endpoint.contains("?") ? "&" : "?") + query, state)
    }

    /// Exchanges the code that came back, and checks who it is.
    /// - Returns: the identity, and the user that it is to be linked to.
    /// - Throws: 18 AuthenticationFailed.
    func finish(
        state: String, code: String
    ) throws(DBError) -> (identity: ProviderIdentity, user: String?) {
        let pending = self.state.withLock { $0.pending.removeValue(forKey: state) }
        guard let pending, pending.endMillis > Clock.wallMillis else { throw Self.failure }
        let known = try known(pending.provider)
        guard let endpoint = known.configuration.tokenURL else {
            throw DBError(.hostUnreachable, "the provider names no token_endpoint")
        }
        var form = [
            (name: "grant_type", value: "authorization_code"), (name: "code", value: code),
            (name: "redirect_uri", value: pending.redirectURI),
            (name: "client_id", value: pending.provider.clientID),
            (name: "code_verifier", value: pending.codeVerifier),
        ]
        var authorization: String?
        if let secret = pending.provider.clientSecret {
            if known.configuration.takesSecretInForm {
                form.append((name: "client_secret", value: secret))
            } else {
                let id = PercentCoding.encode(pending.provider.clientID)
                let pair = Array("\(id):\(PercentCoding.encode(secret))".utf8)
                var encoded: [UInt8] = []
                Base64.append(pair.span.bytes, to: &encoded)
                authorization = "Basic " + String(decoding: encoded, as: UTF8.self)
            }
        }
        let answer: Document
        do throws(DBError) {
            answer = try fetcher.object(endpoint, form: form, authorization: authorization)
        } catch {
            // Most often the code is wrong or was used.
            throw Self.failure
        }
        guard case .string(let token)? = answer["id_token"],
            let claims = verified(token, known)
        else { throw Self.failure }
        let view = claims.view
        guard let nonce = view.value("nonce")?.string,
            ConstantTime.areEqual(Array(nonce.utf8), Array(pending.nonce.utf8)),
            let subject = view.value("sub")?.string
        else { throw Self.failure }
        // Of several audiences the token must have been given to this client.
        if let party = view.value("azp"), party.string != pending.provider.clientID {
            throw Self.failure
        }
        // Some providers send the truth as a string.
        let flag = view.value("email_verified")
        let isVerified = flag?.bool == true || flag?.string == "true"
        return (
            ProviderIdentity(
                issuer: pending.provider.issuer, subject: subject,
                verifiedEmail: isVerified ? view.value("email")?.string : nil),
            pending.user
        )
    }

    private static let failure = DBError(.authenticationFailed, "Authentication failed.")

    /// The claims of an id_token; nil for one that isn't good. Keys that aren't known are asked for
    /// once.
    private func verified(_ token: String, _ known: Known) -> Document? {
        for isLast in [false, true] {
            do throws(TokenFailure) {
                let user = try known.verifier.verify(token, nowMillis: Clock.wallMillis)
                guard case .document(let claims)? = user.auth?["token"] else { return nil }
                return claims
            } catch {
                guard error == .unknownKey, !isLast, known.keys.mayFetchForMissing(),
                    known.keys.fetch()
                else { return nil }
            }
        }
        return nil
    }

    /// What a provider says of itself and its keys, asked for anew every hour.
    private func known(_ provider: SignInProvider) throws(DBError) -> Known {
        let now = Clock.wallMillis
        let earlier = state.withLock { $0.known[provider.name] }
        if let earlier, now - earlier.atMillis < Self.knownMillis { return earlier }
        do throws(DBError) {
            let configuration = try IssuerConfiguration(provider.issuer, fetcher)
            let verifier =
                earlier?.verifier
                ?? TokenVerifier(
                    issuer: provider.issuer, audience: provider.clientID, keys: TokenKeySet([]))
            let found = Known(
                configuration: configuration, verifier: verifier,
                keys: makeKeys(verifier, configuration.keySetURL), atMillis: now)
            found.keys.fetch()
            state.withLock { $0.known[provider.name] = found }
            return found
        } catch {
            guard let earlier else { throw error }
            return earlier
        }
    }
}
