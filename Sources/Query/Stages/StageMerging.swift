// Merges of neighbouring stages that change no result.

import BSON

enum StageMerging {
    /// Adjacent skips add up, adjacent limits take the smaller, and a sort learns from the $skip and
    /// $limit behind it how many documents are wanted of it.
    static func merged(_ stages: [PipelineStage]) -> [PipelineStage] {
        var merged: [PipelineStage] = []
        for stage in StageOrder.improved(stages) {
            switch (merged.last, stage) {
            case (.skip(let first), .skip(let second)):
                let (sum, overflow) = first.addingReportingOverflow(second)
                merged[merged.count - 1] = .skip(overflow ? Int.max : sum)
            case (.limit(let first), .limit(let second)):
                merged[merged.count - 1] = .limit(min(first, second))
            default: merged.append(stage)
            }
        }
        for index in merged.indices {
            guard case .sort(let pattern, nil) = merged[index] else { continue }
            merged[index] = .sort(pattern, limit: wanted(merged[(index + 1)...]))
        }
        return merged
    }

    /// How many documents the stages behind a sort look at; nil for all.
    private static func wanted(_ stages: ArraySlice<PipelineStage>) -> Int? {
        var skipped = 0
        for stage in stages {
            switch stage {
            case .skip(let count):
                let (sum, overflow) = skipped.addingReportingOverflow(count)
                if overflow { return nil }
                skipped = sum
            case .limit(let count):
                let (sum, overflow) = skipped.addingReportingOverflow(count)
                return overflow ? nil : sum
            case .project: continue
            default: return nil
            }
        }
        return nil
    }
}
