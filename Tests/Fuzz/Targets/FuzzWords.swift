// What mutations put in: the names that parsers know, and values at their edges.

import BSON

enum FuzzWords {
    /// Operators, stages and options of filters, updates, expressions and pipelines.
    static let operators: [String] =
        """
        $abs $accumulator $add $addFields $addToSet $all $allElementsTrue $and $anyElementTrue \
        $arrayElemAt $arrayToObject $avg $binarySize $bit $bitAnd $bitNot $bitsAllClear $bitsAllSet \
        $bitsAnyClear $bitsAnySet $bottom $bottomN $box $bsonSize $bucket $bucketAuto \
        $caseSensitive $ceil $center $centerSphere $cmp $comment $concat $concatArrays $cond \
        $convert $count $covariancePop $currentDate $dateAdd $dateDiff $dateFromParts \
        $dateFromString $dateSubtract $dateToParts $dateToString $dateTrunc $dayOfWeek $dayOfYear \
        $denseRank $densify $derivative $diacriticSensitive $divide $documentNumber $documents \
        $each $elemMatch $eq $exists $exp $expMovingAvg $expr $facet $fill $filter $first $firstN \
        $floor $function $geoIntersects $geoNear $geoWithin $geometry $getField $graphLookup $group \
        $gt $gte $ifNull $in $inc $indexOfArray $indexOfBytes $indexOfCP $integral $isArray \
        $isNumber $isoWeek $jsonSchema $language $last $lastN $let $limit $linearFill $literal $ln \
        $locf $log $lookup $lt $lte $ltrim $map $match $max $maxDistance $maxN $median $merge \
        $mergeObjects $meta $min $minDistance $minN $mod $month $mul $multiply $ne $near \
        $nearSphere $nin $nor $not $objectToArray $options $or $out $percentile $polygon $pop \
        $position $pow $project $pull $pullAll $push $rand $range $rank $redact $reduce $regex \
        $regexFind $regexFindAll $regexMatch $rename $replaceAll $replaceOne $replaceRoot \
        $replaceWith $reverseArray $round $rtrim $sample $sampleRate $search $set $setDifference \
        $setEquals $setField $setIntersection $setIsSubset $setOnInsert $setUnion $setWindowFields \
        $shift $size $skip $slice $sort $sortArray $sortByCount $split $sqrt $stdDevPop \
        $strLenBytes $strLenCP $strcasecmp $substr $substrBytes $substrCP $subtract $sum $switch \
        $text $toBool $toDate $toDecimal $toDouble $toHashedIndexKey $toInt $toLong $toLower \
        $toObjectId $toString $toUpper $top $topN $trim $trunc $tsSecond $type $unionWith $unset \
        $unsetField $unwind $where $within $year $zip
        """.split(separator: " ").map(String.init)

    /// Names of arguments and of fields.
    static let names: [String] =
        """
        a b c a.b a.0 a.b.c a.$ a.$[] a.$[x] x x.y _id input as in initialValue cond vars then \
        else case branches default from localField foreignField let pipeline path includeArrayIndex \
        preserveNullAndEmptyArrays n sortBy output window documents range unit partitionBy date \
        format timezone onNull onError year hour startDate endDate amount startOfWeek find \
        replacement regex options chars field value to into on whenMatched whenNotMatched groupBy \
        boundaries buckets granularity start end step bounds full partition method p near distanceField \
        spherical key type coordinates properties required items minimum maximum pattern \
        additionalProperties patternProperties dependencies enum bsonType allOf oneOf minLength \
        maxItems uniqueItems multipleOf locale strength caseLevel caseFirst numericOrdering \
        alternate maxVariable backwards normalization unique sparse partialFilterExpression \
        expireAfterSeconds weights default_language textIndexVersion wildcardProjection name v \
        connectFromField connectToField startWith maxDepth depthField restrictSearchWithMatch \
        useLongestLength defaults inputs coll db size query hidden bits min max $** a.$**
        """.split(separator: " ").map(String.init)

    /// Strings that stand as values.
    static let strings: [String] =
        names
            + """
            $a $a.b $$ROOT $$CURRENT $$NOW $$this $$value $$x $$REMOVE $$KEEP $$PRUNE $$DESCEND \
            Point Polygon LineString MultiPoint MultiPolygon GeometryCollection string number object \
            array int long double decimal null bool date objectId binData regex timestamp minKey \
            2dsphere 2d text hashed day week month second unbounded current en de tr simple \
            Europe/Berlin +02:00 UTC %Y-%m-%d 2020-02-29 1E400 NaN -0 ^a.*b$ (a+)+$ [ (?i)x ix \
            replace keepExisting merge fail insert discard approximate R5 1-2-5 POWERSOF2 E6
            """.split(separator: " ").map(String.init)

    static let values: [Value] = [
        0, 1, -1, 2, 7, 63, 64, 100, .int32(.max), .int32(.min), .int64(.max), .int64(.min),
        .int64(1 << 53), 0.5, -0.0, 1e308, .double(.leastNonzeroMagnitude), 1e18, .double(.nan),
        .double(.infinity),
        .double(-.infinity), 180.0, 90.0, -180.5, 91.0, nil, true, false, .undefined, .minKey,
        .maxKey,
        "", .string("\0"), .string("é"), .string(String(repeating: "a", count: 300)), [],
        .document([:]), [1, 2], [[0, 0], [0, 1], [1, 1], [0, 0]], [[1, 2], [3]], .date(0),
        .date(.max), .date(.min), .date(1_700_000_000_000), .objectID(ObjectID(head: 1, tail: 2)),
        .timestamp(Timestamp(rawValue: 1 << 33)), .binary(subtype: 0, [1, 2, 255]),
        .binary(subtype: 4, Array(0..<16)), .binary(subtype: 2, [1, 0, 0, 0, 9]),
        .regex(pattern: "a.*", options: "i"), .regex(pattern: "(a*)*b", options: ""),
        .regex(pattern: "[", options: ""), .code("f"), .codeWithScope("f", ["a": 1]), .symbol("s"),
        .decimal128(low: 1, high: 0x3040_0000_0000_0000),
        .decimal128(low: 0, high: 0x7C00_0000_0000_0000),
        .decimal128(low: 0, high: 0x7800_0000_0000_0000),
        .decimal128(low: .max, high: 0x5FFE_314D_C644_8D92),
    ]

    /// Tokens of the languages that are text.
    static let tokens: [String] =
        """
        from where sort limit skip select group join on as unwind insert into update set unset \
        delete restore create index unique drop collection explain live in is not null true false \
        count() sum( avg( min( max( any( all( if( lower( date( && || ! == != <= >= < > + - * / % \
        ?? ? : , . | { } [ ] ( ) " ' ` $a $b $ \\ \\u 0 1 -1 2.5 1e308 1e999 9223372036854775808 \
        0x1F .5 5. 1e /a/i // -- /* db db.c .find( .sort( .aggregate( .limit( ObjectId( ISODate( \
        NumberLong( NumberDecimal( UUID( BinData( new Timestamp( MinKey Infinity NaN undefined \
        "$oid" "$date" "$numberLong" "$numberDecimal" "$binary" "$regex" "$options" "$uuid" \
        "$code" "$scope" "$timestamp" "t" "i" "base64" "subType" "\\ud800" \u{0} \u{e9} \u{1F600} ;
        """.split(separator: " ").map(String.init) + [" ", "\n", "\t", "\r\n"]
}
