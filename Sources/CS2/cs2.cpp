#include "cs2.h"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include <s2/mutable_s2shape_index.h>
#include <s2/s2boolean_operation.h>
#include <s2/s2cap.h>
#include <s2/s2cell_id.h>
#include <s2/s2closest_edge_query.h>
#include <s2/s2latlng.h>
#include <s2/s2loop.h>
#include <s2/s2point_vector_shape.h>
#include <s2/s2polygon.h>
#include <s2/s2polyline.h>
#include <s2/s2region_coverer.h>
#include <s2/s2region_union.h>
#include <s2/s2shape_index_region.h>

struct cs2_shape {
    std::vector<S2Point> points;
    std::vector<std::unique_ptr<S2Polyline>> lines;
    std::vector<std::unique_ptr<S2Polygon>> polygons;
    std::vector<S2Cap> caps;
    // An index per polygon, since those of one index must not overlap; points and lines share one.
    MutableS2ShapeIndex thin;
    std::vector<std::unique_ptr<MutableS2ShapeIndex>> indexes;
};

static S2Point point_at(double longitude, double latitude) {
    return S2LatLng::FromDegrees(latitude, longitude).Normalized().ToPoint();
}

static void say(char *message, const char *text) {
    std::snprintf(message, CS2_MESSAGE_BYTES, "%s", text);
}

cs2_shape *cs2_new(void) { return new (std::nothrow) cs2_shape; }

void cs2_free(cs2_shape *shape) { delete shape; }

void cs2_add_point(cs2_shape *shape, double longitude, double latitude) {
    shape->points.push_back(point_at(longitude, latitude));
}

// The points of positions, without those that repeat the one before them.
static std::vector<S2Point> distinct_points(const double *positions, size_t count) {
    std::vector<S2Point> points;
    for (size_t i = 0; i < count; i++) {
        S2Point point = point_at(positions[2 * i], positions[2 * i + 1]);
        if (points.empty() || points.back() != point) points.push_back(point);
    }
    return points;
}

bool cs2_add_line(cs2_shape *shape, const double *positions, size_t count, char *message) {
    std::vector<S2Point> points = distinct_points(positions, count);
    if (points.size() < 2) {
        say(message, "GeoJSON LineString must have at least 2 vertices");
        return false;
    }
    auto line = std::make_unique<S2Polyline>(points, S2Debug::DISABLE);
    S2Error error;
    if (line->FindValidationError(&error)) {
        say(message, error.text().c_str());
        return false;
    }
    shape->lines.push_back(std::move(line));
    return true;
}

bool cs2_add_polygon(cs2_shape *shape, const double *positions, const size_t *counts, size_t rings,
                     bool keeps_winding, char *message) {
    std::vector<std::unique_ptr<S2Loop>> loops;
    for (size_t ring = 0; ring < rings; ring++) {
        std::vector<S2Point> points = distinct_points(positions, counts[ring]);
        positions += 2 * counts[ring];
        if (points.size() > 1 && points.front() == points.back()) points.pop_back();
        if (points.size() < 3) {
            say(message, "Loop must have at least 3 different vertices");
            return false;
        }
        auto loop = std::make_unique<S2Loop>(points, S2Debug::DISABLE);
        S2Error error;
        if (loop->FindValidationError(&error)) {
            say(message, error.text().c_str());
            return false;
        }
        if (!keeps_winding) loop->Normalize();
        if (!loops.empty() && !loops.front()->Contains(*loop)) {
            say(message, "Secondary loops not contained by first exterior loop - secondary loops "
                         "must be holes");
            return false;
        }
        loops.push_back(std::move(loop));
    }
    if (loops.empty()) {
        say(message, "Polygon has no loops.");
        return false;
    }
    auto polygon = std::make_unique<S2Polygon>();
    polygon->set_s2debug_override(S2Debug::DISABLE);
    polygon->InitNested(std::move(loops));
    S2Error error;
    if (polygon->FindValidationError(&error)) {
        say(message, error.text().c_str());
        return false;
    }
    shape->polygons.push_back(std::move(polygon));
    return true;
}

void cs2_add_cap(cs2_shape *shape, double longitude, double latitude, double radius) {
    shape->caps.push_back(S2Cap(point_at(longitude, latitude), S1Angle::Radians(radius)));
}

bool cs2_finish(cs2_shape *shape) {
    if (!shape->points.empty())
        shape->thin.Add(std::make_unique<S2PointVectorShape>(shape->points));
    for (const auto &line : shape->lines)
        shape->thin.Add(std::make_unique<S2Polyline::Shape>(line.get()));
    shape->thin.ForceBuild();
    for (const auto &polygon : shape->polygons) {
        auto index = std::make_unique<MutableS2ShapeIndex>();
        index->Add(std::make_unique<S2Polygon::Shape>(polygon.get()));
        index->ForceBuild();
        shape->indexes.push_back(std::move(index));
    }
    return true;
}

static const S2BooleanOperation::Options &closed() {
    static const S2BooleanOperation::Options options = [] {
        S2BooleanOperation::Options options;
        options.set_polygon_model(S2BooleanOperation::PolygonModel::CLOSED);
        options.set_polyline_model(S2BooleanOperation::PolylineModel::CLOSED);
        return options;
    }();
    return options;
}

// What counts as on a line, and on a polygon's edge: about a centimetre, and rounding.
static const S1Angle on_line = S1Angle::Radians(1e-9);
static const S1Angle on_edge = S1Angle::Radians(1e-15);

static bool is_near(const MutableS2ShapeIndex *index, const S2Point &point, S1Angle limit) {
    S2ClosestEdgeQuery query(index);
    S2ClosestEdgeQuery::PointTarget target(point);
    return query.IsConservativeDistanceLessOrEqual(&target, S1ChordAngle(limit));
}

