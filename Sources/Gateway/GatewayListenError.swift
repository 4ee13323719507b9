// Why the HTTP door can't listen, and what to do.

import Glibc
import NIOCore

/// An address that can't be listened on.
package struct GatewayListenError: Error, CustomStringConvertible {
    /// What a person reads.
    package let description: String

    init(_ host: String, _ port: Int, _ cause: any Error) {
        let reason =
            switch (cause as? IOError)?.errnoCode {
            case EADDRINUSE?: "the port is taken by another program"
            case EACCES?: "not permitted; ports below 1024 need privileges"
            case EADDRNOTAVAIL?: "no network interface of this machine has that address"
            default: "\(cause)"
            }
        description = "cannot listen for HTTP on \(host):\(port): \(reason)"
    }
}
