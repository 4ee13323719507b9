import CPlatform
import NIOCore

/// How many processors this process may run on: those of the machine or its container
/// (`System.coreCount`), and no more than its affinity mask (`taskset`) allows.
///
/// A second event loop on the same processor would only add a switch between threads to each round
/// of `epoll_wait`.
package func availableProcessors() -> Int {
    let cores = max(1, System.coreCount)
    let allowed = Int(roost_allowed_processors())
    return allowed > 0 ? min(cores, allowed) : cores
}