static bool holds_point(const cs2_shape *shape, const S2Point &point) {
    for (const S2Cap &cap : shape->caps)
        if (cap.Contains(point)) return true;
    for (const auto &index : shape->indexes)
        if (is_near(index.get(), point, on_edge)) return true;
    if (shape->points.empty() && shape->lines.empty()) return false;
    return is_near(&shape->thin, point, shape->lines.empty() ? on_edge : on_line);
}

bool cs2_holds_point(const cs2_shape *shape, double longitude, double latitude) {
    return holds_point(shape, point_at(longitude, latitude));
}

static S1Angle distance(const MutableS2ShapeIndex *index, const S2Point &point) {
    S2ClosestEdgeQuery query(index);
    S2ClosestEdgeQuery::PointTarget target(point);
    return query.GetDistance(&target).ToAngle();
}

// Whether the cap holds all of an index: nothing of it is nearer to the far side.
static bool cap_holds(const S2Cap &cap, const MutableS2ShapeIndex *index) {
    if (cap.is_empty()) return false;
    if (cap.is_full()) return true;
    S1Angle rest = S1Angle::Radians(M_PI) - cap.GetRadius();
    return distance(index, -cap.center()) >= rest - S1Angle::Radians(1e-14);
}

static bool holds_index(const cs2_shape *shape, const MutableS2ShapeIndex *other) {
    for (const S2Cap &cap : shape->caps)
        if (cap_holds(cap, other)) return true;
    for (const auto &index : shape->indexes)
        if (S2BooleanOperation::Contains(*index, *other, closed())) return true;
    return S2BooleanOperation::Contains(shape->thin, *other, closed());
}

bool cs2_holds(const cs2_shape *shape, const cs2_shape *other) {
    for (const S2Point &point : other->points)
        if (!holds_point(shape, point)) return false;
    for (const auto &line : other->lines) {
        MutableS2ShapeIndex index;
        index.Add(std::make_unique<S2Polyline::Shape>(line.get()));
        if (!holds_index(shape, &index)) return false;
    }
    for (const auto &index : other->indexes)
        if (!holds_index(shape, index.get())) return false;
    return true;
}

// Polygons that only touch each other don't meet; a line that touches one does.
static bool index_meets(const cs2_shape *shape, const MutableS2ShapeIndex *other, bool is_line) {
    for (const S2Cap &cap : shape->caps)
        if (distance(other, cap.center()) <= cap.GetRadius()) return true;
    for (const auto &index : shape->indexes)
        if (S2BooleanOperation::Intersects(
                *index, *other, is_line ? closed() : S2BooleanOperation::Options()))
            return true;
    return S2BooleanOperation::Intersects(shape->thin, *other, closed());
}

bool cs2_meets(const cs2_shape *shape, const cs2_shape *other) {
    for (const S2Point &point : other->points)
        if (holds_point(shape, point)) return true;
    if (!other->lines.empty() && index_meets(shape, &other->thin, true)) return true;
    for (const auto &index : other->indexes)
        if (index_meets(shape, index.get(), false)) return true;
    return false;
}

double cs2_distance(const cs2_shape *shape, double longitude, double latitude) {
    S2Point point = point_at(longitude, latitude);
    S1Angle least = S1Angle::Infinity();
    for (const S2Point &other : shape->points) least = std::min(least, S1Angle(point, other));
    if (!shape->lines.empty()) least = std::min(least, distance(&shape->thin, point));
    for (const auto &index : shape->indexes) least = std::min(least, distance(index.get(), point));
    return least.radians();
}

double cs2_point_distance(double longitude, double latitude, double other_longitude,
                          double other_latitude) {
    return S1Angle(point_at(longitude, latitude), point_at(other_longitude, other_latitude))
        .radians();
}

uint64_t cs2_point_cell(double longitude, double latitude) {
    return S2CellId(point_at(longitude, latitude)).id();
}

size_t cs2_cover(const cs2_shape *shape, uint64_t *cells, size_t count) {
    std::vector<std::unique_ptr<S2Region>> regions;
    for (const S2Cap &cap : shape->caps) {
        // A little more than the cap, since what is on its edge is in it.
        S1Angle radius = cap.GetRadius() + S1Angle::Radians(1e-14);
        regions.push_back(std::make_unique<S2Cap>(cap.center(), radius));
    }
    if (!shape->points.empty() || !shape->lines.empty())
        regions.push_back(
            std::make_unique<S2ShapeIndexRegion<MutableS2ShapeIndex>>(&shape->thin));
    for (const auto &index : shape->indexes)
        regions.push_back(
            std::make_unique<S2ShapeIndexRegion<MutableS2ShapeIndex>>(index.get()));
    S2RegionUnion whole(std::move(regions));
    S2RegionCoverer::Options options;
    // With room for fewer than six, one cell of each face might not fit.
    options.set_max_cells(static_cast<int>(count) - 6);
    options.set_max_level(24);
    std::vector<S2CellId> covering;
    S2RegionCoverer(options).GetCovering(whole, &covering);
    size_t written = 0;
    for (S2CellId cell : covering) {
        if (written == count) break;
        cells[written++] = cell.id();
    }
    return written;
}

void cs2_cell_range(uint64_t cell, uint64_t *first, uint64_t *last) {
    *first = S2CellId(cell).range_min().id();
    *last = S2CellId(cell).range_max().id();
}

uint64_t cs2_cell_parent(uint64_t cell) {
    S2CellId id(cell);
    return id.is_face() ? 0 : id.parent().id();
}
