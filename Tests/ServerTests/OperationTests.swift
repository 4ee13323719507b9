// Killing operations at any moment of theirs.

import NIOCore
import Query
import Testing

@testable import Server
@testable import Wire

@Suite struct OperationTests {
    @Test(arguments: [true, false]) func aKillHoldsBeforeItIsKnownHowToEnd(killsFirst: Bool) {
        let operations = OperationTable()
        let slot = OperationSlot(connection: 1)
        operations.add(slot)
        let request = Request(
            id: 1, kind: .message, flags: [], isCompressed: false, buffer: ByteBuffer(),
            bodyRange: 0..<0)
        let number = operations.nextNumber()
        slot.begin(RunningOperation(number: number, startedAt: 0, request: request))
        let interrupt = Interrupt()
        if killsFirst { operations.kill(number) }
        slot.set(interrupt)
        #expect(interrupt.isKilled == killsFirst)
        operations.kill(number + 1)
        #expect(interrupt.isKilled == killsFirst)
        operations.kill(number)
        #expect(interrupt.isKilled)
    }
}
