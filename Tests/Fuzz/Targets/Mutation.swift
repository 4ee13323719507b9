// One step of fuzzing: another input of a known one.

import BSON
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
    /// - Throws: `FuzzFault` with the input.
    package func runMutations(
        seed: UInt64, count: Int, bytesMax: Int = 4_096, while goOn: () -> Bool = { true }
    ) throws {
        var random = RandomSource(seed: seed)
        var pool = seeds
        for _ in 0..<count {
            guard goOn() else { return }
            let from = pool.isEmpty ? [] : pool[random.below(pool.count)]
            let input = mutated(from, seed: random.next(), bytesMax: bytesMax)
            let begin = ContinuousClock.now
            do {
                try run(input)
            } catch {
                throw FuzzFault("\(error)\n\(file(of: input) ?? "\(input)")")
            }
            if begin.duration(to: .now) > .seconds(10) {
                throw FuzzFault("took \(begin.duration(to: .now))\n\(file(of: input) ?? "")")
            }
            // Changes pile up, but the seeds stay in sight.
            if pool.count < 4 * seeds.count + 40 {
                pool.append(input)
            } else if random.oneIn(3) {
                pool[seeds.count + random.below(pool.count - seeds.count)] = input
            }
        }
    }
}
