import Testing

@testable import BSON

@Test func decimalWorks() {
    let one = Decimal128(Int64(1))
    #expect(one.add(one).exactInt64 == 2)
    #expect(Decimal128(rounding: 0.1).compare(0.1) < 0)
    #expect(one.divide(Decimal128(3 as Int64)).compare(1.0 / 3) > 0)
}
