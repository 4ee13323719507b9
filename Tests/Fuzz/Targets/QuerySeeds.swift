// Where mutations of the query language begin.

extension FuzzTarget {
    static let filterSeeds = [
        #"{"filter": {"a": {"$gte": 1, "$lt": 5}, "b": {"$in": [1, "x", null, {"$regex": "^a"}]}}}"#,
        #"{"filter": {"$or": [{"a.b": 1}, {"$and": [{"c": {"$ne": 2}}, {"$nor": [{"x.y": 1}]}]}]}}"#,
        #"{"filter": {"a": {"$elemMatch": {"b": {"$gt": 1}, "c": "x"}}}}"#,
        #"{"filter": {"a": {"$elemMatch": {"$gt": 1, "$not": {"$mod": [2, 0]}}}}}"#,
        #"{"filter": {"a": {"$all": [1, {"$elemMatch": {"b": 1}}]}, "b": {"$size": 2}}}"#,
        #"{"filter": {"c": {"$regex": "^T(e|x)+", "$options": "im"}, "b": {"$exists": true}}}"#,
        #"{"filter": {"a": {"$type": ["number", "string", 16]}, "b": {"$bitsAllSet": [0, 5]}}}"#,
        #"{"filter": {"b": {"$bitsAnyClear": {"$binary": {"base64": "AQ==", "subType": "00"}}}}}"#,
        #"{"filter": {"$expr": {"$gt": ["$a", {"$add": ["$b", 1]}]}, "$comment": "c"}}"#,
        #"{"filter": {"a": {"$not": {"$lt": 1}}, "d": {"$gt": {"$date": "2020-01-01T00:00:00Z"}}}}"#,
        #"{"filter": {"$sampleRate": 0.5, "a.0.b": {"$nin": [1]}}, "on": [{"a": [{"b": 3}]}]}"#,
    ]

    static let schemaSeeds = [
        """
        {"schema": {"bsonType": "object", "required": ["a"], "properties": {"a": {"bsonType": \
        ["int", "array"], "minimum": 1, "items": {"type": "number"}}, "c": {"type": "string", \
        "pattern": "^T", "minLength": 1, "maxLength": 9}}, "additionalProperties": false}}
        """,
        """
        {"schema": {"anyOf": [{"properties": {"b": {"enum": [1, 2.5]}}}, {"not": {"required": \
        ["a"]}}], "patternProperties": {"^x": {"minProperties": 1}}, "dependencies": {"a": ["b"], \
        "b": {"required": ["c"]}}, "minProperties": 1, "title": "t"}}
        """,
        """
        {"schema": {"properties": {"a": {"items": [{"type": "object"}, {}], "additionalItems": \
        false, "uniqueItems": true, "minItems": 1, "maxItems": 5}, "b": {"multipleOf": 0.5, \
        "exclusiveMaximum": true, "maximum": 3}}}}
        """,
    ]

    static let geoSeeds = [
        """
        {"filter": {"c": {"$geoWithin": {"$geometry": {"type": "Polygon", "coordinates": [[[0, 0], \
        [0, 5], [5, 5], [5, 0], [0, 0]]]}}}}, "key": {"c": "2dsphere", "a": 1}}
        """,
        """
        {"filter": {"c": {"$geoIntersects": {"$geometry": {"type": "LineString", "coordinates": \
        [[0, 0], [1, 2], [3, 4]]}}}}, "key": {"c": "2dsphere"}, "on": [{"c": {"type": \
        "MultiPolygon", "coordinates": [[[[0, 0], [0, 5], [5, 5], [0, 0]]]]}}]}
        """,
        """
        {"filter": {"c": {"$near": {"$geometry": {"type": "Point", "coordinates": [1, 2]}, \
        "$maxDistance": 1000, "$minDistance": 1}}}, "key": {"c": "2d"}}
        """,
        #"{"filter": {"g": {"$geoWithin": {"$box": [[0, 0], [20, 60]]}}}, "key": {"g": "2d"}}"#,
        #"{"filter": {"g": {"$geoWithin": {"$centerSphere": [[13, 52], 0.1]}}}}"#,
        #"{"filter": {"g": {"$geoWithin": {"$polygon": [[0, 0], [20, 60], [20, 0]]}}}}"#,
        #"{"filter": {"g": {"$nearSphere": [13, 52], "$maxDistance": 0.5}}, "key": {"g": "2d"}}"#,
        """
        {"filter": {"c": {"$geoWithin": {"$center": [[1, 2], 3]}}}, "on": [{"c": {"type": \
        "GeometryCollection", "geometries": [{"type": "MultiPoint", "coordinates": [[1, 2]]}, \
        {"type": "MultiLineString", "coordinates": [[[1, 2], [3, 4]]]}]}}], "key": {"c": "2dsphere"}}
        """,
    ]

