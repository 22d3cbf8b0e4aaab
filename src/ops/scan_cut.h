/* The pieces of the selective scan's work: a function of the shape only, so that results are the same bits for any
 * number of threads. */
#ifndef LS_OPS_SCAN_CUT_H
#define LS_OPS_SCAN_CUT_H

#include "ops/scan_block.h"

#include "base/pieces.h"

enum {
    FEW_PIECES = 8, /* where streams x tiles are not more, time is cut into parts */
    /* streams x parts then: for 16 cores; a part's summary costs a third of its work, whatever their number */
    WANTED_PARTS = 16,
    WANTED_PIECES = 32,    /* pieces to aim at: enough for 16 cores, few enough that partial sums stay small */
    LEAST_PART_CHUNKS = 8, /* chunks a part has at least */
    LEAST_PIECES = 4,      /* pieces to have in any case */
    /* tiles a group has at least where there are pieces enough, so that rows are read in long runs */
    WIDE_TILES = 8,
    MOST_BATCHES = 32 /* partial sums of parameter gradients over streams */
};

typedef struct Cut {
    int64_t streams, steps, channels, states; /* B, T, E, N */
    int64_t padded, tiles, chunks;            /* E in whole tiles, their number, chunks of the time */
    /* pieces: batches of streams x parts of the time x groups of tiles */
    int64_t batches, parts, part_chunks, groups, group_tiles;
} Cut;

/* u: (B, T, E), states: N */
static Cut cut_of(const LsTensor *u, int64_t states)
{
    Cut c = {.streams = u->dim[0], .steps = u->dim[1], .channels = u->dim[2], .states = states};
    c.tiles = ls_ceil_div(c.channels, SCAN_TILE);
    c.padded = c.tiles * SCAN_TILE;
    c.chunks = ls_ceil_div(c.steps, SCAN_CHUNK);
    c.batches = c.streams < MOST_BATCHES ? c.streams : MOST_BATCHES;
    bool few = c.streams < FEW_PIECES && c.streams * c.tiles <= FEW_PIECES;
    int64_t parts = few ? ls_ceil_div(WANTED_PARTS, c.streams) : 1;
    if (parts > c.chunks / LEAST_PART_CHUNKS)
        parts = c.chunks / LEAST_PART_CHUNKS;
    c.part_chunks = ls_ceil_div(c.chunks, parts < 1 ? 1 : parts);
    c.parts = ls_ceil_div(c.chunks, c.part_chunks);
    /* tiles cost less side by side: only where parts are no pieces enough, or rows are long, are they cut too */
    int64_t groups = ls_ceil_div(c.parts > 1 ? FEW_PIECES : WANTED_PIECES, c.batches * c.parts),
            least = ls_ceil_div(c.streams * c.tiles, LEAST_PIECES);
    int64_t most = ls_ceil_div(c.tiles, least < WIDE_TILES ? least : WIDE_TILES);
    c.group_tiles = ls_ceil_div(c.tiles, groups < most ? groups : most);
    c.groups = ls_ceil_div(c.tiles, c.group_tiles);
    return c;
}

static int64_t chunk_steps(const Cut *c, int64_t chunk)
{
    int64_t left = c->steps - chunk * SCAN_CHUNK;
    return left < SCAN_CHUNK ? left : SCAN_CHUNK;
}

/* One piece of the work: streams from first_stream, chunks from first_chunk, channels from first_channel, to before the
 * ends. */
typedef struct Piece {
    int64_t batch, part, group;
    int64_t first_stream, end_stream, first_chunk, end_chunk, first_channel, end_channel;
} Piece;

static Piece piece_of(const Cut *c, int64_t index)
{
    Piece p = {.group = index % c->groups, .part = index / c->groups % c->parts, .batch = index / c->groups / c->parts};
    p.first_stream = p.batch * c->streams / c->batches;
    p.end_stream = (p.batch + 1) * c->streams / c->batches;
    p.first_chunk = p.part * c->part_chunks;
    p.end_chunk = p.first_chunk + c->part_chunks < c->chunks ? p.first_chunk + c->part_chunks : c->chunks;
    p.first_channel = p.group * c->group_tiles * SCAN_TILE;
    p.end_channel = p.first_channel + c->group_tiles * SCAN_TILE;
    p.end_channel = p.end_channel < c->channels ? p.end_channel : c->channels;
    return p;
}

/* Channels of a piece in memory, padding included. */
static int64_t piece_width(const Cut *c, const Piece *p)
{
    int64_t width = c->group_tiles * SCAN_TILE, left = c->padded - p->first_channel;
    return width < left ? width : left;
}

#endif
