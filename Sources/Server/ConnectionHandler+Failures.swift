// What `configureFailPoint` has a connection's commands do: wait, fail, close the connection.

import BSON
import NIOCore
import Wire

extension ConnectionHandler {
    /// The failure that the request is to meet, if any.
    func injectedFailure(_ request: borrowing Request) -> InjectedFailure? {
        guard let name = request.body.first?.name else { return nil }
        // Commands of MongoDB's that Roost doesn't have may fail too.
        let command = core.commands.find(name)
        if command?.options.contains(.testOnly) == true { return nil }
        let alias = request.body.first?.nameString ?? ""
        // A connection's first hello brings the name that it is matched by.
        let appName =
            client.appName
            ?? request.body.value("client")?.document?.value("application")?.document?
            .value("name")?.string
        return core.failPoints.take(
            command: command.map { "\($0.name)" } ?? alias, alias: alias, appName: appName)
    }

    func start(_ request: Request, _ failure: InjectedFailure) {
        if failure.blockMillis > 0 {
            var rest = failure
            rest.blockMillis = 0
            let handler = NIOLoopBound(self, eventLoop: eventLoop)
            let remaining = rest
            eventLoop.scheduleTask(in: .milliseconds(failure.blockMillis)) {
                handler.value.start(request, remaining)
                handler.value.process()
                handler.value.flush()
                handler.value.resumeReading()
            }
            return
        }
        if failure.closesConnection { return abort() }
        run(request, failure)
    }
}
