import Foundation
import Synchronization

/// How much of the comparisons with the full scan is run, and how much it was.
///
/// The test command runs some thousand cases. tools/differential sets ROOST_DIFFERENTIAL_SCALE for
/// many times as many, and ROOST_DIFFERENTIAL_SEED for others than last time.
enum Differential {
    /// How many times as many cases as in the test command.
    static let scale = max(1, number("ROOST_DIFFERENTIAL_SCALE") ?? 1)

    /// A seed of its own for each run that asks for one; tests add it to theirs.
    static let seed = UInt64(number("ROOST_DIFFERENTIAL_SEED") ?? 0) << 40

    private static let cases = Atomic<Int>(0)

    private static func number(_ name: String) -> Int? {
        ProcessInfo.processInfo.environment[name].flatMap(Int.init)
    }

    /// Notes one query that was compared.
    static func count() { cases.add(1, ordering: .relaxed) }

    /// Says how many there were so far; of interest at the end of a long run.
    static func report() {
        guard scale > 1 else { return }
        print("differential: \(cases.load(ordering: .relaxed)) cases so far")
    }
}
