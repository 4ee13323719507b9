// What `configureFailPoint` has a connection's commands do: wait, fail, close the connection.

import BSON
import NIOCore
import Wire

extension ConnectionHandler {
    /// The failure that the request is to meet, if any.
    func injectedFailure(_ request: borrowing Request) -> InjectedFailure? {
        guard let name = request.body.first?.name, let command = core.commands.find(name),
            !command.options.contains(.testOnly)
        else { return nil }
        // A connection's first hello brings the name that it is matched by.
        let appName =
            client.appName
            ?? request.body.value("client")?.document?.value("application")?.document?
            .value("name")?.string
        return core.failPoints.take(
            command: "\(command.name)", alias: request.body.first?.nameString ?? "",
            appName: appName)
    }

    func start(_ request: Request, _ failure: InjectedFailure) {
        if failure.blockMillis > 0, let context {
            var rest = failure
            rest.blockMillis = 0
            let handler = NIOLoopBound(self, eventLoop: context.eventLoop)
            let remaining = rest
            context.eventLoop.scheduleTask(in: .milliseconds(failure.blockMillis)) {
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