    static let updateSeeds = [
        #"{"update": {"$set": {"a.0.b": 1, "n": {"x": 1}}, "$inc": {"b": 2.5}, "$unset": {"c": 1}}}"#,
        #"{"update": {"$push": {"a": {"$each": [1, 2], "$sort": -1, "$slice": 3, "$position": 0}}}}"#,
        #"{"update": {"$pull": {"a": {"b": {"$gte": 1}}}, "$addToSet": {"l": {"$each": [1, 1]}}}}"#,
        #"{"update": {"$set": {"a.$[x].b": 9}}, "arrayFilters": [{"x.b": {"$gt": 0}}]}"#,
        #"{"update": {"$set": {"a.$": 9, "x.y.z": 1}}, "query": {"a": 1, "k": {"$eq": 3}}}"#,
        #"{"update": {"$rename": {"b": "q.r"}, "$min": {"z": 1}, "$max": {"d": "x"}, "$mul": {"m": 3}}}"#,
        #"{"update": {"$bit": {"i": {"and": 5, "xor": 3}}, "$pop": {"a": -1}, "$pullAll": {"a": [7]}}}"#,
        #"{"update": {"$currentDate": {"t": {"$type": "timestamp"}}, "$setOnInsert": {"o": 1}}}"#,
        #"{"update": {"_id": 1, "a": [1, {"b": 2}]}, "query": {"_id": 1}}"#,
        """
        {"update": [{"$set": {"s": {"$add": ["$b", "$$k"]}}}, {"$unset": ["a"]}, {"$replaceWith": \
        {"$mergeObjects": ["$$ROOT", {"n": "$$NOW"}]}}], "c": {"k": 2}}
        """,
    ]

    static let projectionSeeds = [
        #"{"projection": {"a": 1, "x.y": 1, "_id": 0}}"#, #"{"projection": {"a.b": 0, "c": 0}}"#,
        #"{"projection": {"a": {"$slice": [1, 2]}, "b": 1}}"#,
        #"{"projection": {"a": {"$elemMatch": {"b": 1}}}}"#, #"{"projection": {"a.$": 1}}"#,
        #"{"projection": {"n": {"$add": ["$b", 1]}, "o": {"p": "$c", "q": {"r": 1}}}}"#,
        #"{"projection": {"d": {"$literal": 1}, "c": "$$ROOT", "a": {"b": 1}}}"#,
    ]

    static let expressionSeeds = [
        #"{"e": {"$add": ["$b", 1, {"$multiply": [2, {"$numberDecimal": "1.5"}]}]}}"#,
        #"{"e": {"$map": {"input": "$a", "as": "v", "in": {"$cond": [{"$isArray": "$$v"}, 1, "$$v.b"]}}}}"#,
        #"{"e": {"$reduce": {"input": {"$range": [0, 20, 3]}, "initialValue": "", "in": {"$concat": ["$$value", {"$toString": "$$this"}]}}}}"#,
        #"{"e": {"$dateToString": {"date": "$d", "format": "%Y-%m-%d %H:%M:%S.%L %z", "timezone": "Europe/Berlin"}}}"#,
        #"{"e": {"$dateAdd": {"startDate": "$d", "unit": "month", "amount": 7, "timezone": "+02:00"}}}"#,
        #"{"e": {"$dateTrunc": {"date": "$d", "unit": "week", "binSize": 2, "startOfWeek": "mon"}}}"#,
        #"{"e": {"$dateFromString": {"dateString": "2020-02-29T12:00:00", "onError": 1}}}"#,
        #"{"e": {"$dateDiff": {"startDate": "$d", "endDate": "$$NOW", "unit": "quarter"}}}"#,
        #"{"e": {"$switch": {"branches": [{"case": {"$eq": ["$b", 1]}, "then": "x"}], "default": null}}}"#,
        #"{"e": {"$let": {"vars": {"q": {"$ifNull": ["$z", 3]}}, "in": {"$pow": ["$$q", 2]}}}}"#,
        #"{"e": {"$regexFindAll": {"input": "$c", "regex": "t(e)?", "options": "i"}}}"#,
        #"{"e": {"$zip": {"inputs": ["$a", [1, 2, 3]], "useLongestLength": true, "defaults": [0, 1]}}}"#,
        #"{"e": {"$sortArray": {"input": "$a", "sortBy": {"b": -1}}}}"#,
        #"{"e": {"$convert": {"input": "$c", "to": "decimal", "onError": {"$toInt": "7"}, "onNull": 0}}}"#,
        #"{"e": {"$setField": {"field": "x.y", "input": "$$ROOT", "value": {"$getField": "a"}}}}"#,
        #"{"e": [{"$split": ["$c", " "]}, {"$substrCP": ["$c", 1, 3]}, {"$indexOfCP": ["$c", "t"]}]}"#,
        #"{"e": {"$setUnion": ["$a", [1, 1, {"b": 2}]], "$comment": 1}}"#,
        #"{"e": {"$arrayToObject": {"$objectToArray": "$x"}}}"#,
        #"{"e": {"$percentile": {"input": [1, 2, 3.5], "p": [0.5, 0.9], "method": "approximate"}}}"#,
        #"{"e": {"$bitXor": [1, {"$bitNot": 7}], "q": {"$round": [1.2345, 2]}, "t": {"$trunc": [9, -1]}}}"#,
    ]

