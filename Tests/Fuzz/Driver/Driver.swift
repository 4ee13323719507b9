// libFuzzer's way in: ROOST_FUZZ_TARGET names the target. Built by tools/fuzz alone.

import BSON
import FuzzTargets
import Glibc

private let target: FuzzTarget = {
    let name = getenv("ROOST_FUZZ_TARGET").map { String(cString: $0) } ?? ""
    guard let target = FuzzTarget.named(name) else {
        print("ROOST_FUZZ_TARGET is none of \(FuzzTarget.all.map(\.name))")
        exit(2)
    }
    return target
}()

/// Whether to show inputs instead of running them.
private let showsInput = getenv("ROOST_FUZZ_SHOW") != nil

/// Most processor time that one input may take, in seconds: five times what it may without the
/// sanitizers.
private let secondsMax = 5.0

/// Writes a line at once: what ends the process loses buffers.
private func say(_ line: String) {
    let bytes = Array((line + "\n").utf8)
    _ = write(2, bytes, bytes.count)
}

@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    // SAFETY: libFuzzer lends `count` bytes for the call.
    let input = [UInt8](UnsafeBufferPointer(start: start, count: count))
    if showsInput {
        say("input \(target.file(of: input) ?? "")")
        return 0
    }
    let before = clock()
    do {
        try target.run(input)
    } catch {
        say("\(target): \(error)\n\(target.file(of: input) ?? "")")
        abort()
    }
    let seconds = Double(clock() - before) / Double(CLOCKS_PER_SEC)
    if seconds > secondsMax {
        say("\(target): took \(seconds) s\n\(target.file(of: input) ?? "")")
        abort()
    }
    return 0
}

@_cdecl("LLVMFuzzerCustomMutator")
public func mutate(
    _ data: UnsafeMutablePointer<UInt8>, _ count: Int, _ most: Int, _ seed: UInt32
) -> Int {
    // SAFETY: libFuzzer lends a buffer of `most` bytes, the first `count` of them filled.
    let buffer = UnsafeMutableBufferPointer(start: data, count: most)
    let input = [UInt8](buffer.prefix(count))
    let result = target.mutated(input, seed: UInt64(seed), bytesMax: most)
    _ = buffer.update(fromContentsOf: result)
    return result.count
}
