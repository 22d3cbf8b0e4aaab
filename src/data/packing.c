#include "data/packing.h"

#include <string.h>

enum { WORD = 64 };

/* Samples by the room that they have left. */
typedef struct Rooms {
    int64_t most;
    int64_t *newest; /* (most + 1) the newest sample with so much room, -1: none; before it `older`, and so on */
    int64_t *older;  /* (samples) */
    uint64_t *some;  /* (most / WORD + 1) bit r: newest[r] is there */
} Rooms;

static void push(Rooms *r, int64_t room, int64_t sample)
{
    r->older[sample] = r->newest[room];
    r->newest[room] = sample;
    r->some[room / WORD] |= (uint64_t)1 << room % WORD;
}

static int64_t pop(Rooms *r, int64_t room)
{
    int64_t sample = r->newest[room];
    r->newest[room] = r->older[sample];
    if (r->newest[room] < 0)
        r->some[room / WORD] &= ~((uint64_t)1 << room % WORD);
    return sample;
}

/* The least room of at least `wanted` that a sample has; -1: none has. */
static int64_t least_room(const Rooms *r, int64_t wanted)
{
    uint64_t word = r->some[wanted / WORD] & ~(uint64_t)0 << wanted % WORD;
    for (int64_t at = wanted / WORD;; word = r->some[at]) {
        if (word)
            return at * WORD + __builtin_ctzll(word);
        if (++at > r->most / WORD)
            return -1;
    }
}

/* sorted: documents, the longest first, those of one length as they come; place: (most + 1) of scratch. */
static void sort_by_length(int64_t documents, const int64_t *length, int64_t most, int64_t *sorted, int64_t *place)
{
    memset(place, 0, (size_t)(most + 1) * sizeof *place);
    for (int64_t i = 0; i < documents; i++)
        place[length[i]]++;
    for (int64_t n = most, at = 0; n >= 0; n--) {
        int64_t count = place[n];
        place[n] = at;
        at += count;
    }
    for (int64_t i = 0; i < documents; i++)
        sorted[place[length[i]]++] = i;
}

/* sample_of: (documents) */
static int64_t fit(int64_t documents, const int64_t *length, const int64_t *sorted, Rooms *r, int64_t *sample_of)
{
    int64_t samples = 0;
    for (int64_t i = 0; i < documents; i++) {
        int64_t document = sorted[i], room = least_room(r, length[document]);
        int64_t sample = room < 0 ? samples++ : pop(r, room);
        sample_of[document] = sample;
        push(r, (room < 0 ? r->most : room) - length[document], sample);
    }
    return samples;
}

/* By counting: documents of each sample. place: (samples) of scratch. */
static void list_samples(int64_t documents, const int64_t *sample_of, LsPacking *p, int64_t *place)
{
    memset(p->first, 0, (size_t)(p->samples + 1) * sizeof *p->first);
    for (int64_t i = 0; i < documents; i++)
        p->first[1 + sample_of[i]]++;
    for (int64_t n = 0; n < p->samples; n++)
        p->first[n + 1] += p->first[n];
    memcpy(place, p->first, (size_t)p->samples * sizeof *place);
    for (int64_t i = 0; i < documents; i++)
        p->order[place[sample_of[i]]++] = i;
}

LsStatus ls_packing_new(int64_t documents, const int64_t *length, int64_t room, LsPacking *packing)
{
    Rooms r = {.most = room,
               .newest = ls_alloc_array(room + 1, sizeof *r.newest),
               .older = ls_alloc_array(documents + 1, sizeof *r.older),
               .some = ls_alloc_array(room / WORD + 1, sizeof *r.some)};
    int64_t *sorted = ls_alloc_array(documents + 1, sizeof *sorted);
    int64_t *sample_of = ls_alloc_array(documents + 1, sizeof *sample_of);
    *packing = (LsPacking){.order = ls_alloc_array(documents + 1, sizeof *packing->order),
                           .first = ls_alloc_array(documents + 1, sizeof *packing->first)};
    bool made = r.newest && r.older && r.some && sorted && sample_of && packing->order && packing->first;
    if (made) {
        sort_by_length(documents, length, room, sorted, r.newest);
        for (int64_t i = 0; i <= room; i++)
            r.newest[i] = -1;
        memset(r.some, 0, (size_t)(room / WORD + 1) * sizeof *r.some);
        packing->samples = fit(documents, length, sorted, &r, sample_of);
        list_samples(documents, sample_of, packing, sorted);
    }
    ls_free(r.newest);
    ls_free(r.older);
    ls_free(r.some);
    ls_free(sorted);
    ls_free(sample_of);
    if (!made)
        ls_packing_free(packing);
    return made ? LS_OK : LS_RESOURCE;
}

void ls_packing_free(LsPacking *packing)
{
    ls_free(packing->order);
    ls_free(packing->first);
    *packing = (LsPacking){0};
}
