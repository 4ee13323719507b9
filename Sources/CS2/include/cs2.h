// The part of S2 (geometry on the sphere) that Roost uses, behind C functions: S2 is C++.
//
// Positions are longitude and latitude in degrees, in that order; distances are angles in radians.
#ifndef CS2_H
#define CS2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// A set of points, lines, polygons and caps. Built by one thread; once `cs2_finish` was called it
/// never changes, and any number of threads may ask it.
typedef struct cs2_shape cs2_shape;

/// Bytes that a message may take, with the 0 behind it.
enum { CS2_MESSAGE_BYTES = 256 };

/// An empty shape, to be freed; null without memory.
cs2_shape *cs2_new(void);
void cs2_free(cs2_shape *shape);

void cs2_add_point(cs2_shape *shape, double longitude, double latitude);
/// Adds a line through `count` positions; false, and why, when it is none.
bool cs2_add_line(cs2_shape *shape, const double *positions, size_t count, char *message);
/// Adds a polygon of `rings` closed rings, each of `counts[i]` positions, the first the outer one.
/// `keeps_winding`: the inside lies left of the outer ring's edges, however large it is; else it
/// is the smaller side. False, and why, when it is none.
bool cs2_add_polygon(cs2_shape *shape, const double *positions, const size_t *counts, size_t rings,
                     bool keeps_winding, char *message);
/// Adds all that is within `radius` radians of a position.
void cs2_add_cap(cs2_shape *shape, double longitude, double latitude, double radius);
/// Ends building; false without memory.
bool cs2_finish(cs2_shape *shape);

/// Whether the shape holds a position.
bool cs2_holds_point(const cs2_shape *shape, double longitude, double latitude);
/// Whether the shape holds all of another, which has no caps.
bool cs2_holds(const cs2_shape *shape, const cs2_shape *other);
/// Whether the two share a position; the second has no caps.
bool cs2_meets(const cs2_shape *shape, const cs2_shape *other);
/// The distance of a position from the nearest one of the shape, which has no caps.
double cs2_distance(const cs2_shape *shape, double longitude, double latitude);
/// The distance of two positions.
double cs2_point_distance(double longitude, double latitude, double other_longitude,
                          double other_latitude);

/// The cell of a position at the finest level.
uint64_t cs2_point_cell(double longitude, double latitude);
/// Writes at most `count` disjoint cells that together cover the shape; returns how many.
size_t cs2_cover(const cs2_shape *shape, uint64_t *cells, size_t count);
/// The cells of the finest level within a cell: the first and the last.
void cs2_cell_range(uint64_t cell, uint64_t *first, uint64_t *last);
/// The next larger cell around a cell; 0 for the largest.
uint64_t cs2_cell_parent(uint64_t cell);

#ifdef __cplusplus
}
#endif

#endif
