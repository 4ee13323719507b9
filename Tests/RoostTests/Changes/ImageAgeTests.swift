import Testing

@testable import Roost

@Suite struct ImageAgeTests {
    @Test func imagesArePastTheirAgeToTheSecond() {
        let age = ImageAge()
        let now = LogicalClock.wallMillis
        #expect(age.secondsMax == nil)
        #expect(!age.isPast(0))
        age.set(secondsMax: 60)
        #expect(age.secondsMax == 60)
        #expect(!age.isPast(now))
        #expect(!age.isPast(now - 30_000))
        #expect(age.isPast(now - 60_000))
        age.set(secondsMax: 0)
        #expect(age.secondsMax == 1)
        age.set(secondsMax: nil)
        #expect(!age.isPast(0))
    }
}