    static let pipelineSeeds = [
        #"{"pipeline": [{"$match": {"b": {"$gt": 1}}}, {"$group": {"_id": "$b", "n": {"$sum": 1}, "l": {"$push": "$a"}}}, {"$sort": {"n": -1}}, {"$limit": 3}]}"#,
        #"{"pipeline": [{"$unwind": {"path": "$a", "includeArrayIndex": "i", "preserveNullAndEmptyArrays": true}}, {"$project": {"a": 1}}, {"$skip": 1}]}"#,
        #"{"pipeline": [{"$facet": {"x": [{"$count": "n"}], "y": [{"$sortByCount": "$a"}]}}]}"#,
        #"{"pipeline": [{"$bucket": {"groupBy": "$b", "boundaries": [0, 2, 5], "default": "o", "output": {"m": {"$max": "$b"}}}}]}"#,
        #"{"pipeline": [{"$bucketAuto": {"groupBy": "$b", "buckets": 2, "granularity": "R5"}}]}"#,
        #"{"pipeline": [{"$setWindowFields": {"partitionBy": "$x", "sortBy": {"b": 1}, "output": {"s": {"$sum": "$b", "window": {"documents": ["unbounded", "current"]}}, "r": {"$rank": {}}}}}]}"#,
        #"{"pipeline": [{"$setWindowFields": {"sortBy": {"d": 1}, "output": {"a": {"$avg": "$b", "window": {"range": [-1, 1], "unit": "day"}}, "e": {"$expMovingAvg": {"input": "$b", "N": 2}}, "h": {"$shift": {"output": "$b", "by": -1}}}}}]}"#,
        #"{"pipeline": [{"$densify": {"field": "b", "range": {"step": 1, "bounds": [0, 5]}}}, {"$fill": {"output": {"b": {"method": "linear"}, "c": {"value": 0}}, "sortBy": {"b": 1}}}]}"#,
        #"{"pipeline": [{"$documents": [{"a": 1}, {"a": {"$add": [1, 2]}}]}, {"$addFields": {"k": {"$rand": {}}}}]}"#,
        #"{"pipeline": [{"$lookup": {"from": "c", "localField": "a", "foreignField": "b", "as": "l", "let": {"v": "$a"}, "pipeline": [{"$match": {"$expr": {"$eq": ["$b", "$$v"]}}}]}}]}"#,
        #"{"pipeline": [{"$graphLookup": {"from": "c", "startWith": "$a", "connectFromField": "a", "connectToField": "b", "as": "g", "maxDepth": 2, "depthField": "d"}}]}"#,
        #"{"pipeline": [{"$redact": {"$cond": [{"$eq": ["$b", 1]}, "$$PRUNE", "$$DESCEND"]}}, {"$replaceRoot": {"newRoot": {"n": "$$ROOT"}}}]}"#,
        #"{"pipeline": [{"$group": {"_id": null, "t": {"$topN": {"n": 2, "sortBy": {"b": 1}, "output": "$c"}}, "p": {"$percentile": {"input": "$b", "p": [0.5], "method": "approximate"}}, "m": {"$mergeObjects": "$x"}, "s": {"$stdDevPop": "$b"}}}]}"#,
        #"{"pipeline": [{"$sample": {"size": 2}}, {"$unionWith": {"coll": "c", "pipeline": []}}, {"$merge": {"into": "o", "on": "_id", "whenMatched": "merge"}}]}"#,
        #"{"pipeline": [{"$geoNear": {"near": [1, 2], "distanceField": "dist", "key": "g"}}, {"$out": {"db": "d", "coll": "o"}}]}"#,
    ]

    static let collationSeeds = [
        #"{"collation": {"locale": "en", "strength": 2, "caseLevel": true, "caseFirst": "upper"}}"#,
        #"{"collation": {"locale": "de@collation=phonebook", "numericOrdering": true}}"#,
        #"{"collation": {"locale": "fr_CA", "backwards": true, "alternate": "shifted", "maxVariable": "space", "normalization": true}}"#,
        #"{"collation": {"locale": "simple"}}"#,
    ]

    static let sortSeeds = [
        #"{"sort": {"a": 1, "b.c": -1, "x.y.z": 1}}"#,
        #"{"sort": {"a.0.b": 1, "s": {"$meta": "textScore"}}, "on": [{"a": [[{"b": 1}]]}]}"#,
    ]
}
