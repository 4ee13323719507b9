// $stdDevPop and $stdDevSamp over windows whose lower end moves. MongoDB computes these apart from
// those of groups, and a single value's deviation is an integer there.

import BSON

final class MovingDeviationColumn: DeviationColumn {
    override func write(_ name: String, _ group: Int, _ writer: inout DocumentWriter) {
        let state = states[group]
        if !isSample, state.count == 1, state.squares.isFinite {
            writer.append(name, Int32(0))
        } else {
            super.write(name, group, &writer)
        }
    }
}
