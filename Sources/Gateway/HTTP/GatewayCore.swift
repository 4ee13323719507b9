// What all connections of the HTTP door share.

import BSON
import Logging
import NIOCore
import NIOHTTP1
import Synchronization
import Wire

/// The shared state of one door. Everything here is immutable or guarded by itself.
final class GatewayCore: Sendable {
    let settings: GatewaySettings
    let door: any CommandDoor
    let logger: Logger
    let router = Router(allRoutes)
    let pages = PageTable()
    let rates: RateLimiter
    private let caches: [ObjectIdentifier: NIOLoopBoundBox<LiveMessageCache>]
    private let open = Mutex<[ObjectIdentifier: any Channel]>([:])
    private let stopping = Atomic<Bool>(false)

    init(_ settings: GatewaySettings, _ door: any CommandDoor, _ logger: Logger) {
        self.settings = settings
        self.door = door
        self.logger = logger
        rates = RateLimiter(requestsPerSecond: settings.requestsPerSecond)
        var caches: [ObjectIdentifier: NIOLoopBoundBox<LiveMessageCache>] = [:]
        for loop in door.eventLoops.makeIterator() {
            caches[ObjectIdentifier(loop)] = .makeBoxSendingValue(
                LiveMessageCache(), eventLoop: loop)
        }
        self.caches = caches
    }

    /// Takes a connection in; false where there are too many.
    func admit(_ channel: any Channel) -> Bool {
        guard !isStopping else { return false }
        return open.withLock { open in
            guard open.count < settings.connectionsMax else { return false }
            open[ObjectIdentifier(channel)] = channel
            return true
        }
    }

    /// Lets go of a connection.
    func release(_ channel: any Channel) {
        open.withLock { $0[ObjectIdentifier(channel)] = nil }
    }

    /// The connections now.
    var connections: [any Channel] { open.withLock { Array($0.values) } }

    /// What an event loop's live queries share; on that loop.
    func cache(of eventLoop: any EventLoop) -> LiveMessageCache? {
        caches[ObjectIdentifier(eventLoop)]?.value
    }

    /// Whether the door is on its way out.
    var isStopping: Bool { stopping.load(ordering: .relaxed) }

    /// Begins the way out.
    func beginStopping() { stopping.store(true, ordering: .relaxed) }

    // MARK: Requests

    /// Runs a request; `finish` gets its answer, once, on the event loop.
    func run(
        _ request: GatewayRequest, _ visitor: Visitor, as given: DoorGuest? = nil,
        in transaction: BatchTransaction? = nil, _ finish: @escaping (HTTPAnswer) -> Void
    ) {
        var hasCredentials = true
        do throws(DBError) {
            let parts = request.target.split(
                separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
            let path = parts.first ?? ""
            switch try router.match(request.method, path) {
            case .nothing:
                throw DBError(
                    .httpNotFound,
                    "there is nothing at this address; /api/v1/openapi.json lists what there is")
            case .otherMethods(let methods):
                let names = methods.map(\.rawValue).joined(separator: ", ")
                var answer = HTTPAnswer.failure(
                    DBError(.httpMethod, "this address takes \(names), not \(request.method)"))
                answer.headers.append(("Allow", names))
                return finish(answer)
            case .route(let route, let parameters):
                let guest: DoorGuest
                if let given {
                    guest = given
                } else {
                    guest = try visitor.guest(of: request.headers)
                }
                hasCredentials = guest != .anonymous
                if transaction == nil { try rates.take(guest, visitor.address) }
                let query = parts.count > 1 ? try QueryString(parts[1]) : QueryString()
                try query.check(route.parameters.map(\.name))
                let exchange = Exchange(
                    request, visitor, guest, parameters: parameters, query: query,
                    transaction: transaction, finish)
                do throws(DBError) {
                    try route.run(exchange)
                } catch {
                    exchange.fail(error)
                }
            }
        } catch {
            finish(.failure(error, hasCredentials: hasCredentials))
        }
    }
}
