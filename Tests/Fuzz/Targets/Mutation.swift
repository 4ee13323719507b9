// One step of fuzzing: another input of a known one.

import BSON
import Glibc
import TestSupport

extension FuzzTarget {
    /// Another input; the same seed gives the same one.
    package func mutated(_ input: [UInt8], seed: UInt64, bytesMax: Int) -> [UInt8] {
        var random = RandomSource(seed: seed)
        let other = seeds.isEmpty ? [] : seeds[random.below(seeds.count)]
        let isDocument = (try? validate(document: input.span.bytes)) != nil
        if form == .document, isDocument, !(name == "bson" && random.oneIn(2)) {
            var mutator = DocumentMutator(seed: seed)
            return mutator.mutate(
                DocumentView(input.span.bytes), with: DocumentView(other.span.bytes),
                bytesMax: bytesMax)
        }
        if input.count <= 1 || form == .document && !isDocument && name != "bson" {
            return Array(other.prefix(bytesMax))
        }
        var mutator = TextMutator(seed: seed)
        return mutator.mutate(
            input, with: other, form: form == .document ? .bytes : form, bytesMax: bytesMax)
    }

    /// Runs `count` mutations, each of one before it or of a seed, as long as `goOn` says.
    /// - Returns: how many were run.
    /// - Throws: `FuzzFault` with the input, where one breaks the target or takes more than 10 s of
    ///   this thread's processor time.
    @discardableResult
    package func runMutations(
        seed: UInt64, count: Int, bytesMax: Int = 4_096, while goOn: () -> Bool = { true }
    ) throws -> Int {
        var random = RandomSource(seed: seed)
        var pool = seeds
        for done in 0..<count {
            guard goOn() else { return done }
            let from = pool.isEmpty ? [] : pool[random.below(pool.count)]
            let input = mutated(from, seed: random.next(), bytesMax: bytesMax)
            let begin = Self.processorSeconds()
            do {
                try run(input)
            } catch {
                throw FuzzFault("\(error)\n\(file(of: input) ?? "\(input)")")
            }
            let seconds = Self.processorSeconds() - begin
            if seconds > 10 {
                throw FuzzFault("took \(seconds) s\n\(file(of: input) ?? "\(input)")")
            }
            // Changes pile up, but the seeds stay in sight.
            if pool.count < 4 * seeds.count + 40 {
                pool.append(input)
            } else if random.oneIn(3) {
                pool[seeds.count + random.below(pool.count - seeds.count)] = input
            }
        }
        return count
    }

    /// What the calling thread has used: a clock on the wall runs on while others have the
    /// processor.
    private static func processorSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
